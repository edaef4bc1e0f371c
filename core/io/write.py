"""Masks and probabilities as files, one for each file that the scan came from, named as the LGG set names its masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import OutputError
from core.io.atomic import write_atomic
from core.io.encode import encode_png, encode_tiff, mask_values
from core.scan import Scan

PNG_SUFFIXES = (".png", ".jpg", ".jpeg")


def write_mask(mask: NDArray[np.bool_], scan: Scan, folder: Path) -> tuple[Path, ...]:
    """Write a mask in the form of the scan's files: `STEM_mask.tif`, or `STEM_mask.png` for a PNG or JPEG.

    Args:
        mask: (slices, height, width), on the scan's grid.
        scan: what it belongs to. One without files gives a single TIFF that bears the scan's name.
        folder: where to; it exists.

    Returns:
        The files written: uint8, 0 and 255, losslessly compressed, a page for each slice.

    Raises:
        ValueError: mask is not on the scan's grid.
        OutputError: a file cannot be written, or two would bear one name. No half file is left.
    """
    return _write(mask_values(mask), scan, folder, "_mask", png=True)


def write_probability(probability: NDArray[np.float32], scan: Scan, folder: Path) -> tuple[Path, ...]:
    """Write probabilities as `STEM_probability.tif`, float32, losslessly compressed, a page for each slice.

    Args, result and errors are those of `write_mask`.
    """
    return _write(np.asarray(probability, np.float32), scan, folder, "_probability", png=False)


def _write(values: NDArray[Any], scan: Scan, folder: Path, end: str, *, png: bool) -> tuple[Path, ...]:
    if values.shape != scan.shape:
        raise ValueError(f"{values.shape} is not the scan's grid {scan.shape}")
    targets = []
    for stem, suffix, slices in _parts(scan):
        as_png = png and suffix in PNG_SUFFIXES and slices.stop - slices.start == 1
        targets.append((folder / f"{stem}{end}{'.png' if as_png else '.tif'}", slices, as_png))
    if len({path.name.casefold() for path, _, _ in targets}) < len(targets):
        raise OutputError(
            "two files of the case have one name and would overwrite each other; rename one", source=scan.name
        )
    for path, slices, as_png in targets:
        write_atomic(path, encode_png(values[slices.start]) if as_png else encode_tiff(values[slices]))
    return tuple(path for path, _, _ in targets)


def _parts(scan: Scan) -> Iterator[tuple[str, str, slice]]:
    """For each file of the scan its stem, its suffix, and its slices."""
    if not scan.paths:
        yield _file_stem(scan.name), "", slice(0, scan.shape[0])
    start = 0
    for path, count in zip(scan.paths, scan.slices_per_path, strict=True):
        yield path.stem, path.suffix.lower(), slice(start, start + count)
        start += count


def _file_stem(name: str) -> str:
    """A name that came with an upload, made into one that is safe as a file's."""
    kept = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
    return kept.strip(".")[:100] or "scan"
