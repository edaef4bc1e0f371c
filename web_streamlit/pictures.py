"""Slices as PNGs for the screen: large enough to see single pixels, small enough to be sent at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.framing import Letters, fit_mask, to_aspect, with_letters
from core.io import encode_png
from core.overlay import draw_overlay

SMALLEST_PX = 512
LARGEST_PX = 1280
CROSS_COLOUR = np.array((0x4C, 0xC2, 0xFF), np.uint16)

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """How a slice is hung.

    Attributes:
        aspect: height of a pixel over its width.
        letters: at its edges; None where nobody knows its sides.
        cross: row and column of the lines that are drawn through it, as shares of its height and width; or None.
    """

    aspect: float = 1.0
    letters: Letters | None = None
    cross: tuple[float, float] | None = None


PLAIN = Frame()


def grey_png(image: Picture, frame: Frame = PLAIN) -> bytes:
    """A slice as it is, (H, W)."""
    return _hang(_fit(to_aspect(image, frame.aspect)), frame)


def overlay_png(
    image: Picture, mask: Mask, other: Mask | None, opacity: float, outline: bool, frame: Frame = PLAIN
) -> bytes:
    """A slice with a mask in amber, and the outline of another in blue."""
    grey, amber = _fit(to_aspect(image, frame.aspect)), _fit_mask(to_aspect(mask, frame.aspect))
    blue = None if other is None else _fit_mask(to_aspect(other, frame.aspect))
    return _hang(draw_overlay(grey, amber, truth=blue, opacity=opacity, outline=outline), frame)


def probability_png(probability: NDArray[np.float32], mask: Mask, outline: bool, frame: Frame = PLAIN) -> bytes:
    """A slice's probability, black for 0 and white for 1, with the outline of what is above the threshold."""
    grey = np.rint(probability * 255).astype(np.uint8)
    return overlay_png(grey, mask, None, 0.0, outline, frame)


def _hang(picture: Picture, frame: Frame) -> bytes:
    """(H, W) or (H, W, 3) as a PNG, with what the frame adds."""
    if frame.cross is not None:
        picture = np.repeat(picture[:, :, None], 3, axis=2) if picture.ndim == 2 else picture.copy()
        row, column = (int(share * side) for share, side in zip(frame.cross, picture.shape, strict=False))
        for line in (picture[row], picture[:, column]):
            line[:] = (line.astype(np.uint16) + CROSS_COLOUR) // 2
    return encode_png(with_letters(picture, frame.letters) if frame.letters else picture)


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
        return fit_mask(mask, _shrunk(mask))
    return np.asarray(_enlarged(mask), np.bool_)


def _enlarged(image: NDArray[Any]) -> NDArray[Any]:
    times = max(1, -(-SMALLEST_PX // max(image.shape)))
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _shrunk(image: NDArray[Any]) -> tuple[int, int]:
    """(width, height) whose longer side is the largest that is sent."""
    scale = LARGEST_PX / max(image.shape)
    height, width = image.shape
    return max(1, round(width * scale)), max(1, round(height * scale))
