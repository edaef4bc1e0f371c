"""TIFF: single pictures, stacks of pages, ImageJ's and OME's hyperstacks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile
from core.io.formats import Decoded, RawFile, read_slices
from core.io.limits import ReadLimits, Size, check_size
from core.io.tiff_header import is_tiff, walk
from core.io.tiff_page import PALETTE, WHITE_IS_ZERO, Page, decode_page, parse_page
from core.scan import UNKNOWN_SPACING, Note, Spacing

NAME = "TIFF"
SUFFIXES = (".tif", ".tiff")

matches = is_tiff


def measure(content: bytes, limits: ReadLimits) -> Size:
    """What the header promises; nothing is decoded."""
    pages = _pages(content, limits)
    size = Size(len(pages), pages[0].channels, pages[0].height, pages[0].width)
    check_size(size, limits)
    return size


def read(files: Sequence[RawFile], limits: ReadLimits) -> Decoded:
    """Decode one or several TIFFs; pages are slices."""
    return read_slices(files, limits, sys.modules[__name__], _read_one)


def _read_one(content: bytes, limits: ReadLimits) -> tuple[NDArray[Any], Spacing, tuple[Note, ...]]:
    pages = _pages(content, limits)
    voxels = np.stack([_channels(decode_page(content, page), page) for page in pages])
    return voxels, UNKNOWN_SPACING, ()


def _channels(samples: NDArray[Any], page: Page) -> NDArray[Any]:
    return samples


def _pages(content: bytes, limits: ReadLimits) -> list[Page]:
    pages = [parse_page(ifd, limits) for ifd in walk(content, limits)]
    first = pages[0]
    for page in pages:
        if (page.height, page.width) != (first.height, first.width):
            raise BrokenFile("the TIFF's pages are of different sizes; save each size to its own file")
    return pages
