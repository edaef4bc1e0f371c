"""Decompression of TIFF strips and tiles: never more output than asked for, and an error, not a crash, for damage."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile

# What LZMA may take for its dictionary; its strongest setting takes 64 MiB, and a header may ask for 4 GiB.
LZMA_MEMORY = 256 * 2**20

CLEAR, END, FIRST_FREE, LAST = 256, 257, 258, 4095
# After a clear code the table grows by one entry with each code but the first, and so does what a code may be; its
# width follows from the table's length alone, one entry early. So all positions up to the next clear are known.
_FREE = np.maximum(np.arange(LAST - FIRST_FREE + 2) - 1, 0) + FIRST_FREE
_WIDTHS = 9 + (_FREE >= 511) + (_FREE >= 1023) + (_FREE >= 2047)
_STARTS = np.cumsum(_WIDTHS) - _WIDTHS
_HIGHEST = np.where(np.arange(len(_FREE)) == 0, 255, _FREE)


def decompress(compression: int, data: bytes, size: int) -> bytes:
    """Undo a compression.

    Args:
        compression: value of the compression tag, one of `DECODERS`.
        data: a strip or tile.
        size: bytes that are wanted; what follows them is not decoded.

    Returns:
        `size` bytes, or fewer where the data ends before.

    Raises:
        BrokenFile: the data is damaged.
    """
    try:
        return DECODERS[compression](data, size)
    except (RuntimeError, ValueError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise BrokenFile("the TIFF's compressed pixels are damaged; copy or export it again") from error


def check_lzw(data: bytes) -> None:
    """Follow the codes of an LZW stream without decoding it.

    imagecodecs' decoder trusts them, and reads memory that it never wrote where they point beyond its table.

    Raises:
        BrokenFile: a code points beyond the table as it is then, the table overflows, or does not begin with a clear.
    """
    octets = np.frombuffer(data + bytes(4), np.uint8).astype(np.int64)
    bits = 8 * len(data)
    position = 9
    sound = bits >= position and _codes(octets, 0, _STARTS[:1], _WIDTHS[:1])[0] == CLEAR
    # Real streams clear their table every 4,000 codes or so; more clears than this only serve to waste time.
    clears_left = 16 + bits // 512
    while sound and clears_left:
        count = int(np.searchsorted(_STARTS + _WIDTHS, bits - position, side="right"))
        codes = _codes(octets, position, _STARTS[:count], _WIDTHS[:count])
        stops = np.flatnonzero((codes == CLEAR) | (codes == END))
        until = int(stops[0]) if stops.size else count
        sound = until < len(_FREE) and bool((codes[:until] <= _HIGHEST[:until]).all())
        if sound and (until == count or codes[until] == END):
            return
        if sound:
            position += int(_STARTS[until] + _WIDTHS[until])
            clears_left -= 1
    raise BrokenFile("the TIFF's compressed pixels are damaged; copy or export it again")


def _codes(
    octets: NDArray[np.int64], position: int, starts: NDArray[np.int64], widths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The codes of the given widths that start so many bits after position; the highest bit comes first."""
    places = position + starts
    first = places >> 3
    window = octets[first] << 16 | octets[first + 1] << 8 | octets[first + 2]
    codes: NDArray[np.int64] = window >> (24 - (places & 7) - widths) & ((1 << widths) - 1)
    return codes


def _lzw(data: bytes, size: int) -> bytes:
    check_lzw(data)
    return bytes(_imagecodecs().lzw_decode(data, out=size))


def _deflate(data: bytes, size: int) -> bytes:
    inflate = zlib.decompressobj()
    pixels = inflate.decompress(data, size)
    if len(pixels) == size:
        inflate.decompress(inflate.unconsumed_tail, 1)  # the checksum stands behind the last pixel
    return pixels


def _packbits(data: bytes, size: int) -> bytes:
    return bytes(_imagecodecs().packbits_decode(data, out=size))


def _lzma(data: bytes, size: int) -> bytes:
    decoder = lzma.LZMADecompressor(memlimit=LZMA_MEMORY)
    pixels = decoder.decompress(data, size)
    if len(pixels) == size and not decoder.eof:
        decoder.decompress(b"", 1)
    return pixels


def _zstd(data: bytes, size: int) -> bytes:
    return bytes(_imagecodecs().zstd_decode(data, out=size))


def _imagecodecs() -> Any:
    import imagecodecs

    return imagecodecs


DECODERS: dict[int, Callable[[bytes, int], bytes]] = {
    5: _lzw,
    8: _deflate,
    32773: _packbits,
    32946: _deflate,  # as written before 8 was assigned
    34925: _lzma,
    50000: _zstd,
}
