"""The way onto the network's grid and back, without a shift."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.errors import InputError
from core.model_card import PreprocessSettings
from core.preprocess.grid import LONGEST_SIDE, Grid, from_grid, plan_grid, to_grid

FIT = PreprocessSettings()
MM = PreprocessSettings(reference_mm=1.0)
UNKNOWN = (None, None)


@pytest.mark.parametrize(("shape", "spacing", "settings_", "mode", "target", "used"), [
    ((256, 256), UNKNOWN, FIT, None, (256, 256), "fit"),
    ((512, 512), UNKNOWN, FIT, None, (256, 256), "fit"),
    ((512, 400), UNKNOWN, FIT, None, (256, 200), "fit"),
    ((100, 200), UNKNOWN, FIT, None, (128, 256), "fit"),
    ((1, 1), UNKNOWN, FIT, None, (256, 256), "fit"),
    ((1, 10000), UNKNOWN, FIT, None, (1, 256), "fit"),
    ((30000, 3), UNKNOWN, FIT, None, (256, 1), "fit"),
    ((256, 256), UNKNOWN, MM, None, (256, 256), "fit"),
    ((256, 208), (0.9, 0.9), MM, None, (230, 187), "spacing"),
    ((256, 256), (1.0, 0.5), MM, None, (256, 128), "spacing"),
    ((256, 256), (1.0, None), MM, None, (256, 256), "fit"),
    ((256, 256), (0.9, 0.9), FIT, None, (256, 256), "fit"),
    ((256, 256), (1.0, 0.5), FIT, None, (256, 128), "fit"),
    ((256, 256), (0.9, 0.9), MM, "fit", (256, 256), "fit"),
    ((256, 256), (0.0, 0.9), MM, None, (256, 256), "fit"),
    ((256, 256), (float("nan"), -1.0), MM, None, (256, 256), "fit"),
    ((256, 256), (float("inf"), 1.0), MM, None, (256, 256), "fit"),
    ((300, 200), (0.9, 0.9), MM, "stretch", (256, 256), "stretch"),
    ((300, 200), (0.9, 0.9), MM, "native", (300, 200), "native"),
    ((300, 300), (1e-9, 1e-9), MM, None, (1, 1), "spacing"),
])  # fmt: skip
def test_the_plan(
    shape: tuple[int, int], spacing: Any, settings_: PreprocessSettings, mode: Any, target: Any, used: str
) -> None:
    assert plan_grid(shape, spacing, settings_, mode) == Grid(shape, target, used)


def test_the_cards_own_mode_holds_unless_the_user_says_otherwise() -> None:
    card = PreprocessSettings(grid="stretch", size=128)
    assert plan_grid((300, 200), UNKNOWN, card).target == (128, 128)
    assert plan_grid((300, 200), UNKNOWN, card, "native").target == (300, 200)
    assert plan_grid((300, 200), UNKNOWN, card, "auto").target == (128, 85)


def test_a_spacing_that_would_make_the_picture_absurdly_large_is_refused() -> None:
    assert plan_grid((256, 256), (LONGEST_SIDE / 256,) * 2, MM).target == (LONGEST_SIDE, LONGEST_SIDE)
    for millimetres in (8.1, 1e308):
        with pytest.raises(InputError, match="spacing"):
            plan_grid((256, 256), (millimetres, 1.0), MM)
    assert plan_grid((256, 128), (1e308, 1e308), FIT).target == (256, 128)


def test_a_plan_for_nothing_or_by_an_unknown_mode_is_a_mistake() -> None:
    wrong: Any = "wide"
    with pytest.raises(ValueError, match="wide"):
        plan_grid((4, 4), UNKNOWN, FIT, wrong)
    with pytest.raises(ValueError, match="empty"):
        plan_grid((0, 4), UNKNOWN, FIT)


@given(
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    st.tuples(st.floats(0.01, 10), st.floats(0.01, 10)),
    st.sampled_from(["auto", "fit", "stretch", "native"]),
)
def test_a_plan_has_pixels_and_squares_them(shape: tuple[int, int], spacing: tuple[float, float], mode: Any) -> None:
    try:
        plan = plan_grid(shape, spacing, MM, mode)
    except InputError:
        assert mode == "auto"
        assert max(shape[0] * spacing[0], shape[1] * spacing[1]) > LONGEST_SIDE
        return
    assert min(plan.target) >= 1
    if mode in ("auto", "fit"):
        extent = [size * mm for size, mm in zip(shape, spacing, strict=True)]
        for axis in (0, 1):
            ideal = extent[axis] * (1 if mode == "auto" else 256 / max(extent))
            assert abs(plan.target[axis] - ideal) <= 0.5 + 1e-6 or plan.target[axis] == 1


def test_nothing_to_do_gives_back_what_was_given() -> None:
    images = np.zeros((2, 1, 5, 7), np.uint8)
    probability = np.zeros((2, 5, 7), np.float32)
    grid = Grid((5, 7), (5, 7), "native")
    assert to_grid(images, grid) is images
    assert from_grid(probability, grid) is probability


def test_shrinking_averages() -> None:
    images = np.arange(48, dtype=np.uint8).reshape(1, 1, 6, 8)
    small = to_grid(images, Grid((6, 8), (3, 4), "fit"))
    means = images.reshape(3, 2, 4, 2).mean(axis=(1, 3))
    assert np.abs(small[0, 0] - means).max() <= 0.5


def test_each_axis_goes_its_own_way() -> None:
    rows = np.array([10, 30, 50, 70], np.uint8)
    images = np.repeat(rows[:, None], 3, axis=1)[None, None]  # (1, 1, 4, 3)
    out = to_grid(images, Grid((4, 3), (2, 9), "spacing"))
    assert np.array_equal(out[0, 0], np.repeat([[20], [60]], 9, axis=1))


def test_slices_and_channels_keep_their_places() -> None:
    images = np.arange(6, dtype=np.uint8).reshape(2, 3, 1, 1) * np.ones((1, 1, 9, 5), np.uint8)
    out = to_grid(images, Grid((9, 5), (4, 11), "fit"))
    assert np.array_equal(out[:, :, 0, 0], np.arange(6).reshape(2, 3))


SIZES = st.tuples(st.integers(8, 70), st.integers(8, 70))


@given(SIZES, SIZES, st.floats(0.25, 0.75), st.floats(0.25, 0.75))
@settings(max_examples=60)
def test_a_blob_stays_where_it_was(source: tuple[int, int], target: tuple[int, int], v: float, u: float) -> None:
    """Positions are compared as shares of the picture, in which pixel centres lie at (index + ½) / size."""
    blob = np.rint(255 * _blob(source, v, u)).astype(np.uint8)[None, None]
    there = to_grid(blob, Grid(source, target, "fit"))
    assert there.shape == (1, 1, *target)
    assert _centre(there[0, 0]) == pytest.approx(_centre(blob[0, 0]), abs=0.012)
    probability = _blob(target, v, u).astype(np.float32)[None]
    back = from_grid(probability, Grid(source, target, "fit"))
    assert back.shape == (1, *source)
    assert back.dtype == np.float32
    assert _centre(back[0]) == pytest.approx(_centre(probability[0]), abs=0.012)


@pytest.mark.parametrize("source", [(5, 7), (255, 257), (513, 301), (64, 31)])
@pytest.mark.parametrize("target", [(256, 256), (128, 75), (3, 4)])
def test_mirrored_in_gives_mirrored_out(source: tuple[int, int], target: tuple[int, int]) -> None:
    probability = np.random.default_rng(0).random((1, *target)).astype(np.float32)
    grid = Grid(source, target, "fit")
    there, back = from_grid(probability, grid), from_grid(probability[:, ::-1, ::-1], grid)[:, ::-1, ::-1]
    assert np.abs(there - back).max() < 1e-3


def test_a_mask_survives_the_way_there_and_back() -> None:
    mask = np.zeros((301, 513), bool)
    mask[40:90, 200:310] = True
    grid = plan_grid((301, 513), UNKNOWN, FIT)
    there = to_grid(mask.astype(np.uint8)[None, None] * np.uint8(255), grid)
    back = from_grid(there[:, 0].astype(np.float32) / 255, grid)[0] >= 0.5
    assert 2 * (mask & back).sum() / (mask.sum() + back.sum()) > 0.98


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.tuples(st.integers(1, 40), st.integers(1, 40)))
@settings(max_examples=60)
def test_constants_stay_and_probabilities_stay_within_bounds(source: tuple[int, int], target: tuple[int, int]) -> None:
    grid = Grid(source, target, "fit")
    assert np.all(to_grid(np.full((1, 1, *source), 137, np.uint8), grid) == 137)
    assert np.allclose(from_grid(np.full((1, *target), 0.3, np.float32), grid), 0.3, atol=1e-6)
    steps = (np.random.default_rng(0).random((1, *target)) > 0.5).astype(np.float32)
    back = from_grid(steps, grid)
    assert back.min() >= 0
    assert back.max() <= 1


def test_certainty_stays_certainty() -> None:
    assert from_grid(np.ones((1, 70, 70), np.float32), Grid((3, 3), (70, 70), "fit")).max() == 1


def test_images_of_another_size_than_the_plans_are_refused() -> None:
    grid = Grid((5, 7), (8, 8), "fit")
    with pytest.raises(ValueError, match="do not lie"):
        to_grid(np.zeros((1, 1, 7, 5), np.uint8), grid)
    with pytest.raises(ValueError, match="do not lie"):
        from_grid(np.zeros((1, 5, 7), np.float32), grid)


def _blob(size: tuple[int, int], v: float, u: float) -> NDArray[np.float64]:
    y = ((np.arange(size[0]) + 0.5) / size[0])[:, None]
    x = ((np.arange(size[1]) + 0.5) / size[1])[None]
    blob: NDArray[np.float64] = np.exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * 0.08**2))
    return blob


def _centre(image: NDArray[Any]) -> list[float]:
    weights = image.astype(np.float64) / image.sum(dtype=np.float64)
    y = (np.arange(image.shape[0]) + 0.5) / image.shape[0]
    x = (np.arange(image.shape[1]) + 0.5) / image.shape[1]
    return [float(weights.sum(axis=1) @ y), float(weights.sum(axis=0) @ x)]
