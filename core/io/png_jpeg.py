"""PNG and JPEG: one slice per file, its channels in the order red, green, blue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile, UnsupportedFormat
from core.io.interface import ALPHA_DROPPED, Decoded, Described, RawFile
from core.io.jpeg_header import is_jpeg, parse_jpeg
from core.io.limits import ReadLimits, Size, check_size
from core.io.orientation import TURNED, swaps_axes, upright
from core.io.png_stream import is_png, parse_png, purify
from core.io.slices import describe_slices, read_slices
from core.scan import UNKNOWN_SPACING, Note, Spacing

NAME = "PNG/JPEG"
SUFFIXES = (".png", ".jpg", ".jpeg")

COLOURS = ("red", "green", "blue")


def matches(content: bytes) -> bool:
    """Whether these bytes begin as a PNG or a JPEG does."""
    return is_png(content) or is_jpeg(content)


def measure(content: bytes, limits: ReadLimits) -> Size:
    """What the header promises; nothing is decoded."""
    size = _measure_jpeg(content) if is_jpeg(content) else _measure_png(content)
    check_size(size, limits)
    return size


def read(files: Sequence[RawFile], limits: ReadLimits, series: str | None = None) -> Decoded:
    """Decode pictures, one slice each. Colours are named, so that they are never taken for sequences."""
    decoded = read_slices(files, limits, measure, _read_one)
    return replace(decoded, channels=COLOURS) if decoded.voxels.shape[1] == len(COLOURS) else decoded


def describe(files: Sequence[RawFile], limits: ReadLimits, series: str | None = None) -> Described:
    """What `read` would give, by the headers alone."""
    deep = any(is_png(file.content) and parse_png(file.content).depth > 8 for file in files)
    described = describe_slices(files, limits, measure, "uint16" if deep else "uint8")
    return replace(described, channels=COLOURS) if described.size.channels == len(COLOURS) else described


def _measure_jpeg(content: bytes) -> Size:
    header = parse_jpeg(content)
    if header.components not in (1, 3):
        raise UnsupportedFormat("the JPEG is CMYK or of another uncommon colour model; export it as grey or RGB")
    height, width = header.height, header.width
    return Size(1, header.components, *((width, height) if swaps_axes(header.orientation) else (height, width)))


def _measure_png(content: bytes) -> Size:
    header = parse_png(content)
    return Size(1, header.channels, header.height, header.width)


def _read_one(content: bytes, limits: ReadLimits) -> tuple[NDArray[Any], Spacing, tuple[Note, ...]]:
    voxels, notes = _read_jpeg(content) if is_jpeg(content) else _read_png(content)
    return np.ascontiguousarray(voxels), UNKNOWN_SPACING, notes


def _read_jpeg(content: bytes) -> tuple[NDArray[Any], tuple[Note, ...]]:
    import imagecodecs

    try:
        # Decodes as cv2 does, and without cv2's words on stderr.
        pixels = imagecodecs.jpeg8_decode(content)
    except (RuntimeError, ValueError) as error:
        raise BrokenFile("the JPEG's pixels are damaged; copy or export it again") from error
    orientation = parse_jpeg(content).orientation
    return upright(_channels_first(pixels), orientation), (TURNED,) if 2 <= orientation <= 8 else ()


def _read_png(content: bytes) -> tuple[NDArray[Any], tuple[Note, ...]]:
    import imagecodecs

    pure, transparent = purify(content)
    try:
        voxels = _channels_first(imagecodecs.png_decode(pure))
    except (RuntimeError, ValueError) as error:
        raise BrokenFile("the PNG's pixels are damaged; copy or export it again") from error
    if voxels.shape[1] in (2, 4):
        voxels = voxels[:, :-1]
    return voxels, (ALPHA_DROPPED,) if transparent else ()


def _channels_first(pixels: NDArray[Any]) -> NDArray[Any]:
    """(height, width) or (height, width, channels) to (1, channels, height, width)."""
    return pixels[None, None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)[None]
