"""Probabilities after a model's temperature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def calibrated(probability: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Divide the logits of final probabilities by a temperature; what is one half stays it.

    Args:
        probability: of any shape, in [0, 1].
        temperature: of the model's card; the very array is given back where it is 1.

    Source: Guo 2017, On Calibration of Modern Neural Networks, ICML.
    """
    if temperature == 1:
        return probability
    with np.errstate(divide="ignore", over="ignore"):  # certain voxels have infinite logits and stay certain
        logits = np.log(probability) - np.log1p(-probability)
        result = 1 / (1 + np.exp(-logits / temperature))
    return result.astype(np.float32, copy=False)
