"""Results beside pictures: a file for each that the scan came from, named as the LGG set names its masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import OutputError
from core.io.encode import encode_png, encode_tiff, mask_values
from core.io.interface import Origin, RawFile
from core.io.names import file_stem, result_stem
from core.scan import Scan

PNG_SUFFIXES = (".png", ".jpg", ".jpeg")


def obstacle(scan: Scan) -> str | None:
    """Pictures can be written for every scan whose files have names of their own."""
    stems = [stem.casefold() for stem, _, _ in _parts(scan)]
    if len(set(stems)) < len(stems):
        return "two files of the case are named alike, so their results would overwrite each other; rename one"
    return None


def encode_mask(mask: NDArray[np.bool_], scan: Scan, origin: Origin) -> tuple[RawFile, ...]:
    """`STEM_mask.tif` with a page for each slice, or `STEM_mask.png` for a PNG or JPEG: uint8, 0 and 255."""
    return _encode(mask_values(mask), scan, "_mask", png=True)


def encode_probability(probability: NDArray[np.float32], scan: Scan, origin: Origin) -> tuple[RawFile, ...]:
    """`STEM_probability.tif`, float32, a page for each slice."""
    return _encode(np.asarray(probability, np.float32), scan, "_probability", png=False)


def _encode(values: NDArray[Any], scan: Scan, end: str, *, png: bool) -> tuple[RawFile, ...]:
    if reason := obstacle(scan):
        raise OutputError(reason, source=scan.name)
    files = []
    for stem, suffix, slices in _parts(scan):
        if png and suffix in PNG_SUFFIXES and slices.stop - slices.start == 1:
            files.append(RawFile(f"{stem}{end}.png", encode_png(values[slices.start])))
        else:
            files.append(RawFile(f"{stem}{end}.tif", encode_tiff(values[slices])))
    return tuple(files)


def _parts(scan: Scan) -> Iterator[tuple[str, str, slice]]:
    """For each file of the scan its stem, its suffix, and its slices; one stack where a file was a volume or none."""
    if not scan.paths or scan.header is not None:
        yield file_stem(scan), "", slice(0, scan.shape[0])
        return
    start = 0
    for path, count in zip(scan.paths, scan.slices_per_path, strict=True):
        yield result_stem(path.name), path.suffix.lower(), slice(start, start + count)
        start += count
