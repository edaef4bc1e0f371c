"""Longest diameters against every pair of corners, and against SciPy's convex hull."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from core.measure import diameter
from core.measure.diameter import longest_diameters

PIXEL = (0.7, 1.1)


def measured(masks: list[NDArray[np.bool_]], pixel: tuple[float, float] = PIXEL) -> NDArray[np.float64]:
    lines = [
        (region, row, int(columns[0]), int(columns[-1]))
        for region, mask in enumerate(masks)
        for row, line in enumerate(mask)
        if len(columns := np.flatnonzero(line))
    ]
    return longest_diameters(*np.array(lines).T, pixel)


def corners(mask: NDArray[np.bool_], pixel: tuple[float, float] = PIXEL) -> NDArray[np.float64]:
    rows, columns = np.nonzero(mask)
    ends = [np.stack([(rows + v) * pixel[0], (columns + u) * pixel[1]], axis=1) for v in (0, 1) for u in (0, 1)]
    return np.concatenate(ends)


def ragged(seed: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[0:90, 0:70]
    mask: NDArray[np.bool_] = (
        np.hypot((y - 45) / 40, (x - 35) / 25) + np.random.default_rng(seed).normal(0, 0.15, y.shape) < 1
    )
    return mask


@given(st.lists(hnp.arrays(bool, (5, 6)).filter(np.any), min_size=1, max_size=4), st.floats(0.1, 3), st.floats(0.1, 3))
@settings(max_examples=60)
def test_they_are_the_largest_of_all_pairs(masks: list[NDArray[np.bool_]], height: float, width: float) -> None:
    expected = [pdist(corners(mask, (height, width))).max() for mask in masks]
    assert measured(masks, (height, width)) == pytest.approx(expected)


def test_large_ragged_shapes_are_measured_over_their_hull() -> None:
    masks = [ragged(seed) for seed in range(4)]
    hulls = [ConvexHull(corners(mask)) for mask in masks]
    assert measured(masks) == pytest.approx([pdist(hull.points[hull.vertices]).max() for hull in hulls])


@pytest.mark.parametrize("chunk", [1, 50, 1000])
def test_how_many_are_measured_at_once_does_not_matter(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = [ragged(seed)[:, : 20 + 5 * seed] for seed in range(8)]
    expected = measured(masks)
    monkeypatch.setattr(diameter, "CHUNK", chunk)
    assert np.array_equal(measured(masks), expected)


def test_one_pixel_has_its_diagonal() -> None:
    assert measured([np.ones((1, 1), bool)], (3.0, 4.0)) == pytest.approx([5.0])


def test_only_the_hulls_corners_are_compared() -> None:
    """A tall rectangle has as many rows as pixels in height, but four corners."""
    region, rows, edge = diameter._hull(np.zeros(500, int), np.arange(500), np.full(500, 7), outward=1)
    assert (len(region), rows.tolist(), edge.tolist()) == (2, [0, 499], [7, 7])
