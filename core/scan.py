"""The values that flow through metseg: what was read, what was found.

Arrays are indexed (slice, row, column); `spacing_mm` follows the same order. What is not known is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Spacing = tuple[float | None, float | None, float | None]
UNKNOWN_SPACING: Spacing = (None, None, None)
SLICE_GAP = "slice-gap"
"""Code of the note that slices are missing between others."""
SLICE_TILT = "slice-tilt"
"""Code of the note that the stack of slices leans."""
SLICES_UNEVEN = "slices-uneven"
"""Code of the note that neighbouring slices lie at differing distances."""
GEOMETRY_MISSING = "geometry-missing"
"""Code of the note that slices do not say where they lie."""
NO_NEIGHBOURS = frozenset({SLICE_GAP, SLICE_TILT, GEOMETRY_MISSING})
"""Codes of notes after which a slice is taken for itself."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should know about a result: a stable code for programs and a sentence for people.

    The sentence holds no path, file name or tag value, so that a server may pass it on.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ScanSource:
    """Where a scan lies, before anything is read.

    Attributes:
        name: the case's name, unique within one `find_scans`.
        paths: the files in slice order; one file may hold several slices.
        mask_paths: for each path its ground truth, or None.
        notes: what was noticed while looking (an image without a mask, say).
    """

    name: str
    paths: tuple[Path, ...]
    mask_paths: tuple[Path | None, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def has_truth(self) -> bool:
        """Whether every file has its mask, so that a Dice of the whole case can be stated."""
        return bool(self.mask_paths) and all(path is not None for path in self.mask_paths)


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What a file, or a case of several files, holds: the values as stored, never resampled.

    Attributes:
        name: the case's name.
        voxels: (slices, channels, height, width), any real dtype; a format's own rescaling is applied.
        spacing_mm: (between slices, between rows, between columns), each None where unknown.
        affine: 4×4 float64 from (column, row, slice) to RAS millimetres; None where the orientation is unknown.
        slice_positions_mm: one per slice along the normal, where they are not evenly spaced; else None.
        channels: a name for each channel, or () where the format gives none.
        sequence: what the scan seems to be ("FLAIR", "T1w"), or None.
        slice_names: for each slice the stem of the file it came from, with a frame number where a file holds several.
        paths: the files, in slice order of their first slice.
        slices_per_path: how many slices each of `paths` gave.
        sha256: over the bytes of the files, in order.
        notes: what the reader noticed.
        format: the name of the format it was read from, as `core.io.interface.Format.NAME`; "" where it was not read.
        header: what that format needs to write a mask back to where the scan lies: a frozen value that nobody else
            looks into; None where there is nothing of the kind.
    """

    name: str
    voxels: NDArray[Any]
    spacing_mm: Spacing = UNKNOWN_SPACING
    affine: NDArray[np.float64] | None = None
    slice_positions_mm: tuple[float, ...] | None = None
    channels: tuple[str, ...] = ()
    sequence: str | None = None
    slice_names: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    slices_per_path: tuple[int, ...] = ()
    sha256: str = ""
    notes: tuple[Note, ...] = ()
    format: str = ""
    header: object | None = None

    def __post_init__(self) -> None:
        if self.voxels.ndim != 4 or 0 in self.voxels.shape:
            raise ValueError(f"voxels must be (slices, channels, height, width) and not empty, not {self.voxels.shape}")
        if self.channels and len(self.channels) != self.voxels.shape[1]:
            raise ValueError("channels must name each channel of voxels")

    @property
    def orientation_known(self) -> bool:
        """Whether left and right may be spoken of."""
        return self.affine is not None

    @property
    def contiguous(self) -> bool:
        """Whether every slice is the next one's neighbour, so that lesions may be followed from slice to slice."""
        return not any(note.code in NO_NEIGHBOURS for note in self.notes)

    @property
    def evenly_spaced(self) -> bool:
        """Whether slices follow each other at equal distances, none missing, so that volumes may be spoken of."""
        return self.slice_positions_mm is None and self.contiguous

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, height, width): the grid on which a segmentation of this scan lies."""
        slices, _, height, width = self.voxels.shape
        return slices, height, width


@dataclass(frozen=True, slots=True)
class Lesion:
    """One connected component of a mask: 26-connected in a volume, 8-connected in a slice without neighbours.

    Attributes:
        label: 1, 2, … from the largest to the smallest.
        voxels: how many.
        slices: first and last slice it lies in, both included.
        box: (first, last) along slices, rows, columns, both included.
        centroid: (slice, row, column) in voxels.
        longest_diameter_px: longest in-plane distance between two of its pixels' outer edges, in pixels. The plane is
            the one that the model saw (see `core.preprocess.plane`), which may not be that of the scan's slices.
        longest_diameter_mm: the same in millimetres; None without in-plane spacing.
        area_mm2: area in its largest slice of that plane; None without in-plane spacing.
        volume_ml: None unless all three spacings are known and even.
        peak_probability, mean_probability: over its voxels, in [0, 1]; None where only a mask was given.
    """

    label: int
    voxels: int
    slices: tuple[int, int]
    box: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    centroid: tuple[float, float, float]
    longest_diameter_px: float
    longest_diameter_mm: float | None = None
    area_mm2: float | None = None
    volume_ml: float | None = None
    peak_probability: float | None = None
    mean_probability: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """What a model found in a scan, on the scan's own grid.

    Attributes:
        probability: (slices, height, width) float32 in [0, 1].
        mask: the same shape, bool: probability >= threshold, components below the minimum lesion removed.
        lesions: the mask's components, largest first.
        warnings: what a person should know before trusting it, the reader's notes included.
        manifest: how it was made: input hash, model and weight hash, settings, engine, device, precision, versions,
            seconds per stage. JSON-ready.
    """

    probability: NDArray[np.float32]
    mask: NDArray[np.bool_]
    lesions: tuple[Lesion, ...] = ()
    warnings: tuple[Note, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)
