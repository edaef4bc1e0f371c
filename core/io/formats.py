"""The formats that metseg reads, and what each has to offer. A file's content says which it is, never its name.

A format is a module with the attributes of `Format`. It works on bytes in memory, so that an upload and a file on the
disk take the same way, and what was hashed is what was decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile, InputError, PairMismatch, TooLarge, UnsupportedFormat
from core.io.limits import ReadLimits, Size, check_size
from core.scan import UNKNOWN_SPACING, Note, Spacing

ALPHA_DROPPED = Note("alpha-dropped", "The file states an opacity for each pixel; it was ignored.")


@dataclass(frozen=True, slots=True)
class RawFile:
    """The bytes of one file, and the name that a message may call it by."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What one file, or several that belong together, hold; the attributes mean what they mean in `Scan`.

    Attributes:
        files: what `voxels` came from, in slice order of their first slice: a format may sort what it was given.
        slices_per_file: how many slices each of `files` gave.
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

    def read(self, files: Sequence[RawFile], limits: ReadLimits) -> Decoded:
        """Decode the files of one case, given in slice order as far as it is known.

        Raises:
            InputError: they are damaged, of a kind that is not read, beyond a limit, or do not fit each other.
        """
        ...


def formats() -> tuple[Format, ...]:
    """All formats, in the order in which they are asked."""
    from core.io import png_jpeg, tiff

    return (tiff, png_jpeg)


def format_of(content: bytes) -> Format:
    """The format of these bytes.

    Raises:
        UnsupportedFormat: none that metseg reads.
    """
    if not content:
        raise BrokenFile("the file is empty; copy or export it again")
    for candidate in formats():
        if candidate.matches(content):
            return candidate
    names = ", ".join(candidate.NAME for candidate in formats())
    raise UnsupportedFormat(f"this is none of the formats that are read ({names}); convert it to one of them")


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put the file's name on any InputError that passes and has none yet; memory that runs out becomes TooLarge."""
    try:
        yield
    except InputError as error:
        if error.source is not None:
            raise
        raise type(error)(error.detail, source=name) from error
    except MemoryError as error:
        raise TooLarge(
            "there is not enough memory to read it; close other programs or split it", source=name
        ) from error


SliceReader = Callable[[bytes, ReadLimits], tuple[NDArray[Any], Spacing, tuple[Note, ...]]]


def read_slices(files: Sequence[RawFile], limits: ReadLimits, form: Format, read_one: SliceReader) -> Decoded:
    """Read a case whose files each hold whole slices, and put these one behind the other.

    Args:
        files: in slice order.
        limits: for the case as a whole.
        form: measures a file.
        read_one: decodes a file: voxels (slices, channels, height, width), spacing, notes.

    Raises:
        InputError: a file cannot be read.
        PairMismatch: the slices differ in size, channels or data type.
        TooLarge: together they are beyond a limit.
    """
    sizes = []
    for file in files:
        with naming(file.name):
            sizes.append(form.measure(file.content, limits))
            _check_alike(sizes[0], sizes[-1])
            first = sizes[0]
            check_size(Size(sum(size.slices for size in sizes), first.channels, first.height, first.width), limits)
    voxels: NDArray[Any] | None = None
    start, spacings, notes = 0, set(), dict[Note, None]()
    for file, size in zip(files, sizes, strict=True):
        with naming(file.name):
            part, spacing, found = read_one(file.content, limits)
            if part.shape != (size.slices, size.channels, size.height, size.width):
                raise BrokenFile("the picture is not of the size that its header promises; export it again")
            if voxels is None:
                count = sum(each.slices for each in sizes)
                voxels = part if len(files) == 1 else np.empty((count, *part.shape[1:]), part.dtype)
            elif part.dtype != voxels.dtype:
                raise PairMismatch(
                    f"this slice holds {part.dtype} values and the first {voxels.dtype}; export all slices alike"
                )
            if part is not voxels:
                voxels[start : start + len(part)] = part
        start += len(part)
        spacings.add(spacing)
        notes.update(dict.fromkeys(found))
    if voxels is None:
        raise BrokenFile("there is no file to read; give at least one")
    return Decoded(
        voxels=voxels,
        files=tuple(files),
        slices_per_file=tuple(size.slices for size in sizes),
        # What lies between two files, none of them knows.
        spacing_mm=spacing if len(files) == 1 else (None, *spacing[1:]) if len(spacings) == 1 else UNKNOWN_SPACING,
        notes=tuple(notes),
    )


def _check_alike(first: Size, other: Size) -> None:
    if (first.height, first.width) != (other.height, other.width):
        raise PairMismatch(
            f"this slice has {other.width}×{other.height} pixels and the first {first.width}×{first.height}; "
            "slices of one case must be of one size"
        )
    if first.channels != other.channels:
        raise PairMismatch(
            f"this slice has {other.channels} channels and the first {first.channels}; "
            "slices of one case must have the same channels"
        )
