"""What a NIfTI header says, checked before anything else of the file is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile, UnsupportedFormat
from core.io.limits import ReadLimits, Size, check_limit, check_size
from core.scan import Note, Spacing

HEADER_BYTES = 540
"""The longer of the two kinds."""
REAL_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
METRES, MICRONS = 1, 3
FORMS_AGREE = 0.5
"""Two affines agree when no corner of the volume lies farther apart than this part of the smallest spacing."""

LEAN = 0.001
"""As a tangent; below it the volume of a voxel changes by less than a millionth."""

ORIENTATION_UNKNOWN = Note(
    "orientation-unknown", "the file does not say how the volume lies in space, so left and right are unknown"
)
FORMS_DIFFER = Note(
    "forms-differ", "the file states two positions in space (sform and qform) that disagree; the sform was taken"
)


@dataclass(frozen=True, slots=True)
class NiftiGeometry:
    """Where a NIfTI lies, field by field as its header has it, so that another file can be put in the same place.

    Attributes:
        version: 1 or 2.
        shape: (i, j) or (i, j, k).
        fields: the header's geometric fields by name.
    """

    version: int
    shape: tuple[int, ...]
    fields: tuple[tuple[str, tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True, eq=False)
class NiftiHeader:
    """A header that has passed every check.

    Attributes:
        size: of one volume, as `Scan.voxels` holds it.
        volumes: how many there are.
        dtype: as stored, with its byte order.
        offset: where the first volume begins.
        slope, inter: the values are stored · slope + inter; 1 and 0 where they are as stored.
        affine: from (i, j, k) to RAS millimetres, or None.
        spacing_mm: along k, j, i.
        geometry: for the way back.
        notes: what a person should know.
        forms: codes of sform and qform.
        big_endian: the file's byte order.
    """

    size: Size
    volumes: int
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float
    affine: NDArray[np.float64] | None
    spacing_mm: Spacing
    geometry: NiftiGeometry
    notes: tuple[Note, ...]
    forms: tuple[int, int]
    big_endian: bool

    @property
    def volume_bytes(self) -> int:
        """Of one volume as stored."""
        return self.size.slices * self.size.height * self.size.width * self.dtype.itemsize


GEOMETRY_FIELDS = (
    "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
    "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip


def is_nifti(start: bytes) -> bool:
    """Whether a file that is not packed, judged by its start, is NIfTI; one cut off within its header counts."""
    if start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0"):
        return True
    sizes = (348).to_bytes(4, "little"), (348).to_bytes(4, "big"), (540).to_bytes(4, "little"), (540).to_bytes(4, "big")
    return 4 <= len(start) < 348 and start[:4] in sizes


def parse_header(start: bytes, limits: ReadLimits) -> NiftiHeader:
    """Read a header and check all of it.

    Args:
        start: the file's first bytes, unpacked.
        limits: for one volume; all volumes together may have no more values than one.

    Raises:
        BrokenFile: it is cut off or states what cannot be.
        UnsupportedFormat: its values are of a kind that no picture has, or lie in another file.
        TooLarge: a limit is exceeded.
    """
    raw, version = _unpack(start)
    shape, volumes = _shape(raw, limits)
    dtype = _dtype(raw)
    offset = _offset(raw, 352 if version == 1 else 544)
    slope, inter = _scaling(raw)
    unit = {METRES: 1000.0, MICRONS: 0.001}.get(int(raw["xyzt_units"]) & 7, 1.0)
    affine, notes = _affine(raw, shape, unit)
    if affine is not None:
        i_mm, j_mm, k_mm = (float(length) for length in np.linalg.norm(affine[:3, :3], axis=0))
        if _leans(affine):  # then its planes lie nearer to each other than their origins
            k_mm = abs(float(np.linalg.det(affine[:3, :3]))) / (i_mm * j_mm)
        spacing: Spacing = (k_mm, j_mm, i_mm)
    else:
        i, j, k = (abs(float(value)) * unit for value in raw["pixdim"][1:4])
        spacing = (_spacing(k) if len(shape) == 3 else None, _spacing(j), _spacing(i))
    fields = {name: tuple(float(value) for value in np.ravel(raw[name])) for name in GEOMETRY_FIELDS}
    fields["pixdim"] = tuple(float(value) for value in raw["pixdim"][:4])
    return NiftiHeader(
        size=Size(shape[2] if len(shape) == 3 else 1, 1, shape[1], shape[0]),
        volumes=volumes,
        dtype=dtype,
        offset=offset,
        slope=slope,
        inter=inter,
        affine=affine,
        spacing_mm=spacing,
        geometry=NiftiGeometry(version, shape, tuple(fields.items())),
        notes=notes,
        forms=(int(raw["sform_code"]), int(raw["qform_code"])),
        big_endian=raw.endianness == ">",
    )


def _unpack(start: bytes) -> tuple[Any, int]:
    """The header's fields, whatever its byte order, and its version."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    version = 2 if start[4:8] in (b"n+2\0", b"ni2\0") else 1
    kind = Nifti2Header if version == 2 else Nifti1Header
    length = kind.template_dtype.itemsize
    if len(start) < length:
        raise BrokenFile("the file ends within its header; copy or export it again")
    magic = start[4:8] if version == 2 else start[344:348]
    if magic not in (b"n+1\0", b"n+2\0"):
        raise UnsupportedFormat("the header belongs to a pair of files (.hdr and .img); save them as one .nii file")
    header: Any = kind(start[:length], check=False)  # type: ignore[no-untyped-call]
    return header, version


