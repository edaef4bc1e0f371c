"""Writes a phantom as files in the LGG set's own layout: `CASE/CASE_1.tif` beside `CASE/CASE_1_mask.tif`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.atomic import write_atomic
from core.errors import OutputError
from core.phantom.stack import make_phantom


def write_phantom_case(seed: int, folder: Path, slices: int = 8, size: int = 256) -> Path:
    """Make a phantom and write it below a folder; files that are there already with the same bytes are left alone.

    Slices of a longer stack that was written there before are removed, for they would be taken for this one's.

    Args:
        seed: as for `make_phantom`.
        folder: where the case's own folder goes; made where it is not there.
        slices: as for `make_phantom`.
        size: as for `make_phantom`.

    Returns:
        the case's folder, whose name is the scan's.

    Raises:
        OutputError: it cannot be written.
    """
    scan, mask = make_phantom(seed, slices, size)
    case = folder / scan.name
    try:
        case.mkdir(parents=True, exist_ok=True)
        for name, picture, truth in zip(scan.slice_names, scan.voxels[:, 0], mask, strict=True):
            _write(case / f"{name}.tif", picture)
            _write(case / f"{name}_mask.tif", truth.astype(np.uint8) * 255)
        ours = {f"{name}{end}" for name in scan.slice_names for end in (".tif", "_mask.tif")}
        for path in case.glob(f"{scan.name}_*.tif"):
            if path.name not in ours:
                path.unlink()
    except (OSError, OutputError) as error:
        raise OutputError(
            "the synthetic pictures cannot be written there; choose a folder with room that you may write to",
            source=case.name,
        ) from error
    return case


def _write(path: Path, picture: NDArray[Any]) -> None:
    import tifffile

    content = io.BytesIO()
    tifffile.imwrite(content, picture, photometric="minisblack", compression="zlib", software=False, metadata=None)
    encoded = content.getvalue()
    if path.is_file() and path.read_bytes() == encoded:
        return
    write_atomic(path, encoded)
