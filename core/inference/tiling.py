"""Exact tiling: windows with a halo, whose interiors partition the picture.

A window is what the network sees, its interior what is kept of the answer. Each kept pixel has its whole receptive
field inside its window, or the window ends there because the picture does, so the stitched answer is that of the whole
picture. Windows begin on a grid of `GRID` pixels, where pooling and doubling fall on the same pixels as in the whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID = 16


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels, its ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    def within(self, other: Box) -> Box:
        """The same rectangle, counted from the corner of `other`."""
        return Box(self.top - other.top, self.bottom - other.top, self.left - other.left, self.right - other.left)

    def of(self, images: Any) -> Any:
        """The rectangle of `images` (…, H, W), array or tensor, as a view."""
        return images[..., self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True, slots=True)
class Tile:
    """What the network sees of a picture, and the part of its answer that is kept."""

    window: Box
    interior: Box


@dataclass(frozen=True, slots=True)
class Span:
    """A tile along one axis: window and interior, their ends excluded."""

    window: tuple[int, int]
    interior: tuple[int, int]


def plan_axis(length: int, window: int, halo: int, grid: int = GRID) -> tuple[Span, ...]:
    """Cover one axis with as few windows as `window` allows, all of one length and no longer than it takes.

    Args:
        length: pixels; a multiple of `grid` when longer than `window`.
        window: the longest window allowed.
        halo: pixels that a window sees beyond its interior wherever the axis goes on; a multiple of `grid`.
        grid: window ends and interiors' ends are multiples of this.

    Returns:
        spans whose interiors partition 0 to length, in order.

    Raises:
        ValueError: lengths that are not on the grid, or a window with no room between its halos.
    """
    if length < 1 or halo < 0 or halo % grid:
        raise ValueError("length must be positive and halo a multiple of the grid")
    if length <= window:
        return (Span((0, length), (0, length)),)
    if length % grid or window < 2 * halo + grid:
        raise ValueError("a picture longer than its window must lie on the grid, and a window be longer than its halos")
    window = window // grid * grid
    # n windows that overlap by two halos cover n * (window - 2 * halo) + 2 * halo.
    count = math.ceil((length - 2 * halo) / (window - 2 * halo))
    step = math.ceil((length - 2 * halo) / (count * grid)) * grid
    count, window = math.ceil((length - 2 * halo) / step), step + 2 * halo
    spans = []
    for index in range(count):
        first = min(index * step, length - window)  # the last one shifts inward, so that nothing lies outside
        begin = 0 if index == 0 else index * step + halo
        end = length if index == count - 1 else (index + 1) * step + halo
        spans.append(Span((first, first + window), (begin, end)))
    return tuple(spans)


def plan_tiles(height: int, width: int, window: int, halo: int, grid: int = GRID) -> tuple[Tile, ...]:
    """Tiles of a picture, row by row; one tile where the picture is no larger than the window.

    All windows of a plan have one shape. See `plan_axis` for arguments and errors.
    """
    rows, columns = plan_axis(height, window, halo, grid), plan_axis(width, window, halo, grid)
    return tuple(Tile(Box(*r.window, *c.window), Box(*r.interior, *c.interior)) for r in rows for c in columns)


def cut(images: Any, tile: Tile) -> Any:
    """The tile's window of `images` (…, H, W), array or tensor, as a view."""
    return tile.window.of(images)


def stitch(whole: Any, tile: Tile, answer: Any) -> None:
    """Write the interior of a window's `answer` (…, h, w) to its place in `whole` (…, H, W), arrays or tensors."""
    tile.interior.of(whole)[...] = tile.interior.within(tile.window).of(answer)


def plan_overlapping(height: int, width: int, window: int, grid: int = GRID) -> tuple[Tile, ...]:
    """Windows that overlap by half or more, to be blended by `gaussian_weights`; only there to compare with.

    A tile's interior is its whole window: every pixel of the answer counts, by its weight.
    """
    quarter = window // 4 // grid * grid
    boxes = (tile.window for tile in plan_tiles(height, width, window, quarter, grid))
    return tuple(Tile(box, box) for box in boxes)


def gaussian_weights(height: int, width: int) -> NDArray[np.float32]:
    """(height, width) in (0, 1]: a Gaussian around the middle whose deviation is an eighth of each side.

    It never falls to 0, so that a pixel seen once still gets its answer.
    """

    def along(length: int) -> NDArray[np.float64]:
        distance = (np.arange(length) - (length - 1) / 2) / (length / 8)
        weights: NDArray[np.float64] = np.exp(-0.5 * distance**2)
        return weights

    return np.maximum(np.outer(along(height), along(width)), 1e-4).astype(np.float32)
