"""A voxel is where every view says it is, and no view invents a side."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest

from core.scan import SLICE_GAP, Note, Scan
from core.views import first_view, views_of

SHAPE, SPACING = (4, 5, 6), (1.5, 1.0, 0.75)


def scan_of(affine: Any, spacing: Any = SPACING, **known: Any) -> Scan:
    return Scan("a", np.zeros((SHAPE[0], 1, *SHAPE[1:]), np.uint8), spacing, affine, **known)


def affines() -> list[np.ndarray]:
    """All 48 ways in which three axes can lie in a head."""
    made = []
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        affine = np.eye(4)
        affine[:3, :3] = 0
        for column, (axis, sign, mm) in enumerate(zip(order, signs, SPACING[::-1], strict=True)):
            affine[axis, column] = sign * mm
        made.append(affine)
    return made


@pytest.mark.parametrize("affine", affines())
def test_letters_and_places_agree_with_the_affine_in_all_orientations(affine: np.ndarray) -> None:
    scan = scan_of(affine)
    views = views_of(scan)
    assert sorted(str(view.name) for view in views) == ["axial", "coronal", "sagittal"]
    towards = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    for view in views:
        assert view.letters is not None
        slices, height, width = view.shape
        here = (slices // 2, height // 2, width // 2)
        assert view.place(view.stored(here)) == here
        ends = [
            (here[0], here[1], 0),
            (here[0], here[1], width - 1),
            (here[0], 0, here[2]),
            (here[0], height - 1, here[2]),
        ]
        middle = millimetres(affine, view.stored(here))
        for letter, end in zip(view.letters, ends, strict=True):
            axis, sign = towards[letter]
            assert (millimetres(affine, view.stored(end)) - middle)[axis] * sign > 0
        volume = np.arange(np.prod(SHAPE)).reshape(SHAPE)
        assert view.cut(volume, here[0])[here[1], here[2]] == volume[view.stored(here)]
        box = ((1, 2), (0, 3), (2, 5))
        lows, highs = zip(*view.box(box), strict=True)
        assert sorted((view.stored(lows), view.stored(highs)))  # both are voxels
        assert {tuple(sorted(pair)) for pair in zip(view.stored(lows), view.stored(highs), strict=True)} == set(box)


def millimetres(affine: np.ndarray, stored: tuple[int, int, int]) -> np.ndarray:
    return np.asarray((affine @ [stored[2], stored[1], stored[0], 1])[:3])


def test_without_an_orientation_there_are_cuts_but_no_sides() -> None:
    views = views_of(scan_of(None))
    assert [view.letters for view in views] == [None] * 3
    assert [view.shape for view in views] == [(4, 5, 6), (5, 4, 6), (6, 4, 5)]
    assert [view.aspect for view in views] == [1 / 0.75, 1.5 / 0.75, 1.5]


@pytest.mark.parametrize(
    "known",
    [
        {"spacing": (None, 1.0, 1.0)},
        {"slice_positions_mm": (0.0, 1.0, 3.0, 4.0)},
        {"notes": (Note(SLICE_GAP, "x"),)},
    ],
)
def test_slices_that_are_no_even_volume_are_only_seen_as_they_are(known: Any) -> None:
    scan = scan_of(None, **known)
    assert views_of(scan) == (first_view(scan),)


def test_a_lone_slice_has_one_view() -> None:
    scan = Scan("a", np.zeros((1, 1, 5, 6), np.uint8), SPACING)
    assert len(views_of(scan)) == 1
