"""Results as files in memory: what is written to a disk, and what a server answers with."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.io.own_mark import MARK


def encode_tiff(slices: NDArray[Any]) -> bytes:
    """A losslessly compressed TIFF with a page for each slice.

    Args:
        slices: (slices, height, width) of any real dtype, or (slices, height, width, 3) uint8 RGB.
    """
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        slices,
        photometric="rgb" if slices.ndim == 4 else "minisblack",
        compression="zlib",
        predictor=slices.dtype.kind == "f",
        metadata=None,
        software=MARK,
    )
    return buffer.getvalue()


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """A PNG of (height, width) grey or (height, width, 3) RGB."""
    import imagecodecs

    return bytes(imagecodecs.png_encode(np.ascontiguousarray(picture)))


def mask_values(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A mask as it stands in files: 0, and 255 for lesion."""
    return np.where(mask, np.uint8(255), np.uint8(0))
