"""What a good upload gets: the mask that the predictor gives, in each form that can be asked for."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

import metseg
from core.io import read_scan_bytes
from core.overlay import draw_overlay
from core.scan import Segmentation

JSON, PNG, TIFF = "application/json", "image/png", "image/tiff"


def direct(server: Any, content: bytes, **options: Any) -> Segmentation:
    """What the predictor says without any server."""
    return server.predictor.segment(read_scan_bytes(content, "direct"), **options)


@pytest.mark.parametrize("path", ["/predict/", "/predict"])
def test_json_tells_what_the_predictor_found(server: Any, kit: SimpleNamespace, path: str) -> None:
    content = kit.tiff(kit.noise(3, 40, 56), metadata=None)
    answer = server.client.post(path, files={"file": ("a.tif", content)})
    found, told = direct(server, content), answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    assert told["request_id"] == answer.headers["x-request-id"]
    assert told["shape"] == {"slices": 3, "height": 40, "width": 56}
    assert told["totals"] == {
        "lesions": len(found.lesions), "voxels": int(found.mask.sum()), "area_mm2": None, "volume_ml": None,
    }  # fmt: skip
    assert [lesion["voxels"] for lesion in told["lesions"]] == [lesion.voxels for lesion in found.lesions] != []
    assert told["warnings"] == [{"code": note.code, "message": note.message} for note in found.warnings]
    assert told["model"]["name"] == "tiny-nested-unet"
    assert told["manifest"]["model"] == found.manifest["model"]
    assert told["manifest"]["input"] == found.manifest["input"]
    assert "Research use only" in told["research_use_only"]
    slices = [
        cv2.imdecode(np.frombuffer(base64.b64decode(part), np.uint8), cv2.IMREAD_UNCHANGED)
        for part in told["mask"]["png"]
    ]
    np.testing.assert_array_equal(np.stack(slices), found.mask * np.uint8(255))


def test_run_lengths_are_the_mask(server: Any, kit: SimpleNamespace) -> None:
    content = kit.tiff(kit.noise(2, 33, 47), metadata=None)
    told = server.post(content, mask="rle").json()
    assert told["mask"]["encoding"] == "rle"
    assert told["mask"]["png"] is None
    values = np.arange(len(told["mask"]["rle"])) % 2 == 1
    mask = np.repeat(values, told["mask"]["rle"]).reshape(2, 33, 47)
    np.testing.assert_array_equal(mask, direct(server, content).mask)
    assert server.post(content, mask="none").json()["mask"] is None


def test_a_mask_that_begins_with_lesion_has_a_first_run_of_nothing(server: Any, kit: SimpleNamespace) -> None:
    told = server.post(kit.golden, mask="rle", threshold=0).json()
    assert told["mask"]["rle"] == [0, 48 * 40]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_comes_back_as_a_png_of_its_own_size(server: Any, kit: SimpleNamespace, suffix: str) -> None:
    content = kit.png(kit.noise(51, 37), suffix)
    answer = server.post(content, f"head{suffix}", PNG)
    assert (answer.status_code, answer.headers["content-type"]) == (200, PNG)
    np.testing.assert_array_equal(kit.png_of(answer), direct(server, content).mask[0] * np.uint8(255))


def test_an_overlay_is_the_one_that_every_face_draws(server: Any, kit: SimpleNamespace) -> None:
    image = kit.noise(51, 37)
    content = kit.tiff(image)
    answer = server.post(content, accept=PNG, view="overlay")
    expected = draw_overlay(image, direct(server, content).mask[0])
    np.testing.assert_array_equal(kit.png_of(answer)[..., ::-1], expected)
    stack = server.post(kit.tiff(kit.noise(2, 51, 37), metadata=None), view="overlay")
    assert stack.headers["content-type"] == TIFF
    assert kit.tiff_of(stack).shape == (2, 51, 37, 3)


def test_a_stack_comes_back_as_a_stack_and_its_probability_moves_the_threshold(
    server: Any, kit: SimpleNamespace
) -> None:
    content = kit.tiff(kit.noise(3, 40, 56, dtype=np.uint16) * 100, metadata=None)
    mask = kit.tiff_of(server.post(content, accept=TIFF, threshold=0.3))
    probability = kit.tiff_of(server.post(content, accept=TIFF, view="probability"))
    assert (mask.dtype, probability.dtype) == (np.uint8, np.float32)
    found = direct(server, content, threshold=0.3)
    np.testing.assert_array_equal(mask, found.mask * np.uint8(255))
    np.testing.assert_array_equal(probability, found.probability)
    np.testing.assert_array_equal(probability >= np.float32(0.3), found.mask)


@pytest.mark.parametrize(
    ("accept", "slices", "view", "kind"),
    [
        ("", 1, "mask", JSON),
        ("*/*", 3, "mask", JSON),
        ("image/*", 1, "mask", PNG),
        ("image/*", 2, "mask", TIFF),
        ("image/png, image/tiff;q=0.5", 2, "mask", TIFF),
        ("application/json;q=0.5, image/tiff", 1, "mask", TIFF),
        ("*/*", 1, "overlay", PNG),
        ("*/*", 1, "probability", TIFF),
        ("image/png", 2, "mask", None),
        ("image/png", 1, "probability", None),
        ("text/html", 1, "mask", None),
        ("application/json", 1, "overlay", None),
        ("application/json;q=0", 1, "mask", None),
    ],
)
def test_accept_decides(
    server: Any, kit: SimpleNamespace, accept: str, slices: int, view: str, kind: str | None
) -> None:
    answer = server.post(kit.tiff(kit.noise(slices, 24, 24), metadata=None), accept=accept, view=view)
    if kind is None:
        assert (answer.status_code, answer.json()["code"]) == (406, "not-acceptable")
    else:
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


def test_fields_do_what_the_options_of_segment_do(server: Any, kit: SimpleNamespace) -> None:
    content = kit.png(kit.noise(40, 40, 3))
    answer = server.post(content, accept=TIFF, threshold=0.45, tta="true", min_lesion=4, channel=2)
    found = direct(server, content, threshold=0.45, tta=True, min_lesion=4, channel=2)
    np.testing.assert_array_equal(kit.tiff_of(answer), found.mask * np.uint8(255))
    other = server.post(content, accept=TIFF, model="tiny-attention-unet", channel="green", threshold="")
    assert other.headers["x-metseg-model"] == "tiny-attention-unet"
    assert not np.array_equal(kit.tiff_of(other), kit.tiff_of(answer))


def test_what_segment_writes_and_what_the_server_sends_are_the_same_bytes(
    server: Any, kit: SimpleNamespace, tiny_model: Path, tmp_path: Path
) -> None:
    paths = {"one.tif": kit.tiff(kit.noise(44, 60, seed=5)), "many.tif": kit.tiff(kit.noise(3, 44, 60), metadata=None)}
    paths["picture.png"] = kit.png(kit.noise(61, 45))
    (tmp_path / "in").mkdir()
    for name, content in paths.items():
        (tmp_path / "in" / name).write_bytes(content)
    arguments = ["segment", *(str(tmp_path / "in" / name) for name in paths), "--model", str(tiny_model)]
    assert metseg.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    for name, content in paths.items():
        stem, _, suffix = name.partition(".")
        (written,) = (tmp_path / "out").rglob(f"{stem}_mask.{suffix}")
        assert server.post(content, name, PNG if suffix == "png" else TIFF).content == written.read_bytes()


def test_areas_are_told_where_the_file_knows_its_spacing(server: Any, kit: SimpleNamespace) -> None:
    known = {"spacing": 3.0, "unit": "mm", "axes": "ZYX"}
    stack = kit.tiff(kit.noise(2, 24, 24), imagej=True, resolution=(2.0, 2.0), metadata=known)
    told = server.post(stack, threshold=0.3).json()
    assert told["spacing_mm"] == [3.0, 0.5, 0.5]
    assert told["totals"]["volume_ml"] == pytest.approx(told["totals"]["voxels"] * 0.75 / 1000)
    assert told["totals"]["area_mm2"] is None
    assert told["lesions"][0]["area_mm2"] > 0


def test_images_carry_what_they_cannot_show_in_their_headers(server: Any, kit: SimpleNamespace) -> None:
    answer = server.post(kit.tiff(np.zeros((24, 24), np.uint8)), accept=PNG)
    assert answer.headers["x-metseg-warnings"] == "constant-image"
    assert answer.headers["x-metseg-lesions"].isdigit()
    assert answer.headers["content-disposition"] == 'attachment; filename="mask.png"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "Accept"


def test_lines_of_accept_are_one_list(server: Any, kit: SimpleNamespace) -> None:
    files = {"file": kit.tiff(np.zeros((24, 24), np.uint8))}
    lines = [("Accept", "text/html"), ("Accept", "image/tiff")]
    answer = server.client.post("/predict/", files=files, headers=lines)
    assert answer.headers["content-type"] == "image/tiff"


def test_a_zip_holds_all_there_is_and_nobody_s_name(
    server: Any, kit: SimpleNamespace, tiny_model: Path, tmp_path: Path
) -> None:
    content = kit.tiff(kit.noise(3, 44, 60), metadata=None)
    answer = server.post(content, "Jane Doe.tif", "application/zip", threshold=0.4)
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="mask.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert sorted(files) == ["overlay.png", "result.json", "upload_mask.tif", "upload_probability.tif"]
    found = direct(server, content, threshold=0.4)
    assert files["upload_mask.tif"] == server.post(content, accept=TIFF, threshold=0.4).content
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(files["upload_probability.tif"])), found.probability)
    told = json.loads(files["result.json"])
    assert (told["mask"], told["threshold"]) == (None, 0.4)
    assert told["manifest"]["model"] == found.manifest["model"]
    picture = cv2.imdecode(np.frombuffer(files["overlay.png"], np.uint8), cv2.IMREAD_COLOR)
    assert picture.max() > 0
    assert b"Jane" not in answer.content
