"""Brings a picture the right way up where its file says that rows and columns do not run right and down.

Source: Exif 2.32, section 4.5: what it says is a TIFF without pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.io.limits import ReadLimits
from core.io.tiff_header import Tag, is_tiff, walk
from core.scan import Note

TURNED = Note("turned", "the file says that it is stored turned or mirrored; it was brought upright")


def swaps_axes(orientation: int) -> bool:
    """Whether bringing a picture upright makes its rows columns."""
    return 5 <= orientation <= 8


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo the orientation that TIFF and EXIF tag 274 states.

    Args:
        pixels: (…, rows, columns) as stored.
        orientation: 1 to 8: where the first row and column belong; anything else counts as 1, upright.

    Returns:
        The same pixels as they are meant to be seen; rows and columns change places for 5 to 8.
    """
    if swaps_axes(orientation):
        pixels = pixels.swapaxes(-1, -2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[..., ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[..., ::-1, :]
    return np.ascontiguousarray(pixels)


def exif_orientation(exif: bytes) -> int:
    """The orientation that EXIF data state; 1, upright, where they state none or are damaged."""
    try:
        return walk(exif, ReadLimits(ifds=16))[0].number(Tag.ORIENTATION, 1) if is_tiff(exif) else 1
    except InputError:
        return 1
