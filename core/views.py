"""The directions in which a scan is cut for the screen: the slices that the model sees first, two others across."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.preprocess.plane import VIEWS, Plane, plan_plane, plan_view
from core.scan import Scan, Spacing

Place = tuple[int, int, int]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
ACROSS = (Plane(None, (1, 0, 2)), Plane(None, (2, 0, 1)))
"""Where the orientation is unknown: along the rows and along the columns, slices from the top down."""


@dataclass(frozen=True, slots=True)
class View:
    """One direction of cutting. All places are whole voxels: (slice, row, column), "stored" as the scan has them.

    Attributes:
        plane: which axes of the scan are slices, rows and columns here, and which run backwards.
        scan_shape: the scan's own (slices, height, width).
        spacing_mm: between slices, rows and columns of this view.
    """

    plane: Plane
    scan_shape: tuple[int, int, int]
    spacing_mm: Spacing

    @property
    def name(self) -> str | None:
        """What it shows ("axial"); None where the orientation is unknown."""
        return self.plane.view

    @property
    def letters(self) -> tuple[str, str, str, str] | None:
        """At the left, right, upper and lower edge; None where the orientation is unknown."""
        return self.plane.sides

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, height, width) here."""
        return self.plane.shape(self.scan_shape)

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width; 1 where the spacing is not known."""
        _, row, column = self.spacing_mm
        return row / column if row and column else 1.0

    def turn(self, volume: NDArray[Any]) -> NDArray[Any]:
        """A stored (S, H, W) in this view's order, without a copy."""
        return self.plane.to_plane(volume)

    def cut(self, volume: NDArray[Any], index: int) -> NDArray[Any]:
        """(H, W) of one slice of a stored (S, H, W)."""
        return np.ascontiguousarray(self.turn(volume)[index])

    def stored(self, place: Place) -> Place:
        """Where a voxel of this view is stored."""
        a, b, c = self.plane.stored(place, self.scan_shape)
        return int(a), int(b), int(c)

    def place(self, stored: Place) -> Place:
        """Where a stored voxel is in this view."""
        a, b, c = (
            self.scan_shape[axis] - 1 - stored[axis] if flip else stored[axis]
            for axis, flip in zip(self.plane.axes, self.plane.flips, strict=True)
        )
        return a, b, c

    def box(self, stored: Box) -> Box:
        """A box (first and last, both included, along each axis) in this view."""
        low = self.place((stored[0][0], stored[1][0], stored[2][0]))
        high = self.place((stored[0][1], stored[1][1], stored[2][1]))
        a, b, c = ((min(pair), max(pair)) for pair in zip(low, high, strict=True))
        return a, b, c


def first_view(scan: Scan) -> View:
    """The view in which the model sees a scan: axial, or as it was acquired."""
    return _view(scan, plan_plane(scan)[0])


def views_of(scan: Scan) -> tuple[View, ...]:
    """All views of a scan, the first one first.

    There are three where every slice is the next one's neighbour and all distances are known, for only then is a cut
    across the slices a picture of anything; else there is one.
    """
    first = first_view(scan)
    if 1 in scan.shape or None in scan.spacing_mm or not scan.evenly_spaced:
        return (first,)
    if first.name is None:
        return first, *(_view(scan, plane) for plane in ACROSS)
    # Coronal before sagittal, as most readers have them.
    return first, *(_view(scan, plan_view(scan, name)) for name in reversed(VIEWS) if name != first.name)


def _view(scan: Scan, plane: Plane) -> View:
    return View(plane, scan.shape, plane.turned(scan.spacing_mm))
