"""Learns what scans are held against, from described slices of patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.unfamiliar.reference import Cloud, Floats, Limits, Reference

SHRINKAGE = 0.05
"""Share of the covariance that is replaced by an even spread, so that features which go together do not count twice."""
WINSOR = 4.0
"""Robust standard deviations to which a feature is pulled in before a cloud is made of it."""
FALSE_ALARMS = 0.05
"""Share of what was learnt from that may lie beyond the limits."""


def learn_reference(
    learnt: Mapping[str, Floats],
    others: Mapping[str, Sequence[Floats]],
    groups: Sequence[Sequence[str]],
    features: tuple[str, ...],
    about: Mapping[str, Any],
) -> Reference:
    """Make a reference, with limits that leave at most `FALSE_ALARMS` of the patients, and of their slices, beyond.

    The limits come from patients who had no part in the clouds that they are held against: each group in turn is
    judged by a reference of the others. The clouds are then made of everybody.

    Args:
        learnt: for each patient the described slices (S, F) of what the model learns from; rows of NaN are dropped.
        others: for each patient those of other sequences; may be empty.
        groups: the patients in parts, at least two.
        features: names of the F features.
        about: how it was made.

    Raises:
        ValueError: there are not enough groups or slices.
    """
    if len(groups) < 2:
        raise ValueError("limits need at least two groups of patients")
    learnt = {name: _finite(rows) for name, rows in learnt.items()}
    others = {name: [_finite(rows) for rows in parts] for name, parts in others.items()}
    medians, slices = [], []
    for group in groups:
        rest = set(learnt) - set(group)
        reference = _make(learnt, others, rest, features, {})
        for name in group:
            if len(learnt[name]):
                distance, otherness = reference.slice_scores(learnt[name])
                pairs = np.stack([distance, np.zeros_like(distance) if otherness is None else otherness], axis=1)
                medians.append(np.median(pairs, axis=0))
                slices.append(pairs)
    weights = np.concatenate([np.full(len(part), 1 / len(part)) for part in slices])
    limits = _limits(np.stack(medians), np.ones(len(medians))), _limits(np.concatenate(slices), weights)
    return _make(learnt, others, set(learnt), features, about, *limits)


def _make(
    learnt: Mapping[str, Floats],
    others: Mapping[str, Sequence[Floats]],
    names: set[str],
    features: tuple[str, ...],
    about: Mapping[str, Any],
    volume: Limits = Limits(0.0, 0.0),  # noqa: B008 - frozen
    lone: Limits = Limits(0.0, 0.0),  # noqa: B008 - frozen
) -> Reference:
    rows, weights = _pool({name: [learnt[name]] for name in sorted(names)})
    centre = np.median(rows, axis=0)
    low, high = np.percentile(rows, (10, 90), axis=0)
    scale = np.maximum((high - low) / 2.563, 1e-3)  # of a normal distribution, its standard deviation
    beside = {name: others[name] for name in sorted(names & set(others)) if sum(map(len, others[name]))}
    other = None
    if beside:
        other_rows, other_weights = _pool(beside)
        other = _cloud((other_rows - centre) / scale, other_weights)
    return Reference(
        features, centre, scale, _cloud((rows - centre) / scale, weights), other, volume, lone, dict(about)
    )


def _pool(parts: Mapping[str, Sequence[Floats]]) -> tuple[Floats, Floats]:
    """All slices of some patients, and weights by which every patient counts alike."""
    rows = [np.concatenate(list(each)) for each in parts.values()]
    weights = [np.full(len(each), 1 / max(len(each), 1)) for each in rows]
    pooled = np.concatenate(rows)
    if len(pooled) <= pooled.shape[1]:
        raise ValueError("there are fewer slices than features")
    return pooled, np.concatenate(weights)


def _cloud(standard: Floats, weights: Floats) -> Cloud:
    pulled = np.clip(standard, -WINSOR, WINSOR)
    mean = np.average(pulled, axis=0, weights=weights)
    away = pulled - mean
    covariance = (away * (weights / weights.sum())[:, None]).T @ away
    even = np.trace(covariance) / len(mean) * np.eye(len(mean))
    return Cloud(mean, (1 - SHRINKAGE) * covariance + SHRINKAGE * even)


def _limits(pairs: Floats, weights: Floats) -> Limits:
    """The lowest equal tail of both columns that leaves at most `FALSE_ALARMS` of the weight beyond either limit."""
    best = pairs.max(axis=0)
    for tail in np.linspace(0, FALSE_ALARMS, 101):
        candidate = np.array([_quantile(column, weights, 1 - tail) for column in pairs.T])
        beyond = weights[(pairs > candidate).any(axis=1)].sum() / weights.sum()
        if beyond > FALSE_ALARMS + 1e-9:
            break
        best = candidate
    return Limits(float(best[0]), float(best[1]))


def _quantile(values: Floats, weights: Floats, share: float) -> float:
    """The smallest value at or below which lies at least this share of the weight."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(reached, share - 1e-9)), len(values) - 1)])


def _finite(rows: Floats) -> Floats:
    return rows[np.isfinite(rows).all(axis=1)]
