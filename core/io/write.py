"""Masks and probabilities as files, in the form that fits what the scan was read from, or in the one asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.atomic import write_atomic
from core.errors import OutputError
from core.io.interface import Origin, RawFile, Writer
from core.scan import Scan

Form = Literal["auto", "nifti", "seg", "tiff"]
"""How results are written: NIfTI, DICOM SEG, pictures; "auto" goes by what the scan was read from."""

UNKNOWN_ORIGIN = Origin()


def encode_mask(
    mask: NDArray[np.bool_], scan: Scan, form: Form = "auto", origin: Origin = UNKNOWN_ORIGIN
) -> tuple[RawFile, ...]:
    """A mask as files in memory.

    By itself a NIfTI gives NIfTI, DICOM gives a SEG and, where the geometry allows it, NIfTI too, and pictures give
    pictures: `STEM_mask.tif` with a page for each slice, or `STEM_mask.png` for a PNG or JPEG.

    Args:
        mask: (slices, height, width), on the scan's grid.
        scan: what it belongs to.
        form: how to write it.
        origin: what made it.

    Returns:
        The files' names and bytes; the first is the one that a reader wants.

    Raises:
        ValueError: mask is not on the scan's grid.
        OutputError: it cannot be written in this form, or two files would bear one name.
    """
    _check_grid(mask.shape, scan)
    return tuple(file for writer in _writers(scan, form) for file in writer.encode_mask(mask, scan, origin))


def encode_probability(
    probability: NDArray[np.float32], scan: Scan, form: Form = "auto", origin: Origin = UNKNOWN_ORIGIN
) -> tuple[RawFile, ...]:
    """Probabilities as files in memory, in one form.

    Args, result and errors are those of `encode_mask`; DICOM gives NIfTI by itself, where the geometry allows it.
    """
    _check_grid(probability.shape, scan)
    # Of DICOM's two forms the last: a SEG knows only 256 steps.
    return _writers(scan, form)[-1].encode_probability(probability, scan, origin)


def write_mask(
    mask: NDArray[np.bool_], scan: Scan, folder: Path, form: Form = "auto", origin: Origin = UNKNOWN_ORIGIN
) -> tuple[Path, ...]:
    """Write a mask into a folder that exists; see `encode_mask`.

    Returns:
        The files written. No half file is left where one cannot be.
    """
    return _write(encode_mask(mask, scan, form, origin), folder)


def write_probability(
    probability: NDArray[np.float32],
    scan: Scan,
    folder: Path,
    form: Form = "auto",
    origin: Origin = UNKNOWN_ORIGIN,
) -> tuple[Path, ...]:
    """Write probabilities into a folder that exists; see `encode_probability`."""
    return _write(encode_probability(probability, scan, form, origin), folder)


def writer_of(form: Form) -> Writer:
    """The module that writes this form.

    Raises:
        OutputError: there is no such form.
    """
    if form == "tiff":
        from core.io import picture_write

        return picture_write
    if form == "nifti":
        from core.io import nifti_write

        return nifti_write
    if form == "seg":
        from core.io.dicom import seg

        return seg
    raise OutputError("results are written as nifti, seg or tiff; choose one of them")


def check_form(scan: Scan, form: Form) -> None:
    """See that results for this scan can be written in this form, before any are there.

    Raises:
        OutputError: they cannot.
    """
    _writers(scan, form)


def _writers(scan: Scan, form: Form) -> Sequence[Writer]:
    """Whoever writes results for this scan, one or more."""
    if form == "auto":
        wanted: dict[str, tuple[Form, ...]] = {"NIfTI": ("nifti",), "DICOM": ("seg", "nifti")}
        found = [writer_of(form) for form in wanted.get(scan.format, ())]
        if usable := [writer for writer in found if writer.obstacle(scan) is None]:
            return usable
        form = "tiff"
    writer = writer_of(form)
    if reason := writer.obstacle(scan):
        raise OutputError(reason, source=scan.name)
    return [writer]


def _check_grid(shape: tuple[int, ...], scan: Scan) -> None:
    if shape != scan.shape:
        raise ValueError(f"{shape} is not the scan's grid {scan.shape}")


def _write(files: Sequence[RawFile], folder: Path) -> tuple[Path, ...]:
    paths = []
    for file in files:
        path = folder / file.name
        write_atomic(path, file.content)
        paths.append(path)
    return tuple(paths)
