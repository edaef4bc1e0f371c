"""PNG and JPEG."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import UnsupportedFormat
from core.io.formats import Decoded, RawFile
from core.io.limits import ReadLimits, Size

NAME = "PNG/JPEG"
SUFFIXES = (".png", ".jpg", ".jpeg")


def matches(content: bytes) -> bool:
    return content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))


def measure(content: bytes, limits: ReadLimits) -> Size:
    raise UnsupportedFormat("PNG and JPEG are not read yet; convert it to TIFF")


def read(files: Sequence[RawFile], limits: ReadLimits) -> Decoded:
    raise UnsupportedFormat("PNG and JPEG are not read yet; convert it to TIFF")
