"""CLAHE on arrays and on tensors, beside OpenCV and kornia."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.compare_clahe import ARRAY, KORNIA, OPENCV, TENSOR, clahe_rows, clahe_works, kornia_difference
from benchmarks.subjects import SIDE, missing_device, phantom_slices
from benchmarks.timing import QUICK

BATCH = 16


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    if why := missing_device(request.param):
        pytest.skip(f"not measured: {why}")
    return str(request.param)


@pytest.mark.parametrize("name", [OPENCV, ARRAY, TENSOR, KORNIA])
def test_latency_of_clahe(name: str, device: str, clock: Callable[..., None], benchmark: BenchmarkFixture) -> None:
    if device != "cpu" and name in (OPENCV, ARRAY):
        pytest.skip("runs on the CPU alone")
    if name == KORNIA:
        pytest.importorskip("kornia")
    images = phantom_slices(BATCH)
    benchmark.group = f"CLAHE, {BATCH} × {SIDE}×{SIDE}, {device}"
    facts = {"pixels_unlike_opencv": kornia_difference(images, device).share} if name == KORNIA else {}
    clock(clahe_works(images, device)[name], device, BATCH, **facts)


def test_in_one_run_metseg_equals_opencv_and_kornia_is_said_to_differ(device: str) -> None:
    pytest.importorskip("kornia")
    rows = {row.what: row for row in clahe_rows(device, QUICK, batch=BATCH)}
    assert rows[ARRAY].note == rows[TENSOR].note == "equal to OpenCV in every pixel"
    assert rows[KORNIA].note.startswith("differs from OpenCV in ")
    assert all(row.ratio_to == OPENCV for row in rows.values() if row.what != OPENCV)
