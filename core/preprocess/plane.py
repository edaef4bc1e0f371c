"""Turns a volume to the slices that the model is to see, and what was found back to how the volume is stored.

Only whole axes change places or direction, so nothing is resampled and nothing is lost on the way back.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.scan import Note, Scan, Spacing

View = Literal["axial", "coronal", "sagittal"]
VIEWS: tuple[View, ...] = ("sagittal", "coronal", "axial")
"""By the axis of RAS space that a view's slices follow."""

# For slices, rows and columns of each view the axis of RAS space and whether they run along it (1) or against it (-1).
# Axial as the LGG set shows it: nose up, the patient's right on the picture's left; the others as is usual with that.
DIRECTIONS: dict[View, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "axial": ((2, 1), (1, -1), (0, -1)),
    "coronal": ((1, 1), (2, -1), (0, -1)),
    "sagittal": ((0, 1), (2, -1), (1, -1)),
}
SIDES: dict[View, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}
THICK_RATIO = 1.5
THICK_MM = 1.5
"""Slices are thick when they are farther apart than this, and than pixels are by `THICK_RATIO`: a volume of
0.5 × 0.5 × 1 mm is still cut as well in any direction, one of 1 × 1 × 2 mm is not."""
SLAB_RATIO = 0.25
"""A volume that is this much shorter along one axis than along the longest has only that axis to be cut along."""
OBLIQUE_DEGREES = 25


