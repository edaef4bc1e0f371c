"""From a scan's values to grey levels on the screen, slice by slice."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.preprocess.channels import COLOURS, LGG_LAYOUT, select_channels
from core.preprocess.intensity import to_uint8
from core.scan import Scan

SAMPLE_VOXELS = 1 << 19


@dataclass(frozen=True, slots=True)
class Window:
    """The values shown as black and as white."""

    low: float
    high: float

    @property
    def level(self) -> float:
        """The middle."""
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        """From black to white."""
        return self.high - self.low

    def moved(self, level: float, width: float, smallest: float) -> Window:
        """Shifted and stretched by a share of its own width, so that a drag feels alike on any scale."""
        middle, span = self.level + level * self.width, max(self.width * (1.0 + width), smallest)
        return Window(middle - span / 2, middle + span / 2)


PRESETS: tuple[tuple[str, tuple[float, float]], ...] = (
    ("Full range", (0.0, 1.0)),
    ("Brain", (0.0, 0.8)),
    ("High contrast", (0.2, 0.7)),
    ("Bright lesions", (0.4, 1.0)),
    ("Dark detail", (0.0, 0.35)),
)
"""Names, and which part of the range from air to the brightest tissue is shown."""


@dataclass(frozen=True, slots=True)
class Range:
    """What a channel's values span, as the rule that brings them to 8 bit sees it."""

    low: float
    high: float

    def preset(self, index: int) -> Window:
        """The window of a preset."""
        return self.window(*PRESETS[index][1])

    def window(self, start: float, end: float) -> Window:
        """The window from one share of the range to another."""
        span = self.high - self.low
        return Window(self.low + start * span, self.low + end * span)

    def shares(self, window: Window) -> tuple[float, float]:
        """Where a window begins and ends, as shares of the range."""
        span = self.high - self.low
        return (window.low - self.low) / span, (window.high - self.low) / span


def value_range(voxels: NDArray[Any]) -> Range:
    """The range of a channel (S, H, W): 0 to 255 where it is 8-bit, else by the rule that brings it to 8 bit."""
    if voxels.dtype == np.uint8:
        return Range(0.0, 255.0)
    step = max(1, int((voxels.size / SAMPLE_VOXELS) ** (1 / 3)))
    _, (found, *_), _ = to_uint8(voxels[::step, None, ::step, ::step])
    return Range(found.low, found.high) if found.high > found.low else Range(found.low, found.low + 1.0)


def auto_window(values: NDArray[Any]) -> Window | None:
    """The window that fits a slice (H, W): its 1st to 99.5th percentile, air left out; None where all is one value."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if not finite.size or finite.min() == finite.max():
        return None
    tissue = finite[finite > finite.min()]
    low, high = (float(q) for q in np.percentile(tissue, (1.0, 99.5)))
    return Window(low, high) if high > low else None


def apply_window(values: NDArray[Any], window: Window) -> NDArray[np.uint8]:
    """Grey levels of a slice (H, W); NaN is black."""
    if values.dtype == np.uint8:
        if (window.low, window.high) == (0.0, 255.0):
            return np.ascontiguousarray(values)
        return np.asarray(_grey(np.arange(256, dtype=np.float32), window)[values], np.uint8)
    if values.dtype == np.bool_:
        return np.asarray(_grey(np.arange(2, dtype=np.float32), window)[values.astype(np.uint8)], np.uint8)
    with np.errstate(over="ignore"):
        return _grey(values.astype(np.float32), window)


def _grey(values: NDArray[np.float32], window: Window) -> NDArray[np.uint8]:
    scale = np.float32(255.0 / max(window.width, 1e-30))
    with np.errstate(over="ignore", invalid="ignore"):
        grey = (values - np.float32(window.low)) * scale + np.float32(0.5)
    return np.asarray(np.nan_to_num(np.clip(grey, 0, 255), nan=0.0).astype(np.uint8), np.uint8)


def eight_bit(voxels: NDArray[Any]) -> NDArray[np.uint8]:
    """(S, H, W) of any dtype as CLAHE takes it."""
    return to_uint8(voxels[:, None])[0][:, 0]


def channel_names(scan: Scan) -> tuple[str, ...]:
    """What each channel is called."""
    count = scan.voxels.shape[1]
    if scan.channels:
        return scan.channels
    if count == 1:
        return (scan.sequence or "grey",)
    return LGG_LAYOUT if count == len(LGG_LAYOUT) else tuple(f"channel {index}" for index in range(count))


def model_channel(scan: Scan, inputs: tuple[str, ...], choice: str | None) -> int:
    """Which channel a model with one input takes; the first (of a picture: green) where it cannot say."""
    try:
        taken = select_channels(scan, inputs, choice)[0]
    except InputError:
        return COLOURS.index("green") if scan.channels == COLOURS else 0
    address = taken.__array_interface__["data"][0]
    for index in range(scan.voxels.shape[1]):
        if scan.voxels[:, index].__array_interface__["data"][0] == address:
            return index
    return 0


def length_text(down: float, across: float, row_mm: float | None, column_mm: float | None) -> str:
    """A distance over a picture, in millimetres where the spacing in it is known, else in pixels."""
    if row_mm is None or column_mm is None:
        return f"{hypot(down, across):.1f} px"
    return f"{hypot(down * row_mm, across * column_mm):.1f} mm"
