"""The page to show to others, as a person uses it: a real process, a real browser."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import metseg
from core.io import encode_tiff
from core.phantom import make_phantom

pytest.importorskip("gradio", reason="the extra [web] is not installed: pip install '.[web]'")


@pytest.fixture(scope="module")
def address(
    browser: Any, start_metseg: Callable[..., Any], free_port: Callable[[], int], tiny_models: dict[str, Path]
) -> Iterator[str]:
    port = free_port()
    models = [part for folder in tiny_models.values() for part in ("--model", str(folder))]
    fixed = ("--port", str(port), "--device", "cpu", "--precision", "fp32")
    running = start_metseg("-m", "metseg", "gradio", *models, *fixed)
    running.wait_for("The page is at")
    yield f"http://127.0.0.1:{port}/"
    assert running.stop() == 0
    assert running.reached_outside() == []


LONG = 1000
"""Slices of a scan that is still being worked on when a slow browser has done three things."""


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scans") / "long.tif"
    path.write_bytes(encode_tiff(np.random.default_rng(6).integers(0, 255, (LONG, 192, 192), np.uint8)))
    return path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scans") / "stack.tif"
    path.write_bytes(encode_tiff(make_phantom(7, 4, 64)[0].voxels[:, 0]))
    return path


def by_command(scan: Path, model: Path, out: Path, threshold: str) -> bytes:
    fixed = ["--model", str(model), "--device", "cpu", "--precision", "fp32", "--threshold", threshold]
    assert metseg.main(["segment", str(scan), "--out", str(out), *fixed]) == 0
    return next(out.rglob("*_mask.*")).read_bytes()


def upload(tab: Any, address: str, *paths: Path) -> None:
    tab.goto(address)
    tab.get_by_role("button", name="Find lesions").wait_for()
    tab.locator("input[type=file]").first.set_input_files([str(path) for path in paths])
    tab.wait_for_function("n => document.querySelectorAll('.file-preview tr.file').length === n", arg=len(paths))


def find(tab: Any) -> Any:
    tab.get_by_role("button", name="Find lesions").click()
    headline = tab.locator(".headline")
    headline.wait_for()
    return headline


def save(tab: Any, name: str, folder: Path) -> Path:
    button = tab.locator(f"#save-{name}")
    tab.wait_for_function(f"!document.querySelector('#save-{name}').hasAttribute('disabled')")
    with tab.expect_download() as download:
        button.click()
    path = folder / str(download.value.suggested_filename)
    download.value.save_as(path)
    return path


def picture(tab: Any) -> str:
    tab.locator("#annotated img").first.wait_for()
    return str(tab.locator("#annotated img").first.get_attribute("src"))


def test_a_tiff_is_uploaded_looked_through_and_its_mask_taken_home(
    address: str, open_tab: Callable[..., Any], stack: Path, tiny_model: Path, tmp_path: Path
) -> None:
    tab = open_tab()
    upload(tab, address, stack)
    assert "Research use only" in tab.locator("header").inner_text()
    told = find(tab).inner_text()
    assert "4 slices" in told
    assert tiny_model.name in told
    number = tab.locator("#slice input[type=number]")
    first, place = picture(tab), int(number.input_value())
    slider = tab.locator("#slice input[type=range]")
    slider.focus()
    slider.press("ArrowLeft" if place > 1 else "ArrowRight")
    tab.wait_for_function("src => document.querySelector('#annotated img').src !== src", arg=absolute(address, first))
    assert int(number.input_value()) == (place - 1 if place > 1 else place + 1)
    mask = save(tab, "mask", tmp_path)
    assert mask.name == "stack_mask.tif"
    assert mask.read_bytes() == by_command(stack, tiny_model, tmp_path / "out", "0.5")
    report = json.loads(save(tab, "report", tmp_path).read_text(encoding="utf-8"))
    assert f"{len(report['cases'][0]['lesions']):,} lesion" in told
    with zipfile.ZipFile(save(tab, "everything", tmp_path)) as archive:
        assert archive.read("stack/stack_mask.tif") == mask.read_bytes()


def absolute(address: str, source: str) -> str:
    return source if source.startswith("http") else address.rstrip("/") + "/" + source.lstrip("/")


def test_another_threshold_redraws_at_once_and_changes_what_is_taken_home(
    address: str, open_tab: Callable[..., Any], stack: Path, tiny_model: Path, tmp_path: Path
) -> None:
    tab = open_tab()
    upload(tab, address, stack)
    before = find(tab).inner_text()
    threshold = tab.get_by_label(re.compile("Threshold")).locator("visible=true").first
    threshold.fill("0.7")
    threshold.press("Enter")
    tab.get_by_text("at 0.7").wait_for()
    assert tab.locator(".headline").inner_text() != before
    mask = save(tab, "mask", tmp_path)
    assert mask.read_bytes() == by_command(stack, tiny_model, tmp_path / "out", "0.7")


def test_a_row_of_the_table_leads_to_its_slice(address: str, open_tab: Callable[..., Any], tmp_path: Path) -> None:
    speckled = tmp_path / "speckled.tif"
    speckled.write_bytes(encode_tiff(np.random.default_rng(5).integers(0, 255, (4, 64, 64), np.uint8)))
    tab = open_tab()
    upload(tab, address, speckled)
    find(tab)
    tab.locator("#lesions").get_by_test_id("cell-0-1").wait_for()
    rows = tab.locator("#lesions [role=row][data-index]").count()
    assert rows > 1
    for index in (rows - 1, 0):
        cell = tab.locator("#lesions").get_by_test_id(f"cell-{index}-1")
        first, _, last = cell.inner_text().strip().partition("–")
        cell.click()
        tab.wait_for_function(
            "([low, high]) => { const at = +document.querySelector('#slice input[type=number]').value;"
            " return low <= at && at <= high; }",
            arg=[int(first), int(last or first)],
        )


def test_two_tabs_keep_apart(
    address: str, open_tab: Callable[..., Any], stack: Path, tmp_path: Path, tiny_models: dict[str, Path]
) -> None:
    other = tmp_path / "other.tif"
    other.write_bytes(encode_tiff(make_phantom(9, 1, 96)[0].voxels[:, 0]))
    model, second = tiny_models.values()
    tabs = open_tab(), open_tab()
    for tab, path in zip(tabs, (stack, other), strict=True):
        upload(tab, address, path)
    tabs[1].get_by_label("Model").click()
    tabs[1].get_by_role("option", name=second.name).click()
    for tab, name in zip(tabs, ("stack", "other"), strict=True):
        assert name in find(tab).inner_text()
    for tab, path, used in zip(tabs, (stack, other), (model, second), strict=True):
        mask = save(tab, "mask", tmp_path)
        assert mask.read_bytes() == by_command(path, used, tmp_path / path.stem, "0.5")


def test_another_file_takes_the_old_result_away(address: str, open_tab: Callable[..., Any], stack: Path) -> None:
    tab = open_tab()
    upload(tab, address, stack)
    find(tab)
    tab.locator(".heads button").first.click()
    tab.get_by_text("What is found will be shown here").wait_for()
    assert not tab.locator("#annotated").is_visible()
    assert "drawn-head" in find(tab).inner_text()


def test_a_broken_file_among_others_is_told_in_plain_words(
    address: str, open_tab: Callable[..., Any], stack: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0\xff\xff\xff\xff")
    tab = open_tab(width=390, height=844, scheme="dark")
    upload(tab, address, broken, stack)
    assert "stack" in find(tab).inner_text()
    tab.locator("#cases").get_by_test_id("cell-0-0").click()
    trouble = tab.locator(".trouble")
    trouble.wait_for()
    assert "TIFF" in trouble.inner_text()
    assert str(tmp_path) not in tab.content()
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


def test_slices_of_one_scan_are_one_case_and_their_truth_is_left_out(
    address: str, open_tab: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "patient"
    folder.mkdir()
    for number, image in enumerate(make_phantom(7, 3, 64)[0].voxels[:, 0], 1):
        (folder / f"P_{number}.tif").write_bytes(encode_tiff(image[None]))
    (folder / "P_2_mask.tif").write_bytes(encode_tiff(np.ones((1, 64, 64), np.uint8)))
    tab = open_tab()
    upload(tab, address, *sorted(folder.iterdir()))
    told = find(tab).inner_text()
    assert "3 slices" in told
    assert "Masks that came with it were left out" in told
    assert not tab.locator("#cases").is_visible()
    first = by_command(folder, tiny_model, tmp_path / "out", "0.5")
    with zipfile.ZipFile(save(tab, "mask", tmp_path)) as archive:
        assert archive.namelist() == ["P_1_mask.tif", "P_2_mask.tif", "P_3_mask.tif"]
        assert first in [archive.read(name) for name in archive.namelist()]


def test_a_run_is_stopped_midway_and_the_next_one_is_answered(
    address: str, open_tab: Callable[..., Any], stack: Path, long: Path
) -> None:
    tab = open_tab()
    upload(tab, address, long)
    tab.get_by_role("button", name="Find lesions").click()
    tab.get_by_text(re.compile(rf"slice \d+ of {LONG}")).wait_for()
    tab.get_by_role("button", name="Stop").click()
    tab.get_by_text("Stopped, as you asked").wait_for()
    assert not tab.locator(".headline").is_visible()
    assert tab.get_by_role("button", name="Find lesions").is_enabled()
    upload(tab, address, stack)
    assert "stack" in find(tab).inner_text()


def test_a_file_that_waits_for_its_turn_cannot_be_exchanged_and_the_waiting_can_be_ended(
    address: str, open_tab: Callable[..., Any], stack: Path, long: Path, tiny_model: Path, tmp_path: Path
) -> None:
    first, second, third = open_tab(), open_tab(), open_tab()
    for tab, path in ((first, long), (second, stack), (third, stack)):
        upload(tab, address, path)
    first.get_by_role("button", name="Find lesions").click()
    first.get_by_text(re.compile(rf"slice \d+ of {LONG}")).wait_for()
    for tab in (second, third):
        tab.get_by_role("button", name="Find lesions").click()
        tab.get_by_text("Waiting for its turn").wait_for()
        assert not tab.get_by_role("button", name="Find lesions").is_visible()
    assert second.locator("input[type=file]").count() == 0
    second.locator(".heads button").first.click()
    third.get_by_role("button", name="Stop").click()
    third.get_by_text("Stopped, as you asked").wait_for()
    assert third.get_by_role("button", name="Find lesions").is_enabled()
    assert second.get_by_text("Waiting for its turn").is_visible()
    first.get_by_role("button", name="Stop").click()
    second.locator(".headline").wait_for()
    assert "stack" in second.locator(".file-preview").inner_text()
    assert "stack" in second.locator(".headline").inner_text()
    assert save(second, "mask", tmp_path).read_bytes() == by_command(stack, tiny_model, tmp_path / "out", "0.5")
    assert third.get_by_text("Stopped, as you asked").is_visible()


def test_who_finds_the_queue_full_is_told_so_and_may_try_again(
    start_metseg: Callable[..., Any],
    free_port: Callable[[], int],
    open_tab: Callable[..., Any],
    stack: Path,
    long: Path,
    tiny_model: Path,
) -> None:
    port = free_port()
    settings = {"models": (str(tiny_model),), "device": "cpu", "precision": "fp32", "port": port, "queue": 1}
    program = f"from web_gradio import serve, settings\nserve.serve(settings.Settings(**{settings!r}), print)"
    running = start_metseg("-c", program)
    running.wait_for("The page is at")
    first, second, third = open_tab(), open_tab(), open_tab()
    for tab, path in ((first, long), (second, stack), (third, stack)):
        upload(tab, f"http://127.0.0.1:{port}/", path)
    for tab, told in (
        (first, re.compile(rf"slice \d+ of {LONG}")),
        (second, "Waiting for its turn"),
        (third, "Too many others are waiting"),
    ):
        tab.get_by_role("button", name="Find lesions").click()
        tab.get_by_text(told).wait_for()
    first.get_by_role("button", name="Stop").click()
    second.locator(".headline").wait_for()
    assert "stack" in find(third).inner_text()
    assert running.stop() == 0


def test_a_volume_hangs_as_a_radiologist_would_hang_it_and_its_mask_lies_where_it_lay(
    address: str, open_tab: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = np.array([[0, 0, -3.0, 20], [0, -1.5, 0, 30], [1.5, 0, 0, 40], [0, 0, 0, 1]])
    voxels = np.random.default_rng(3).integers(0, 255, (20, 40, 36)).astype(np.uint8)
    volume = tmp_path / "head.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, affine), volume)
    tab = open_tab()
    upload(tab, address, volume)
    told = find(tab).inner_text()
    assert "head" in told
    mask = save(tab, "mask", tmp_path)
    assert mask.name == "head_mask.nii.gz"
    written = by_command(volume, tiny_model, tmp_path / "out", "0.5")
    assert mask.read_bytes() == written
    np.testing.assert_array_equal(nibabel.load(mask).affine, affine)
