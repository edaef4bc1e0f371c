"""NIfTI, packed or not: a volume in a file.

The file's (i, j, k) are column, row and slice of `Scan.voxels`, which is how they lie in the file: i runs fastest. So
the scan's affine is the file's own, and nothing is turned while reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile, SeriesChoice
from core.io.interface import Decoded, Described, RawFile, naming
from core.io.limits import ReadLimits, Size
from core.io.nifti_gzip import is_gzip, unpack_part, unpack_start
from core.io.nifti_header import HEADER_BYTES, NiftiHeader, is_nifti, parse_header
from core.io.series import choose
from core.sequence import sequence_of_names

NAME = "NIfTI"
SUFFIXES = (".nii", ".nii.gz")

FORM_NAMES = {0: "unknown", 1: "scanner", 2: "aligned", 3: "Talairach", 4: "MNI 152", 5: "template"}


def matches(content: bytes) -> bool:
    """Whether these bytes, packed or not, begin as a NIfTI does."""
    return is_nifti(_start(content))


def measure(content: bytes, limits: ReadLimits) -> Size:
    """What the header promises; nothing is decoded."""
    return parse_header(_start(content), limits).size


def read(files: Sequence[RawFile], limits: ReadLimits, series: str | None = None) -> Decoded:
    """Decode one volume: the only one, or the one chosen of several files or of a file's several volumes."""
    file, header, volume = _chosen(files, limits, series)
    with naming(file.name):
        voxels = _decode(file.content, header, volume)
    return Decoded(
        voxels=voxels.reshape(header.size.slices, 1, header.size.height, header.size.width),
        files=(file,),
        slices_per_file=(header.size.slices,),
        spacing_mm=header.spacing_mm,
        affine=header.affine,
        notes=header.notes,
        header=header.geometry,
    )


def describe(files: Sequence[RawFile], limits: ReadLimits, series: str | None = None) -> Described:
    """What `read` would give, by the header alone."""
    file, header, volume = _chosen(files, limits, series)
    sform, qform = header.forms
    order = "big-endian" if header.big_endian else "little-endian"
    packed = ", gzip" if is_gzip(file.content) else ""
    facts = [("kind", f"NIfTI-{header.geometry.version}, {order}{packed}")]
    if (header.slope, header.inter) != (1.0, 0.0):
        facts.append(("values", f"stored × {header.slope:g} + {header.inter:g}"))
    facts += [("sform", FORM_NAMES.get(sform, str(sform))), ("qform", FORM_NAMES.get(qform, str(qform)))]
    if header.volumes > 1:
        facts.append(("volume", f"{volume + 1} of {header.volumes}"))
    return Described(
        size=header.size,
        dtype=header.dtype.name,
        files=(file,),
        slices_per_file=(header.size.slices,),
        spacing_mm=header.spacing_mm,
        affine=header.affine,
        notes=header.notes,
        facts=tuple(facts),
    )


def _start(content: bytes) -> bytes:
    return unpack_start(content, HEADER_BYTES) if is_gzip(content) else content[:HEADER_BYTES]


def _chosen(files: Sequence[RawFile], limits: ReadLimits, series: str | None) -> tuple[RawFile, NiftiHeader, int]:
    """The volume to read: its file, header, and number in the file from 0.

    Volumes are counted from 1; where there are several files, these are, and a file's volumes behind a point.
    """
    found = []
    for number, file in enumerate(files, 1):
        with naming(file.name):
            header = parse_header(_start(file.content), limits)
        size = header.size
        told = f"{sequence_of_names([file.name]) or 'unknown sequence'}, " if len(files) > 1 else ""
        for volume in range(header.volumes):
            parts = [str(number)] * (len(files) > 1) + [str(volume + 1)] * (header.volumes > 1)
            what = f"volume {volume + 1} of {header.volumes}, " if header.volumes > 1 else ""
            what += f"{told}{size.slices} slices of {size.width}×{size.height}"
            found.append((SeriesChoice(".".join(parts) or "1", what), (file, header, volume)))
    if not found:
        raise BrokenFile("there is no file to read; give at least one")
    return choose(found, series)


def _decode(content: bytes, header: NiftiHeader, volume: int) -> NDArray[Any]:
    """One volume's values, flat: as stored where the header scales nothing, else floats."""
    length = header.volume_bytes
    start, end = header.offset + volume * length, header.offset + header.volumes * length
    if is_gzip(content):
        data = unpack_part(content, start, length, end)
    elif len(content) < start + length:
        raise BrokenFile("the file ends before its data do; copy or export it again")
    else:
        data = np.frombuffer(content, np.uint8, length, start).copy()
    stored = data.view(header.dtype)
    if not header.dtype.isnative:
        stored = stored.byteswap(inplace=True).view(header.dtype.newbyteorder("="))
    if (header.slope, header.inter) == (1.0, 0.0):
        return stored
    scaled = np.empty(stored.shape, np.float32 if stored.dtype.itemsize <= 2 or stored.dtype == "f4" else np.float64)
    step = header.size.height * header.size.width
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is noticed where intensities are scaled
        for first in range(0, len(stored), step):
            scaled[first : first + step] = stored[first : first + step] * header.slope + header.inter
    return scaled
