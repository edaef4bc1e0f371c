"""Measures a slice the way the LGG set's slices were measured, so that phantoms can be held against the figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