def _shape(raw: Any, limits: ReadLimits) -> tuple[tuple[int, ...], int]:
    """(i, j) or (i, j, k), and the number of volumes."""
    count = int(raw["dim"][0])
    if not 1 <= count <= 7:
        raise BrokenFile("the header states an impossible number of dimensions; export it again")
    sides = [int(side) for side in raw["dim"][1 : count + 1]]
    if min(sides) < 1:
        raise BrokenFile("the header states a side without voxels; export it again")
    if count == 1 or any(side > 1 for side in sides[4:]):
        raise UnsupportedFormat("the NIfTI holds neither slices nor volumes; save the volume that is meant by itself")
    i, j, k = (*sides, 1)[:3]
    volumes = sides[3] if count > 3 else 1
    check_size(Size(k, 1, j, i), limits)
    check_limit(volumes, limits.volumes, "volumes")
    check_limit(i * j * k * volumes, limits.voxels, "values in all")
    return (i, j) if count == 2 else (i, j, k), volumes


def _dtype(raw: Any) -> np.dtype[Any]:
    code = int(raw["datatype"])
    if code not in REAL_TYPES:
        raise UnsupportedFormat(
            "the NIfTI's values are complex, coloured or of another kind that is not read; save it with plain numbers"
        )
    return np.dtype(REAL_TYPES[code]).newbyteorder(raw.endianness)


def _offset(raw: Any, least: int) -> int:
    offset = float(raw["vox_offset"])
    if offset == 0:  # some writers leave it out
        return least
    if not (least <= offset < 2**53 and offset == int(offset)):
        raise BrokenFile("the header says that the data begin at an impossible place; export it again")
    return int(offset)


def _scaling(raw: Any) -> tuple[float, float]:
    slope, inter = float(raw["scl_slope"]), float(raw["scl_inter"])
    # By the standard a slope of 0 means none; NaN, which some writers put there, is none either.
    if slope == 0 or not np.isfinite(slope):
        return 1.0, 0.0
    if not np.isfinite(inter):
        raise BrokenFile("the header's scaling of values is not a number; export it again")
    return slope, inter


def _affine(raw: Any, shape: tuple[int, ...], unit: float) -> tuple[NDArray[np.float64] | None, tuple[Note, ...]]:
    """The sform where its code is set, else the qform where that is, else none."""
    raw = _with_defaults(raw, shape)
    sform = _checked(raw.get_sform, unit) if raw["sform_code"] > 0 else None
    if sform is None:
        if raw["qform_code"] > 0:
            return _checked(raw.get_qform, unit), ()
        return None, (ORIENTATION_UNKNOWN,)
    if raw["qform_code"] > 0:
        try:
            qform = _checked(raw.get_qform, unit)
        except BrokenFile:
            return sform, (FORMS_DIFFER,)
        corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float)
        corners[:, :3] *= (*(side - 1 for side in shape), 0)[:3]
        apart = np.linalg.norm(corners @ (sform - qform).T, axis=1).max()
        if apart > FORMS_AGREE * np.linalg.norm(sform[:3, :3], axis=0).min():
            return sform, (FORMS_DIFFER,)
    return sform, ()


def _with_defaults(raw: Any, shape: tuple[int, ...]) -> Any:
    """The header with what the standard lets a qform leave out: a handedness of 0, the thickness of a single slice."""
    filled = raw.copy()
    if filled["pixdim"][0] not in (-1, 1):
        filled["pixdim"][0] = 1
    for axis, side in enumerate((*shape, 1)[:3], 1):
        if side == 1 and filled["pixdim"][axis] == 0:
            filled["pixdim"][axis] = 1
    return filled


def _checked(read: Callable[[], Any], unit: float) -> NDArray[np.float64]:
    """An affine in millimetres.

    Raises:
        BrokenFile: it has no inverse, or is not made of numbers.
    """
    from nibabel.spatialimages import HeaderDataError

    broken = BrokenFile("the position in space that the header states is impossible; export it again")
    try:
        with np.errstate(all="ignore"):
            affine = np.array(read(), np.float64)
    except (HeaderDataError, ValueError) as error:
        raise broken from error
    affine[:3] *= unit
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and lengths.min() > 0):
        raise broken
    # Of unit columns the determinant is the volume of the cell they span; one nearly flat has no inverse worth having.
    if abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-3:
        raise broken
    return affine


def _leans(affine: NDArray[np.float64]) -> bool:
    """Whether the third axis leans from the normal of the planes of the other two, beyond what rounding does."""
    i, j, k = affine[:3, :3].T
    normal = np.cross(i, j)
    return bool(np.linalg.norm(np.cross(normal, k)) > LEAN * abs(normal @ k))


def _spacing(value: float) -> float | None:
    return value if np.isfinite(value) and value > 0 else None
