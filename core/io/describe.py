"""What a file or a case is, from headers alone as far as its format allows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.io.gather import gather
from core.io.interface import Described, naming
from core.io.limits import ReadLimits
from core.io.read import DEFAULT_LIMITS, load_files, sequence_of, source_of
from core.scan import Note


@dataclass(frozen=True, slots=True, eq=False)
class FileInfo:
    """A case before its pixels are read.

    Attributes:
        name: the case's.
        format: the format's.
        files: how many belong to it.
        described: what its headers say.
        sequence: what it seems to be by its tags, or else by its name; None where neither tells.
        notes: what was noticed.
    """

    name: str
    format: str
    files: int
    described: Described
    sequence: str | None
    notes: tuple[Note, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        described, size = self.described, self.described.size
        affine = described.affine
        return {
            "name": self.name,
            "format": self.format,
            "files": self.files,
            "slices": size.slices,
            "channels": size.channels,
            "height": size.height,
            "width": size.width,
            "dtype": described.dtype,
            "spacing_mm": list(described.spacing_mm),
            "orientation": None if affine is None else _orientation(affine),
            "affine": None if affine is None else affine.tolist(),
            "slice_positions_mm": described.slice_positions_mm and list(described.slice_positions_mm),
            "sequence": self.sequence,
            "facts": dict(described.facts),
            "notes": [{"code": note.code, "message": note.message} for note in self.notes],
        }


def describe_scan(path: str | Path, limits: ReadLimits = DEFAULT_LIMITS, series: str | None = None) -> FileInfo:
    """Say what a file, or a folder with one case, is.

    Raises:
        AmbiguousSeries: it holds several series; its `choices` say which.
        InputError: it cannot be read, or its header is wrong.
    """
    source = source_of(Path(path))
    gathered = gather(load_files(source.paths, limits), limits)
    with naming(source.name):
        described = gathered.form.describe(gathered.files, limits, series)
    return FileInfo(
        name=source.name,
        format=gathered.form.NAME,
        files=len(gathered.files),
        described=described,
        sequence=sequence_of(described, [str(path) for path in source.paths]),
        notes=tuple(dict.fromkeys((*source.notes, *gathered.notes, *described.notes))),
    )


def _orientation(affine: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """Where columns, rows and slices run to, as three letters ("LPS": left, back, up); the nearest for an oblique."""
    from nibabel.orientations import aff2axcodes

    return "".join(aff2axcodes(affine))  # type: ignore[no-untyped-call]
