"""A DICOM file as bytes: whether it is one, its header, and where its pixels lie. No pixel is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import BrokenFile, TooLarge
from core.io.dicom.libraries import load_pydicom
from core.io.limits import ReadLimits

PREAMBLE = 128
UNDEFINED = 0xFFFFFFFF
DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US".split()
)
_PIXELS = {(0x7FE0, 0x0010): "integer", (0x7FE0, 0x0008): "float", (0x7FE0, 0x0009): "float"}
_LONG_VRS = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"UC", b"UR", b"UT", b"SQ", b"SV", b"UV")


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """A file's header and where its pixels lie.

    Attributes:
        dataset: pydicom's Dataset of the header; without values for tags that were not asked for.
        syntax: the transfer syntax's UID.
        little_endian: byte order of the pixels.
        header: the bytes before the pixels.
        pixels: those of the pixel data's value; for an encapsulated one from its first item to the end of the file;
            None where there are none.
        encapsulated: the pixels are a sequence of fragments.
        floating: they are floating-point numbers, as parametric maps have.
    """

    dataset: Any
    syntax: str
    little_endian: bool
    header: bytes
    pixels: memoryview | None
    encapsulated: bool
    floating: bool


def is_dicom(content: bytes) -> bool:
    """Whether these bytes begin as a DICOM file does, with its preamble or without."""
    if content[PREAMBLE : PREAMBLE + 4] == b"DICM":
        return True
    if len(content) < 16:
        return False
    for order in "<>":
        group, element, vr = struct.unpack(order + "HH2s", content[:6])
        if group not in (0x0002, 0x0008) or element > 0x0070:
            continue
        if vr in _VRS:
            return True
        (length,) = struct.unpack("<I", content[4:8])
        if order == "<" and length % 2 == 0 and length <= min(1024, len(content) - 8):
            return True
    return False


def parse(content: bytes, limits: ReadLimits, tags: Sequence[str] | None = None) -> Parsed:
    """Read a file's header, up to its pixels.

    Args:
        content: the whole file.
        limits: `file_bytes` bounds what a deflated file becomes.
        tags: keywords of the tags that are needed; None keeps all.

    Raises:
        BrokenFile: it is damaged.
        TooLarge: it is deflated, and beyond the limit.
    """
    pydicom = load_pydicom()
    start, syntax = _meta(content)
    if syntax == DEFLATED:
        content, start, syntax = _inflate(content[start:], limits), 0, EXPLICIT
    stream = io.BytesIO(content)
    try:
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=tags and list(tags))
        implicit, little = dataset.original_encoding
    except RecursionError as error:
        raise BrokenFile("the DICOM file nests its sequences too deeply; export it again") from error
    # pydicom meets damage with exceptions of a dozen kinds.
    except Exception as error:
        raise BrokenFile("the DICOM file's header is damaged; copy or export it again") from error
    if not syntax:
        syntax = IMPLICIT if implicit else EXPLICIT if little else BIG_ENDIAN
    position = stream.tell()
    found = _pixel_element(content, position, bool(implicit), bool(little))
    header = content[: min(position, len(content))]
    if found is None:
        return Parsed(dataset, syntax, bool(little), header, None, False, False)
    kind, begin, length = found
    view = memoryview(content)[begin:] if length == UNDEFINED else memoryview(content)[begin : begin + length]
    if length != UNDEFINED and len(view) < length:
        raise BrokenFile("the DICOM file ends before its pixels do; copy or export it again")
    return Parsed(dataset, syntax, bool(little), header, view, length == UNDEFINED, kind == "float")


def _meta(content: bytes) -> tuple[int, str]:
    """Where the file meta information ends, and the transfer syntax that it names; "" where there is none."""
    position = PREAMBLE + 4 if content[PREAMBLE : PREAMBLE + 4] == b"DICM" else 0
    syntax = ""
    while position + 8 <= len(content):
        group, element, vr, length = struct.unpack_from("<HH2sH", content, position)
        if group != 2 or vr not in _VRS:
            break
        value = position + 8
        if vr in _LONG_VRS:
            if position + 12 > len(content):
                break
            (length,) = struct.unpack_from("<I", content, position + 8)
            value = position + 12
        if element == 0x0010:
            syntax = content[value : value + min(length, 64)].rstrip(b"\0 ").decode("ascii", "replace")
        position = value + length
    return min(position, len(content)), syntax


def _inflate(packed: bytes, limits: ReadLimits) -> bytes:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflate.decompress(packed, limits.file_bytes)
    except zlib.error as error:
        raise BrokenFile("the DICOM file's deflated content is damaged; copy or export it again") from error
    if inflate.unconsumed_tail:
        raise TooLarge(f"the deflated DICOM file holds more than the {limits.file_bytes:,} bytes that are read")
    return content


def _pixel_element(content: bytes, position: int, implicit: bool, little: bool) -> tuple[str, int, int] | None:
    """Which pixel element begins here, where its value does, and its length; None where none does."""
    order = "<" if little else ">"
    if position + 8 > len(content):
        return None
    kind = _PIXELS.get(struct.unpack_from(order + "HH", content, position))
    if kind is None:
        return None
    if implicit:
        (length,) = struct.unpack_from(order + "I", content, position + 4)
        return kind, position + 8, length
    vr = content[position + 4 : position + 6]
    if vr not in _LONG_VRS or position + 12 > len(content):
        raise BrokenFile("the DICOM file's pixels are damaged; copy or export it again")
    (length,) = struct.unpack_from(order + "I", content, position + 8)
    return kind, position + 12, length
