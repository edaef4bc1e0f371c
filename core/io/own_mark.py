"""Tells masks that metseg wrote from those that people drew: by the mark that its files bear."""

from __future__ import annotations

import gzip
from pathlib import Path

from core.io.names import VOLUME_SUFFIXES
from core.scan import ScanSource

MARK = "metseg"
"""What a TIFF of ours names as its software, and the description of a NIfTI of ours begins with."""
# Where NIfTI-1 and NIfTI-2 keep what a program says of itself.
NIFTI_TEXTS = (slice(148, 228), slice(240, 320))


def masks_of_ours(source: ScanSource) -> int:
    """How many of a case's masks metseg wrote; its own answers say nothing about how good they are.

    A mask that somebody corrected in another program bears that one's mark, or none, as all PNG files do.
    """
    return sum(_is_ours(path) for path in source.mask_paths if path is not None)


def _is_ours(path: Path) -> bool:
    try:
        if path.name.lower().endswith(VOLUME_SUFFIXES):
            with path.open("rb") as file:
                packed = file.read(2) == b"\x1f\x8b"
                file.seek(0)
                head = gzip.GzipFile(fileobj=file).read(320) if packed else file.read(320)
            return any(head[text].startswith(f"{MARK} ".encode()) for text in NIFTI_TEXTS)
        import tifffile

        with tifffile.TiffFile(path) as tiff:
            return bool(tiff.pages.first.software == MARK)
    except Exception:  # what cannot be read is complained of by whoever reads it
        return False
