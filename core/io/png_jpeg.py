"""PNG and JPEG: one slice per file, its channels in the order red, green, blue."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile, UnsupportedFormat
from core.io.interface import ALPHA_DROPPED, Decoded, RawFile
from core.io.jpeg_header import is_jpeg, parse_jpeg
from core.io.limits import ReadLimits, Size, check_size
from core.io.orientation import TURNED, swaps_axes, upright
from core.io.slices import read_slices
from core.scan import UNKNOWN_SPACING, Note, Spacing

NAME = "PNG/JPEG"
SUFFIXES = (".png", ".jpg", ".jpeg")

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_HEADER = struct.Struct(">8sI4sIIBB")
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}  # by colour type, opacity left out
COLOURS = ("red", "green", "blue")
MAX_CHUNKS = 1000  # before the pixels; real files have about ten


def matches(content: bytes) -> bool:
    """Whether these bytes begin as a PNG or a JPEG does."""
    return content.startswith(PNG_START) or is_jpeg(content)


def measure(content: bytes, limits: ReadLimits) -> Size:
    """What the header promises; nothing is decoded."""
    size = _measure_jpeg(content) if is_jpeg(content) else _measure_png(content)
    check_size(size, limits)
    return size


def read(files: Sequence[RawFile], limits: ReadLimits) -> Decoded:
    """Decode pictures, one slice each."""
    decoded = read_slices(files, limits, measure, _read_one)
    # Named, so that a coloured picture is never taken for three sequences.
    return replace(decoded, channels=COLOURS) if decoded.voxels.shape[1] == len(COLOURS) else decoded


def _measure_jpeg(content: bytes) -> Size:
    header = parse_jpeg(content)
    if header.components not in (1, 3):
        raise UnsupportedFormat("the JPEG is CMYK or of another uncommon colour model; export it as grey or RGB")
    height, width = header.height, header.width
    return Size(1, header.components, *((width, height) if swaps_axes(header.orientation) else (height, width)))


def _measure_png(content: bytes) -> Size:
    if len(content) < PNG_HEADER.size:
        raise BrokenFile("the PNG's header is cut off; copy it again")
    _, length, kind, width, height, depth, color = PNG_HEADER.unpack_from(content)
    if (length, kind) != (13, b"IHDR") or color not in PNG_CHANNELS or depth not in (1, 2, 4, 8, 16):
        raise BrokenFile("the PNG's header is damaged; export it again")
    position = len(PNG_START)
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(content):
            raise BrokenFile("the PNG ends before its pixels do; copy it again")
        length, kind = struct.unpack_from(">I4s", content, position)
        if kind == b"acTL":
            raise UnsupportedFormat("the PNG is animated; save its pictures one by one")
        if kind == b"IDAT":
            return Size(1, PNG_CHANNELS[color], height, width)
        position += 12 + length
    raise BrokenFile("the PNG has impossibly many entries before its pixels; export it again")


def _read_one(content: bytes, limits: ReadLimits) -> tuple[NDArray[Any], Spacing, tuple[Note, ...]]:
    import imagecodecs

    notes: tuple[Note, ...] = ()
    try:
        # Both decoders raise or return without a word on stderr, which cv2's do not.
        pixels = (imagecodecs.jpeg8_decode if is_jpeg(content) else imagecodecs.png_decode)(content)
    except (RuntimeError, ValueError) as error:
        raise BrokenFile("the picture's pixels are damaged or cut off; copy or export it again") from error
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] in (2, 4):  # never a CMYK JPEG, which `measure` has refused
        pixels, notes = pixels[..., :-1], (ALPHA_DROPPED,)
    voxels = pixels.transpose(2, 0, 1)[None]  # (1, channels, height, width)
    orientation = parse_jpeg(content).orientation if is_jpeg(content) else 1
    if 2 <= orientation <= 8:
        voxels, notes = upright(voxels, orientation), (*notes, TURNED)
    return np.ascontiguousarray(voxels), UNKNOWN_SPACING, notes
