"""PNG and JPEG: one slice per file, its channels in the order red, green, blue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from core.errors import BrokenFile, UnsupportedFormat
from core.io.interface import ALPHA_DROPPED, Decoded, Described, RawFile
from core.io.jpeg_header import JpegHeader, is_jpeg, parse_jpeg
from core.io.limits import ReadLimits, Size, check_size
from core.io.orientation import TURNED, swaps_axes, upright
from core.io.png_stream import PngHeader, is_png, parse_png, purify
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
    described = describe_slices(files, limits, measure, _describe_one)
    return replace(described, channels=COLOURS) if described.size.channels == len(COLOURS) else described


def _measure_jpeg(content: bytes) -> Size:
    header = parse_jpeg(content)
    if header.components not in (1, 3):
        raise UnsupportedFormat("the JPEG is CMYK or of another uncommon colour model; export it as grey or RGB")
    return _upright_size(header.components, header)


def _measure_png(content: bytes) -> Size:
    header = parse_png(content)
    return _upright_size(header.channels, header)


def _upright_size(channels: int, header: JpegHeader | PngHeader) -> Size:
    sides = (header.height, header.width)
    return Size(1, channels, *(sides[::-1] if swaps_axes(header.orientation) else sides))


def _describe_one(content: bytes, limits: ReadLimits) -> tuple[str, Spacing, tuple[Note, ...]]:
    header = parse_jpeg(content) if is_jpeg(content) else parse_png(content)
    bits = header.bits if isinstance(header, JpegHeader) else header.depth
    return "uint16" if bits > 8 else "uint8", UNKNOWN_SPACING, _notes(header)


def _notes(header: JpegHeader | PngHeader) -> tuple[Note, ...]:
    transparent = isinstance(header, PngHeader) and header.transparent
    return (ALPHA_DROPPED,) * transparent + (TURNED,) * (2 <= header.orientation <= 8)


def _read_one(content: bytes, limits: ReadLimits) -> tuple[NDArray[Any], Spacing, tuple[Note, ...]]:
    if is_jpeg(content):
        header: JpegHeader | PngHeader = parse_jpeg(content)
        voxels = _read_jpeg(content)
    else:
        header, voxels = parse_png(content), _read_png(content)
    return upright(voxels, header.orientation), UNKNOWN_SPACING, _notes(header)


def _read_jpeg(content: bytes) -> NDArray[Any]:
    import imagecodecs

    try:
        # Decodes as cv2 does, and without cv2's words on stderr.
        return _channels_first(imagecodecs.jpeg8_decode(content))
    except (RuntimeError, ValueError) as error:
        raise BrokenFile("the JPEG's pixels are damaged; copy or export it again") from error


def _read_png(content: bytes) -> NDArray[Any]:
    import imagecodecs

    try:
        voxels = _channels_first(imagecodecs.png_decode(purify(content)))
    except (RuntimeError, ValueError) as error:
        raise BrokenFile("the PNG's pixels are damaged; copy or export it again") from error
    return voxels[:, :-1] if voxels.shape[1] in (2, 4) else voxels


def _channels_first(pixels: NDArray[Any]) -> NDArray[Any]:
    """(height, width) or (height, width, channels) to (1, channels, height, width)."""
    return pixels[None, None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)[None]
