"""One TIFF page: what its tags say about its pixels, checked, and the pixels themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile, UnsupportedFormat
from core.io.jpeg_header import parse_jpeg
from core.io.limits import ReadLimits, Size, check_limit, check_size
from core.io.tiff_codecs import DECODERS, decompress
from core.io.tiff_header import Ifd, Tag

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
PHOTOMETRICS = {5: "CMYK", 4: "a transparency mask", 8: "CIE L*a*b*", 32803: "a raw camera picture"}
NONE, JPEG = 1, 7
DTYPES = {(1, 8): "u1", (1, 16): "u2", (1, 32): "u4", (1, 64): "u8", (2, 8): "i1", (2, 16): "i2", (2, 32): "i4"}
DTYPES |= {(2, 64): "i8", (3, 16): "f2", (3, 32): "f4", (3, 64): "f8"}


@dataclass(frozen=True, slots=True)
class Page:
    """How a page's pixels are stored.

    Attributes:
        bits: of one sample; below 8, and between 8 and 32, samples are packed.
        dtype: of one sample in memory, native byte order.
        block: rows and columns of a strip or tile.
        planes: blocks hold one sample each (samples many planes) or all samples of a pixel (1 plane).
        segments: (offset, bytes) of each block, row by row, plane by plane.
        alpha: the last sample is opacity, not a channel.
        reduced: a thumbnail of another page.
    """

    height: int
    width: int
    samples: int
    bits: int
    dtype: np.dtype[Any]
    order: str
    compression: int
    predictor: int
    photometric: int
    planes: int
    tiled: bool
    block: tuple[int, int]
    segments: tuple[tuple[int, int], ...]
    lsb_first: bool
    alpha: bool
    color_map: tuple[int, ...]
    jpeg_tables: bytes
    orientation: int
    reduced: bool

    @property
    def tables(self) -> int:
        """How many entries its tables have."""
        return 2 * len(self.segments) + len(self.color_map) + len(self.jpeg_tables)

    @property
    def channels(self) -> int:
        """How many channels remain once a palette is expanded and alpha dropped."""
        return 3 if self.photometric == PALETTE else self.samples - self.alpha


def parse_page(ifd: Ifd, limits: ReadLimits) -> Page:
    """Read and check the tags of one page; what it promises is within the limits and inside the file.

    Raises:
        BrokenFile: the tags contradict each other or the file.
        UnsupportedFormat: pixels are stored in a way that is not read.
        TooLarge: beyond a limit.
    """
    height, width, samples = ifd.number(Tag.HEIGHT, 0), ifd.number(Tag.WIDTH, 0), ifd.number(Tag.SAMPLES, 1)
    check_size(Size(1, samples, height, width), limits)
    photometric = ifd.number(Tag.PHOTOMETRIC, RGB if samples >= 3 else BLACK_IS_ZERO)
    compression = ifd.number(Tag.COMPRESSION, 1)
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR):
        kind = PHOTOMETRICS.get(photometric, "of an uncommon colour model")
        raise UnsupportedFormat(f"the TIFF is {kind}, which is not read; export it as grey or RGB")
    if compression not in (NONE, JPEG, *DECODERS):
        raise UnsupportedFormat(
            f"the TIFF is compressed by method {compression}, which is not read; export it with LZW, deflate or none"
        )
    if ifd.number(Tag.DEPTH, 1) != 1:
        raise UnsupportedFormat(
            "the TIFF stores a volume in one page, which is not read; export it with a page per slice"
        )
    if photometric == YCBCR and compression != JPEG:
        raise UnsupportedFormat("the TIFF is YCbCr without JPEG, which is not read; export it as grey or RGB")
    if (photometric in (RGB, YCBCR) and samples < 3) or (photometric == PALETTE and samples != 1):
        raise BrokenFile("the TIFF has too few or too many samples for its colour model; export it again")
    bits, dtype = _sample_type(ifd, samples)
    color_map = ifd.numbers(Tag.COLOR_MAP) if photometric == PALETTE and ifd.count(Tag.COLOR_MAP) <= 3 * 2**16 else ()
    if photometric == PALETTE and (bits > 16 or dtype.kind != "u" or len(color_map) < 3 * 2**bits):
        raise BrokenFile("the TIFF's palette is missing or too short; export it as grey or RGB")
    planes = samples if ifd.number(Tag.PLANAR, 1) == 2 else 1
    tiled = ifd.count(Tag.TILE_OFFSETS) > 0
    if tiled:
        block = (ifd.number(Tag.TILE_HEIGHT, 0), ifd.number(Tag.TILE_WIDTH, 0))
        if min(block) < 1:
            raise BrokenFile("the TIFF's tiles have no size; export it again")
        check_size(Size(1, samples, *block), limits)
    else:
        block = (min(ifd.number(Tag.ROWS_PER_STRIP, height), height), width)
        if block[0] < 1:
            raise BrokenFile("the TIFF's strips have no rows; export it again")
    predictor = ifd.number(Tag.PREDICTOR, 1)
    if compression in (NONE, JPEG):
        predictor = 1  # as libtiff and others do: the tag has no meaning there
    if not _predictor_fits(predictor, bits, dtype):
        raise UnsupportedFormat("the TIFF's predictor does not fit its values; export it without one")
    extra = ifd.numbers(Tag.EXTRA_SAMPLES) if ifd.count(Tag.EXTRA_SAMPLES) <= samples else ()
    return Page(
        height=height,
        width=width,
        samples=samples,
        bits=bits,
        dtype=dtype,
        order=ifd.order,
        compression=compression,
        predictor=predictor,
        photometric=photometric,
        planes=planes,
        tiled=tiled,
        block=block,
        segments=_segments(ifd, tiled, planes * -(-height // block[0]) * -(-width // block[1]), limits),
        lsb_first=ifd.number(Tag.FILL_ORDER, 1) == 2,
        alpha=bool(extra) and extra[-1] in (1, 2) and samples > 1,
        color_map=color_map,
        jpeg_tables=ifd.data(Tag.JPEG_TABLES),
        orientation=ifd.number(Tag.ORIENTATION, 1),
        reduced=bool(ifd.number(Tag.SUBFILE_TYPE, 0) & 1),
    )


def decode_page(content: bytes, page: Page) -> NDArray[Any]:
    """Decode a page as it is stored: no palette, no inversion, opacity still there.

    Returns:
        (samples, height, width), `page.dtype`.

    Raises:
        BrokenFile: the data is damaged or shorter than promised.
    """
    spp = page.samples // page.planes
    pixels = np.empty((page.planes, page.height, page.width, spp), page.dtype)
    rows, columns = page.block
    across = -(-page.width // columns)
    per_plane = across * -(-page.height // rows)
    for index, (offset, count) in enumerate(page.segments):
        plane, place = divmod(index, per_plane)
        top, left = rows * (place // across), columns * (place % across)
        target = pixels[plane, top : top + rows, left : left + columns]
        high = rows if page.tiled else target.shape[0]
        decode = _decode_jpeg if page.compression == JPEG else _decode_block
        block = decode(content[offset : offset + count], page, (high, columns, spp))
        # A JPEG tile at the picture's edge may be cut to it.
        if block.shape[0] < target.shape[0] or block.shape[1] < target.shape[1] or block.shape[2] != spp:
            raise BrokenFile("a tile or strip of the TIFF is smaller than promised; export it again")
        target[...] = block[: target.shape[0], : target.shape[1]]
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).reshape(page.samples, page.height, page.width))


def _sample_type(ifd: Ifd, samples: int) -> tuple[int, np.dtype[Any]]:
    """Bits of a sample as stored, and its data type in memory."""
    for tag in (Tag.BITS, Tag.SAMPLE_FORMAT):
        if ifd.count(tag) > max(samples, 4) or len(set(ifd.numbers(tag))) > 1:
            raise UnsupportedFormat("the TIFF's channels are of different types; export them alike")
    bits, kind = ifd.number(Tag.BITS, 1), ifd.number(Tag.SAMPLE_FORMAT, 1)
    if kind == 4:  # "undefined" is written for plain numbers
        kind = 1
    width = next((each for each in (8, 16, 32, 64) if bits <= each), 0)
    if bits < 1 or (kind, width) not in DTYPES or (kind != 1 and bits != width) or 32 < bits < 64:
        raise UnsupportedFormat("the TIFF's values are of a type that is not read (complex, or an odd number of bits)")
    return bits, np.dtype(DTYPES[kind, width])


def _predictor_fits(predictor: int, bits: int, dtype: np.dtype[Any]) -> bool:
    if predictor == 2:
        return dtype.kind in "ui" and bits == dtype.itemsize * 8
    return predictor == 1 or (predictor == 3 and dtype.kind == "f")


def _segments(ifd: Ifd, tiled: bool, needed: int, limits: ReadLimits) -> tuple[tuple[int, int], ...]:
    """Where the blocks lie, each inside the file."""
    check_limit(needed, limits.tiles, "tiles or strips of a page")
    offsets = ifd.numbers(Tag.TILE_OFFSETS if tiled else Tag.STRIP_OFFSETS, needed)
    counts = ifd.numbers(Tag.TILE_COUNTS if tiled else Tag.STRIP_COUNTS, needed)
    if len(offsets) < needed or len(counts) < needed:
        raise BrokenFile("the TIFF does not say where all its pixels are; export it again")
    segments = tuple(zip(offsets, counts, strict=True))
    if any(count < 1 or offset < 1 or offset + count > len(ifd.content) for offset, count in segments):
        raise BrokenFile("the TIFF ends before its pixels do; copy it again")
    return segments


def _decode_block(data: bytes, page: Page, shape: tuple[int, int, int]) -> NDArray[Any]:
    """One strip or tile: (rows, columns, samples)."""
    rows, columns, samples = shape
    if page.lsb_first:
        data = _imagecodecs().bitorder_decode(data)
    row_bytes = -(-columns * samples * page.bits // 8)
    expected = rows * row_bytes
    if page.compression != NONE:
        # Writers may fill up the last strip; zstd and PackBits refuse to stop before their end.
        data = decompress(page.compression, data, page.block[0] * row_bytes)
    if len(data) < expected:
        raise BrokenFile("the TIFF ends before its pixels do; copy it again")
    flat = np.frombuffer(data, np.uint8, expected)
    if page.bits != page.dtype.itemsize * 8:
        return _unpack(flat.reshape(rows, row_bytes), page.bits, page.dtype, columns * samples).reshape(shape)
    if page.predictor == 3:
        return _undo_float_predictor(flat, page.dtype, shape)
    block = flat.view(page.dtype.newbyteorder(page.order)).reshape(shape)  # type: ignore[arg-type]
    if page.predictor == 2:
        return np.add.accumulate(block.astype(page.dtype), axis=1, dtype=page.dtype)
    return block


def _unpack(rows: NDArray[np.uint8], bits: int, dtype: np.dtype[Any], values: int) -> NDArray[Any]:
    """Values of an odd number of bits, packed without gaps, highest bit first; each row begins with a whole byte.

    (`imagecodecs.packints_decode` reads beyond the end of its input.)
    """
    unpacked = np.zeros((len(rows), values), dtype)
    for index, row in enumerate(rows):
        digits = np.unpackbits(row, count=values * bits).reshape(values, bits)
        for digit in range(bits):
            unpacked[index] = unpacked[index] << 1 | digits[:, digit]
    return unpacked


def _undo_float_predictor(flat: NDArray[np.uint8], dtype: np.dtype[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    """Rows hold all first bytes of their values, then all second ones and so on, as differences of bytes.

    Source: Adobe Photoshop TIFF Technical Note 3, 2005.
    """
    rows, columns, samples = shape
    size = dtype.itemsize
    # (rows, size × columns, samples): differences run from pixel to pixel of the same sample
    summed = np.add.accumulate(flat.reshape(rows, size * columns, samples), axis=1, dtype=np.uint8)
    by_value = summed.reshape(rows, size, columns * samples).transpose(0, 2, 1)
    return np.ascontiguousarray(by_value).view(dtype.newbyteorder(">")).reshape(shape)


def _decode_jpeg(data: bytes, page: Page, shape: tuple[int, int, int]) -> NDArray[Any]:
    header = parse_jpeg(data)
    _, columns, samples = shape
    if header.height > page.block[0] or header.width > columns or header.components != samples:
        raise BrokenFile("a JPEG inside the TIFF is not of the size that the TIFF promises; export it again")
    colors = {3: ("YCBCR" if page.photometric == YCBCR else "RGB", "RGB")}.get(samples, (None, None))
    try:
        block = _imagecodecs().jpeg8_decode(
            data, tables=page.jpeg_tables or None, colorspace=colors[0], outcolorspace=colors[1]
        )
    except (RuntimeError, ValueError) as error:
        raise BrokenFile("the TIFF's compressed pixels are damaged; copy or export it again") from error
    if block.dtype != page.dtype:
        raise BrokenFile("a JPEG inside the TIFF is not of the kind that the TIFF promises; export it again")
    return np.asarray(block).reshape(*block.shape[:2], -1)


def _imagecodecs() -> Any:
    import imagecodecs

    return imagecodecs
