"""Probabilities as logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def logits_of(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logarithm of the odds, of any shape; infinite where a probability is 0 or 1."""
    with np.errstate(divide="ignore"):
        logits: NDArray[np.float32] = np.log(probability) - np.log1p(-probability)
    return logits
