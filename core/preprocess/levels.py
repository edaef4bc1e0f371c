"""A volume's own grey scale: where the middle of its head lies, and how far its tissues spread.

Scanners and sites show one tissue at different grey levels. A model whose card says so sees grey levels counted from
the head's median in units of its spread, instead of from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.preprocess.clahe import equalise
from core.preprocess.otsu import otsu_bin

if TYPE_CHECKING:
    from torch import Tensor

SLICES = 16
"""Of a volume that are looked at, evenly spread."""

AIR = 0.01
"""Share of the pixels that are darker than what counts as the darkest."""

NARROWEST = 2.0
"""Grey levels; a head of less spread is noise, or painted."""

BOUNDS = (-5.0, 8.0)

NORMAL = 1.349
"""Interquartile range of a normal distribution in standard deviations, so that a spread is nearly one of these."""


@dataclass(frozen=True, slots=True)
class Levels:
    """A grey scale: `(grey - centre) / spread` is what a network sees.

    Attributes:
        centre, spread: grey levels, 0 to 255.
    """

    centre: float
    spread: float


WHOLE_SCALE = Levels(0.0, 255.0)
"""From 0 to 1."""


def standardise(pictures: Tensor, levels: Tensor) -> Tensor:
    """Pictures on the scale of their heads, bounded to `BOUNDS` so that no bright spot stands alone.

    Args:
        pictures: (N, C, H, W) float in [0, 1].
        levels: (N, C, 2) float, of each channel the centre and the spread, in grey levels.
    """
    # By a tensor, so that CUDA divides as the CPU does.
    centre, spread = (levels[..., None, None] / levels.new_full((), 255.0)).unbind(2)  # (N, C, 1, 1) each
    return ((pictures - centre) / spread).clamp(*BOUNDS)


def find_levels(images: NDArray[np.uint8]) -> Levels:
    """Median and spread of a volume's head.

    The head is what lies above the middle between the darkest and Otsu's threshold. Its median and interquartile range
    are hardly moved by a lesion, or by the fat around the head.

    Args:
        images: (S, H, W) after CLAHE.

    Returns:
        `WHOLE_SCALE` where nothing stands out.
    """
    counts = np.zeros(256, np.int64)
    for image in images:
        counts += np.bincount(image.ravel(), minlength=256)
    if np.count_nonzero(counts) < 2:
        return WHOLE_SCALE
    darkest = int(np.searchsorted(np.cumsum(counts), AIR * counts.sum()))
    counts[: int(darkest + max((otsu_bin(counts) - darkest) / 2, 1)) + 1] = 0
    if not counts.any():
        return WHOLE_SCALE
    low, centre, high = (_quantile(counts, share) for share in (0.25, 0.5, 0.75))
    return Levels(centre, max((high - low) / NORMAL, NARROWEST))


def levels_of(images: NDArray[np.uint8], clip_limit: float, tile_px: int) -> tuple[Levels, ...]:
    """Levels of each channel of a volume that CLAHE has not seen yet.

    Args:
        images: (S, C, H, W).
        clip_limit: CLAHE's; a negative value leaves CLAHE out.
        tile_px: pixels per CLAHE tile.
    """
    count, channels = images.shape[:2]
    chosen = np.unique(np.linspace(0, count - 1, min(count, SLICES)).round().astype(int))
    found = []
    for channel in range(channels):
        planes = np.ascontiguousarray(images[chosen, channel])
        found.append(find_levels(equalise(planes, clip_limit, tile_px)))
    return tuple(found)


def _quantile(counts: NDArray[np.int64], share: float) -> float:
    """The grey level below which a share of the counted pixels lies, as if each level's were spread over its unit."""
    below = np.cumsum(counts)
    rank = share * below[-1]
    level = int(np.searchsorted(below, rank))
    return float(level - 0.5 + (rank - (below[level] - counts[level])) / max(int(counts[level]), 1))
