"""What a format is: a module with the attributes of `Format`; and what writes results: one with those of `Writer`.

A format works on bytes in memory, so that an upload and a file on the disk take the same way, and what was hashed is
what was decoded. Whether its files are slices of a case each (then `core.io.slices` does most of it), a volume each, or
a series that only makes sense together, is the format's own affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError, TooLarge
from core.io.limits import ReadLimits, Size
from core.scan import UNKNOWN_SPACING, Note, Scan, Spacing

ALPHA_DROPPED = Note("alpha-dropped", "the file states an opacity for each pixel; it was ignored")


@dataclass(frozen=True, slots=True)
class RawFile:
    """The bytes of one file: one that is read, with the name that a message may call it by, or one to be written."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What one file, or several that belong together, hold; the attributes mean what they mean in `Scan`.

    Attributes:
        files: what `voxels` came from, in slice order of their first slice: a format may sort what it was given, and
            leave out what does not belong to the series.
        slices_per_file: how many slices each of `files` gave.
        header: what the format's writer needs, see `Scan.header`.
    """

    voxels: NDArray[Any]
    files: tuple[RawFile, ...]
    slices_per_file: tuple[int, ...]
    spacing_mm: Spacing = UNKNOWN_SPACING
    affine: NDArray[np.float64] | None = None
    slice_positions_mm: tuple[float, ...] | None = None
    channels: tuple[str, ...] = ()
    sequence: str | None = None
    notes: tuple[Note, ...] = ()
    header: object | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """What the headers of a case say: all of `Decoded` but the pixels.

    Attributes:
        size: what `Decoded.voxels` would be.
        dtype: of the values as stored, as NumPy calls it.
        files, slices_per_file: what `Decoded` would say of them.
        facts: what else a person may want to know, as lines of a name and a value, without text about the patient.
    """

    size: Size
    dtype: str
    files: tuple[RawFile, ...]
    slices_per_file: tuple[int, ...]
    spacing_mm: Spacing = UNKNOWN_SPACING
    affine: NDArray[np.float64] | None = None
    slice_positions_mm: tuple[float, ...] | None = None
    channels: tuple[str, ...] = ()
    sequence: str | None = None
    notes: tuple[Note, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


class Format(Protocol):
    """What a module must offer to be a format.

    Attributes:
        NAME: as people call it.
        SUFFIXES: lower case, with the dot; `find_scans` goes by them, the readers never do.
    """

    @property
    def NAME(self) -> str: ...  # noqa: N802

    @property
    def SUFFIXES(self) -> tuple[str, ...]: ...  # noqa: N802

    def matches(self, content: bytes) -> bool:
        """Whether these bytes, judged by their beginning, are of this format."""
        ...

    def measure(self, content: bytes, limits: ReadLimits) -> Size:
        """What the header of one file promises; nothing is decoded.

        Raises:
            InputError: the header is damaged, of a kind that is not read, or beyond a limit.
        """
        ...

    def read(self, files: Sequence[RawFile], limits: ReadLimits, series: str | None = None) -> Decoded:
        """Decode the files of one case, given in slice order as far as it is known.

        Args:
            files: all of this format.
            limits: for the case as a whole.
            series: which one to take where there may be several, see `core.io.series`; pictures have none.

        Raises:
            AmbiguousSeries: there are several series, and none of them, or one that is not there, was chosen.
            InputError: they are damaged, of a kind that is not read, beyond a limit, or do not fit each other.
        """
        ...

    def describe(self, files: Sequence[RawFile], limits: ReadLimits, series: str | None = None) -> Described:
        """What `read` would give, from headers alone as far as the format allows; arguments and errors are the same."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a mask comes from, for files that can say so.

    Attributes:
        model: the model's name.
        version: the model's version.
        manifest: the segmentation's manifest, JSON-ready, or {}.
        deidentify: replace what says whose scan it is, in files that carry it.
    """

    model: str = "metseg"
    version: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    deidentify: bool = False


class Writer(Protocol):
    """What a module must offer to write results; all of it works in memory, so that a server needs no disk."""

    def obstacle(self, scan: Scan) -> str | None:
        """Why results for this scan cannot be written in this form, as a sentence; None where they can."""
        ...

    def encode_mask(self, mask: NDArray[np.bool_], scan: Scan, origin: Origin) -> tuple[RawFile, ...]:
        """(slices, height, width) on the scan's grid, as the files to be written: their names and bytes.

        Raises:
            OutputError: it cannot be written in this form.
        """
        ...

    def encode_probability(self, probability: NDArray[np.float32], scan: Scan, origin: Origin) -> tuple[RawFile, ...]:
        """The same for probabilities, float32 in [0, 1]."""
        ...


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put the file's name on any InputError that passes and has none yet; memory that runs out becomes TooLarge."""
    try:
        yield
    except InputError as error:
        if error.source is not None:
            raise
        error.source = name  # the very error: some carry more than their sentence
        raise
    except MemoryError as error:
        raise TooLarge(
            "there is not enough memory to read it; close other programs or split it", source=name
        ) from error
