"""Otsu's threshold of a histogram."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def otsu_bin(counts: NDArray[np.int64]) -> int:
    """The last bin of the darker class: the split whose classes' means lie farthest apart, weighted by their sizes.

    Args:
        counts: (bins,), at least two.

    Source: Otsu 1979, A Threshold Selection Method from Gray-Level Histograms, IEEE Trans. SMC 9(1).
    """
    total = int(counts.sum())
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = total - below
    sums = np.cumsum(counts * np.arange(len(counts), dtype=np.float64))
    difference = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return int(np.argmax(below * above * difference**2))
