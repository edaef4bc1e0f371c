"""Where the head is in a scan, found in the picture alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def find_head(volume: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The largest bright region of each slice, specks dropped, gaps closed, holes filled.

    What counts as bright is decided for the whole volume: half of Otsu's threshold of the smoothed picture, which lies
    well above the noise around a head and well below its tissue. Fluid, which is dark in FLAIR, lies inside.

    Args:
        volume: (S, H, W) uint8.

    Returns:
        (S, H, W) bool, empty in slices that show nothing.

    Source: Otsu 1979, A Threshold Selection Method from Gray-Level Histograms, IEEE Trans. SMC 9(1).
    """
    import cv2
    from scipy import ndimage  # type: ignore[import-untyped]

    _, height, width = volume.shape
    scale = max(1.0, max(height, width) / 128)
    smooth = np.stack([cv2.GaussianBlur(picture, (0, 0), scale) for picture in volume])
    threshold, _ = cv2.threshold(smooth.reshape(-1, width), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    bright = smooth > max(threshold / 2, 1.0)
    close = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(3 * scale) + 1,) * 2)
    open_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(scale) + 1,) * 2)
    head = np.zeros(volume.shape, np.bool_)
    for index, region in enumerate(bright):
        cleared = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_OPEN, open_)  # specks of noise must not join
        joined = cv2.morphologyEx(cleared, cv2.MORPH_CLOSE, close)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=4)
        if count > 1:
            largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
            head[index] = ndimage.binary_fill_holes(labels == largest)
    return head
