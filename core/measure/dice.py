"""The overlap of two masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EMPTY_RULE = "Dice is 2|A∩B| / (|A|+|B|); two empty masks agree and count as 1."
"""Printed beside every Dice."""


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Dice's coefficient, 2|A∩B| / (|A|+|B|); 1 where both masks are empty.

    Args:
        a: bool, any shape: a slice, or a whole volume for the volume's Dice.
        b: bool, the same shape.

    Returns:
        the overlap in [0, 1], the same whichever mask comes first.

    Raises:
        ValueError: the shapes differ, or a mask is not bool.

    Source: Dice 1945, Measures of the Amount of Ecologic Association Between Species, Ecology 26(3).
    """
    if a.shape != b.shape:
        raise ValueError(f"masks of {a.shape} and {b.shape} cannot be compared")
    if a.dtype != np.bool_ or b.dtype != np.bool_:
        raise ValueError(f"masks must be bool, not {a.dtype} and {b.dtype}")
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    if total == 0:
        return 1.0
    return 2.0 * int(np.count_nonzero(a & b)) / total
