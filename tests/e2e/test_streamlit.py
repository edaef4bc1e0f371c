"""The page in a real browser, started as people start it, with its own server behind it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile

import metseg
from core.phantom import make_phantom

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
SLICES = 5


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of 16-bit slices, as a scanner's export would be."""
    scan, _ = make_phantom(5, SLICES, 128)
    path = tmp_path_factory.mktemp("scan") / "HEAD_A.tif"
    tifffile.imwrite(path, scan.voxels[:, 0].astype(np.uint16) * 40, photometric="minisblack")
    return path


@pytest.fixture(scope="module")
def page_url(tiny_model: Path, free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`metseg web`, in a process and a folder of its own."""
    folder, port = tmp_path_factory.mktemp("web"), free_port()
    command = [sys.executable, ROOT / "metseg.py", "web", "--port", str(port), "--model", tiny_model]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(folder)}
        )
        try:
            url = f"http://127.0.0.1:{port}"
            until = time.monotonic() + PATIENCE
            while not answers(f"{url}/_stcore/health"):
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0
    assert not answers(f"{url}/_stcore/health")
    assert not [path.name for path in folder.iterdir() if path.name.startswith("metseg-web-")]
    assert "HEAD_A" not in (folder / "log").read_text()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def open_page(open_tab: Callable[..., Any], page_url: str) -> Callable[..., Any]:
    def open_one(**how: Any) -> Any:
        tab = open_tab(**how)
        tab.goto(page_url)
        tab.get_by_text("Waiting for the server").or_(tab.get_by_text("random weights, for tests")).first.wait_for()
        return tab

    return open_one


def segment(tab: Any, path: Path) -> None:
    tab.locator('input[type="file"]').first.set_input_files(path)
    tab.get_by_text(f"{SLICES} slices of 128 × 128, 16-bit").wait_for()
    tab.get_by_text("random weights, for tests").wait_for()
    tab.get_by_role("button", name="Find lesions").click()
    tab.get_by_text("found by the model").wait_for()
    # What stood there before is taken away a moment after the new is there.
    tab.wait_for_function("document.querySelectorAll('input[aria-label=Slice]').length == 1")


def picture(tab: Any, name: str = "Overlay") -> str:
    return str(tab.get_by_alt_text(name, exact=True).get_attribute("src"))


def slice_shown(tab: Any) -> int:
    return int(tab.get_by_role("slider", name="Slice").input_value())


def test_a_person_uploads_a_tiff_looks_at_the_mask_and_takes_it_away(
    open_page: Callable[..., Any], phantom: Path, tiny_model: Path, tmp_path: Path
) -> None:
    tab = open_page()
    segment(tab, phantom)
    begun, first = slice_shown(tab), picture(tab)
    key = "ArrowLeft" if begun == SLICES else "ArrowRight"
    tab.get_by_role("slider", name="Slice").press(key)
    tab.wait_for_function("before => document.querySelector('img[alt=Overlay]').src.indexOf(before) < 0", arg=first)
    assert abs(slice_shown(tab) - begun) == 1

    with tab.expect_download() as download:
        tab.get_by_role("button", name="Mask", exact=True).click()
    assert download.value.suggested_filename == "HEAD_A_mask.tif"
    got = tifffile.imread(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert metseg.main(["segment", str(phantom), "--out", str(tmp_path / "out"), "--model", str(tiny_model)]) == 0
    expected = tifffile.imread(tmp_path / "out" / "HEAD_A" / "HEAD_A_mask.tif")
    assert expected.any()
    np.testing.assert_array_equal(got, expected)


def test_a_file_s_name_is_shown_as_it_is(open_page: Callable[..., Any], phantom: Path, tmp_path: Path) -> None:
    name = "$x^2$ [a](b) c_d ~e~"
    (tmp_path / f"{name}.tif").write_bytes(phantom.read_bytes())
    tab = open_page()
    tab.locator('input[type="file"]').first.set_input_files(tmp_path / f"{name}.tif")
    tab.get_by_role("heading", name=name, exact=True).wait_for()
    assert tab.locator(".katex").count() == 0


def test_a_lesion_s_row_jumps_to_its_slice_and_the_threshold_redraws(
    open_page: Callable[..., Any], phantom: Path
) -> None:
    tab = open_page()
    segment(tab, phantom)
    slider = tab.get_by_role("slider", name="Slice")
    slider.press("End")
    tab.wait_for_function("last => document.querySelector('input[aria-label=Slice]').value == last", arg=str(SLICES))
    table = tab.locator('[data-testid="stDataFrame"]').first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    tab.mouse.click(box["x"] + 60, box["y"] + 52)  # the first row: the largest lesion
    tab.wait_for_function("last => document.querySelector('input[aria-label=Slice]').value != last", arg=str(SLICES))
    before = picture(tab)
    tab.get_by_role("slider", name="Threshold").press("Home")
    tab.wait_for_function("before => document.querySelector('img[alt=Overlay]').src.indexOf(before) < 0", arg=before)


def test_no_press_of_a_key_is_lost_while_the_page_answers(open_page: Callable[..., Any], phantom: Path) -> None:
    tab = open_page()
    segment(tab, phantom)
    slider = tab.get_by_role("slider", name="Threshold")
    begun = float(slider.input_value())
    for _ in range(30):
        slider.press("ArrowRight")
        tab.wait_for_timeout(150)
    tab.get_by_role("slider", name="Slice").press("Home")
    wanted = "first => document.querySelector('input[aria-label=Slice]').value == first"
    tab.wait_for_function(wanted, arg="1")
    tab.wait_for_timeout(1000)
    assert float(slider.input_value()) == pytest.approx(begun + 0.3)


def test_on_a_dark_telephone_nothing_sticks_out_or_glares(open_page: Callable[..., Any], phantom: Path) -> None:
    tab = open_page(width=390, height=800, scheme="dark")
    segment(tab, phantom)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    box = tab.get_by_alt_text("Overlay", exact=True).bounding_box()
    assert box["x"] >= 0
    assert 250 < box["width"] <= 390
    background = tab.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    assert sum(map(int, background[4:-1].split(","))) < 3 * 64
