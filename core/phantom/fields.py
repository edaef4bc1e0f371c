"""Smooth random fields in millimetres, and soft steps: what the phantom's anatomy is drawn with.

Only NumPy, in float64, so that a seed gives the same picture everywhere (up to the last bit of `exp` and of sums, far
below half a grey level).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A uniform cubic B-spline over independent normal nodes has a variance of 0.46 to 0.5 per axis.
_SPREAD_PER_AXIS = 0.48**0.5


@dataclass(frozen=True, slots=True)
class SmoothField:
    """A random function of three coordinates: a cubic B-spline over normal nodes, mean 0, standard deviation about 1.

    Attributes:
        nodes: (n0, n1, n2) values; repeated without end on every axis.
        lengths: millimetres (or radians) between nodes on each axis: the size of what one sees.
    """

    nodes: Floats
    lengths: tuple[float, float, float]

    def at(self, first: float, second: Floats, third: Floats) -> Floats:
        """Values anywhere: one coordinate on the first axis, arrays of one shape on the others; returns that shape."""
        plane = self._plane(first)
        rows, row_weights = _spline(second / self.lengths[1], plane.shape[0])
        columns, column_weights = _spline(third / self.lengths[2], plane.shape[1])
        flat, width = plane.ravel(), plane.shape[1]
        total = np.zeros(second.shape)
        for row, row_weight in zip(rows, row_weights, strict=True):
            line = np.zeros(second.shape)
            for column, weight in zip(columns, column_weights, strict=True):
                line += weight * flat[row * width + column]
            total += row_weight * line
        return total / _SPREAD_PER_AXIS**3

    def grid(self, first: float, rows: Floats, columns: Floats) -> Floats:
        """Values on a grid, many times as fast: (h,) and (w,) coordinates on the last two axes; returns (h, w)."""
        plane = self._plane(first)
        across = _spline_matrix(columns / self.lengths[2], plane.shape[1])
        down = _spline_matrix(rows / self.lengths[1], plane.shape[0])
        return np.asarray(down @ (plane @ across.T)) / _SPREAD_PER_AXIS**3

    def _plane(self, first: float) -> Floats:
        weights = _spline_matrix(np.array([first / self.lengths[0]]), self.nodes.shape[0])
        return np.asarray(np.tensordot(weights[0], self.nodes, axes=(0, 0)))


def smooth_field(
    random: np.random.Generator, lengths: tuple[float, float, float], extent: tuple[float, float, float]
) -> SmoothField:
    """A field that repeats after `extent` on each axis, with nodes about `lengths` apart."""
    counts = [max(4, round(size / length)) for size, length in zip(extent, lengths, strict=True)]
    fitted = (extent[0] / counts[0], extent[1] / counts[1], extent[2] / counts[2])
    return SmoothField(random.standard_normal(counts), fitted)


def step(values: Floats, width: float) -> Floats:
    """A soft step from 0 (values far below 0) to 1 (far above); at `width` it has reached 0.88."""
    return 0.5 * (1.0 + np.tanh(values / width))


def blur(picture: Floats, sigma: float) -> Floats:
    """Gaussian blur of (height, width), sigma in pixels, edges replicated."""
    reach = int(4 * sigma) + 1
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps /= taps.sum()
    height, width = picture.shape
    padded = np.pad(picture, reach, mode="edge")
    down = sum((tap * padded[shift : shift + height] for shift, tap in enumerate(taps)), np.zeros((height, 1)))
    return sum((tap * down[:, shift : shift + width] for shift, tap in enumerate(taps)), np.zeros((height, width)))


def _spline(positions: Floats, count: int) -> tuple[list[NDArray[np.int64]], list[Floats]]:
    """The four nodes (with wrap-around) and weights of a uniform cubic B-spline at each position, in nodes."""
    base = np.floor(positions)
    t = positions - base
    first = base.astype(np.int64)
    square, cube = t * t, t * t * t
    weights = [
        (1.0 - 3.0 * t + 3.0 * square - cube) / 6.0,
        (4.0 - 6.0 * square + 3.0 * cube) / 6.0,
        (1.0 + 3.0 * t + 3.0 * square - 3.0 * cube) / 6.0,
        cube / 6.0,
    ]
    return [(first + offset) % count for offset in (-1, 0, 1, 2)], weights


def _spline_matrix(positions: Floats, count: int) -> Floats:
    """The same as a matrix (positions, nodes)."""
    matrix = np.zeros((positions.size, count))
    for node, weight in zip(*_spline(positions, count), strict=True):
        matrix[np.arange(positions.size), node] += weight
    return matrix
