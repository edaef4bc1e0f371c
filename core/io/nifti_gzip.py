"""Unpacks gzip while counting, so that a small file cannot fill the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile

MAGIC = b"\x1f\x8b"
BLOCK = 1 << 16
SURPLUS = 1 << 20
"""Bytes that may follow what the header promises; some writers pad."""
MOST_MEMBERS = 1 << 14
"""Enough for blocked gzip of a gigabyte; each costs a copy of what follows it in its block."""

_TRUNCATED = "the file ends before its data do; copy or export it again"


def is_gzip(content: bytes) -> bool:
    """Whether these bytes begin as gzip does."""
    return content.startswith(MAGIC)


def unpack_start(content: bytes, length: int) -> bytes:
    """The first bytes of what is packed, fewer where there are fewer; b"" where it cannot be unpacked at all."""
    start = b""
    with suppress(BrokenFile):
        for block in _blocks(content, length):  # no more at once, or the checksum would be tested
            start += block[: length - len(start)]
            if len(start) == length:
                break
    return start


def unpack_part(content: bytes, start: int, length: int, end: int) -> NDArray[np.uint8]:
    """A part of what is packed; all of it is unpacked and its checksums are tested, but only this part is kept.

    Args:
        content: one or several gzip members.
        start: where the part begins.
        length: of the part; memory is taken as it fills.
        end: where the header says that all ends.

    Returns:
        (length,) uint8.

    Raises:
        BrokenFile: it is damaged, ends too early, or goes on for far longer than the header says.
    """
    part = np.empty(length, np.uint8)
    position = 0
    for block in _blocks(content):
        # What of this block lies in the part, counted from the part's beginning.
        first, last = max(position - start, 0), min(position + len(block) - start, length)
        if first < last:
            skip = first - (position - start)
            part[first:last] = np.frombuffer(block, np.uint8, last - first, skip)
        position += len(block)
        if position > end + SURPLUS:
            raise BrokenFile("the file unpacks to far more than its header says; export it again")
    if position < start + length:
        raise BrokenFile(_TRUNCATED)
    return part


def _blocks(content: bytes, most: int = BLOCK) -> Iterator[bytes]:
    """What is packed, in blocks of at most that many bytes."""
    rest, members = memoryview(content), 0
    while rest[:2] == MAGIC:
        members += 1
        if members > MOST_MEMBERS:
            raise BrokenFile("the file is packed in far too many parts; export it again")
        member, pending = zlib.decompressobj(wbits=31), memoryview(b"")
        while not member.eof:
            if not pending:
                pending, rest = rest[:BLOCK], rest[BLOCK:]
            try:
                block = member.decompress(pending, most)
            except zlib.error as error:
                raise BrokenFile("the packed data are damaged; copy or export the file again") from error
            pending = memoryview(member.unconsumed_tail)
            if block:
                yield block
            elif not (pending or rest or member.eof):
                raise BrokenFile(_TRUNCATED)
        rest = memoryview(content)[len(content) - len(rest) - len(member.unused_data) :]
