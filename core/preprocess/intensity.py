"""Brings a scan's values to 8 bit, on one scale for the whole volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.scan import Note

SAMPLE = 1 << 22
"""Voxels per channel from which the range is taken; a larger volume is sampled evenly."""

OTSU_BINS = 1024


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """The values of one channel that became 0 and 255.

    Attributes:
        low, high: in the scan's own values; what lies outside was clipped.
        scaled: False where the channel was 8-bit and stayed as it is.
    """

    low: float
    high: float
    scaled: bool


def to_uint8(
    voxels: NDArray[Any], percentiles: tuple[float, float] = (0.5, 99.5)
) -> tuple[NDArray[np.uint8], tuple[IntensityRange, ...], tuple[Note, ...]]:
    """Bring a volume to 8 bit.

    uint8 stays as it is and bool becomes 0 and 255. Anything else is scaled, channel by channel, so that two
    percentiles of the whole volume's foreground (what lies above Otsu's threshold) become 0 and 255. Values that are
    not finite have no part in that and become 0.

    Args:
        voxels: (S, C, H, W), any real dtype.
        percentiles: of the foreground, in [0, 100].

    Returns:
        (S, C, H, W) uint8, the very array given if it was uint8; the range of each channel; notes.

    Source: Otsu 1979, A Threshold Selection Method from Gray-Level Histograms, IEEE Trans. SMC 9(1).
    """
    notes: list[Note] = []
    channels = voxels.shape[1]
    if voxels.dtype == np.uint8 or voxels.dtype == np.bool_:
        images = voxels if voxels.dtype == np.uint8 else voxels.astype(np.uint8) * np.uint8(255)
        if all(_is_constant(images[:, c]) for c in range(channels)):
            notes.append(_CONSTANT)
        high = 255.0 if voxels.dtype == np.uint8 else 1.0
        return images, (IntensityRange(0.0, high, scaled=voxels.dtype != np.uint8),) * channels, tuple(notes)
    out = np.zeros(voxels.shape, np.uint8)
    ranges = []
    complete = True
    for c in range(channels):
        low, high = _find_range(_sample(voxels[:, c]), percentiles)
        ranges.append(IntensityRange(low, high, scaled=True))
        for s in range(len(voxels)):
            image = _as_float(voxels[s, c])
            finite = np.isfinite(image)
            if not finite.all():
                complete = False
                image = np.where(finite, image, low)
            if high > low:
                out[s, c] = _scale(image, low, high)
    if not complete:
        notes.append(_NOT_FINITE)
    if all(range_.high <= range_.low for range_ in ranges):
        notes.append(_CONSTANT)
    elif len(voxels) == 1:
        notes.append(_LONE_SLICE)
    return out, tuple(ranges), tuple(notes)


_CONSTANT = Note("constant-image", "all voxels have the same value; there is nothing to find in this scan")
_NOT_FINITE = Note("values-not-finite", "some values are not finite numbers (NaN or infinite); they were taken as dark")
_LONE_SLICE = Note(
    "lone-slice-intensity",
    "a single slice of more than 8 bit was scaled by its own values; within its volume it may look different",
)


def _as_float(values: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # a long double beyond float64 becomes infinite and is treated as such
        return values.astype(np.float64)


def _sample(volume: NDArray[Any]) -> NDArray[np.float64]:
    """The finite values of (S, H, W), or of an even sample of about `SAMPLE` of them."""
    # An odd step, and one that goes on across slices, does not keep hitting the same columns.
    step = -(-volume.size // SAMPLE) | 1 if volume.size > SAMPLE else 1
    parts = []
    start = 0
    for image in volume:
        values = _as_float(image.reshape(-1)[start::step])
        start = (start - image.size) % step
        parts.append(values[np.isfinite(values)])
    return np.concatenate(parts)


def _find_range(sample: NDArray[np.float64], percentiles: tuple[float, float]) -> tuple[float, float]:
    """The values that become 0 and 255; equal where there is no contrast."""
    if not sample.size:
        return 0.0, 0.0
    lowest, highest = float(sample.min()), float(sample.max())
    if lowest == highest:
        return lowest, lowest
    # Differences of values near float64's limit would overflow; a quarter of them cannot.
    shrink = 0.25 if max(-lowest, highest) > 1e300 else 1.0
    sample = sample * shrink
    foreground = sample[sample > _otsu(sample)]
    low, high = (float(q) / shrink for q in np.percentile(foreground, percentiles))
    return (low, high) if high > low else (lowest, highest)


def _otsu(sample: NDArray[np.float64]) -> float:
    """Otsu's threshold; the foreground above it is never empty.

    The histogram spans the values without their outermost thousandths, so that one hot pixel cannot fill it.
    """
    low, high = (float(q) for q in np.percentile(sample, (0.1, 99.9)))
    if low == high:
        low, high = float(sample.min()), float(sample.max())
    counts, edges = np.histogram(np.clip(sample, low, high), OTSU_BINS, (low, high))
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = sample.size - below
    moments = np.cumsum(counts * np.arange(OTSU_BINS, dtype=np.float64))
    difference = moments[:-1] / np.maximum(below, 1) - (moments[-1] - moments[:-1]) / np.maximum(above, 1)
    between = below * above * difference**2
    return float(edges[1 + int(np.argmax(between))])


def _scale(image: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    shrink = 0.25 if max(-low, high) > 1e300 else 1.0
    low, high = low * shrink, high * shrink
    inside = np.clip(image * shrink, low, high)
    return np.rint((inside - low) / (high - low) * 255.0).astype(np.uint8)


def _is_constant(volume: NDArray[np.uint8]) -> bool:
    return bool(volume.min() == volume.max())
