"""Describes a slice in a few numbers that do not depend on its size, its grey scale or the air around the head.

The brightness of the air is left out on purpose: some scanners and converters blacken it, which no network minds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 128
"""Pixels of the longer side on which slices are described; larger ones are averaged down."""
SMALLEST_HEAD = 0.1
"""Share of the picture below which what stands out is not described: the crown of a head looks like many things."""
PERCENTILES = (5, 25, 75, 95, 99)
DEPTHS = (0.03, 0.06, 0.1, 0.16, 0.25)
"""Where one layer of the head ends and the next begins: distance from the skin in units of the root of its area."""
FEATURES = (
    "area",
    *(f"p{percentile:02}" for percentile in PERCENTILES),
    "gradient", "detail", "grain", "structure",
    *(f"layer{layer}" for layer in range(len(DEPTHS) + 1)),
    "mirror", "upside",
)  # fmt: skip
"""The numbers of a slice, in this order.

- area: share of the picture that the head takes (log);
- p05 … p99: percentiles of the grey levels in the head over their median (log);
- gradient, detail: mean slope, and mean difference from the smoothed slice, over the median (log);
- grain: correlation of that difference between neighbours, 0 in pure noise;
- structure: spread of the strongly smoothed slice over the mean difference from the lightly smoothed one (log);
- layer0 … layer5: mean grey level of the head's layers, from the skin inwards, over the median (log);
- mirror, upside: correlation of the head with itself when left and right, or top and bottom, are exchanged.
"""
_FLOOR = 0.02


def describe(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Describe slices one by one.

    Args:
        images: (S, H, W) uint8.

    Returns:
        (S, len(FEATURES)); a row of NaN where nothing large enough stands out from the background.
    """
    rows = [_describe(image) for image in images]
    return np.stack([np.full(len(FEATURES), np.nan) if row is None else row for row in rows])


def _describe(image: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    import cv2

    longer = max(image.shape)
    if longer > SIDE:
        height, width = (max(1, round(side * SIDE / longer)) for side in image.shape)
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    smooth = np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0), np.uint8)
    threshold, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    bright = (smooth > max(threshold / 2, 1)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=4)
    if count < 2:
        return None
    blob = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    outlines, _ = cv2.findContours(blob, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    head = np.asarray(cv2.drawContours(np.zeros_like(blob), outlines, -1, 1, cv2.FILLED), np.uint8)
    area = int(head.sum())
    if area < max(SMALLEST_HEAD * head.size, 16):
        return None
    inside = head > 0
    cumulated = np.cumsum(cv2.calcHist([image], [0], head, [256], [0, 256]).ravel())
    levels = np.searchsorted(cumulated, np.array([50, *PERCENTILES]) / 100 * area)
    median = max(float(levels[0]), 1.0)
    return np.array(
        [
            np.log(area / head.size),
            *_log(levels[1:] / median),
            *_texture(image, smooth, inside, median),
            *_log(_layers(smooth, head, area) / median),
            *_symmetry(smooth, head, cv2.moments(head, binaryImage=True)),
        ]
    )


def _log(values: Any) -> NDArray[np.float64]:
    return np.log(np.maximum(np.asarray(values, np.float64), _FLOOR))


def _texture(
    image: NDArray[np.uint8], smooth: NDArray[np.uint8], inside: NDArray[np.bool_], median: float
) -> tuple[float, ...]:
    import cv2

    across, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    slope = float(cv2.magnitude(across, down)[inside].mean())
    rest = image.astype(np.float32) - smooth
    pairs = inside[:, 1:]
    here, beside = rest[:, 1:][pairs], rest[:, :-1][pairs]
    grain = float(here @ beside) / max(float(here @ here), 1e-3)
    fine = float(np.abs(rest[inside]).mean())
    coarse = float(cv2.GaussianBlur(image, (0, 0), 4.0)[inside].std())
    gradient, detail, structure = _log([slope / median, fine / median, coarse / max(fine, 0.1)])
    return float(gradient), float(detail), grain, float(structure)


def _layers(smooth: NDArray[np.uint8], head: NDArray[np.uint8], area: int) -> NDArray[np.float64]:
    """Mean grey level of each layer; of an empty one, that of the whole head."""
    import cv2

    inside = head > 0
    # A margin of air, so that a head cut off by the picture's edge has its skin there.
    depth = cv2.distanceTransform(np.pad(head, 1), cv2.DIST_L2, 3)[1:-1, 1:-1][inside] / np.sqrt(area)
    values = smooth[inside].astype(np.float64)
    layer = np.digitize(depth, DEPTHS)
    pixels = np.bincount(layer, minlength=len(DEPTHS) + 1)
    sums = np.bincount(layer, values, minlength=len(DEPTHS) + 1)
    return np.where(pixels > 0, sums / np.maximum(pixels, 1), values.mean())


def _symmetry(smooth: NDArray[np.uint8], head: NDArray[np.uint8], moments: dict[str, float]) -> tuple[float, float]:
    """Correlation of the head with its mirror image about its centre of mass, left-right and top-bottom."""
    column = round(2 * moments["m10"] / moments["m00"])
    row = round(2 * moments["m01"] / moments["m00"])
    return _correlate(smooth, head, column), _correlate(smooth.T, head.T, row)


def _correlate(smooth: NDArray[np.uint8], head: NDArray[np.uint8], total: int) -> float:
    """Columns j and total - j compared, where both are in the picture and in the head."""
    width = head.shape[1]
    first, last = max(0, total - width + 1), min(width - 1, total)
    here = slice(first, last + 1)
    kept, levels = head[:, here] > 0, smooth[:, here].astype(np.float64)
    both = kept & kept[:, ::-1]
    one, other = levels[both], levels[:, ::-1][both]
    if one.size < 16:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / np.sqrt(max(float((one @ one) * (other @ other)), 1e-9)))
