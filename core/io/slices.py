"""Puts files that hold whole slices one behind the other, as TIFF, PNG and JPEG do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile, PairMismatch
from core.io.interface import Decoded, Described, RawFile, naming
from core.io.limits import ReadLimits, Size, check_size
from core.scan import UNKNOWN_SPACING, Note, Spacing

Measure = Callable[[bytes, ReadLimits], Size]
ReadOne = Callable[[bytes, ReadLimits], tuple[NDArray[Any], Spacing, tuple[Note, ...]]]
DescribeOne = Callable[[bytes, ReadLimits], tuple[str, Spacing, tuple[Note, ...]]]


def read_slices(files: Sequence[RawFile], limits: ReadLimits, measure: Measure, read_one: ReadOne) -> Decoded:
    """Read a case whose files each hold whole slices, and put these one behind the other.

    Args:
        files: in slice order.
        limits: for the case as a whole.
        measure: tells a file's size from its header.
        read_one: decodes a file: voxels (slices, channels, height, width), spacing, notes.

    Raises:
        InputError: a file cannot be read.
        PairMismatch: the slices differ in size, channels or data type.
        TooLarge: together they are beyond a limit.
    """
    sizes = _measure_all(files, limits, measure)
    count = sum(size.slices for size in sizes)
    voxels: NDArray[Any] | None = None
    start, spacings, notes = 0, list[Spacing](), dict[Note, None]()
    for file, size in zip(files, sizes, strict=True):
        with naming(file.name):
            part, spacing, found = read_one(file.content, limits)
            if part.shape != (size.slices, size.channels, size.height, size.width):
                raise BrokenFile("the picture is not of the size that its header promises; export it again")
            if voxels is None:
                voxels = part if len(files) == 1 else np.empty((count, *part.shape[1:]), part.dtype)
            _check_values(voxels.dtype.name, part.dtype.name)
            if part is not voxels:
                voxels[start : start + len(part)] = part
        start += len(part)
        spacings.append(spacing)
        notes.update(dict.fromkeys(found))
    assert voxels is not None  # noqa: S101
    return Decoded(
        voxels=voxels,
        files=tuple(files),
        slices_per_file=tuple(size.slices for size in sizes),
        spacing_mm=_spacing_of_all(spacings),
        notes=tuple(notes),
    )


def describe_slices(
    files: Sequence[RawFile], limits: ReadLimits, measure: Measure, describe_one: DescribeOne
) -> Described:
    """What `read_slices` would give, by the headers alone; errors are the same.

    Args:
        files: in slice order.
        limits: for the case as a whole.
        measure: tells a file's size from its header.
        describe_one: tells from a file's header its voxels' data type, spacing and notes.
    """
    sizes = _measure_all(files, limits, measure)
    dtypes, spacings, notes = list[str](), list[Spacing](), dict[Note, None]()
    for file in files:
        with naming(file.name):
            dtype, spacing, found = describe_one(file.content, limits)
            dtypes.append(dtype)
            _check_values(dtypes[0], dtype)
        spacings.append(spacing)
        notes.update(dict.fromkeys(found))
    slices = tuple(size.slices for size in sizes)
    return Described(
        size=replace(sizes[0], slices=sum(slices)),
        dtype=dtypes[0],
        files=tuple(files),
        slices_per_file=slices,
        spacing_mm=_spacing_of_all(spacings),
        notes=tuple(notes),
    )


def _spacing_of_all(spacings: Sequence[Spacing]) -> Spacing:
    """Of the files one behind the other; what lies between two of them, none of them knows."""
    if len(spacings) == 1:
        return spacings[0]
    return (None, *spacings[0][1:]) if len(set(spacings)) == 1 else UNKNOWN_SPACING


def _measure_all(files: Sequence[RawFile], limits: ReadLimits, measure: Measure) -> list[Size]:
    sizes: list[Size] = []
    count = 0
    for file in files:
        with naming(file.name):
            size = measure(file.content, limits)
            sizes.append(size)
            _check_alike(sizes[0], size)
            count += size.slices
            check_size(replace(size, slices=count), limits)
    if not sizes:
        raise BrokenFile("there is no file to read; give at least one")
    return sizes


def _check_alike(first: Size, other: Size) -> None:
    if (first.height, first.width) != (other.height, other.width):
        raise PairMismatch(
            f"this slice has {other.width}×{other.height} pixels and the first {first.width}×{first.height}; "
            "slices of one case must be of one size"
        )
    if first.channels != other.channels:
        raise PairMismatch(
            f"this slice has {other.channels} channels and the first {first.channels}; "
            "slices of one case must have the same channels"
        )


def _check_values(first: str, other: str) -> None:
    if other != first:
        raise PairMismatch(f"this slice holds {other} values and the first {first}; export all slices alike")
