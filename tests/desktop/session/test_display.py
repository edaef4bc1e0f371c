from typing import Any

import numpy as np
import pytest

from core.scan import Scan
from desktop.session.display import (
    Range,
    Window,
    apply_window,
    aspect_of,
    auto_window,
    channel_names,
    eight_bit,
    equalised,
    model_channel,
    plane_of,
    value_range,
)


def scan(voxels: Any, **fields: Any) -> Scan:
    return Scan("case", np.asarray(voxels), **fields)


def test_eight_bit_values_are_shown_as_they_are() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert value_range(image[None]) == Range(0.0, 255.0)
    assert np.array_equal(apply_window(image, Range(0.0, 255.0).preset(0)), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_a_window_is_linear_and_clips(dtype: type) -> None:
    shown = apply_window(np.asarray([[0, 50, 100, 150, 200]], dtype), Window(50.0, 150.0))
    assert shown.tolist() == [[0, 0, 128, 255, 255]]


def test_values_that_are_no_numbers_are_shown_and_do_no_harm() -> None:
    image = np.array([[np.nan, -np.inf, np.inf, 1e38, 0.5]], np.float32)
    assert apply_window(image, Window(0.0, 1.0)).tolist() == [[0, 0, 255, 255, 128]]
    assert auto_window(np.full((2, 2), np.nan, np.float32)) is None
    assert auto_window(np.ones((2, 2), np.uint16)) is None
    assert value_range(np.zeros((2, 4, 4), np.float32)).high > 0


def test_a_wide_channel_is_windowed_as_the_model_sees_it() -> None:
    volume = (np.random.default_rng(0).random((3, 40, 40)) * 1000).astype(np.uint16)
    found = value_range(volume)
    assert 0 <= found.low < 50
    assert found.high > 1000
    shown = apply_window(volume[1], found.preset(0)).astype(int)
    assert np.abs(shown - eight_bit(volume)[1]).max() <= 2


def test_clahe_is_the_models_own() -> None:
    import cv2

    volume = np.random.default_rng(0).integers(0, 255, (2, 64, 96), np.uint8)
    expected = cv2.createCLAHE(2.0, (3, 2)).apply(volume[1])
    assert np.array_equal(equalised(volume, 1), expected)


def test_the_shown_channel_is_the_models() -> None:
    voxels = np.random.default_rng(0).integers(0, 255, (2, 3, 8, 8), np.uint8)
    assert model_channel(scan(voxels), ("flair",), None) == 1
    assert model_channel(scan(voxels), ("flair",), "2") == 2
    assert model_channel(scan(voxels, channels=("red", "green", "blue")), ("flair",), None) == 1
    assert model_channel(scan(voxels[:, :1]), ("flair",), None) == 0
    assert channel_names(scan(voxels)) == ("pre", "flair", "post")
    assert channel_names(scan(voxels[:, :1])) == ("grey",)


def test_without_an_orientation_no_side_is_named() -> None:
    assert plane_of(scan(np.zeros((1, 1, 2, 2), np.uint8))) is None


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (((-1, 0, 0), (0, -1, 0), (0, 0, 1)), ("axial", "R", "L", "A", "P")),
        (((1, 0, 0), (0, -1, 0), (0, 0, 1)), ("axial", "L", "R", "A", "P")),
        (((-1, 0, 0), (0, 0, -1), (0, 1, 0)), ("coronal", "R", "L", "S", "I")),
        (((0, -1, 0), (0, 0, -1), (1, 0, 0)), ("sagittal", "A", "P", "S", "I")),
        (((-0.9, 0.3, 0.1), (0.2, -0.9, 0.2), (0, 0.1, 1)), ("axial", "R", "L", "A", "P")),
    ],
)
def test_letters_follow_the_affine(columns: Any, expected: tuple[str, ...]) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns, float).T
    plane = plane_of(scan(np.zeros((1, 1, 2, 2), np.uint8), affine=affine))
    assert (plane.name, plane.left, plane.right, plane.top, plane.bottom) == expected


def test_pixels_keep_their_true_shape() -> None:
    voxels = np.zeros((1, 1, 2, 2), np.uint8)
    assert aspect_of(scan(voxels)) == 1.0
    assert aspect_of(scan(voxels, spacing_mm=(None, 2.0, 0.5))) == 4.0
