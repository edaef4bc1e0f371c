"""Draws a mask on a slice, the same in every face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MASK_COLOUR = (0xFF, 0xB0, 0x00)
"""Amber, told apart from blue by every kind of colour vision."""

TRUTH_COLOUR = (0x4C, 0xC2, 0xFF)


def draw_overlay(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    *,
    truth: NDArray[np.bool_] | None = None,
    opacity: float = 0.45,
    outline: bool = True,
) -> NDArray[np.uint8]:
    """Lay a mask over a slice: filled in amber with its outline, the truth as a blue outline on top.

    Outlines are the masks' own outermost pixels, so that no pixel outside the masks is ever altered.

    Args:
        image: (H, W) uint8 grey.
        mask: (H, W) bool.
        truth: (H, W) bool, or None where it is not known.
        opacity: of the fill, from 0 (none) to 1 (opaque).
        outline: whether the mask's outermost pixels are drawn opaque.

    Returns:
        (H, W, 3) uint8 RGB, an array of its own.

    Raises:
        ValueError: shapes or dtypes do not fit, or opacity is outside [0, 1].
    """
    if image.ndim != 2 or image.dtype != np.uint8:
        raise ValueError(f"image must be (height, width) uint8, not {image.shape} {image.dtype}")
    for other in (mask, truth):
        if other is not None and (other.shape != image.shape or other.dtype != np.bool_):
            raise ValueError(f"masks must be bool and as large as the image, not {other.shape} {other.dtype}")
    if not 0.0 <= opacity <= 1.0:
        raise ValueError(f"opacity must lie in [0, 1], not {opacity}")
    picture = np.repeat(image[:, :, None], 3, axis=2)  # (H, W, 3)
    grey = image[mask].astype(np.float32)[:, None]
    colour = np.asarray(MASK_COLOUR, np.float32)
    picture[mask] = np.rint(grey + (colour - grey) * np.float32(opacity)).astype(np.uint8)
    if outline:
        picture[_outermost(mask)] = MASK_COLOUR
    if truth is not None:
        picture[_outermost(truth)] = TRUTH_COLOUR
    return picture


def _outermost(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask that touch its outside, or the picture's border, with a side."""
    around = np.pad(mask, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return mask & ~inner
