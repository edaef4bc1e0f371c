"""Brings a scan's values to 8 bit, on one scale for the whole volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.preprocess.otsu import otsu_bin
from core.scan import Note

SAMPLE = 1 << 22
"""Voxels per channel from which the range is taken; a larger volume is sampled evenly."""

OTSU_BINS = 1024

FOREGROUND_TOP = 170
"""Grey level of the foreground's upper percentile. The LGG set's own 8-bit volumes have it at 171 (median of 88
patients, 126 to 198 for four in five): what is brighter, some lesions among it, keeps room above."""


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """The values of one channel that became 0 and 255.

    Attributes:
        low, high: in the scan's own values; what lies outside was clipped.
        scaled: False where the channel was 8-bit and stayed as it is.
        centre, spread: the grey level that the network sees as 0, and how many make 1, after CLAHE, see
            `core.preprocess.levels`; None where it sees 0 to 255 as 0 to 1.
    """

    low: float
    high: float
    scaled: bool
    centre: float | None = None
    spread: float | None = None


def to_uint8(
    voxels: NDArray[Any],
    percentiles: tuple[float, float] = (0.5, 99.5),
    given: Sequence[IntensityRange] | None = None,
) -> tuple[NDArray[np.uint8], tuple[IntensityRange, ...], tuple[Note, ...]]:
    """Bring a volume to 8 bit.

    uint8 stays as it is and bool becomes 0 and 255. Anything else is scaled linearly, channel by channel, on one
    scale for all slices: the lower percentile of the volume (the air around the head) becomes 0, the upper
    percentile of its foreground (what lies above Otsu's threshold) becomes `FOREGROUND_TOP`, and what lies outside
    0 and 255 is clipped. Values that are not finite have no part in that and become 0.

    The lower end is not taken from the foreground, because its lowest values are Otsu's threshold itself: fluid and
    the darker tissue below would all turn black, which 8-bit input, used as it is, never shows the network.

    Args:
        voxels: (S, C, H, W), any real dtype.
        percentiles: the lower one, of all voxels, and the upper one, of the foreground, in [0, 100].
        given: ranges that an earlier run found, one for each channel, to be taken again.

    Returns:
        (S, C, H, W) uint8, the very array given if it was uint8; the range of each channel; notes.

    Raises:
        ValueError: there are not as many given ranges as channels.

    Source: Otsu 1979, A Threshold Selection Method from Gray-Level Histograms, IEEE Trans. SMC 9(1).
    """
    notes: list[Note] = []
    channels = voxels.shape[1]
    if given is not None and len(given) != channels:
        raise ValueError(f"{len(given)} ranges do not fit {channels} channels")
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
        found = given[c] if given else IntensityRange(*_find_range(_sample(voxels[:, c]), percentiles), scaled=True)
        found = replace(found, scaled=True)  # a given one may be of 8-bit slices, which were taken as they are
        low, high = found.low, found.high
        ranges.append(found)
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
    elif len(voxels) == 1 and given is None:
        notes.append(_LONE_SLICE)
    return out, tuple(ranges), tuple(notes)


def to_uint8_by(values: NDArray[Any], known: IntensityRange) -> NDArray[np.uint8]:
    """Bring some slices of a volume to 8 bit by the range that `to_uint8` found for the whole of it.

    Args:
        values: of any shape and real dtype; of one channel.
        known: that channel's range.

    Returns:
        the same shape; what `to_uint8` made of them.
    """
    if not known.scaled:
        return values.astype(np.uint8, copy=False)
    if known.high <= known.low:
        return np.zeros(values.shape, np.uint8)
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    image = _as_float(values)
    return _scale(np.where(np.isfinite(image), image, known.low), known.low, known.high)


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
    sample = np.empty(-(-volume.size // step), np.float64)
    start = filled = 0
    for image in volume:
        values = _as_float(image.reshape(-1)[start::step])
        start = (start - image.size) % step
        values = values[np.isfinite(values)]
        sample[filled : filled + len(values)] = values
        filled += len(values)
    return sample[:filled]


def _find_range(sample: NDArray[np.float64], percentiles: tuple[float, float]) -> tuple[float, float]:
    """The values that become 0 and 255; equal where there is no contrast."""
    if not sample.size:
        return 0.0, 0.0
    lowest, highest = float(sample.min()), float(sample.max())
    if lowest == highest:
        return lowest, lowest
    shrink = _shrink(lowest, highest)
    if shrink != 1:
        sample = sample * shrink
    low = float(np.percentile(sample, percentiles[0]))
    top = float(np.percentile(sample[_foreground(sample)], percentiles[1]))
    high = low + (top - low) * (255 / FOREGROUND_TOP)
    if high <= low:
        return lowest, highest
    return low / shrink, min(high / shrink, float(np.finfo(np.float64).max))


def _foreground(sample: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values lie above Otsu's threshold; never none.

    The histogram spans the values without their outermost thousandths, so that one hot pixel cannot fill it.
    """
    low, high = (float(q) for q in np.percentile(sample, (0.1, 99.9)))
    if low == high:
        low, high = float(sample.min()), float(sample.max())
    inside = np.clip(sample, low, high)  # one copy; the rest in place, for this is the most that scaling ever holds
    inside -= low
    inside /= high - low
    inside *= OTSU_BINS - 1
    bins = inside.astype(np.int32)
    del inside
    return bins > otsu_bin(np.bincount(bins, minlength=OTSU_BINS))


def _scale(image: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    shrink = _shrink(low, high)
    low, high = low * shrink, high * shrink
    inside = np.clip(image * shrink, low, high)
    return np.rint((inside - low) / (high - low) * 255.0).astype(np.uint8)


def _shrink(low: float, high: float) -> float:
    """A factor that keeps differences of the largest values below float64's limit."""
    return 1 / 16 if max(-low, high) > 1e300 else 1.0


def _is_constant(volume: NDArray[np.uint8]) -> bool:
    return bool(volume.min() == volume.max())
