"""Slices as PNGs for the screen: large enough to see single pixels, small enough to be sent at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.io import encode_png
from core.overlay import draw_overlay

SMALLEST_PX = 512
LARGEST_PX = 1280

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]


def grey_png(image: Picture) -> bytes:
    """A slice as it is, (H, W)."""
    return encode_png(_fit(image))


def overlay_png(image: Picture, mask: Mask, other: Mask | None, opacity: float, outline: bool) -> bytes:
    """A slice with a mask in amber, and the outline of another in blue."""
    blue = None if other is None else _fit_mask(other)
    return encode_png(draw_overlay(_fit(image), _fit_mask(mask), truth=blue, opacity=opacity, outline=outline))


def probability_png(probability: NDArray[np.float32], mask: Mask, outline: bool) -> bytes:
    """A slice's probability, black for 0 and white for 1, with the outline of what is above the threshold."""
    grey = np.rint(probability * 255).astype(np.uint8)
    return encode_png(draw_overlay(_fit(grey), _fit_mask(mask), opacity=0.0, outline=outline))


def icon() -> Picture:
    """The page's icon, (H, W, 3): a bright spot in a disc."""
    rows, columns = np.mgrid[:64, :64] - 31.5
    disc = np.hypot(rows, columns)[..., None] < 29
    spot = np.hypot(rows + 6, columns - 7)[..., None] < 10
    picture = np.where(disc, (0x0B, 0x6E, 0x8F), (0xFF, 0xFF, 0xFF))
    return np.where(spot, (0xFF, 0xB0, 0x00), picture).astype(np.uint8)


def _fit(image: Picture) -> Picture:
    """Whole times larger, or smaller by averaging."""
    longest = max(image.shape)
    if longest > LARGEST_PX:
        import cv2

        return np.asarray(cv2.resize(image, _shrunk(image), interpolation=cv2.INTER_AREA), np.uint8)
    return _enlarged(image)


def _fit_mask(mask: Mask) -> Mask:
    """The same for a mask; where it gets smaller nothing vanishes."""
    if max(mask.shape) > LARGEST_PX:
        import cv2

        small = cv2.resize(mask.astype(np.float32), _shrunk(mask), interpolation=cv2.INTER_AREA)
        return np.asarray(small > 0, np.bool_)
    return np.asarray(_enlarged(mask), np.bool_)


def _enlarged(image: NDArray[Any]) -> NDArray[Any]:
    times = max(1, -(-SMALLEST_PX // max(image.shape)))
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _shrunk(image: NDArray[Any]) -> tuple[int, int]:
    """(width, height) whose longer side is the largest that is sent."""
    scale = LARGEST_PX / max(image.shape)
    height, width = image.shape
    return max(1, round(width * scale)), max(1, round(height * scale))
