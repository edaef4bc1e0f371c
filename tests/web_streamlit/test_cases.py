"""From uploads to cases: grouping, hostile names, nothing left on the disk; tables that a spreadsheet may open."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

from core.errors import PairMismatch, UsageError
from core.io import RawFile, read_scan_bytes
from core.model_card import PreprocessSettings
from core.scan import Scan
from web_streamlit.cases import bundled_case, payload, read_truth, read_uploads
from web_streamlit.downloads import batch_csv
from web_streamlit.launch import page_command, page_environment
from web_streamlit.pace import Pace
from web_streamlit.settings import Settings, load_settings

SETTINGS = Settings()


@pytest.fixture(autouse=True)
def empty_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever a test does, no file of an upload stays behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("metseg-web-")] == []


def test_a_folder_of_slices_is_one_case_in_the_order_of_its_numbers(kit: SimpleNamespace) -> None:
    slices = {number: kit.noise(20, 24, seed=number) for number in (1, 2, 10)}
    files = [RawFile(f"set/CASE/CASE_{number}.tif", kit.tiff(image)) for number, image in slices.items()]
    files += [RawFile(f"set/CASE/CASE_{number}_mask.tif", kit.tiff(image // 200)) for number, image in slices.items()]
    (case,) = read_uploads(files[::-1], SETTINGS).cases
    assert case.scan.name == "CASE"
    np.testing.assert_array_equal(case.scan.voxels[:, 0], np.stack(list(slices.values())))
    np.testing.assert_array_equal(case.truth, np.stack(list(slices.values())) >= 200)
    assert [path.as_posix() for path in case.scan.paths] == ["CASE_1.tif", "CASE_2.tif", "CASE_10.tif"]
    content, fields = payload(case, PreprocessSettings(), None)
    np.testing.assert_array_equal(read_scan_bytes(content, "x").voxels, case.scan.voxels)
    assert fields == {"slice_gap": "true"}
    (whole,) = read_uploads([file for file in files if "10" not in file.name], SETTINGS).cases
    assert payload(whole, PreprocessSettings(), None)[1] == {}


@pytest.mark.parametrize(
    "name",
    [
        "../../x.tif",
        "/etc/x.tif",
        "a\\..\\x.tif",
        "x\0.tif",
        "l" * 4000 + ".tif",
        "\u202efit.x.tif",
        "..",
        "",
        "c:x.tif",
    ],
)
def test_a_hostile_name_leads_nowhere(kit: SimpleNamespace, name: str) -> None:
    content = kit.tiff(kit.noise(20, 24))
    reading = read_uploads([RawFile(name, content), RawFile("good.tif", content)], SETTINGS)
    assert "good" in {case.scan.name for case in reading.cases}
    for case in reading.cases:
        assert len(case.scan.name) <= 100
        assert not {"/", "\\", "\0", "\u202e"} & set(case.scan.name)


def test_files_of_one_name_and_a_file_called_as_another_s_folder_are_all_read(kit: SimpleNamespace) -> None:
    names = ["a.tif", "a.tif", "a.tif/b.tif", "d/a.tif"]
    files = [RawFile(name, kit.tiff(kit.noise(20, 24, seed=seed))) for seed, name in enumerate(names)]
    reading = read_uploads(files, SETTINGS)
    assert len(reading.cases) == len(names)
    assert len({case.key for case in reading.cases}) == len(names)


@pytest.mark.parametrize("suffixes", [("png", "jpg"), ("PNG", "jpeg")])
def test_masks_that_would_bear_one_name_are_refused_before_anything_runs(
    kit: SimpleNamespace, suffixes: tuple[str, str]
) -> None:
    coded = [bytes(cv2.imencode(f".{suffix.lower()}", kit.noise(20, 24))[1]) for suffix in suffixes]
    files = [
        RawFile(f"scan_{number}.{suffix}", content)
        for number in (1, 2)
        for suffix, content in zip(suffixes, coded, strict=True)
    ]
    reading = read_uploads([*files, RawFile("other.png", coded[0])], SETTINGS)
    assert [case.scan.name for case in reading.cases] == ["other"]
    assert [(refused.name, "rename one" in refused.sentence) for refused in reading.refused] == [("scan", True)]


def test_how_large_a_pixel_is_reaches_the_server(kit: SimpleNamespace) -> None:
    files = []
    for number in (1, 3):
        buffer = io.BytesIO()
        unit = {"imagej": True, "resolution": (0.5, 0.5), "metadata": {"unit": "mm"}}
        tifffile.imwrite(buffer, kit.noise(20, 24, seed=number), **unit)
        files.append(RawFile(f"c_{number}.tif", buffer.getvalue()))
    (case,) = read_uploads(files, SETTINGS).cases
    assert case.scan.spacing_mm == (None, 2.0, 2.0)
    content, fields = payload(case, PreprocessSettings(), None)
    sent = read_scan_bytes(content, "x")
    assert sent.spacing_mm == case.scan.spacing_mm
    np.testing.assert_array_equal(sent.voxels, case.scan.voxels)
    assert fields == {"slice_gap": "true"}


def test_dicom_slices_without_place_or_number_reach_the_server_in_the_page_s_order(
    kit: SimpleNamespace, dicom_files: Any
) -> None:
    nowhere = {"ImagePositionPatient": None, "InstanceNumber": None}
    slices = dicom_files.slices(kit.noise(12, 20, 24, dtype=np.int16), **nowhere)
    (case,) = read_uploads(slices, SETTINGS).cases
    content, fields = payload(case, PreprocessSettings(), None)
    assert fields == {}
    np.testing.assert_array_equal(read_scan_bytes(content, "x").voxels, case.scan.voxels)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
    assert len(names) == 12
    assert names == sorted(names)  # for servers, and older ones, that know no other order


def test_more_than_the_page_holds_is_refused_by_name(kit: SimpleNamespace) -> None:
    files = [RawFile(f"{name}.tif", kit.tiff(kit.noise(20, 24))) for name in "ab"]
    reading = read_uploads(files, Settings(total_voxels=20 * 24))
    assert [case.scan.name for case in reading.cases] == ["a"]
    assert [(refused.name, "send fewer" in refused.sentence) for refused in reading.refused] == [("b", True)]


def scan_of(slices: int) -> Scan:
    return Scan("t", np.zeros((slices, 1, 8, 8), np.uint8))


def test_truth_of_a_file_per_slice_is_put_in_order(kit: SimpleNamespace) -> None:
    masks = [kit.noise(8, 8, seed=number) > 128 for number in range(11)]
    files = [RawFile(f"t_{number}.tif", kit.tiff(mask.astype(np.uint8))) for number, mask in enumerate(masks)]
    np.testing.assert_array_equal(read_truth(files[::-1], scan_of(11), SETTINGS.limits), np.stack(masks))
    with pytest.raises(PairMismatch, match="must be equal"):
        read_truth(files, scan_of(10), SETTINGS.limits)


def test_an_example_is_what_its_file_holds() -> None:
    case = bundled_case(1, 2)
    (content,) = case.contents
    np.testing.assert_array_equal(read_scan_bytes(content, "x").voxels, case.scan.voxels)
    assert case.truth is not None
    assert case.truth.any()
    assert "phantom" in {note.code for note in case.scan.notes}


def test_no_name_becomes_a_formula_in_the_table() -> None:
    lines = batch_csv([{"case": "=1+1", "model": "m", "slices": 1, "dice": 0.5}]).decode().splitlines()
    assert lines[1].startswith("'=1+1,m,1,")


def test_pace_follows_what_was_measured() -> None:
    pace = Pace()
    assert pace.guess("a", False, 10) is None
    pace.learn("a", False, 10, 5.0)
    assert pace.guess("a", False, 20) == 10.0
    pace.learn("a", False, 10, 15.0)
    assert pace.guess("a", False, 10) == 10.0
    assert pace.guess("a", True, 10) is None


def test_settings_come_from_the_environment_and_show_no_key() -> None:
    settings = load_settings({"METSEG_API_URL": "https://server.example:9/ ", "METSEG_API_KEY": "k" * 20})
    assert (settings.api_url, settings.api_key, settings.is_local) == ("https://server.example:9", "k" * 20, False)
    assert "k" * 20 not in repr(settings)
    assert load_settings({}).is_local
    assert not load_settings({"METSEG_API_URL": "http://127.evil.example"}).is_local
    with pytest.raises(UsageError, match="METSEG_WEB_PATIENCE"):
        load_settings({"METSEG_WEB_PATIENCE": "nan"})


def test_the_page_is_started_with_its_own_settings() -> None:
    environment = page_environment("http://127.0.0.1:1", {"STREAMLIT_BROWSER_GATHER_USAGE_STATS": "true", "A": "b"})
    assert environment["METSEG_API_URL"] == "http://127.0.0.1:1"
    assert environment["A"] == "b"
    assert not [name for name in environment if name.startswith("STREAMLIT_")]
    assert page_command(5)[-1] == "5"
