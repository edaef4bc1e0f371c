"""What programs get, against what `metseg segment` writes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError

import metseg


def by_command(scans: list[Path], model: Path, out: Path, *options: str) -> dict[str, bytes]:
    """The masks that the command writes, by their names."""
    fixed = ["--model", str(model), "--device", "cpu", "--precision", "fp32", "--out", str(out)]
    assert metseg.main(["segment", *map(str, scans), *fixed, *options]) == 0
    return {path.name: path.read_bytes() for path in out.rglob("*_mask.*")}


@pytest.mark.parametrize("name", ["slice.tif", "stack.tif", "picture.png"])
def test_a_mask_equals_the_commands_byte_for_byte(
    client: Any, scans: dict[str, Path], tiny_model: Path, tmp_path: Path, name: str
) -> None:
    wanted = by_command([scans[name]], tiny_model, tmp_path / "out", "--threshold", "0.4", "--tta", "--min-lesion", "3")
    mask, report = client.predict(
        handle_file(str(scans[name])), threshold=0.4, tta=True, min_lesion=3, api_name="/segment"
    )
    assert {Path(mask).name: Path(mask).read_bytes()} == wanted
    manifest = json.loads(next((tmp_path / "out").rglob("*/manifest.json")).read_text(encoding="utf-8"))
    (case,) = report["cases"]
    assert case["lesions"] == manifest["result"]["lesions"] != []
    assert case["totals"]["voxels"] == manifest["result"]["voxels"]
    assert case["manifest"]["input"]["sha256"] == manifest["input"]["sha256"]


def test_each_model_answers_by_its_name(
    client: Any, scans: dict[str, Path], tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    names = [model["name"] for model in client.predict(api_name="/models")]
    assert names == [folder.name for folder in tiny_models.values()]
    masks = []
    for folder in tiny_models.values():
        wanted = by_command([scans["slice.tif"]], folder, tmp_path / folder.name)
        mask, report = client.predict(handle_file(str(scans["slice.tif"])), model=folder.name, api_name="/segment")
        masks.append(Path(mask).read_bytes())
        assert masks[-1] == wanted["slice_mask.tif"]
        assert report["cases"][0]["manifest"]["model"]["name"] == folder.name
    assert masks[0] != masks[1]


def test_several_files_come_back_in_a_zip_and_a_broken_one_costs_the_others_nothing(
    client: Any, scans: dict[str, Path], tiny_model: Path, tmp_path: Path
) -> None:
    good = [scans["stack.tif"], scans["picture.png"]]
    wanted = by_command(good, tiny_model, tmp_path / "out")
    files = [handle_file(str(path)) for path in (good[0], scans["broken.tif"], good[1])]
    results, report = client.predict(files, api_name="/segment_files")
    with zipfile.ZipFile(results) as archive:
        names = set(archive.namelist())
        assert {Path(name).name: archive.read(name) for name in names if "_mask" in name} == wanted
        assert json.loads(archive.read("report.json")) == report
        rows = archive.read("lesions.csv").decode().splitlines()
    assert {"lesions.csv", "stack/stack_overlay.png", "picture/picture_overlay.png"} <= names
    assert [case["name"] for case in report["cases"]] == ["stack", "broken", "picture"]
    assert "lesions" not in report["cases"][1]
    assert len(rows) == 1 + sum(len(case.get("lesions", ())) for case in report["cases"])


def test_where_every_file_is_broken_there_is_no_zip(client: Any, scans: dict[str, Path]) -> None:
    results, report = client.predict([handle_file(str(scans["broken.tif"]))], api_name="/segment_files")
    assert results is None
    assert report["cases"][0]["error"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "no-such-model"}, "there is no such model"),
        ({"threshold": 2.0}, "the threshold must lie in 0 to 1"),
        ({"min_lesion": -1}, "must not be negative"),
        ({"channel": "7"}, "channel"),
        ({"channel": 7}, "channel"),
        ({"channel": "9" * 5000}, "channel"),
        ({"threshold": "much"}, "the threshold must be a number in 0 to 1"),
        ({"threshold": [0.5]}, "the threshold must be a number in 0 to 1"),
        ({"threshold": "nan"}, "the threshold must lie in 0 to 1"),
        ({"min_lesion": 2.5}, "the minimum lesion must be a whole number"),
        ({"min_lesion": "few"}, "the minimum lesion must be a whole number"),
        ({"tta": "yes"}, "tta, to average with the mirrored image, must be true or false"),
        ({"model": ["tiny"]}, "there is no such model"),
    ],
)
def test_wrong_settings_are_said_in_a_sentence(
    client: Any, scans: dict[str, Path], given: dict[str, Any], words: str
) -> None:
    with pytest.raises(AppError) as error:
        client.predict(handle_file(str(scans["slice.tif"])), **given, api_name="/segment")
    assert words in str(error.value)
    assert "Traceback" not in str(error.value)


def test_numbers_may_come_as_text_and_nothing_stands_for_what_is_not_asked(client: Any, scans: dict[str, Path]) -> None:
    def masked(**given: Any) -> bytes:
        mask, _ = client.predict(handle_file(str(scans["slice.tif"])), **given, api_name="/segment")
        return Path(mask).read_bytes()

    usual, strict = masked(), masked(threshold=0.8, min_lesion=3)
    nothing: dict[str, Any] = dict.fromkeys(("model", "threshold", "min_lesion", "channel", "series"))
    assert masked(**nothing, tta=None) == masked(**dict.fromkeys(nothing, "")) == usual
    assert masked(threshold="0.8", min_lesion="3") == strict != usual
    assert masked(channel=0) == usual


def test_a_channel_is_chosen_by_its_number_be_it_0_or_text(client: Any, tmp_path: Path) -> None:
    import imagecodecs
    import numpy as np

    photo = tmp_path / "photo.png"
    photo.write_bytes(imagecodecs.png_encode(np.random.default_rng(4).integers(0, 255, (48, 48, 3), np.uint8)))
    masks = {}
    for channel in (0, "0", 1, "1", "green"):
        mask, _ = client.predict(handle_file(str(photo)), channel=channel, api_name="/segment")
        masks[channel] = Path(mask).read_bytes()
    assert masks[0] == masks["0"]
    assert masks[1] == masks["1"] == masks["green"]
    assert masks[0] != masks[1]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "there is no file"),
        ([], "there is no file"),
        ("a.tif", "must be a list"),
        (["a.tif"], "no uploaded file"),
    ],
)
def test_what_is_no_list_of_files_is_said_in_a_sentence(client: Any, files: Any, words: str) -> None:
    with pytest.raises(AppError, match=words):
        client.predict(files, api_name="/segment_files")


def test_a_broken_file_is_said_in_a_sentence_without_its_path(client: Any, scans: dict[str, Path], page: Any) -> None:
    with pytest.raises(AppError) as error:
        client.predict(handle_file(str(scans["broken.tif"])), api_name="/segment")
    told = str(error.value)
    assert "TIFF" in told
    assert str(page.place) not in told
    assert "broken.tif" not in told


def test_an_upload_that_was_removed_in_time_is_to_be_added_again(
    client: Any, scans: dict[str, Path], page: Any
) -> None:
    import httpx

    with httpx.Client(base_url=client.src, trust_env=False) as plain:
        (kept,) = plain.post(
            "gradio_api/upload", files={"files": ("DOE_JANE.tif", scans["slice.tif"].read_bytes())}
        ).json()
    Path(kept).unlink()
    told = call_plainly(client, {"path": kept, "meta": {"_type": "gradio.FileData"}})
    assert "these files were removed after 60 min; add them again" in told
    assert "DOE_JANE" not in told + "".join(page.running.lines)


def test_too_many_files_are_refused(client: Any, scans: dict[str, Path]) -> None:
    with pytest.raises(AppError, match="4 cases are more than the 3"):
        client.predict([handle_file(str(scans["slice.tif"]))] * 4, api_name="/segment_files")


@pytest.mark.parametrize("marked", [True, False])
def test_a_file_of_the_server_that_nobody_uploaded_is_not_read(
    client: Any, scans: dict[str, Path], marked: bool
) -> None:
    file: dict[str, Any] = {"path": str(scans["slice.tif"])}
    if marked:
        file["meta"] = {"_type": "gradio.FileData"}
    told = call_plainly(client, file)
    assert "error" in told
    assert "cases" not in told


def test_an_address_in_place_of_an_upload_is_not_fetched(client: Any) -> None:
    address = "http://192.0.2.1/scan.tif"
    told = call_plainly(client, {"path": address, "url": address, "meta": {"_type": "gradio.FileData"}})
    assert "error" in told
    assert "cases" not in told


def call_plainly(client: Any, file: dict[str, Any]) -> str:
    """The stream of events that a request without Gradio's own client gets."""
    import httpx

    with httpx.Client(base_url=client.src, trust_env=False, timeout=60) as plain:
        begun = plain.post("gradio_api/call/segment", json={"data": [file, None, None, False, 0, None, None]})
        assert begun.status_code == 200
        return plain.get(f"gradio_api/call/segment/{begun.json()['event_id']}").text
