"""Which page of a TIFF is which slice and channel, and how far apart: what ImageJ, OME and tifffile write about it.

Without such a description each page is a slice. A resolution tag alone is no spacing: it is a printer's DPI as a rule.

Source: ImageJ's TiffEncoder and FileInfo; the OME model, 2016-06, element Pixels.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass

from core.errors import UnsupportedFormat
from core.io.tiff_header import Ifd, Tag
from core.scan import UNKNOWN_SPACING, Spacing

MILLIMETRES = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "micron": 1e-3, "microns": 1e-3, "um": 1e-3, "µm": 1e-3}
MILLIMETRES |= {
    "μm": 1e-3,
    "\\u00b5m": 1e-3,
    "nm": 1e-6,
}  # the other letter that looks like µ; ImageJ's way to write it
PIXELS_ELEMENT = re.compile(r"<(?:\w+:)?Pixels\b([^>]*)>")
ATTRIBUTE = re.compile(r'(\w+)\s*=\s*"([^"]*)"')
DESCRIPTION_CHARACTERS = 2**20
MOST_VALUES = 2**62
FILM = "the TIFF is a film of {} points in time; save one of them as its own file"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a TIFF's pictures form a volume.

    Attributes:
        slices, channels: pictures = slices × channels.
        channels_first: the channels of a slice follow each other; else the slices of a channel do.
        spacing_mm: where the description states it.
    """

    slices: int
    channels: int = 1
    channels_first: bool = True
    spacing_mm: Spacing = UNKNOWN_SPACING

    def page(self, slice_index: int, channel: int) -> int:
        """The picture that holds one channel of one slice."""
        if self.channels_first:
            return slice_index * self.channels + channel
        return channel * self.slices + slice_index


def layout_of(first: Ifd, pages: int, page_values: int, samples: int) -> Layout:
    """Read the description of a TIFF's first page.

    Args:
        first: its tags.
        pages: how many pages the file lists.
        page_values: values in one page.
        samples: of one pixel of one page.

    Returns:
        The layout. It has more pictures than `pages` where one page stands for a run of them without gaps.

    Raises:
        UnsupportedFormat: a film, or part of it lies in other files.
    """
    text = first.data(Tag.DESCRIPTION)[:DESCRIPTION_CHARACTERS].decode("utf-8", "replace").strip("\0 \r\n")
    if text.startswith("ImageJ="):
        return _imagej(dict(line.split("=", 1) for line in text.splitlines() if "=" in line), first, pages)
    if text.startswith("<") and (found := PIXELS_ELEMENT.findall(text)):
        return _ome([dict(ATTRIBUTE.findall(each)) for each in found], pages, samples)
    if text.startswith('{"shape"') and pages == 1:
        return Layout(max(_shaped(text) // page_values, 1))
    return Layout(pages)


def _imagej(values: dict[str, str], first: Ifd, pages: int) -> Layout:
    images, channels = _count(values, "images"), _count(values, "channels")
    slices, frames = _count(values, "slices"), _count(values, "frames")
    if frames > 1:
        raise UnsupportedFormat(FILM.format(frames))
    scale = MILLIMETRES.get(values.get("unit", "").strip().lower())
    spacing = UNKNOWN_SPACING
    if scale:
        per_unit = (first.ratio(Tag.Y_RESOLUTION), first.ratio(Tag.X_RESOLUTION))
        y, x = (_positive(scale / each) if each else None for each in per_unit)
        spacing = (_positive(scale * _real(values.get("spacing"))), y, x)
    if channels * slices == (images if pages == 1 else pages):
        return Layout(slices, channels, spacing_mm=spacing)
    return Layout(images if pages == 1 else pages, spacing_mm=spacing)


def _ome(pixels: list[dict[str, str]], pages: int, samples: int) -> Layout:
    values = pixels[0]
    slices, frames = _count(values, "SizeZ"), _count(values, "SizeT")
    channels = max(_count(values, "SizeC") // samples, 1)
    if frames > 1:
        raise UnsupportedFormat(FILM.format(frames))
    if len(pixels) > 1 or slices * channels != pages:
        raise UnsupportedFormat("the OME-TIFF holds several pictures or only a part of one; export one to one file")
    spacing = (_ome_size(values, "Z"), _ome_size(values, "Y"), _ome_size(values, "X"))
    order = values.get("DimensionOrder", "XYCZT")
    return Layout(slices, channels, order.find("C") < order.find("Z"), spacing)


def _ome_size(values: dict[str, str], axis: str) -> float | None:
    scale = MILLIMETRES.get(values.get(f"PhysicalSize{axis}Unit", "µm").strip().lower())
    return _positive(scale * _real(values.get(f"PhysicalSize{axis}"))) if scale else None


def _shaped(text: str) -> int:
    """Values in all that tifffile noted; 0 where the note cannot be read."""
    try:
        shape = json.loads(text)["shape"]
        believable = all(isinstance(each, int) and 0 < each < MOST_VALUES for each in shape)
        values = math.prod(shape) if believable else 0
        return values if values < MOST_VALUES else 0
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0


def _count(values: dict[str, str], key: str) -> int:
    text = values.get(key, "1").strip()
    return max(int(text), 1) if text.isascii() and text.isdigit() and len(text) < 10 else 1


def _real(text: str | None) -> float:
    try:
        return float(text) if text is not None else math.nan
    except ValueError:
        return math.nan


def _positive(value: float) -> float | None:
    return value if math.isfinite(value) and value > 0 else None
