"""Takes a scan through the steps before CLAHE: plane, channels, intensity, grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.model_card import GridMode, PreprocessSettings
from core.preprocess.channels import select_channels
from core.preprocess.grid import Grid, check_grid, plan_grid, to_grid
from core.preprocess.intensity import IntensityRange, to_uint8
from core.preprocess.levels import levels_of
from core.preprocess.plane import AS_STORED, Plane, plan_plane
from core.scan import Note, Scan

SMALLEST_SIDE = 32
"""Pixels of the longer side on the network's grid below which a spacing is doubted."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A scan as CLAHE takes it.

    Attributes:
        images: (N, C, h, w) uint8 on the network's grid, one for each slice of the plane.
        plane: how the scan was turned to these slices, for the way back.
        grid: how they lie on the network's grid, for the way back.
        ranges: for each channel the values that became 0 and 255, and the head's grey scale where the model goes by it.
        notes: what was assumed or noticed.
    """

    images: NDArray[np.uint8]
    plane: Plane
    grid: Grid
    ranges: tuple[IntensityRange, ...]
    notes: tuple[Note, ...]


def prepare(
    scan: Scan,
    settings: PreprocessSettings,
    channel: int | str | None = None,
    grid: GridMode | None = None,
    ranges: Sequence[IntensityRange] | None = None,
) -> Prepared:
    """Turn a scan to its plane, choose channels, bring intensities to 8 bit and slices onto the network's grid.

    CLAHE, the padding, the shrinking and the step to the network's grey scale follow where the network runs.

    Args:
        scan: as read.
        settings: the model's.
        channel: the user's choice of a channel, by index from 0 or by name; None lets the scan decide.
        grid: the user's choice of a grid; None takes the settings'.
        ranges: intensities as an earlier run recorded them; None finds them anew.

    Raises:
        InputError: the scan cannot be taken by this model (see `select_channels` and `plan_slices`).
    """
    plane, plan, plane_notes = plan_slices(scan, settings, grid)
    voxels, channel_notes = select_channels(scan, settings.channels, channel)
    if plane != AS_STORED:  # a copy, for slices across memory are slow to read one by one
        voxels = np.ascontiguousarray(plane.to_plane(voxels))
    images, found, intensity_notes = to_uint8(voxels, settings.percentiles, ranges)
    notes = plane_notes + channel_notes + intensity_notes
    if plan.mode == "spacing" and max(plan.target) < SMALLEST_SIDE:
        notes += (_SMALL_FIELD,)
    images = to_grid(images, plan)
    if settings.standardise:
        found = _on_heads_scale(images, settings, found, ranges)
    return Prepared(images, plane, plan, found, notes)


def _on_heads_scale(
    images: NDArray[np.uint8],
    settings: PreprocessSettings,
    found: Sequence[IntensityRange],
    given: Sequence[IntensityRange] | None,
) -> tuple[IntensityRange, ...]:
    """The ranges with the head's grey scale: that of the volume in which they were found, or this one's."""
    if given is not None and all(range_.spread is not None for range_ in given):
        scales = [(range_.centre, range_.spread) for range_ in given]
    else:
        scales = [(level.centre, level.spread) for level in levels_of(images, settings.clip_limit, settings.tile_px)]
    return tuple(
        replace(range_, centre=centre, spread=spread) for range_, (centre, spread) in zip(found, scales, strict=True)
    )


def plan_slices(
    scan: Scan, settings: PreprocessSettings, grid: GridMode | None = None
) -> tuple[Plane, Grid, tuple[Note, ...]]:
    """Decide how a scan is turned to slices and how these lie on the network's grid; takes next to no time.

    Args:
        scan: as read.
        settings: the model's.
        grid: the user's choice of a grid; None takes the settings'.

    Raises:
        InputError: on that grid the scan would be too large.
    """
    plane, notes = plan_plane(scan)
    slices, height, width = plane.shape(scan.shape)
    try:
        plan = plan_grid((height, width), plane.turned(scan.spacing_mm)[1:], settings, grid)
        check_grid(plan, slices)
    except InputError as error:
        raise type(error)(error.detail, source=scan.name) from error
    return plane, plan, notes


_SMALL_FIELD = Note(
    "small-field",
    "by its pixel spacing this scan is smaller than any head; if the spacing is wrong, choose the grid fit",
)
