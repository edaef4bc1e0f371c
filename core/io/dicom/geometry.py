"""Where slices lie in the patient: their order, the affine, and what keeps them from being an even volume.

DICOM's axes point left, posterior, superior; metseg's and NIfTI's point right, anterior, superior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.io.dicom.frames import Frame
from core.scan import GEOMETRY_MISSING, SLICE_GAP, SLICE_TILT, SLICES_UNEVEN, UNKNOWN_SPACING, Note, Spacing

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SAME_PLACE_MM = 0.01
"""Slices nearer to each other than this are at one place."""
UNIT = 0.01
"""How far a direction's length, and the cosine between rows and columns, may be off."""
STEP = 0.05
"""How far a step between neighbours may be off, as a part of the usual step, for slices to count as even."""
GAP = 1.5
"""A step of more than this many usual ones lacks slices in between."""
TILT = 0.02
"""How far the stack may lean from the normal of its slices, as a tangent (a little over one degree)."""

MISSING = Note(
    GEOMETRY_MISSING,
    "the images do not say where in the patient they lie; each slice was taken for itself, and left and right are "
    "unknown",
)
GAPS = Note(
    SLICE_GAP,
    "slices are missing between others; each slice was taken for itself, and nothing is measured from slice to slice",
)
TILTED = Note(
    SLICE_TILT,
    "the stack of slices leans (a tilted gantry); each slice was taken for itself, and nothing is measured from slice "
    "to slice",
)
UNEVEN = Note(SLICES_UNEVEN, "the distances between slices differ, so no volume is stated")


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """How the slices of a stack lie.

    Attributes:
        order: for each place, the indices of the frames that lie there: one, or several duplicates.
        spacing_mm, affine, slice_positions_mm: see `core.scan.Scan`.
        notes: what keeps the stack from being an even volume.
    """

    order: tuple[tuple[int, ...], ...]
    spacing_mm: Spacing = UNKNOWN_SPACING
    affine: NDArray[np.float64] | None = None
    slice_positions_mm: tuple[float, ...] | None = None
    notes: tuple[Note, ...] = ()


def directions(frame: Frame) -> NDArray[np.float64] | None:
    """(3, 3): the directions of rows, of columns, and the normal, as unit vectors; None where they cannot be so."""
    if frame.position is None or frame.orientation is None or np.abs(frame.position).max() > 1e6:
        return None
    along = np.asarray(frame.orientation, np.float64).reshape(2, 3)
    lengths = np.linalg.norm(along, axis=1)
    if np.abs(lengths - 1).max() > UNIT or abs(along[0] @ along[1]) > UNIT:
        return None
    row = along[0] / lengths[0]
    column = along[1] - (along[1] @ row) * row
    column /= np.linalg.norm(column)
    return np.stack([row, column, np.cross(row, column)])


def in_plane(frame: Frame) -> tuple[float, float] | None:
    """Millimetres between rows and between columns; None where they are not stated or cannot be true."""
    if frame.spacing is None or not all(1e-3 <= step <= 1e3 for step in frame.spacing):
        return None
    return frame.spacing[0], frame.spacing[1]


def place(frames: Sequence[Frame]) -> Placement:
    """Order the frames of one stack by their position along the normal.

    Args:
        frames: of one orientation and spacing; without geometry in the order in which they are to stay.
    """
    steps = in_plane(frames[0])
    spacing: Spacing = (None, *steps) if steps else UNKNOWN_SPACING
    axes = directions(frames[0])
    if axes is None or steps is None or any(directions(frame) is None for frame in frames):
        return Placement(tuple((index,) for index in range(len(frames))), spacing, notes=(MISSING,))
    positions = np.array([frame.position for frame in frames], np.float64)  # (N, 3)
    order = _places(positions @ axes[2])
    origins = positions[[entry[0] for entry in order]]
    heights = origins @ axes[2]
    notes: list[Note] = []
    step, even = _step(heights)
    if step is not None and (np.diff(heights) > GAP * step).any():
        notes.append(GAPS)
    elif not even:
        notes.append(UNEVEN)
    travel = np.diff(origins, axis=0)
    lean = travel - np.outer(travel @ axes[2], axes[2])
    if len(heights) > 1 and (np.linalg.norm(lean, axis=1) > TILT * np.diff(heights)).any():
        notes.append(TILTED)
    affine = np.eye(4)
    affine[:3, 0] = axes[0] * steps[1]
    affine[:3, 1] = axes[1] * steps[0]
    affine[:3, 2] = axes[2] * (step or frames[order[0][0]].thickness or 1.0)
    if len(heights) > 1 and not notes:  # exactly the first and the last slice's, and evenly between
        affine[:3, 2] = (origins[-1] - origins[0]) / (len(origins) - 1)
    affine[:3, 3] = origins[0]
    return Placement(
        order,
        (step if step and not notes else None, *steps),
        TO_RAS @ affine,
        tuple(float(height) for height in heights) if notes else None,
        tuple(notes),
    )


def _places(heights: NDArray[np.float64]) -> tuple[tuple[int, ...], ...]:
    """Indices in ascending order, those at one place together."""
    found: list[list[int]] = []
    last = -np.inf
    for index in np.argsort(heights, kind="stable"):
        if heights[index] - last > SAME_PLACE_MM:
            found.append([])
            last = heights[index]
        found[-1].append(int(index))
    return tuple(tuple(entry) for entry in found)


def _step(heights: NDArray[np.float64]) -> tuple[float | None, bool]:
    """The usual distance of neighbours, None for a lone slice; and whether all have it."""
    if len(heights) < 2:
        return None, True
    steps = np.sort(np.diff(heights))
    usual = float(steps[(len(steps) - 1) // 2])  # the lower median, so that one of two steps can be the gap
    if np.abs(steps - usual).max() <= max(STEP * usual, 2 * SAME_PLACE_MM):
        return float(steps.mean()), True
    return usual, False
