"""Results as NIfTI, in the very place where the scan lies.

Nothing of the input's header is handed on but its geometry: no data type, no scaling, no display range, no text.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import OutputError
from core.io.interface import Origin, RawFile
from core.io.names import bids_entities, file_stem
from core.io.nifti_header import NiftiGeometry
from core.io.own_mark import MARK
from core.scan import Scan
from core.system import VERSION

OWN_ENTITIES = ("label-", "desc-")
MASK_LEVEL, PROBABILITY_LEVEL = 6, 1
"""Of zlib: probabilities hardly shrink, whatever it takes."""
MILLIMETRES = 2
SCANNER = 1
SHEAR = 1e-4
"""Cosine between two axes from which on they are not upright on each other; a qform cannot say that."""


def obstacle(scan: Scan) -> str | None:
    """Why there can be no NIfTI for this scan: its slices must lie evenly in a known place."""
    if isinstance(scan.header, NiftiGeometry):
        return None
    if scan.affine is None:
        return "where this scan lies in space is unknown, so no NIfTI can be written; choose another form"
    if not scan.evenly_spaced:
        return "the slices do not follow each other evenly, so no NIfTI can be written; choose another form"
    return None


def encode_mask(mask: NDArray[np.bool_], scan: Scan, origin: Origin) -> tuple[RawFile, ...]:
    """`STEM_mask.nii.gz`, uint8, 0 and 1; for a scan named as BIDS has it
    `sub-…_label-L_desc-MODEL_mask.nii.gz` with a JSON file beside it.
    """
    return _encode(mask.view(np.uint8), scan, origin, "mask", "mask", MASK_LEVEL)


def encode_probability(probability: NDArray[np.float32], scan: Scan, origin: Origin) -> tuple[RawFile, ...]:
    """`STEM_probability.nii.gz`, float32; `sub-…_label-L_desc-MODEL_probseg.nii.gz` where the scan is named so."""
    values = np.asarray(probability, np.float32)
    return _encode(values, scan, origin, "probability", "probseg", PROBABILITY_LEVEL)


def bids_stem(stem: str, model: str) -> str | None:
    """What results of a scan named as BIDS has it begin with; None for other names."""
    entities = bids_entities(stem)
    if entities is None:
        return None
    kept = [entity for entity in entities if not entity.startswith(OWN_ENTITIES)]
    short = re.sub("[^A-Za-z0-9]", "", model) or "metseg"
    return "_".join([*kept, "label-L", f"desc-{short}"])


def _encode(values: NDArray[Any], scan: Scan, origin: Origin, plain: str, bids: str, level: int) -> tuple[RawFile, ...]:
    if reason := obstacle(scan):
        raise OutputError(reason, source=scan.name)
    content = _pack(_header(values, scan, plain), values, level)
    stem = file_stem(scan)
    named = bids_stem(stem, origin.model)
    if named is None:
        return (RawFile(f"{stem}_{plain}.nii.gz", content),)
    sidecar = json.dumps(_sidecar(origin, plain), indent=2, allow_nan=False) + "\n"
    return RawFile(f"{named}_{bids}.nii.gz", content), RawFile(f"{named}_{bids}.json", sidecar.encode())


def _header(values: NDArray[Any], scan: Scan, what: str) -> bytes:
    """Header and the four bytes that say that no extension follows."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    geometry = scan.header if isinstance(scan.header, NiftiGeometry) else None
    second = geometry.version == 2 if geometry else max(values.shape) > np.iinfo(np.int16).max
    header: Any = (Nifti2Header if second else Nifti1Header)(endianness="<")  # type: ignore[no-untyped-call]
    header.set_data_dtype(values.dtype)
    header.set_data_shape(geometry.shape if geometry else values.shape[::-1])
    header["vox_offset"] = 544 if second else 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["descrip"] = f"{MARK} {VERSION} {what}, research use only".encode()
    if geometry:
        for name, numbers in geometry.fields:
            if name == "pixdim":
                header["pixdim"][:4] = numbers
            else:
                header[name] = numbers if len(numbers) > 1 else numbers[0]
    else:
        _place(header, scan.affine)
    return bytes(header.binaryblock) + bytes(4)


def _place(header: Any, affine: NDArray[np.float64] | None) -> None:
    """Put a header where an affine says; into the qform too, where that can say it."""
    assert affine is not None  # noqa: S101 - see `obstacle`
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    header["pixdim"][1:4] = lengths
    header["xyzt_units"] = MILLIMETRES
    header.set_sform(affine, SCANNER)
    cosines = affine[:3, :3] / lengths
    if np.abs(cosines.T @ cosines - np.eye(3)).max() < SHEAR:
        header.set_qform(affine, SCANNER)


def _pack(header: bytes, values: NDArray[Any], level: int) -> bytes:
    """Gzip without a name or a time in it, so that equal results are equal files."""
    packer = zlib.compressobj(level, wbits=31)
    parts = [packer.compress(header)]
    # Slice by slice: the volume may be a view that is turned, and is never copied as a whole.
    parts += [packer.compress(np.ascontiguousarray(image).data) for image in values]
    parts.append(packer.flush())
    return b"".join(parts)


def _sidecar(origin: Origin, what: str) -> dict[str, Any]:
    settings = origin.manifest.get("settings", {})
    return {
        "Description": f"Lesion {what} made by metseg; research use only, not for diagnosis or treatment.",
        "Type": "Lesion",
        "GeneratedBy": [{"Name": "metseg", "Version": VERSION}],
        "Model": {"Name": origin.model, "Version": origin.version},
        "Threshold": settings.get("threshold"),
        "Manual": False,
    }
