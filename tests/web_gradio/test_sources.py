"""Which of the files that come together are one case: the same as in a folder, and masks are no scans."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from gradio_client import Client, handle_file

import metseg
from core.errors import InputError
from core.inference.predictor import Predictor
from core.io import encode_png, encode_tiff
from core.phantom import make_phantom
from core.scan import SLICE_GAP
from web_gradio import words
from web_gradio.downloads import write_downloads
from web_gradio.findings import LEFT_OUT, Failure, Finding, Step, find_in_files
from web_gradio.settings import Settings
from web_gradio.sources import MASKS_LEFT_OUT, Sources, sources_of
from web_gradio.wanted import Wanted


@pytest.fixture(scope="module")
def model(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with which a slice's mask depends on the slices beside it."""
    return make_model(tmp_path_factory.mktemp("model") / "model", neighbours=0.3)


@pytest.fixture(scope="module")
def weighing(open_page: Callable[..., Any], model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    page = open_page(models=(str(model),))
    client = Client(page.url, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))
    yield client
    client.close()
    assert page.running.stop() == 0
    assert list(page.place.iterdir()) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patient's slices with their truth, another's with one slice missing, two lone slices."""
    folder = tmp_path_factory.mktemp("patients")
    scan, truth = make_phantom(7, 8, 64)
    names = ["P_1.tif", "P_2.tif", "P_3.tif", "Q_3.png", "Q_4.png", "Q_6.png", "größe (1).tif", "1e5.tif"]
    for name, image, mask in zip(names, scan.voxels[:, 0], truth, strict=True):
        image = np.ascontiguousarray(image)
        (folder / name).write_bytes(encode_png(image) if name.endswith(".png") else encode_tiff(image[None]))
        if name.startswith("P_"):
            tifffile.imwrite(folder / name.replace(".", "_mask."), mask.astype(np.uint8), software=False)
    return folder


def test_files_that_come_together_are_answered_as_the_folder_that_they_lay_in(
    weighing: Any, folder: Path, model: Path, tmp_path: Path
) -> None:
    out, paths = tmp_path / "out", sorted(folder.iterdir(), reverse=True)
    fixed = ["--model", str(model), "--device", "cpu", "--precision", "fp32", "--out", str(out)]
    assert metseg.main(["segment", str(folder), *fixed]) == 0
    wanted = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*_mask.*")}
    results, report = weighing.predict([handle_file(str(path)) for path in paths], api_name="/segment_files")
    with zipfile.ZipFile(results) as archive:
        assert {name: archive.read(name) for name in archive.namelist() if "_mask." in name} == wanted
    assert [case["name"] for case in report["cases"]] == ["größe (1)", "Q", "P", "1e5"]
    for case in report["cases"]:
        manifest = json.loads((out / case["name"] / "manifest.json").read_text(encoding="utf-8"))
        left_out = [note for note in case["warnings"] if note["code"] == MASKS_LEFT_OUT.code]
        assert bool(left_out) == (case["name"] == "P")
        assert [note for note in case["warnings"] if note not in left_out] == manifest["result"]["warnings"]
        assert case["lesions"] == manifest["result"]["lesions"]
        assert case["manifest"]["input"]["sha256"] == manifest["input"]["sha256"]
        assert any(note["code"] == SLICE_GAP for note in case["warnings"]) == (case["name"] == "Q")


def named(place: Path, *names: str, content: bytes = b"") -> list[Path]:
    """Files that each lie in a folder of their own, as uploads do."""
    paths = []
    for number, name in enumerate(names):
        paths.append(place / f"{number}" / name)
        paths[-1].parent.mkdir(parents=True)
        paths[-1].write_bytes(content or f"{number}".encode())
    return paths


def told(found: Sources) -> list[tuple[str, list[str]]]:
    return [(case.name, [f"{path.parent.name}/{path.name}" for path in case.paths]) for case in found.cases]


def test_cases_come_in_the_order_of_their_first_files_and_slices_in_that_of_their_numbers(tmp_path: Path) -> None:
    found = sources_of(named(tmp_path, "z.png", "B_10.tif", "a.nii.gz", "B_9.tif", "B_11.tif"), Settings())
    assert told(found) == [("z", ["0/z.png"]), ("B", ["3/B_9.tif", "1/B_10.tif", "4/B_11.tif"]), ("a", ["2/a.nii.gz"])]
    assert [case.notes for case in found.cases] == [()] * 3


def test_a_name_that_comes_again_is_of_another_folder(tmp_path: Path) -> None:
    found = sources_of(named(tmp_path, "1.png", "2.png", "1.PNG", "2.png", "3.png", "3.png"), Settings())
    assert told(found) == [
        ("upload", ["0/1.png", "1/2.png"]),
        ("upload", ["2/1.PNG", "3/2.png", "4/3.png"]),
        ("3", ["5/3.png"]),
    ]


def test_what_names_do_not_tell_is_a_case_of_its_own_and_nothing_is_passed_over(tmp_path: Path) -> None:
    names = ("1e5", ".hidden.tif", "notes.txt", "manifest.json", "x.tif", "x_mask.tif", "y_mask.png", "x_overlay.png")
    found = sources_of(named(tmp_path, *names, content=b'{"metseg": 1}'), Settings())
    assert [case.name for case in found.cases] == ["1e5", ".hidden", "notes", "manifest", "x"]
    assert found.left_out == ("y_mask", "x_overlay")
    assert found.cases[-1].notes == (MASKS_LEFT_OUT,)
    assert sources_of(named(tmp_path / "alone", "y_mask.png"), Settings()).cases[0].name == "y_mask"


def test_files_of_dicom_are_sorted_as_a_folder_sorts_them(tmp_path: Path, dicom_files: Any) -> None:
    (file,) = dicom_files.slices(np.zeros((1, 8, 8), np.int16))
    found = sources_of(named(tmp_path, "IM10", "x.tif", "IM9", content=file.content), Settings())
    assert told(found) == [("DICOM", ["2/IM9", "0/IM10", "1/x.tif"])]


def test_where_the_disk_is_full_that_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "hardlink_to", fail)
    paths = named(tmp_path, "P_1.tif", "P_2.tif")
    assert [case.name for case in sources_of(paths, Settings()).cases] == ["P"]
    monkeypatch.setattr("web_gradio.sources.shutil.copyfile", fail)
    with pytest.raises(InputError, match="free some disk space"):
        sources_of(paths, Settings())


def outcomes(predictor: Predictor, *paths: Path) -> list[Any]:
    steps = find_in_files(paths, predictor, Wanted(), Settings())
    return [step for step in steps if not isinstance(step, Step)]


def test_masks_without_an_image_and_cases_that_cannot_be_written_are_told_and_cost_the_others_nothing(
    model: Path, tmp_path: Path
) -> None:
    image = np.ascontiguousarray(make_phantom(7, 1, 64)[0].voxels[0, 0])
    paths = named(tmp_path, "A_1.png", "A_1.jpg", "B_1.png", "B_2.png", "B_2_mask.png", "C_mask.png")
    for path in paths:
        path.write_bytes(encode_png(image))
    twice, found, left_out = outcomes(Predictor(model, "cpu", "fp32"), *paths)
    assert isinstance(twice, Failure)
    assert "would overwrite each other" in twice.sentence
    assert isinstance(left_out, Failure)
    assert (left_out.name, left_out.sentence) == ("C_mask", LEFT_OUT)
    assert isinstance(found, Finding)
    assert "Masks that came with it were left out" in words.headline(found)
    made = write_downloads([twice, found, left_out], found, tmp_path)
    assert made.mask.name == "B_masks.zip"
    with zipfile.ZipFile(made.mask) as masks, zipfile.ZipFile(made.everything) as everything:
        assert masks.namelist() == ["B_1_mask.png", "B_2_mask.png"]
        assert all(masks.read(name) == everything.read(f"B/{name}") for name in masks.namelist())
        assert "B/B_masks.zip" not in everything.namelist()
