"""How much a file may ask for. Everything here is checked against a file's header, before memory is taken."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import BrokenFile, TooLarge


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Ceilings for one case; the defaults are far above any clinical scan and well below a laptop's memory.

    Attributes:
        file_bytes: of all files of the case together, as they lie on the disk.
        slice_pixels: height × width of one slice.
        slices: of the whole case.
        samples: channels of one slice.
        voxels: slices × channels × height × width of the whole case.
        ifds: pages that a TIFF may list.
        tiles: tiles or strips of one TIFF page.
        tables: entries in the tables of all pages of a TIFF: where tiles and strips lie, palettes, JPEG tables.
        volumes: of one NIfTI file.
        entries: files that an archive may list.
    """

    file_bytes: int = 2**30
    slice_pixels: int = 2**26
    slices: int = 4096
    samples: int = 16
    voxels: int = 2**28
    ifds: int = 16384
    tiles: int = 2**16
    tables: int = 2**22
    volumes: int = 4096
    entries: int = 2**14


@dataclass(frozen=True, slots=True)
class Size:
    """What a file's header promises, in the order of `Scan.voxels`."""

    slices: int
    channels: int
    height: int
    width: int


def check_size(size: Size, limits: ReadLimits) -> None:
    """Hold a promised size against the limits.

    Raises:
        BrokenFile: a dimension is zero or negative.
        TooLarge: a limit is exceeded.
    """
    if min(size.slices, size.channels, size.height, size.width) < 1:
        raise BrokenFile("the picture has no pixels; export it again")
    pixels = size.height * size.width
    for value, limit, what in (
        (pixels, limits.slice_pixels, "pixels in a slice"),
        (size.channels, limits.samples, "channels"),
        (size.slices, limits.slices, "slices"),
        (pixels * size.channels * size.slices, limits.voxels, "values in all"),
    ):
        check_limit(value, limit, what)


def check_limit(value: int, limit: int, what: str) -> None:
    """Raise TooLarge with one sentence if value is above limit."""
    if value > limit:
        raise TooLarge(f"{value:,} {what} are more than the {limit:,} that are read; split the scan or make it smaller")
