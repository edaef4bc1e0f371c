"""What a format is: a module with the attributes of `Format`.

It works on bytes in memory, so that an upload and a file on the disk take the same way, and what was hashed is what was
decoded. Whether its files are slices of a case each (then `core.io.slices` does most of it), a volume each, or a series
that only makes sense together, is the format's own affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError, TooLarge
from core.io.limits import ReadLimits, Size
from core.scan import UNKNOWN_SPACING, Note, Spacing

ALPHA_DROPPED = Note("alpha-dropped", "the file states an opacity for each pixel; it was ignored")


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
