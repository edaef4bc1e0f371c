"""What a slice looks like: its grey levels, and what lies over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.model_card import PreprocessSettings
from core.overlay import draw_overlay
from core.preprocess.clahe import equalise
from core.views import View
from desktop.session.display import Window, apply_window
from desktop.session.opened import Opened


@dataclass(slots=True)
class Look:
    """How pictures are shown; the same for every case."""

    opacity: float = 0.35
    mask: bool = True
    truth: bool = True
    outline: bool = True
    beside: bool = False
    clahe: bool = False
    smooth: bool = False
    crosshair: bool = False
    ruler: bool = False


def grey_slice(opened: Opened, view: View, index: int, channel: int, window: Window) -> NDArray[np.uint8]:
    """(H, W) grey levels of a slice of a view."""
    return apply_window(view.cut(opened.volume(channel), index), window)


def clahe_slice(volume: NDArray[np.uint8], view: View, index: int, settings: PreprocessSettings) -> NDArray[np.uint8]:
    """(H, W) of a slice of a stored 8-bit (S, H, W) after a model's CLAHE, on the slice's own grid."""
    image = np.ascontiguousarray(view.turn(volume)[index : index + 1])
    return np.asarray(equalise(image, settings.clip_limit, settings.tile_px)[0], np.uint8)


def mask_slice(opened: Opened, view: View, index: int, threshold: float | None = None) -> NDArray[np.bool_] | None:
    """(H, W): the mask in a slice, at a threshold that is only tried or at the case's own; None where there is none."""
    if threshold is not None and opened.result is not None:
        return np.asarray(view.cut(opened.result.probability, index) >= np.float32(threshold), np.bool_)
    return None if opened.finding is None else np.asarray(view.cut(opened.finding.mask, index), np.bool_)


def truth_slice(opened: Opened, view: View, index: int) -> NDArray[np.bool_] | None:
    """(H, W): the ground truth in a slice; None where there is none."""
    return None if opened.truth is None else np.asarray(view.cut(opened.truth, index), np.bool_)


def picture(
    grey: NDArray[np.uint8], mask: NDArray[np.bool_] | None, truth: NDArray[np.bool_] | None, look: Look
) -> NDArray[np.uint8]:
    """(H, W, 3) of grey levels with mask and truth upon them."""
    nothing = np.zeros(grey.shape, np.bool_)
    opacity = 0.0 if mask is None else look.opacity
    return draw_overlay(grey, nothing if mask is None else mask, truth=truth, opacity=opacity, outline=look.outline)
