"""Final probabilities: what the neighbouring slices say for a slice, and the model's temperature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.measure.logits import logits_of

CERTAIN = 6.2
"""The largest logit that counts between neighbours, a probability of 0.998: no slice outvotes all others."""


def weigh(probability: NDArray[np.float32], neighbours: float, temperature: float) -> None:
    """Make a network's probabilities final, in place; a lone slice has no neighbours.

    A slice's logits become the mean of its own and its two neighbours', those of the first and the last slice counting
    twice; what lies beyond `CERTAIN` is the slice's own affair. Then logits are divided by the temperature. A find on
    one slice that the slices above and below deny must be surer than others to stay, and an outline that wavers from
    slice to slice is evened.

    Args:
        probability: (slices, H, W) in [0, 1], slices in order.
        neighbours: weight of each of the two neighbours, 0 to 1/3; 0 leaves every slice to itself.
        temperature: above 0; 1 leaves the logits as they are.

    Source of the temperature: Guo 2017, On Calibration of Modern Neural Networks, ICML.
    """
    neighbours = neighbours if len(probability) > 1 else 0.0
    if neighbours == 0 and temperature == 1:
        return
    logits = logits_of(probability[0])
    earlier = own = np.clip(logits, -CERTAIN, CERTAIN)
    for index in range(len(probability)):
        following = logits_of(probability[index + 1]) if index + 1 < len(probability) else logits
        later = np.clip(following, -CERTAIN, CERTAIN)
        if neighbours:
            logits = logits + np.float32(neighbours) * (earlier + later - 2 * own)
        with np.errstate(over="ignore"):
            probability[index] = 1 / (1 + np.exp(-logits / np.float32(temperature)))
        logits, earlier, own = following, own, later
