"""CLAHE against OpenCV: the difference must be 0, on arrays and on tensors.

The seeded sweep runs 400 images, or as many as METSEG_CLAHE_CASES says:
`METSEG_CLAHE_CASES=10000 pytest tests/core/preprocess/test_clahe.py -k sweep`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.preprocess import clahe as clahe_module
from core.preprocess.clahe import clahe, tile_grid

Images = NDArray[Any]
SWEEP_CASES = int(os.environ.get("METSEG_CLAHE_CASES", "400"))
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU"))]
DTYPES = [np.uint8, np.uint16]
PICTURES = ("noise", "few levels", "dark", "ramp", "constant", "bright spot")


def opencv(images: Images, clip_limit: float, tiles: tuple[int, int]) -> Images:
    equaliser = cv2.createCLAHE(clip_limit, tiles[::-1])
    return np.stack([equaliser.apply(np.ascontiguousarray(image)) for image in images])


def tensor_clahe(images: Images, clip_limit: float, tiles: tuple[int, int], device: str = "cpu") -> Images:
    result = clahe(torch.from_numpy(images).to(device), clip_limit, tiles)
    assert result.device.type == device
    return result.cpu().numpy()


def paint(rng: np.random.Generator, kind: str, shape: tuple[int, int, int], dtype: type) -> Images:
    """Pictures whose histograms differ in kind: flat, sparse, skewed, smooth, a single bin, an outlier."""
    top = int(np.iinfo(dtype).max)
    if kind == "noise":
        images = rng.integers(0, top, shape, endpoint=True)
    elif kind == "few levels":
        images = rng.choice(rng.integers(0, top, 4, endpoint=True), shape)
    elif kind == "dark":
        images = np.minimum(rng.exponential(top / 20, shape), top)
    elif kind == "ramp":
        images = np.linspace(0, top, shape[1] * shape[2]).reshape(shape[1:]) * np.ones(shape)
    elif kind == "constant":
        images = np.full(shape, rng.integers(0, top, endpoint=True))
    else:
        images = np.full(shape, top // 7)
        images[:, shape[1] // 2, shape[2] // 2] = top
    return images.astype(dtype)


def assert_equal_to_opencv(images: Images, clip_limit: float, tiles: tuple[int, int]) -> None:
    expected = opencv(images, clip_limit, tiles)
    for result in (clahe(images, clip_limit, tiles), tensor_clahe(images, clip_limit, tiles)):
        assert result.dtype == images.dtype
        np.testing.assert_array_equal(result, expected)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(PICTURES),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 70)),
    clip_limit=st.floats(0, 50),
    tiles=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_any_8_bit_picture_grid_and_clip_limit_equal_opencv(
    seed: int, kind: str, shape: tuple[int, int, int], clip_limit: float, tiles: tuple[int, int]
) -> None:
    assert_equal_to_opencv(paint(np.random.default_rng(seed), kind, shape, np.uint8), clip_limit, tiles)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(PICTURES),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
    clip_limit=st.floats(0, 50),
    tiles=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_any_16_bit_picture_grid_and_clip_limit_equal_opencv(
    seed: int, kind: str, shape: tuple[int, int, int], clip_limit: float, tiles: tuple[int, int]
) -> None:
    assert_equal_to_opencv(paint(np.random.default_rng(seed), kind, shape, np.uint16), clip_limit, tiles)


@pytest.mark.timeout(3600)
def test_a_seeded_sweep_of_random_images_differs_nowhere_from_opencv() -> None:
    rng = np.random.default_rng(2018)
    images_seen = 0
    while images_seen < SWEEP_CASES:
        dtype = DTYPES[int(rng.random() < 0.3)]
        longest, most_tiles = (400, 16) if dtype is np.uint8 else (200, 5)
        height, width = (int(longest ** rng.uniform(0, 1)) for _ in range(2))
        rows, columns = (int(count) for count in rng.integers(1, most_tiles, 2))
        count = min(int(rng.integers(1, 5)), SWEEP_CASES - images_seen)
        images = paint(rng, str(rng.choice(PICTURES)), (count, height, width), dtype)
        clip_limit = float(rng.choice([0.0, 0.01, 1.0, 2.0, 3.7, 40.0, 1e4, rng.uniform(0, 10)]))
        assert_equal_to_opencv(images, clip_limit, (rows, columns))
        images_seen += count
    assert images_seen == SWEEP_CASES


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("height", "width"), [(256, 256), (255, 256), (256, 250), (97, 131), (5, 300)])
def test_a_batch_on_any_device_equals_opencv(device: str, dtype: type, height: int, width: int) -> None:
    images = paint(np.random.default_rng(height + width), "dark", (3, height, width), dtype)
    np.testing.assert_array_equal(tensor_clahe(images, 2.0, (8, 8), device), opencv(images, 2.0, (8, 8)))


@pytest.mark.parametrize("tiles", [(1, 1), (2, 3), (9, 7)])
@pytest.mark.parametrize("height", [1, 2, 3, 7])
@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_pictures_smaller_than_the_tile_count_are_mirrored_until_they_fill_it(
    height: int, width: int, tiles: tuple[int, int]
) -> None:
    images = np.random.default_rng(7).integers(0, 256, (2, height, width), dtype=np.uint8)
    assert_equal_to_opencv(images, 2.0, tiles)


@pytest.mark.parametrize("clip_limit", [0.0, -1.0])
def test_no_clipping_at_zero_or_below(clip_limit: float) -> None:
    images = paint(np.random.default_rng(1), "dark", (1, 64, 64), np.uint8)
    assert_equal_to_opencv(images, clip_limit, (4, 4))
    assert (clahe(images, clip_limit, (4, 4)) != clahe(images, 2.0, (4, 4))).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_chunks_and_wide_indices_change_nothing(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    images = paint(np.random.default_rng(3), "noise", (5, 33, 47), dtype)
    expected = opencv(images, 2.0, (2, 3))
    monkeypatch.setattr(clahe_module, "_CHUNK", 2 * 2 * 3 * (np.iinfo(dtype).max + 1))
    np.testing.assert_array_equal(tensor_clahe(images, 2.0, (2, 3)), expected)
    monkeypatch.setattr(clahe_module, "_INT32_PLACES", 0)
    np.testing.assert_array_equal(tensor_clahe(images, 2.0, (2, 3)), expected)


def test_views_are_read_right_and_the_input_is_left_alone() -> None:
    whole = paint(np.random.default_rng(4), "noise", (4, 60, 80), np.uint8)
    before = whole.copy()
    view = whole[::2, ::-1, 5:70]
    np.testing.assert_array_equal(clahe(view), opencv(view, 2.0, (8, 8)))
    tensor = torch.from_numpy(whole)[::2, :, 5:70].transpose(1, 2)
    result = clahe(tensor)
    assert result.is_contiguous()
    np.testing.assert_array_equal(result.numpy(), opencv(tensor.numpy(), 2.0, (8, 8)))
    np.testing.assert_array_equal(whole, before)


def test_a_picture_does_not_depend_on_its_company() -> None:
    images = paint(np.random.default_rng(5), "dark", (6, 50, 50), np.uint8)
    together = tensor_clahe(images, 2.0, (8, 8))
    np.testing.assert_array_equal(together[4:5], tensor_clahe(images[4:5], 2.0, (8, 8)))


def test_an_empty_batch_stays_empty() -> None:
    images = np.zeros((0, 20, 30), dtype=np.uint16)
    assert clahe(images).shape == (0, 20, 30)
    result = clahe(torch.from_numpy(images))
    assert result.shape == (0, 20, 30)
    assert result.dtype == torch.uint16


@pytest.mark.parametrize("wrap", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((20, 30), np.uint8, "2-dimensional"),
        ((1, 1, 20, 30), np.uint8, "4-dimensional"),
        ((1, 0, 30), np.uint8, "no pixels"),
        ((1, 20, 30), np.float32, "not .*float32"),
        ((1, 20, 30), np.int16, "not .*int16"),
        ((1, 20, 30), np.bool_, "not .*bool"),
    ],
)
def test_images_of_another_shape_or_type_are_refused(
    wrap: Any, shape: tuple[int, ...], dtype: type, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        clahe(wrap(np.zeros(shape, dtype=dtype)))


@pytest.mark.parametrize("wrap", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
@pytest.mark.parametrize("tiles", [(0, 8), (8, 0), (-1, 8)])
def test_a_grid_without_tiles_is_refused(wrap: Any, tiles: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="tiles must be at least"):
        clahe(wrap(np.zeros((1, 9, 9), dtype=np.uint8)), 2.0, tiles)


@pytest.mark.parametrize("wrap", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
@pytest.mark.parametrize("clip_limit", [float("nan"), float("inf"), 1e300])
def test_a_clip_limit_that_would_overflow_is_refused(wrap: Any, clip_limit: float) -> None:
    with pytest.raises(ValueError, match="clip_limit is out of range"):
        clahe(wrap(np.zeros((1, 99, 99), dtype=np.uint8)), clip_limit)


def test_what_is_neither_array_nor_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match="not list"):
        clahe([[[1, 2], [3, 4]]])


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(256, 256, (8, 8)), (512, 256, (16, 8)), (240, 155, (8, 5)), (1, 20, (1, 1)), (700, 500, (22, 16))],
)
def test_tiles_are_about_32_pixels(height: int, width: int, expected: tuple[int, int]) -> None:
    assert tile_grid(height, width) == expected


def test_importing_it_loads_neither_torch_nor_opencv() -> None:
    code = "import sys, core.preprocess.clahe; print([name for name in ('torch', 'cv2') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
