"""Walks the pages that a TIFF lists, within limits, and reads their tags; no pixel is touched.

The walk is bounded and remembers where it has been, so a chain of pages that is endless, circular or points outside
the file is answered at once.

Source: Adobe 1992, TIFF Revision 6.0; BigTIFF as libtiff defines it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from core.errors import BrokenFile
from core.io.limits import ReadLimits, check_limit

MAX_TAGS = 1024  # of one page; real pages have some twenty


class Tag(IntEnum):
    """The tags that say how pixels are stored; all others are skipped."""

    SUBFILE_TYPE = 254
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    DESCRIPTION = 270
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_COUNTS = 279
    X_RESOLUTION = 282
    Y_RESOLUTION = 283
    PLANAR = 284
    PREDICTOR = 317
    COLOR_MAP = 320
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_COUNTS = 325
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    DEPTH = 32997


WANTED = frozenset(int(tag) for tag in Tag)
# What struct calls a TIFF field type, and how many of these make one value (a rational is two).
FIELD_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"}
FIELD_TYPES |= {13: "I", 16: "Q", 17: "q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class Field:
    """Where a tag's values lie: their struct letter or letters, how many there are, their position in the file."""

    letters: str
    count: int
    position: int


@dataclass(frozen=True, slots=True)
class Ifd:
    """One page's tags (an "image file directory"); values are read when they are asked for."""

    content: bytes
    order: str
    fields: dict[int, Field]

    def count(self, tag: Tag) -> int:
        """How many values the tag has; 0 where it is missing."""
        field = self.fields.get(tag)
        return field.count if field else 0

    def numbers(self, tag: Tag, most: int | None = None) -> tuple[int, ...]:
        """All values of a numeric tag, or the first of them; () where it is missing.

        Raises:
            BrokenFile: they lie outside the file or are no integers.
        """
        field = self.fields.get(tag)
        if field is None:
            return ()
        return self._integers(field, field.count if most is None else min(field.count, most))

    def number(self, tag: Tag, default: int) -> int:
        """The first value of a numeric tag."""
        field = self.fields.get(tag)
        return self._integers(field, 1)[0] if field and field.count else default

    def ratio(self, tag: Tag) -> float | None:
        """The value of a rational tag; None where it is missing, not a rational, or divides by zero."""
        field = self.fields.get(tag)
        if field is None or field.letters != "II" or field.count < 1:
            return None
        upper, lower = self._unpack(field.position, "I", 2)
        return float(upper / lower) if lower else None

    def data(self, tag: Tag) -> bytes:
        """The bytes of a text or opaque tag; empty where it is missing or of another type."""
        field = self.fields.get(tag)
        if field is None or field.letters not in "sB":
            return b""
        value: bytes = self._unpack(field.position, "s", field.count)[0]
        return value

    def _integers(self, field: Field, count: int) -> tuple[int, ...]:
        if field.letters not in tuple("BHIQbhiq"):
            raise BrokenFile("a tag of the TIFF is of the wrong type; export it again")
        return self._unpack(field.position, field.letters, count)

    def _unpack(self, position: int, letter: str, count: int) -> tuple[Any, ...]:
        if position + struct.calcsize("=" + letter) * count > len(self.content):
            raise BrokenFile("the TIFF ends before its tags do; copy it again")
        return struct.unpack_from(f"{self.order}{count}{letter}", self.content, position)


def is_tiff(content: bytes) -> bool:
    """Whether these bytes begin as a classic or a Big TIFF does."""
    return content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True, slots=True)
class _Flavour:
    """How a classic or a Big TIFF, in its byte order, writes counts, pointers and tags."""

    order: str
    counter: struct.Struct
    pointer: struct.Struct
    entry: struct.Struct

    @staticmethod
    def of(head: bytes) -> _Flavour:
        order, big = "<" if head[:2] == b"II" else ">", 43 in head[2:4]
        count, pointer = ("Q", "Q") if big else ("H", "I")
        return _Flavour(
            order, struct.Struct(order + count), struct.Struct(order + pointer), struct.Struct(order + "HH" + pointer)
        )

    @property
    def first(self) -> int:
        """Where the pointer to the first page stands."""
        return self.pointer.size

    @property
    def entry_size(self) -> int:
        """A tag: its code, type and count, then its value or a pointer to it."""
        return self.entry.size + self.pointer.size


def walk(content: bytes, limits: ReadLimits) -> list[Ifd]:
    """List a TIFF's pages in the order of the file.

    Raises:
        BrokenFile: the chain of pages is circular, endless, empty, or leaves the file.
        TooLarge: a page claims more tiles or strips than the limit.
    """
    flavour = _Flavour.of(content)
    try:
        pages = [
            Ifd(content, flavour.order, _read_fields(content, offset, flavour))
            for offset in _page_offsets(content, flavour, limits)
        ]
    except (struct.error, OverflowError) as error:
        raise BrokenFile("the TIFF ends before its list of pages does; copy it again") from error
    for page in pages:
        for tag in (Tag.STRIP_OFFSETS, Tag.TILE_OFFSETS, Tag.STRIP_COUNTS, Tag.TILE_COUNTS):
            check_limit(page.count(tag), limits.tiles, "tiles or strips of a page")
    return pages


def _page_offsets(content: bytes, flavour: _Flavour, limits: ReadLimits) -> list[int]:
    """Where the pages' lists of tags begin. They are counted before any is read, so that a million cost little."""
    offsets: dict[int, None] = {}
    (offset,) = flavour.pointer.unpack_from(content, flavour.first)
    while offset:
        if offset in offsets:
            raise BrokenFile("the pages of the TIFF run in a circle; export it again")
        if len(offsets) >= limits.ifds:
            raise BrokenFile(f"the TIFF lists more than {limits.ifds:,} pages, which no scan has; export it again")
        offsets[offset] = None
        (entries,) = flavour.counter.unpack_from(content, offset)
        if entries > MAX_TAGS:
            raise BrokenFile("a page of the TIFF has impossibly many tags; export it again")
        (offset,) = flavour.pointer.unpack_from(content, offset + flavour.counter.size + entries * flavour.entry_size)
    if not offsets:
        raise BrokenFile("the TIFF lists no page; export it again")
    return list(offsets)


def _read_fields(content: bytes, offset: int, flavour: _Flavour) -> dict[int, Field]:
    """The wanted tags of the page whose list of tags begins at offset."""
    (entries,) = flavour.counter.unpack_from(content, offset)
    fields: dict[int, Field] = {}
    start = offset + flavour.counter.size
    for position in range(start, start + entries * flavour.entry_size, flavour.entry_size):
        code, kind, count = flavour.entry.unpack_from(content, position)
        if code not in WANTED or kind not in FIELD_TYPES:
            continue
        letters, place = FIELD_TYPES[kind], position + flavour.entry.size
        if struct.calcsize("=" + letters) * count > flavour.pointer.size:
            (place,) = flavour.pointer.unpack_from(content, place)
        fields.setdefault(code, Field(letters, count, place))
    return fields


def has_several_pages(path: str) -> bool:
    """Whether the file at path is a TIFF that lists a second page; only its head is read, and False if that fails."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            head = file.read(16)
            if not is_tiff(head):
                return False
            flavour = _Flavour.of(head)
            file.seek(flavour.pointer.unpack_from(head, flavour.first)[0])
            (entries,) = flavour.counter.unpack(file.read(flavour.counter.size))
            file.seek(entries * flavour.entry_size, 1)
            return bool(flavour.pointer.unpack(file.read(flavour.pointer.size))[0])
    except (OSError, OverflowError, ValueError, struct.error):
        return False
