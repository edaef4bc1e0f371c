"""Figures of the LGG set's slices (see `core.phantom.measured`), and how a slice is measured to be held to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# For each figure of `measure_slice` its 5th, 25th, 50th, 75th and 95th percentile over the slices.
REAL_SLICES: dict[str, tuple[float, float, float, float, float]] = {
    "head_part": (0.321, 0.388, 0.428, 0.473, 0.649),
    "air_mean": (0.895, 1.845, 2.611, 3.877, 6.343),
    "air_deviation": (0.584, 1.055, 1.553, 2.033, 3.319),
    "head_25": (22.0, 30.0, 39.0, 45.0, 58.0),
    "head_50": (35.0, 47.0, 55.0, 61.0, 73.0),
    "head_75": (42.0, 56.0, 65.0, 72.0, 95.0),
    "head_95": (71.0, 97.0, 111.0, 129.0, 165.0),
    "tissue_median": (36.0, 47.0, 55.0, 61.0, 75.0),
    "tissue_5": (0.193, 0.318, 0.493, 0.683, 0.789),
    "tissue_25": (0.742, 0.870, 0.899, 0.919, 0.941),
    "tissue_75": (1.053, 1.077, 1.097, 1.118, 1.167),
    "tissue_95": (1.154, 1.200, 1.250, 1.313, 1.740),
    "scalp_95": (1.771, 2.267, 2.568, 2.965, 3.622),
    "noise": (0.008, 0.013, 0.017, 0.022, 0.035),
    "slope_50": (0.031, 0.038, 0.047, 0.064, 0.087),
    "slope_75": (0.054, 0.071, 0.087, 0.115, 0.170),
    "slope_90": (0.100, 0.133, 0.166, 0.224, 0.330),
    "slope_97": (0.176, 0.247, 0.311, 0.377, 0.529),
    "correlation_1": (0.733, 0.822, 0.869, 0.904, 0.939),
    "correlation_2": (0.423, 0.588, 0.675, 0.754, 0.830),
    "correlation_4": (0.234, 0.356, 0.453, 0.549, 0.660),
    "correlation_8": (0.093, 0.173, 0.241, 0.329, 0.456),
    "correlation_16": (0.014, 0.062, 0.105, 0.160, 0.286),
    "band_1": (0.039, 0.052, 0.067, 0.085, 0.118),
    "band_2": (0.034, 0.044, 0.053, 0.065, 0.099),
    "band_4": (0.035, 0.047, 0.057, 0.074, 0.122),
    "band_8": (0.031, 0.041, 0.055, 0.071, 0.124),
    "band_16": (0.023, 0.033, 0.046, 0.064, 0.122),
    "lesion_area": (289.0, 790.0, 1579.0, 2946.0, 5181.0),
    "lesion_roundness": (0.170, 0.322, 0.468, 0.605, 0.754),
    "lesion_solidity": (0.586, 0.747, 0.844, 0.897, 0.947),
    "lesion_brightness": (1.107, 1.339, 1.607, 1.857, 2.295),
    "lesion_contrast": (1.144, 1.333, 1.551, 1.825, 2.119),
    "lesion_5": (0.355, 0.716, 0.802, 0.851, 0.898),
    "lesion_25": (0.751, 0.891, 0.921, 0.942, 0.962),
    "lesion_75": (1.033, 1.055, 1.080, 1.106, 1.212),
    "lesion_95": (1.080, 1.123, 1.175, 1.250, 1.438),
    "wall_in_6": (1.096, 1.340, 1.640, 1.917, 2.316),
    "wall_in_3": (1.203, 1.388, 1.608, 1.861, 2.200),
    "wall": (1.043, 1.181, 1.320, 1.474, 1.680),
    "wall_out_3": (0.741, 0.901, 1.014, 1.100, 1.198),
    "wall_out_6": (0.768, 0.903, 0.985, 1.058, 1.139),
}
_LAPLACIAN = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))


def measure_slice(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> dict[str, float]:
    """Measure one slice of a head, 256×256 pixels of about a millimetre.

    The head is what lies above half of Otsu's threshold of the blurred slice, holes filled. Tissue is what lies more
    than 20 px inside it and more than 4 px from the lesion. Ratios are to the tissue's median.

    Args:
        image: (H, W) uint8.
        mask: (H, W) bool, the lesion.

    Returns:
        figures by name; those of the lesion only where it has 40 pixels, those of the tissue only where it has 2000.
    """
    import cv2

    picture = image.astype(np.float32)
    head = _head(picture)
    depth = cv2.distanceTransform(np.pad(head, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    air = picture[cv2.distanceTransform((~head).astype(np.uint8), cv2.DIST_L2, 5) > 8]
    found = {"head_part": float(head.mean())}
    if air.size:
        found |= {"air_mean": float(air.mean()), "air_deviation": float(air.std())}
    found |= {f"head_{percent}": float(np.percentile(picture[head], percent)) for percent in (25, 50, 75, 95)}

    tissue = (depth > 20) & ~cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    if np.count_nonzero(tissue) < 2000:
        return found
    middle = float(np.median(picture[tissue]))
    found["tissue_median"] = middle
    ratios = picture / np.float32(middle)
    found |= {f"tissue_{percent}": float(np.percentile(ratios[tissue], percent)) for percent in (5, 25, 75, 95)}
    found["scalp_95"] = float(np.percentile(ratios[(depth > 0) & (depth < 14)], 95))
    noise = np.abs(cv2.filter2D(ratios, -1, np.array(_LAPLACIAN, np.float32) / 6))
    found["noise"] = float(np.median(noise[tissue])) / 0.6745
    slope = np.hypot(cv2.Sobel(ratios, cv2.CV_32F, 1, 0), cv2.Sobel(ratios, cv2.CV_32F, 0, 1)) / 8
    found |= {f"slope_{percent}": float(np.percentile(slope[tissue], percent)) for percent in (50, 75, 90, 97)}
    found |= _texture(ratios, tissue)
    if np.count_nonzero(mask) >= 40:
        found |= _lesion(ratios, mask, depth)
    return found


def _head(picture: NDArray[np.float32]) -> NDArray[np.bool_]:
    import cv2
    from scipy import ndimage  # type: ignore[import-untyped]

    smooth = cv2.GaussianBlur(picture, (0, 0), 2)
    threshold, _ = cv2.threshold(np.clip(smooth, 0, 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    above = (smooth > threshold * 0.5).astype(np.uint8)
    filled = ndimage.binary_fill_holes(cv2.morphologyEx(above, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)))
    labels, _ = ndimage.label(filled)
    return np.asarray(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]), np.bool_)


def _texture(ratios: NDArray[np.float32], tissue: NDArray[np.bool_]) -> dict[str, float]:
    """Autocorrelation at lags of 1 to 16 px, and the deviation between Gaussian blurs of 1 to 16 px."""
    import cv2

    centred = np.where(tissue, ratios - ratios[tissue].mean(), 0).astype(np.float32)
    variance = float((centred[tissue] ** 2).mean())
    found = {}
    for lag in (1, 2, 4, 8, 16):
        down = (centred[lag:] * centred[:-lag])[tissue[lag:] & tissue[:-lag]]
        across = (centred[:, lag:] * centred[:, :-lag])[tissue[:, lag:] & tissue[:, :-lag]]
        found[f"correlation_{lag}"] = float((down.mean() + across.mean()) / 2 / variance)
    weight, finer = tissue.astype(np.float32), np.asarray(centred, np.float32)
    for sigma in (1, 2, 4, 8, 16):
        held = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)
        blurred = np.asarray(cv2.GaussianBlur(centred, (0, 0), sigma) / held, np.float32)
        found[f"band_{sigma}"] = float((finer - blurred)[tissue].std())
        finer = blurred
    return found


def _lesion(ratios: NDArray[np.float32], mask: NDArray[np.bool_], depth: NDArray[Any]) -> dict[str, float]:
    """Area and outline of the slice's largest lesion; brightness across the walls of all of them."""
    import cv2

    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    area = cv2.contourArea(outline)
    hull = max(cv2.contourArea(cv2.convexHull(outline)), 1.0)
    found = {
        "lesion_area": float(np.count_nonzero(mask)),
        "lesion_roundness": 4 * np.pi * area / cv2.arcLength(outline, True) ** 2,
        "lesion_solidity": area / hull,
    }
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outwards = np.where(mask, 0.5 - inside, outside - 0.5)
    core, around = outwards < -1, (outwards > 4) & (outwards < 12) & (depth > 14)
    if np.count_nonzero(core) < 20 or np.count_nonzero(around) < 50:
        return found
    level = float(np.median(ratios[core]))
    found |= {"lesion_brightness": level, "lesion_contrast": level / float(np.median(ratios[around]))}
    found |= {f"lesion_{percent}": float(np.percentile(ratios[core], percent)) / level for percent in (5, 25, 75, 95)}
    for place in (-6, -3, 0, 3, 6):
        there = (np.abs(outwards - place) <= 0.75) & (depth > 12)
        if there.any():
            name = f"wall_{'in' if place < 0 else 'out'}_{abs(place)}" if place else "wall"
            found[name] = float(ratios[there].mean())
    return found