@dataclass(frozen=True, slots=True)
class Plane:
    """Which axes of a scan are slices, rows and columns for the model, and which of them run backwards.

    Attributes:
        view: what the slices show; None where the orientation is unknown and everything stays as stored.
        axes: for slices, rows and columns which axis of the scan (0 slices, 1 rows, 2 columns) they are.
        flips: for slices, rows and columns whether that axis is run through backwards.
    """

    view: View | None = None
    axes: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)

    @property
    def sides(self) -> tuple[str, str, str, str] | None:
        """Letters for the left, right, upper and lower edge of a slice ("R", "L", "A", "P"); None where unknown."""
        return None if self.view is None else SIDES[self.view]

    def to_plane(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Turn a volume, as a view of it.

        Args:
            volume: (slices, height, width) or (slices, channels, height, width) as stored.

        Returns:
            the same with slices, rows and columns of the plane.
        """
        spatial = _spatial(volume)
        order = list(range(volume.ndim))
        for place, axis in zip(spatial, self.axes, strict=True):
            order[place] = spatial[axis]
        return self._flipped(volume.transpose(order))

    def turned(self, spacing_mm: Spacing) -> Spacing:
        """The scan's spacing between slices, rows and columns of the plane."""
        slices, rows, columns = self.axes
        return spacing_mm[slices], spacing_mm[rows], spacing_mm[columns]

    def shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(slices, height, width) of the plane, for a scan of that shape."""
        slices, rows, columns = self.axes
        return shape[slices], shape[rows], shape[columns]

    def stored(self, index: tuple[float, float, float], shape: tuple[int, int, int]) -> tuple[float, float, float]:
        """Where a voxel (slice, row, column) of the plane lies in a scan of the shape given, as stored."""
        place = [0.0, 0.0, 0.0]
        for value, axis, flip in zip(index, self.axes, self.flips, strict=True):
            place[axis] = shape[axis] - 1 - value if flip else value
        return place[0], place[1], place[2]

    def _flipped(self, volume: NDArray[Any]) -> NDArray[Any]:
        cut = [slice(None)] * volume.ndim
        for place, flip in zip(_spatial(volume), self.flips, strict=True):
            if flip:
                cut[place] = slice(None, None, -1)
        return volume[tuple(cut)]


AS_STORED = Plane()


def plan_plane(scan: Scan) -> tuple[Plane, tuple[Note, ...]]:
    """Decide in which plane the model sees a scan.

    Where the orientation is unknown, slices stay as they are stored. Volumes whose voxels are near to cubes are cut
    axially. Thick slices, thin slabs, and slices that do not follow each other evenly stay what they are, and are
    only turned and flipped within themselves.

    Returns:
        the plane, and a warning where its slices are not axial, or are so only roughly.
    """
    if scan.affine is None:
        return AS_STORED, ()
    cosines, spacing = _cosines(scan.affine)
    axes = _nearest_axes(cosines)
    through = _slice_axis(scan, spacing)
    if through is None:
        through = axes.index(2)
    plane = _plane(VIEWS[axes[through]], axes, cosines)
    if plane.view != "axial":
        return plane, (_NOT_AXIAL,)
    normal = abs(float(np.clip(_normal(cosines, through)[2], -1, 1)))
    return plane, (_OBLIQUE,) if np.degrees(np.arccos(normal)) > OBLIQUE_DEGREES else ()


def plan_view(scan: Scan, view: View) -> Plane:
    """The plane that shows a scan in a certain view, for displays; as it is stored where the orientation is unknown."""
    if scan.affine is None:
        return AS_STORED
    cosines, _ = _cosines(scan.affine)
    return _plane(view, _nearest_axes(cosines), cosines)


_NOT_AXIAL = Note(
    "not-axial",
    "the slices are not axial, and the model learnt from axial ones; they were taken as they are, "
    "so do not rely on what it finds",
)
_OBLIQUE = Note(
    "oblique",
    f"the slices are tilted by more than {OBLIQUE_DEGREES} degrees from axial ones, from which the model learnt",
)


def _slice_axis(scan: Scan, spacing: tuple[float, float, float]) -> int | None:
    """The axis of the scan along which it must be cut; None where any will do."""
    if not scan.evenly_spaced:
        return 0
    widest = int(np.argmax(spacing))
    others = max(spacing[axis] for axis in range(3) if axis != widest)
    if spacing[widest] > max(THICK_MM, THICK_RATIO * others):
        return widest
    extents = [count * mm for count, mm in zip(scan.shape, spacing, strict=True)]
    shortest = int(np.argmin(extents))
    return shortest if extents[shortest] < SLAB_RATIO * max(extents) else None


def _plane(view: View, axes: tuple[int, ...], cosines: NDArray[np.float64]) -> Plane:
    chosen = [axes.index(world) for world, _ in DIRECTIONS[view]]
    flips = [
        bool(cosines[world, axis] * sign < 0) for axis, (world, sign) in zip(chosen, DIRECTIONS[view], strict=True)
    ]
    return Plane(view, (chosen[0], chosen[1], chosen[2]), (flips[0], flips[1], flips[2]))


def _cosines(affine: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float, float]]:
    """Directions of the scan's axes (slices, rows, columns) in RAS space as columns (3, 3), and their spacings."""
    steps = affine[:3, [2, 1, 0]]
    lengths = np.linalg.norm(steps, axis=0)
    return steps / lengths, (float(lengths[0]), float(lengths[1]), float(lengths[2]))


def _nearest_axes(cosines: NDArray[np.float64]) -> tuple[int, ...]:
    """For each axis of the scan the axis of RAS space that it follows, each used once, the sum of cosines largest."""
    return max(permutations(range(3)), key=lambda worlds: sum(abs(cosines[w, a]) for a, w in enumerate(worlds)))


def _normal(cosines: NDArray[np.float64], through: int) -> NDArray[np.float64]:
    """The unit vector upright on the slices; not their axis itself, for a gantry may be tilted."""
    first, second = (cosines[:, axis] for axis in range(3) if axis != through)
    normal: NDArray[np.float64] = np.cross(first, second)
    return normal / np.linalg.norm(normal)


def _spatial(volume: NDArray[Any]) -> tuple[int, int, int]:
    """Which axes of an array are slices, rows and columns."""
    if volume.ndim not in (3, 4):
        raise ValueError(f"a volume has three axes, or four with channels, not {volume.ndim}")
    return (0, 1, 2) if volume.ndim == 3 else (0, 2, 3)
