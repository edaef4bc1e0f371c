"""Intervals over patients by resampling them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 0
DRAWS_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over patients with its percentile bootstrap interval; None where there is one patient only."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean of paired differences.

    Attributes:
        mean, low, high: the mean and its interval.
        share_above_zero: of the resamples, those whose mean is above 0; those at 0 count half.

    The last three are None where there is one patient only.
    """

    mean: float
    low: float | None
    high: float | None
    share_above_zero: float | None


def resampled_means(values: Sequence[float], resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.float64]:
    """Means of as many values, drawn with replacement, many times over; (resamples,) float64.

    Raises:
        ValueError: there are no values.

    Source: Efron 1979, Bootstrap Methods: Another Look at the Jackknife, Annals of Statistics 7(1).
    """
    pool = np.asarray(values, np.float64)
    if pool.ndim != 1 or not pool.size:
        raise ValueError("there must be at least one value")
    draw = np.random.default_rng(seed)
    rows = max(1, DRAWS_AT_ONCE // pool.size)  # bounds the memory; the draws are the same however they are cut
    parts = [
        pool[draw.integers(0, pool.size, (min(rows, resamples - start), pool.size))].mean(axis=1)
        for start in range(0, resamples, rows)
    ]
    return np.concatenate(parts)


def mean_interval(values: Sequence[float], resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """The mean over patients and its 95 % interval; see `resampled_means`."""
    low, high = _bounds(resampled_means(values, resamples, seed), values)
    return Interval(float(np.mean(values)), low, high)


def paired_difference(
    first: Sequence[float], second: Sequence[float], resamples: int = RESAMPLES, seed: int = SEED
) -> Difference:
    """By how much the second is above the first on the same patients, in the same order.

    Raises:
        ValueError: the lengths differ, or there are no values.
    """
    differences = [b - a for a, b in zip(first, second, strict=True)]
    means = resampled_means(differences, resamples, seed)
    low, high = _bounds(means, differences)
    share = float(np.mean((np.sign(means) + 1) / 2)) if len(differences) > 1 else None
    return Difference(float(np.mean(differences)), low, high, share)


def _bounds(means: NDArray[np.float64], values: Sequence[float]) -> tuple[float | None, float | None]:
    if min(values) == max(values):  # every resample is the same, which says nothing about how far the mean may lie off
        return None, None
    low, high = np.percentile(means, (50 * (1 - LEVEL), 50 * (1 + LEVEL)))
    return float(low), float(high)
