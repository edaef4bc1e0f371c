"""Longest diameters of many pixel regions at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 20
"""Pairs of corners compared at once; bounds the memory."""

Ints = NDArray[np.integer[Any]]


def longest_diameters(
    region: Ints, rows: Ints, first: Ints, last: Ints, pixel_size: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.float64]:
    """The longest distance between two corners of a region's pixels, for each of many plane regions.

    A region is given by its rows' outer edges: two farthest corners are the left end of one row and the right end of
    another. Of these ends only the corners of the convex hull can be farthest, so the others go first.

    Args:
        region: (R,) the region a row belongs to, 0, 1, … ascending and without a gap.
        rows: (R,) row numbers, ascending within a region.
        first: (R,) the row's first column.
        last: (R,) its last column, included.
        pixel_size: height and width of a pixel.

    Returns:
        (regions,) float64, in the unit of `pixel_size`.
    """
    count = int(region[-1]) + 1
    left_region, left_rows, left = _hull(region, rows, first, outward=-1)
    right_region, right_rows, right = _hull(region, rows, last + 1, outward=1)
    left_starts = np.searchsorted(left_region, np.arange(count + 1))
    right_starts = np.searchsorted(right_region, np.arange(count + 1))
    rights = np.diff(right_starts)
    pairs = np.concatenate(([0], np.cumsum(np.diff(left_starts) * rights)))
    height, width = pixel_size
    squared = np.zeros(count, np.float64)
    begin = 0
    while begin < count:
        end = max(begin + 1, int(np.searchsorted(pairs, pairs[begin] + CHUNK, side="right")) - 1)
        number = np.repeat(np.arange(begin, end), np.diff(pairs[begin : end + 1]))  # (pairs,) the region of each
        within = np.arange(pairs[begin], pairs[end]) - pairs[number]
        i = left_starts[number] + within // rights[number]
        j = right_starts[number] + within % rights[number]
        down = (np.abs(left_rows[i] - right_rows[j]) + 1) * height  # from one's upper to the other's lower edge
        across = (right[j] - left[i]) * width
        squared[begin:end] = np.maximum.reduceat(down * down + across * across, pairs[begin:end] - pairs[begin])
        begin = end
    return np.sqrt(squared)


def _hull(region: Ints, rows: Ints, edge: Ints, outward: int) -> tuple[Ints, Ints, Ints]:
    """Drop the row ends that lie on or inside the line between their neighbours, until none does.

    A corner of the convex hull lies outside each such line, so all that do not can go in the same pass.
    """
    while len(region) > 2:
        row, x = rows, edge * outward
        straight = (x[1:-1] - x[:-2]) * (row[2:] - row[:-2]) <= (x[2:] - x[:-2]) * (row[1:-1] - row[:-2])
        inner = straight & (region[:-2] == region[2:])
        if not inner.any():
            break
        keep = np.concatenate(([True], ~inner, [True]))
        region, rows, edge = region[keep], rows[keep], edge[keep]
    return region, rows, edge
