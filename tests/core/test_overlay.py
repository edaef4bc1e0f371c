"""What an overlay shows, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from core.overlay import MASK_COLOUR, TRUTH_COLOUR, draw_overlay

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)
SCENES = SHAPES.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.uint8, shape), hnp.arrays(bool, shape), st.one_of(st.none(), hnp.arrays(bool, shape))
    )
)


def scene() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    image = np.full((9, 9), 100, np.uint8)
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    return image, mask


@given(SCENES, st.floats(0, 1), st.booleans())
def test_outside_the_masks_the_picture_is_untouched(case: Any, opacity: float, outline: bool) -> None:
    image, mask, truth = case
    copies = image.copy(), mask.copy()
    picture = draw_overlay(image, mask, truth=truth, opacity=opacity, outline=outline)
    assert picture.shape == (*image.shape, 3)
    assert picture.dtype == np.uint8
    outside = ~mask if truth is None else ~mask & ~truth
    assert np.array_equal(picture[outside], np.repeat(image[outside][:, None], 3, axis=1))
    assert np.array_equal(image, copies[0])
    assert np.array_equal(mask, copies[1])
    assert not np.shares_memory(picture, image)


def test_the_fill_is_mixed_and_the_outline_opaque() -> None:
    image, mask = scene()
    picture = draw_overlay(image, mask, opacity=0.5)
    assert tuple(picture[4, 4]) == (178, 138, 50)  # halfway from 100 to (255, 176, 0)
    for corner in ((2, 2), (2, 4), (6, 6), (4, 6)):
        assert tuple(picture[corner]) == MASK_COLOUR
    ring = np.all(picture == MASK_COLOUR, axis=2)
    assert ring.sum() == 16


def test_without_outline_all_of_the_mask_is_mixed() -> None:
    image, mask = scene()
    picture = draw_overlay(image, mask, opacity=0.5, outline=False)
    assert {tuple(pixel) for pixel in picture[mask].tolist()} == {(178, 138, 50)}


def test_truth_is_an_outline_on_top() -> None:
    image, mask = scene()
    truth = np.zeros_like(mask)
    truth[4:8, 4:8] = True
    picture = draw_overlay(image, mask, truth=truth)
    ring = np.all(picture == TRUTH_COLOUR, axis=2)
    assert ring.sum() == 12
    assert not (ring & ~truth).any()
    assert np.array_equal(picture[5, 5], draw_overlay(image, mask)[5, 5])


def test_a_mask_at_the_border_has_its_outline_there() -> None:
    image = np.zeros((3, 3), np.uint8)
    picture = draw_overlay(image, np.ones((3, 3), bool), opacity=0.0)
    assert tuple(picture[1, 1]) == (0, 0, 0)
    assert np.all(picture == MASK_COLOUR, axis=2).sum() == 8


@pytest.mark.parametrize(("image", "mask", "truth", "opacity"), [
    (np.zeros((3, 3, 3), np.uint8), np.zeros((3, 3), bool), None, 0.5),
    (np.zeros((3, 3), np.float32), np.zeros((3, 3), bool), None, 0.5),
    (np.zeros((3, 3), np.uint8), np.zeros((3, 4), bool), None, 0.5),
    (np.zeros((3, 3), np.uint8), np.zeros((3, 3), np.uint8), None, 0.5),
    (np.zeros((3, 3), np.uint8), np.zeros((3, 3), bool), np.zeros((2, 3), bool), 0.5),
    (np.zeros((3, 3), np.uint8), np.zeros((3, 3), bool), None, 1.1),
    (np.zeros((3, 3), np.uint8), np.zeros((3, 3), bool), None, float("nan")),
])  # fmt: skip
def test_what_does_not_fit_is_refused(image: Any, mask: Any, truth: Any, opacity: float) -> None:
    with pytest.raises(ValueError, match="must"):
        draw_overlay(image, mask, truth=truth, opacity=opacity)
