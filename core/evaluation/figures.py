"""A measure of many patients as one figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.evaluation.bootstrap import mean_interval

DECIMALS = 6
"""That scores are rounded to, so that what is computed from a file is what was computed before it was written."""


def figure(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean, interval and median of a measure over the patients for whom it is defined.

    Returns:
        `n`, `undefined`, and `mean`, `low`, `high`, `median`, None where n is 0, the interval also where it is 1.
    """
    known = [value for value in values if value is not None]
    if not known:
        return {"n": 0, "undefined": len(values), "mean": None, "low": None, "high": None, "median": None}
    interval = mean_interval(known)
    return {
        "n": len(known),
        "undefined": len(values) - len(known),
        "mean": round(interval.mean, DECIMALS),
        "low": rounded(interval.low),
        "high": rounded(interval.high),
        "median": round(float(np.median(known)), DECIMALS),
    }


def rounded(value: float | None) -> float | None:
    """What may be undefined, as scores hold it."""
    return None if value is None else round(value, DECIMALS)
