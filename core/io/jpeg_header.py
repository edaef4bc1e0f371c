"""What a JPEG stream says about itself before its first coded pixel; used for JPEG files and for JPEG inside TIFF.

Source: ITU-T T.81, annex B; Exif 2.32, section 4.5.4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from core.errors import BrokenFile, UnsupportedFormat
from core.io.orientation import exif_orientation

EXIF = b"Exif\0\0"
START, END, START_OF_SCAN, APP1 = 0xD8, 0xD9, 0xDA, 0xE1
FRAMES_READ = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive; not lossless, hierarchical, arithmetic
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
MAX_SCANS = 200  # progressive files have about ten; thousands only serve to keep a decoder busy


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """Size and kind of a JPEG; `orientation` is EXIF's, 1 where none is stated."""

    height: int
    width: int
    components: int
    bits: int
    orientation: int


def is_jpeg(content: bytes) -> bool:
    """Whether these bytes begin as a JPEG stream does."""
    return content.startswith(b"\xff\xd8\xff")


def parse_jpeg(content: bytes) -> JpegHeader:
    """Read a JPEG's markers up to its first scan, and check that its end is there.

    Raises:
        BrokenFile: markers are missing or damaged, or the stream has no end.
        UnsupportedFormat: a JPEG process or a number of bits that is not read.
    """
    frame: tuple[int, int, int, int] | None = None
    orientation, position = 1, 2
    while True:
        marker, size, position = _next_marker(content, position)
        if marker in FRAMES:
            if marker not in FRAMES_READ:
                raise UnsupportedFormat("the JPEG is of an uncommon kind (lossless or arithmetic); export it as PNG")
            if size < 8:
                raise BrokenFile("the JPEG's header is damaged; export it again")
            frame = struct.unpack_from(">BHHB", content, position + 2)
        elif marker == APP1 and orientation == 1:
            segment = content[position + 2 : position + size]
            orientation = exif_orientation(segment[len(EXIF) :]) if segment.startswith(EXIF) else 1
        elif marker == START_OF_SCAN:
            break
        elif marker in (START, END):
            raise BrokenFile("the JPEG holds no picture; export it again")
        position += size
    if frame is None:
        raise BrokenFile("the JPEG does not state its size; export it again")
    if content.find(b"\xff\xd9", position + size) < 0:
        raise BrokenFile("the JPEG ends before its picture does; copy it again")
    if content.count(b"\xff\xda", position) > MAX_SCANS:
        raise BrokenFile("the JPEG is coded in impossibly many passes; export it again")
    bits, height, width, components = frame
    if bits not in (8, 12):
        raise UnsupportedFormat("the JPEG has an uncommon number of bits; export it as PNG")
    return JpegHeader(height, width, components, bits, orientation)


def _next_marker(content: bytes, position: int) -> tuple[int, int, int]:
    """The marker at position, the bytes that follow it, and where these begin."""
    while content[position : position + 2] == b"\xff\xff":  # padding
        position += 1
    if len(content) < position + 4 or content[position] != 0xFF:
        raise BrokenFile("the JPEG's header is damaged or cut off; copy or export it again")
    (size,) = struct.unpack_from(">H", content, position + 2)
    if size < 2 or position + 2 + size > len(content):
        raise BrokenFile("the JPEG's header is damaged or cut off; copy or export it again")
    return content[position + 1], size, position + 2
