from typing import Any

import numpy as np
import pytest

from core.model_card import PreprocessSettings
from core.scan import Scan
from core.views import first_view
from desktop.session.display import (
    Range,
    Window,
    apply_window,
    auto_window,
    channel_names,
    eight_bit,
    length_text,
    model_channel,
    value_range,
)
from desktop.session.picture import clahe_slice


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


@pytest.mark.parametrize(("limit", "tile", "tiles"), [(2.0, 32, (3, 2)), (4.0, 16, (6, 4))])
def test_clahe_is_the_models_own(limit: float, tile: int, tiles: tuple[int, int]) -> None:
    import cv2

    volume = np.random.default_rng(0).integers(0, 255, (2, 64, 96), np.uint8)
    view, settings = first_view(Scan("case", volume[:, None])), PreprocessSettings(clip_limit=limit, tile_px=tile)
    expected = cv2.createCLAHE(limit, tiles).apply(volume[1])
    assert np.array_equal(clahe_slice(volume, view, 1, settings), expected)
    untouched = clahe_slice(volume, view, 1, PreprocessSettings(clip_limit=-1.0))
    assert np.array_equal(untouched, volume[1])


def test_the_shown_channel_is_the_models() -> None:
    voxels = np.random.default_rng(0).integers(0, 255, (2, 3, 8, 8), np.uint8)
    assert model_channel(scan(voxels), ("flair",), None) == 1
    assert model_channel(scan(voxels), ("flair",), "2") == 2
    assert model_channel(scan(voxels, channels=("red", "green", "blue")), ("flair",), None) == 1
    assert model_channel(scan(voxels[:, :1]), ("flair",), None) == 0
    assert channel_names(scan(voxels)) == ("pre", "flair", "post")
    assert channel_names(scan(voxels[:, :1])) == ("grey",)


def test_a_distance_is_in_millimetres_only_where_both_spacings_are_known() -> None:
    assert length_text(3, 4, 1.0, 1.0) == "5.0 mm"
    assert length_text(3, 4, 2.0, 0.5) == "6.3 mm"
    assert length_text(3, 4, None, 0.5) == length_text(3, 4, None, None) == "5.0 px"
