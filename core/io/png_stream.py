"""Takes a PNG apart and hands the decoder only what the picture needs, checked.

libpng prints warnings on stderr (about colour profiles, comments, surplus data) that nobody can catch, and decodes some
damaged data without an error. Neither happens with a file that holds nothing but sound pixels and their palette.

Source: W3C 2003, Portable Network Graphics, second edition.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import BrokenFile, UnsupportedFormat
from core.io.orientation import exif_orientation

START = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">8sI4sIIBBBBBI")
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # stored for a pixel, by colour type
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
PALETTE = 3
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
MAX_PIXEL_CHUNKS, MAX_OTHER_CHUNKS = 2**17, 1000  # real files have thousands of 8 kB each, and about ten


@dataclass(frozen=True, slots=True)
class PngHeader:
    """Size and kind of a PNG.

    Attributes:
        height, width: as stored.
        depth: bits of a sample.
        color: the standard's colour type.
        transparent: some pixels are stated to be so.
        orientation: EXIF's, 1 where none is stated before the pixels.
    """

    height: int
    width: int
    depth: int
    color: int
    interlaced: bool
    transparent: bool
    orientation: int

    @property
    def channels(self) -> int:
        """Without opacity, and with a palette expanded."""
        return 1 if self.color in (0, 4) else 3

    @property
    def data_bytes(self) -> int:
        """What the pixels take once inflated: each row of each pass with one byte in front."""
        passes = ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for left, top, step_x, step_y in passes:
            columns, rows = -(-(self.width - left) // step_x), -(-(self.height - top) // step_y)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * SAMPLES[self.color] * self.depth // 8))
        return total


def is_png(content: bytes) -> bool:
    """Whether these bytes begin as a PNG does."""
    return content.startswith(START)


def parse_png(content: bytes) -> PngHeader:
    """Read a PNG's header, and check that it is a single picture.

    Raises:
        BrokenFile: the header is damaged, or the file ends before its pixels.
        UnsupportedFormat: it is animated.
    """
    if len(content) < HEADER.size:
        raise BrokenFile("the PNG's header is cut off; copy it again")
    _, length, kind, width, height, depth, color, method, filters, interlace, _ = HEADER.unpack_from(content)
    sound = (length, kind, method, filters) == (13, b"IHDR", 0, 0) and interlace in (0, 1)
    if not sound or depth not in DEPTHS.get(color, ()):
        raise BrokenFile("the PNG's header is damaged; export it again")
    transparent, orientation = color in (4, 6), 1
    for kind, data in _chunks(content):
        if kind == b"acTL":
            raise UnsupportedFormat("the PNG is animated; save its pictures one by one")
        if kind == b"tRNS":
            transparent = True
        elif kind == b"eXIf":
            orientation = exif_orientation(bytes(data))
        elif kind == b"IDAT":
            break
    return PngHeader(height, width, depth, color, bool(interlace), transparent, orientation)


def purify(content: bytes) -> bytes:
    """Rebuild a PNG from its header, palette and inflated pixels; nothing of it is transparent any more.

    Raises:
        BrokenFile: the pixels are damaged or fewer than promised.
    """
    header = parse_png(content)
    packed, palette = [], b""
    for kind, data in _chunks(content):
        if kind == b"IDAT":
            packed.append(data)
        elif kind == b"PLTE" and header.color == PALETTE:
            palette = bytes(data)
    if header.color == PALETTE and not (palette and len(palette) % 3 == 0 and len(palette) <= 3 * 2**header.depth):
        raise BrokenFile("the PNG's palette is missing or damaged; export it again")
    inflate = zlib.decompressobj()
    try:
        pixels = inflate.decompress(b"".join(packed), header.data_bytes)
        if len(pixels) == header.data_bytes:
            inflate.decompress(inflate.unconsumed_tail, 1)  # the checksum stands behind the last pixel
    except zlib.error as error:
        raise BrokenFile("the PNG's pixels are damaged; copy or export it again") from error
    if len(pixels) < header.data_bytes:
        raise BrokenFile("the PNG ends before its pixels do; copy it again")
    chunks = [(b"IHDR", content[16:29]), (b"IDAT", zlib.compress(pixels, 0)), (b"IEND", b"")]
    if palette:
        # Filled up, so that no pixel can point beyond it.
        chunks.insert(1, (b"PLTE", palette.ljust(3 * 2**header.depth, b"\0")))
    return START + b"".join(map(_chunk, chunks))


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The file's parts up to its end mark or its end; the sums of those that matter are checked."""
    view, position = memoryview(content), len(START)
    pixel_chunks = other_chunks = 0
    while pixel_chunks < MAX_PIXEL_CHUNKS and other_chunks < MAX_OTHER_CHUNKS:
        if position + 12 > len(content):
            raise BrokenFile("the PNG ends before its pixels do; copy it again")
        length, kind = struct.unpack_from(">I4s", content, position)
        if kind == b"IEND":
            return
        end = position + 12 + length
        if end > len(content):
            raise BrokenFile("the PNG ends before its pixels do; copy it again")
        if kind in (b"IHDR", b"PLTE", b"IDAT"):
            (checksum,) = struct.unpack_from(">I", content, end - 4)
            if zlib.crc32(view[position + 4 : end - 4]) != checksum:
                raise BrokenFile("the PNG is damaged; copy or export it again")
        yield kind, view[position + 8 : end - 4]
        pixel_chunks, other_chunks = pixel_chunks + (kind == b"IDAT"), other_chunks + (kind != b"IDAT")
        position = end
    raise BrokenFile("the PNG consists of impossibly many parts; export it again")


def _chunk(part: tuple[bytes, bytes]) -> bytes:
    kind, data = part
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
