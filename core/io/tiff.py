"""TIFF: single pictures, stacks of pages, ImageJ's and OME's stacks with channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile
from core.io.interface import ALPHA_DROPPED, Decoded, Described, RawFile
from core.io.limits import ReadLimits, Size, check_limit, check_size
from core.io.orientation import TURNED, swaps_axes, upright
from core.io.slices import describe_slices, read_slices
from core.io.tiff_header import Ifd, is_tiff, walk
from core.io.tiff_layout import Layout, layout_of
from core.io.tiff_page import PALETTE, WHITE_IS_ZERO, Page, decode_page, parse_page
from core.scan import Note, Spacing

NAME = "TIFF"
SUFFIXES = (".tif", ".tiff")

INVERTED = Note("inverted", "the file stores white as zero; it was inverted, so that bright is bright")
THUMBNAIL_LEFT_OUT = Note("thumbnail-left-out", "the file holds small copies of its pictures; they were left out")

matches = is_tiff


@dataclass(frozen=True, slots=True)
class _Stack:
    pages: list[Page]
    layout: Layout
    size: Size
    notes: tuple[Note, ...]


def measure(content: bytes, limits: ReadLimits) -> Size:
    """What the header promises; nothing is decoded."""
    return _stack(content, limits).size


def read(files: Sequence[RawFile], limits: ReadLimits, series: str | None = None) -> Decoded:
    """Decode one or several TIFFs; pages are slices, or channels of slices where the file says so."""
    return read_slices(files, limits, measure, _read_one)


def describe(files: Sequence[RawFile], limits: ReadLimits, series: str | None = None) -> Described:
    """What `read` would give, by the tags alone."""
    return describe_slices(files, limits, measure, _describe_one)


def _describe_one(content: bytes, limits: ReadLimits) -> tuple[str, Spacing, tuple[Note, ...]]:
    stack = _stack(content, limits)
    return _dtype(stack).name, stack.layout.spacing_mm, stack.notes


def _dtype(stack: _Stack) -> np.dtype[Any]:
    return np.dtype("u1") if stack.pages[0].photometric == PALETTE else stack.pages[0].dtype


def _read_one(content: bytes, limits: ReadLimits) -> tuple[NDArray[Any], Spacing, tuple[Note, ...]]:
    stack = _stack(content, limits)
    layout, size = stack.layout, stack.size
    voxels = np.empty((size.slices, size.channels, size.height, size.width), _dtype(stack))
    step = stack.pages[0].channels
    for index in range(layout.slices):
        for channel in range(layout.channels):
            page = stack.pages[layout.page(index, channel)]
            pixels = upright(as_shown(decode_page(content, page), page), page.orientation)
            voxels[index, channel * step : (channel + 1) * step] = pixels
    return voxels, layout.spacing_mm, stack.notes


def as_shown(samples: NDArray[Any], page: Page) -> NDArray[Any]:
    """From samples as stored to channels as meant: palette expanded, bright made high, opacity dropped.

    Args:
        samples: (samples, height, width).
        page: says what they mean.

    Returns:
        (channels, height, width); values of fewer than 8 bits are stretched to 0…255, as viewers show them.
    """
    if page.photometric == PALETTE:
        table = np.array(page.color_map, np.uint16).reshape(3, -1)
        # Some old writers stored 8-bit values in the 16-bit table.
        table = (table if table.max() < 256 else table >> 8).astype(np.uint8)
        return table[:, samples[0]]
    if page.alpha:
        samples = samples[:-1]
    top = 2**page.bits - 1
    if page.photometric == WHITE_IS_ZERO:
        if samples.dtype.kind == "f":
            samples = -samples
        else:
            samples = samples.dtype.type(top) - samples if samples.dtype.kind == "u" else ~samples
    if page.bits < 8:
        samples = (samples.astype(np.uint16) * 255 // top).astype(np.uint8)
    return samples


def _stack(content: bytes, limits: ReadLimits) -> _Stack:
    """Read and check all pages' tags; how they form a volume."""
    parsed: list[tuple[Ifd, Page]] = []
    entries = 0
    for ifd in walk(content, limits):
        parsed.append((ifd, parse_page(ifd, limits)))
        # Counted as they come: many pages may share one table of the file, and each page takes its own copy.
        entries += parsed[-1][1].tables
        check_limit(entries, limits.tables, "tiles, strips and palette entries in all")
    kept = [(ifd, page) for ifd, page in parsed if not page.reduced] or parsed
    pages = [page for _, page in kept]
    first = pages[0]
    for number, page in enumerate(pages, 1):
        _check_same(first, page, number)
    values = first.height * first.width * first.samples
    layout = layout_of(kept[0][0], len(pages), values, first.samples)
    if len(pages) == 1:
        pages = _contiguous(first, layout.slices * layout.channels, len(content), limits)
    height, width = (first.width, first.height) if swaps_axes(first.orientation) else (first.height, first.width)
    size = Size(layout.slices, layout.channels * first.channels, height, width)
    check_size(size, limits)
    # Tiles may be far larger than the picture, and their decoding costs time and memory all the same.
    coded = sum(len(page.segments) * page.block[0] * page.block[1] * page.samples // page.planes for page in pages)
    check_limit(coded, 4 * limits.voxels, "values in its tiles")
    notes = (
        (ALPHA_DROPPED, first.alpha),
        (INVERTED, first.photometric == WHITE_IS_ZERO),
        (TURNED, 2 <= first.orientation <= 8),
        (THUMBNAIL_LEFT_OUT, len(kept) < len(parsed)),
    )
    return _Stack(pages, layout, size, tuple(note for note, applies in notes if applies))


def _check_same(first: Page, page: Page, number: int) -> None:
    if (page.height, page.width) != (first.height, first.width):
        raise BrokenFile(
            f"page {number} of the TIFF has {page.width}×{page.height} pixels and page 1 {first.width}×{first.height}; "
            "save pages of different sizes as files of their own"
        )
    same = ("channels", "dtype", "bits", "photometric", "orientation")
    if any(getattr(page, name) != getattr(first, name) for name in same):
        raise BrokenFile(f"page {number} of the TIFF is of another kind than page 1; save them as files of their own")


def _contiguous(page: Page, count: int, file_bytes: int, limits: ReadLimits) -> list[Page]:
    """The pictures of a file that lists only the first of them, as ImageJ does beyond 4 GB."""
    if count == 1:
        return [page]
    check_limit(count, limits.ifds, "pictures")
    size = page.height * page.width * page.samples * page.dtype.itemsize
    start = page.segments[0][0]
    ends = [offset + length for offset, length in page.segments]
    in_a_row = all(end == offset for end, (offset, _) in zip(ends, page.segments[1:], strict=False))
    plain = page.compression == 1 and not page.tiled and page.planes == 1 and page.bits == page.dtype.itemsize * 8
    if not (in_a_row and plain and start + count * size <= file_bytes):
        raise BrokenFile(f"the TIFF lacks pictures: it states {count} and holds fewer; copy or export it again")
    return [
        replace(page, block=(page.height, page.width), segments=((start + index * size, size),))
        for index in range(count)
    ]
