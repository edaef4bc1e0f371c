from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.measure.totals import Totals, size_of, size_text, sum_up
from core.scan import GEOMETRY_MISSING, SLICE_GAP, SLICE_TILT, Note, Scan

MASK = np.zeros((4, 5, 6), bool)
MASK[1:3, 1:4, 2:4] = True  # 12 voxels


def of(slices: int = 4, **known: Any) -> Totals:
    return sum_up(MASK[:slices], Scan("a", np.zeros((slices, 1, 5, 6), np.uint8), **known))


def test_a_volume_is_told_in_millilitres_where_all_spacings_are_known() -> None:
    assert of(spacing_mm=(5.0, 0.5, 2.0)) == Totals(12, None, 0.06)


def test_a_lone_slice_has_an_area_and_a_volume_only_with_a_thickness() -> None:
    assert sum_up(MASK[1:2], Scan("a", np.zeros((1, 1, 5, 6), np.uint8), (None, 0.5, 2.0))) == Totals(6, 6.0, None)


@pytest.mark.parametrize("spacing", [(None, None, None), (5.0, None, 1.0), (5.0, 1.0, None)])
def test_without_in_plane_spacing_voxels_are_all_there_is(spacing: Any) -> None:
    assert of(spacing_mm=spacing) == Totals(12, None, None)


@pytest.mark.parametrize("code", [SLICE_GAP, SLICE_TILT, GEOMETRY_MISSING])
def test_slices_that_are_no_neighbours_have_no_volume(code: str) -> None:
    assert of(spacing_mm=(5.0, 1.0, 1.0), notes=(Note(code, "x"),)).volume_ml is None


def test_uneven_slices_have_no_volume() -> None:
    assert of(spacing_mm=(5.0, 1.0, 1.0), slice_positions_mm=(0.0, 5.0, 11.0, 16.0)).volume_ml is None


@pytest.mark.parametrize(
    ("area", "volume", "lone", "expected"),
    [
        (4.0, 0.02, True, (0.02, "ml")),
        (4.0, None, True, (4.0, "mm²")),
        (None, None, True, (7, "px")),
        (4.0, None, False, (7, "voxels")),  # a lesion's area is that of one of its slices, and no size of a stack's
    ],
)
def test_the_best_that_is_known_of_a_size_is_told(
    area: float | None, volume: float | None, lone: bool, expected: tuple[float, str]
) -> None:
    assert size_of(7, area, volume, lone) == expected


@pytest.mark.parametrize(
    ("size", "unit", "words"),
    [(0.004, "ml", "0.004 ml"), (0.0, "ml", "0.00 ml"), (1234.5678, "ml", "1,234.57 ml"), (12.6, "mm²", "13 mm²"),
     (4182, "voxels", "4,182 voxels")],
)  # fmt: skip
def test_no_lesion_is_told_to_be_of_no_size(size: float, unit: str, words: str) -> None:
    assert size_text(size, unit) == words
