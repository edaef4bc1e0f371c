"""What hangs on a screen has the proportions of a head, and sides only where they are known."""

from __future__ import annotations

import numpy as np
import pytest

from core.framing import to_aspect, with_letters


@pytest.mark.parametrize(("aspect", "shape"), [(1.0, (20, 30)), (2.5, (50, 30)), (0.5, (20, 60)), (1 / 3, (20, 90))])
def test_a_slice_is_enlarged_until_its_pixels_are_square(aspect: float, shape: tuple[int, int]) -> None:
    assert to_aspect(np.zeros((20, 30), np.uint8), aspect).shape == shape
    assert to_aspect(np.zeros((20, 30, 3), np.uint8), aspect).shape == (*shape, 3)


@pytest.mark.parametrize(
    ("aspect", "shape"), [(1000.0, (400, 30)), (1e300, (400, 30)), (1e-3, (20, 600)), (0.0, (20, 600))]
)
def test_a_spacing_that_must_be_wrong_fills_no_memory(aspect: float, shape: tuple[int, int]) -> None:
    assert to_aspect(np.zeros((20, 30), np.uint8), aspect).shape == shape
    assert to_aspect(np.ones((20, 30), np.bool_), aspect).shape == shape


@pytest.mark.parametrize("aspect", [0.31, 1.0, 4.7])
def test_no_voxel_of_a_mask_is_lost(aspect: float) -> None:
    mask = np.zeros((15, 17), bool)
    for row in range(15):
        alone = mask.copy()
        alone[row, row] = True
        shown = to_aspect(alone, aspect)
        assert shown.dtype == np.bool_
        assert shown.any()


@pytest.mark.parametrize("shape", [(64, 64), (200, 512), (24, 24), (5, 7)])
def test_letters_stand_at_their_edges_and_nowhere_else(shape: tuple[int, int]) -> None:
    grey = np.full(shape, 90, np.uint8)
    changed = (with_letters(grey, ("R", "L", "A", "P")) != 90).any(axis=2)
    assert changed.any()
    assert not (with_letters(grey, None) != 90).any()
    if min(shape) >= 64:
        edge = min(shape) // 4
        assert not changed[edge:-edge, edge:-edge].any()
        parts = changed[:, :edge], changed[:, -edge:], changed[:edge], changed[-edge:]
        assert all(part.any() for part in parts)


def test_the_picture_given_is_left_as_it_was() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    with_letters(picture, ("R", "L", "S", "I"))
    assert not picture.any()
