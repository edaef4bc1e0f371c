"""Where left is: a body with known places, stored in every way, must look the same."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest

from core.scan import SLICE_GAP, Note, Scan
from core.views import View, first_view, views_of

SIZE = {"R": 5, "A": 6, "S": 7}
"""Voxels from left to right, from back to front and from below upwards."""
ORIENTATIONS = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]  # of slices, rows and columns: the axis of RAS space, and whether they run along it
ENDS = {"L": (0, 0), "R": (0, -1), "P": (1, 0), "A": (1, -1), "I": (2, 0), "S": (2, -1)}


def body() -> np.ndarray[Any, Any]:
    """(R, A, S): each voxel holds its own place, as 100 R + 10 A + S."""
    right, front, up = np.indices(tuple(SIZE.values()))
    return (100 * right + 10 * front + up).astype(np.int16)


def stored(order: tuple[int, ...], signs: tuple[int, ...], spacing: tuple[float, float, float] = (1, 1, 1)) -> Scan:
    """The body as a scan whose slices, rows and columns follow these axes; millimetres by axis of RAS space."""
    voxels = body().transpose(order)
    affine = np.eye(4)
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[:3, 2 - axis] = 0
        affine[world, 2 - axis] = sign * spacing[world]
        if sign < 0:
            voxels = np.flip(voxels, axis)
            affine[world, 3] += spacing[world] * (voxels.shape[axis] - 1)
    return Scan("case", voxels[:, None], tuple(spacing[world] for world in order), affine)


def edges(view: View, scan: Scan) -> tuple[str, ...]:
    """Which end of the body really lies at the left, right, top and bottom of a picture, told by its voxels."""
    image = view.cut(scan.voxels[:, 0], 1).astype(int)

    def end(pixels: np.ndarray[Any, Any]) -> str:
        places = np.stack([pixels // 100, pixels // 10 % 10, pixels % 10])
        (axis,) = [a for a in range(3) if (places[a] == places[a][0]).all() and np.ptp(image_places[a]) > 0]
        return next(
            letter
            for letter, (of, side) in ENDS.items()
            if of == axis and places[axis][0] == (tuple(SIZE.values())[axis] - 1 if side else 0)
        )

    image_places = np.stack([image // 100, image // 10 % 10, image % 10])
    return end(image[:, 0]), end(image[:, -1]), end(image[0]), end(image[-1])


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_each_letter_stands_where_that_side_of_the_body_is(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    scan = stored(order, signs)
    views = views_of(scan)
    assert [view.name for view in views] == ["axial", "coronal", "sagittal"]
    for view in views:
        assert view.letters == edges(view, scan)
    assert [view.letters for view in views] == [tuple("RLAP"), tuple("RLSI"), tuple("APSI")]
    assert np.array_equal(views[0].cut(scan.voxels[:, 0], 6), body()[::-1, ::-1, 6].T)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_a_voxel_is_the_same_one_in_every_view(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    scan = stored(order, signs)
    voxels, place = scan.voxels[:, 0], (1, 2, 3)
    box = ((0, 1), (1, 2), (2, 4))
    corner = voxels[0:2, 1:3, 2:5]
    for view in views_of(scan):
        index, row, column = view.place(place)
        assert view.stored((index, row, column)) == place
        assert view.cut(voxels, index)[row, column] == voxels[place]
        (top, bottom), (first, last), (left, right) = view.box(box)
        assert set(view.turn(voxels)[top : bottom + 1, first : last + 1, left : right + 1].flat) == set(corner.flat)


def test_pixels_keep_their_true_shape_in_every_view() -> None:
    spacing = (0.5, 1.0, 2.0)  # right to left, back to front, upwards
    shapes = {view.name: (view.spacing_mm, view.aspect) for view in views_of(stored((0, 2, 1), (1, 1, 1), spacing))}
    assert shapes == {
        "axial": ((2.0, 1.0, 0.5), 2.0),
        "coronal": ((1.0, 2.0, 0.5), 4.0),
        "sagittal": ((0.5, 2.0, 1.0), 2.0),
    }
    assert first_view(Scan("case", np.zeros((1, 1, 2, 2)))).aspect == 1.0


def test_where_the_orientation_is_unknown_nothing_is_turned_and_no_side_is_named() -> None:
    voxels = np.arange(24).reshape(2, 1, 3, 4)
    (only,) = views_of(Scan("case", voxels))
    assert (only.name, only.letters) == (None, None)
    assert np.array_equal(only.cut(voxels[:, 0], 1), voxels[1, 0])
    first, rows, columns = views_of(Scan("case", voxels, (3.0, 2.0, 1.0)))
    assert {view.letters for view in (first, rows, columns)} == {None}
    assert np.array_equal(rows.cut(voxels[:, 0], 2), voxels[:, 0, 2])
    assert np.array_equal(columns.cut(voxels[:, 0], 3), voxels[:, 0, :, 3])
    assert (rows.aspect, columns.aspect) == (3.0, 1.5)


@pytest.mark.parametrize(
    "fields",
    [
        {"spacing_mm": (None, 1.0, 1.0)},
        {"spacing_mm": (5.0, 1.0, 1.0), "slice_positions_mm": (0.0, 5.0, 11.0)},
        {"spacing_mm": (5.0, 1.0, 1.0), "notes": (Note(SLICE_GAP, "a gap"),)},
    ],
)
def test_no_cut_is_made_across_slices_whose_distances_are_not_known(fields: dict[str, Any]) -> None:
    assert len(views_of(Scan("case", np.zeros((3, 1, 4, 4), np.uint8), **fields))) == 1


def test_thick_slices_are_shown_as_they_were_acquired_with_the_axial_cut_beside() -> None:
    scan = stored((1, 2, 0), (1, -1, -1), (1.0, 6.0, 1.0))
    assert [view.name for view in views_of(scan)] == ["coronal", "axial", "sagittal"]
