"""Lesions against a count by hand: flood fill, and every pair of corners."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from core.measure.lesions import find_lesions, number_lesions
from core.scan import Lesion

Voxel = tuple[int, int, int]
SPACING = (3.0, 0.5, 0.8)
MASKS = hnp.arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7)))


def components(mask: NDArray[np.bool_]) -> list[list[Voxel]]:
    """Flood fill over all 26 neighbours, in the order in which components are met."""
    left = {tuple(int(i) for i in voxel): None for voxel in np.argwhere(mask)}
    found = []
    while left:
        stack = [next(iter(left))]
        del left[stack[0]]
        part = []
        while stack:
            voxel = stack.pop()
            part.append(voxel)
            for step in itertools.product((-1, 0, 1), repeat=3):
                neighbour = tuple(v + s for v, s in zip(voxel, step, strict=True))
                if neighbour in left:
                    del left[neighbour]
                    stack.append(neighbour)
        found.append(part)
    return found


def longest(part: list[Voxel], height: float, width: float) -> float:
    best = 0.0
    for z in {voxel[0] for voxel in part}:
        corners = {(y + dy, x + dx) for s, y, x in part if s == z for dy in (0, 1) for dx in (0, 1)}
        for (y0, x0), (y1, x1) in itertools.combinations(corners, 2):
            best = max(best, math.hypot((y1 - y0) * height, (x1 - x0) * width))
    return best


def by_hand(mask: NDArray[np.bool_], probability: NDArray[np.float32] | None, min_voxels: int) -> list[Lesion]:
    parts = sorted((p for p in components(mask) if len(p) >= min_voxels), key=len, reverse=True)
    slice_mm, row_mm, column_mm = SPACING
    lesions = []
    for label, part in enumerate(parts, start=1):
        axes = list(zip(*part, strict=True))
        area = max(axes[0].count(z) for z in axes[0])
        values = None if probability is None else [float(probability[voxel]) for voxel in part]
        box = tuple((min(axis), max(axis)) for axis in axes)
        lesions.append(
            Lesion(
                label=label,
                voxels=len(part),
                slices=box[0],
                box=(box[0], box[1], box[2]),
                centroid=(sum(axes[0]) / len(part), sum(axes[1]) / len(part), sum(axes[2]) / len(part)),
                longest_diameter_px=longest(part, 1, 1),
                longest_diameter_mm=longest(part, row_mm, column_mm),
                area_mm2=area * row_mm * column_mm,
                volume_ml=len(part) * slice_mm * row_mm * column_mm / 1000,
                peak_probability=None if values is None else max(values),
                mean_probability=None if values is None else sum(values) / len(values),
            )
        )
    return lesions


def assert_same(found: tuple[Lesion, ...], expected: list[Lesion]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.label, one.voxels, one.slices, one.box) == (other.label, other.voxels, other.slices, other.box)
        assert one.centroid == pytest.approx(other.centroid)
        for name in ("longest_diameter_px", "longest_diameter_mm", "area_mm2", "volume_ml"):
            assert getattr(one, name) == pytest.approx(getattr(other, name)), name
        assert (one.peak_probability is None) == (other.peak_probability is None)
        if other.peak_probability is not None:
            assert one.peak_probability == other.peak_probability
            assert one.mean_probability == pytest.approx(other.mean_probability)


@given(MASKS, st.integers(0, 5), st.booleans())
@settings(max_examples=150)
def test_lesions_are_those_counted_by_hand(mask: NDArray[np.bool_], min_voxels: int, with_probability: bool) -> None:
    probability = np.random.default_rng(0).random(mask.shape).astype(np.float32) if with_probability else None
    before = mask.copy()
    kept, lesions = find_lesions(mask, probability, SPACING, min_voxels)
    expected = np.zeros_like(mask)
    for part in components(mask):
        if len(part) >= min_voxels:
            expected[tuple(np.transpose(part))] = True
    assert np.array_equal(kept, expected)
    assert np.array_equal(mask, before)
    assert_same(lesions, by_hand(mask, probability, min_voxels))


def test_known_shapes_have_known_measures() -> None:
    mask = np.zeros((2, 10, 10), bool)
    mask[0, 1:4, 2:6] = True  # 3 × 4 pixels
    mask[1, 3, 3] = True
    _, (lesion,) = find_lesions(mask, None, (5.0, 2.0, 2.0))
    assert lesion.voxels == 13
    assert lesion.longest_diameter_px == pytest.approx(5.0)
    assert lesion.longest_diameter_mm == pytest.approx(10.0)
    assert lesion.area_mm2 == pytest.approx(48.0)
    assert lesion.volume_ml == pytest.approx(0.26)
    assert lesion.box == ((0, 1), (1, 3), (2, 5))


def test_corners_connect_within_and_between_slices() -> None:
    lone = np.eye(4, dtype=bool)[None]
    assert len(find_lesions(lone)[1]) == 1
    stairs = np.zeros((3, 3, 3), bool)
    stairs[np.arange(3), np.arange(3), np.arange(3)] = True
    assert len(find_lesions(stairs)[1]) == 1
    stairs[1] = False
    assert len(find_lesions(stairs)[1]) == 2


@pytest.mark.parametrize(("spacing", "even", "known"), [
    ((None, None, None), True, ()),
    ((5.0, None, 1.0), True, ()),
    ((5.0, 1.0, None), True, ()),
    ((None, 1.0, 1.0), True, ("longest_diameter_mm", "area_mm2")),
    ((5.0, 1.0, 1.0), False, ("longest_diameter_mm", "area_mm2")),
    ((5.0, 1.0, 1.0), True, ("longest_diameter_mm", "area_mm2", "volume_ml")),
])  # fmt: skip
def test_only_what_the_spacing_allows_is_stated(spacing: Any, even: bool, known: tuple[str, ...]) -> None:
    _, (lesion,) = find_lesions(np.ones((1, 2, 2), bool), None, spacing, evenly_spaced=even)
    for name in ("longest_diameter_mm", "area_mm2", "volume_ml"):
        assert (getattr(lesion, name) is not None) == (name in known), name
    assert lesion.longest_diameter_px == pytest.approx(math.sqrt(8))
    assert lesion.peak_probability is None


@pytest.mark.parametrize("contiguous", [True, False])
def test_each_voxel_bears_its_lesion_s_number(contiguous: bool) -> None:
    mask, lesions = find_lesions(
        np.random.default_rng(4).random((3, 30, 30)) > 0.85, min_voxels=2, contiguous=contiguous
    )
    numbers = number_lesions(mask, contiguous)
    assert numbers.max() == len(lesions) > 5
    np.testing.assert_array_equal(numbers > 0, mask)
    for lesion in lesions:
        own = np.argwhere(numbers == lesion.label)
        assert len(own) == lesion.voxels
        np.testing.assert_allclose(own.mean(axis=0), lesion.centroid)


def test_equally_large_lesions_keep_the_order_in_which_they_are_met() -> None:
    mask = np.zeros((1, 1, 9), bool)
    mask[0, 0, [0, 2, 4, 6, 7]] = True
    _, lesions = find_lesions(mask)
    assert [lesion.box[2][0] for lesion in lesions] == [6, 0, 2, 4]
    assert [lesion.label for lesion in lesions] == [1, 2, 3, 4]


def test_how_the_arrays_lie_in_memory_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    mask, probability = rng.random((4, 9, 11)) < 0.4, rng.random((4, 9, 11)).astype(np.float32)
    expected = find_lesions(mask, probability, SPACING)
    found = find_lesions(np.asfortranarray(mask), np.repeat(probability, 2, axis=2)[..., ::2], SPACING)
    assert np.array_equal(found[0], expected[0])
    assert found[1] == expected[1]


def test_an_empty_mask_has_no_lesion() -> None:
    mask = np.zeros((2, 4, 4), bool)
    kept, lesions = find_lesions(mask, np.zeros(mask.shape, np.float32))
    assert kept is mask
    assert lesions == ()


def test_all_may_be_too_small() -> None:
    kept, lesions = find_lesions(np.ones((1, 2, 2), bool), min_voxels=5)
    assert not kept.any()
    assert lesions == ()


def test_values_are_plain_numbers_fit_for_json() -> None:
    import json
    from dataclasses import asdict

    _, lesions = find_lesions(np.ones((1, 2, 2), bool), np.ones((1, 2, 2), np.float32), SPACING)
    assert json.loads(json.dumps(asdict(lesions[0])))["peak_probability"] == 1.0
    assert replace(lesions[0], label=1) == lesions[0]


def test_tens_of_thousands_of_components_are_measured_in_one_pass() -> None:
    mask = np.random.default_rng(0).random((40, 128, 128)) < 0.03
    kept, lesions = find_lesions(mask, mask.astype(np.float32), SPACING, min_voxels=2)
    assert len(lesions) > 3000
    assert sum(lesion.voxels for lesion in lesions) == kept.sum() < mask.sum()


@pytest.mark.parametrize(("mask", "probability"), [
    (np.ones((4, 4), bool), None),
    (np.ones((1, 4, 4), np.uint8), None),
    (np.ones((1, 4, 4), bool), np.ones((1, 4, 5), np.float32)),
])  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(mask: Any, probability: Any) -> None:
    with pytest.raises(ValueError, match="mask"):
        find_lesions(mask, probability)


def test_a_lesion_ends_with_its_slice_where_slices_are_missing_between() -> None:
    mask = np.zeros((3, 8, 8), bool)
    mask[:, 2:5, 2:5] = True
    (whole,) = find_lesions(mask, spacing_mm=(5.0, 1.0, 1.0))[1]
    apart = find_lesions(mask, spacing_mm=(5.0, 1.0, 1.0), contiguous=False)[1]
    assert whole.volume_ml == pytest.approx(0.135)
    assert [lesion.slices for lesion in apart] == [(0, 0), (1, 1), (2, 2)]
    assert [lesion.volume_ml for lesion in apart] == [None] * 3


def test_lesions_that_touch_along_a_row_of_the_plane_stay_apart() -> None:
    mask = np.zeros((2, 3, 3), bool)
    mask[0, :2, :2] = mask[1, 1:, 1:] = True
    _, lesions = find_lesions(mask, contiguous=False, axes=(1, 2, 0))
    assert [(lesion.voxels, lesion.slices) for lesion in lesions] == [(4, (0, 0)), (4, (1, 1))]
