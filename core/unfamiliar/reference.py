"""What a model learnt from, as two clouds of slices in the space of their descriptions, and how far a scan lies away.

Two questions are asked of every slice:

- **distance**: how far is it from the slices that the model learnt from? The squared Mahalanobis distance over the
  number of features, about 1 for what was learnt. It finds what is no such head at all.
- **otherness**: is it nearer to other sequences of the same heads? The log-likelihood ratio of two normal
  distributions, over the same number, positive where it is. It finds heads of another sequence, which the distance
  hardly sees; without other sequences to learn from it is not asked.

A scan's answers are the medians over its slices. Beyond either limit the scan is unfamiliar.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelDamaged

REFERENCE_FILE = "familiar.json"
"""Its name beside a model's card; a model without it judges nothing."""
SCHEMA = 1
FEWEST_SLICES = 8
"""Described slices from which a scan is held to the limits of volumes."""
CLIP = 6.0
"""Robust standard deviations beyond which a feature counts no further, so that one alone does not decide."""
FILE_LIMIT = 1 << 20

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """A normal distribution of F standardised features.

    Attributes:
        mean: (F,).
        covariance: (F, F), positive definite.
    """

    mean: Floats
    covariance: Floats

    def distance(self, rows: Floats) -> Floats:
        """(S,) squared Mahalanobis distances of (S, F) rows."""
        away = rows - self.mean
        solved = np.linalg.solve(self.covariance, away.T).T
        result: Floats = np.einsum("sf,sf->s", away, solved)
        return result

    def log_volume(self) -> float:
        """Logarithm of the covariance's determinant."""
        return float(np.linalg.slogdet(self.covariance)[1])


@dataclass(frozen=True, slots=True)
class Limits:
    """What may not be exceeded."""

    distance: float
    otherness: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """How unfamiliar a scan is.

    Attributes:
        slices: how many were described.
        distance, otherness: medians over them; None where none could be described or there is nothing to hold against.
        limits: those that applied.
    """

    slices: int
    distance: float | None
    otherness: float | None
    limits: Limits

    @property
    def is_strange(self) -> bool:
        """Whether it is unlike anything that was learnt from."""
        return self.distance is not None and self.distance > self.limits.distance

    @property
    def is_other(self) -> bool:
        """Whether it looks like another sequence of the same heads."""
        return self.otherness is not None and self.otherness > self.limits.otherness


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What scans are held against.

    Attributes:
        features: names of the F features, in order.
        centre, scale: (F,), for standardising.
        learnt: what the model learnt from.
        others: other sequences of the same heads, or None.
        volume, lone: limits of scans of `FEWEST_SLICES` and more, and of fewer.
        about: how it was made; free-form.
    """

    features: tuple[str, ...]
    centre: Floats
    scale: Floats
    learnt: Cloud
    others: Cloud | None
    volume: Limits
    lone: Limits
    about: dict[str, Any] = field(default_factory=dict)

    def slice_scores(self, rows: Floats) -> tuple[Floats, Floats | None]:
        """Distance and otherness of each of (S, F) described slices, rows of NaN excluded by the caller."""
        standard = np.clip((rows - self.centre) / self.scale, -CLIP, CLIP)
        distance = self.learnt.distance(standard)
        if self.others is None:
            return distance / len(self.centre), None
        nearer = self.learnt.log_volume() + distance - self.others.log_volume() - self.others.distance(standard)
        return distance / len(self.centre), nearer / len(self.centre)

    def judge(self, rows: Floats) -> Verdict:
        """Hold a scan's described slices (S, F) against what was learnt; rows of NaN are passed over."""
        rows = rows[np.isfinite(rows).all(axis=1)]
        limits = self.volume if len(rows) >= FEWEST_SLICES else self.lone
        if not len(rows):
            return Verdict(0, None, None, limits)
        distance, otherness = self.slice_scores(rows)
        other = None if otherness is None else float(np.median(otherness))
        return Verdict(len(rows), float(np.median(distance)), other, limits)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready values, covariances as the rows of their lower triangles."""
        return {
            "schema": SCHEMA,
            "about": self.about,
            "limits": {"volume": _limits_json(self.volume), "lone": _limits_json(self.lone)},
            "features": list(self.features),
            "centre": _rounded(self.centre),
            "scale": _rounded(self.scale),
            "learnt": _cloud_json(self.learnt),
            "others": None if self.others is None else _cloud_json(self.others),
        }

    @staticmethod
    def from_json(values: Any) -> Reference:
        """What `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: it did not give this.
        """
        if values["schema"] != SCHEMA:
            raise ValueError("made for another version")
        features = tuple(map(str, values["features"]))
        count = len(features)
        others = values["others"]
        return Reference(
            features=features,
            centre=_vector(values["centre"], count),
            scale=_positive(_vector(values["scale"], count)),
            learnt=_cloud(values["learnt"], count),
            others=None if others is None else _cloud(others, count),
            volume=_limits(values["limits"]["volume"]),
            lone=_limits(values["limits"]["lone"]),
            about=dict(values["about"]),
        )


def load_reference(folder: Path, features: tuple[str, ...]) -> Reference | None:
    """The reference beside a model's card; None where the model has none.

    Args:
        folder: of the model.
        features: those that are measured.

    Raises:
        ModelDamaged: it cannot be used.
    """
    path = folder / REFERENCE_FILE
    if not path.is_file():
        return None
    unfit = ModelDamaged(f"the model's {REFERENCE_FILE} cannot be used; install the model again", source=folder.name)
    try:
        if path.stat().st_size > FILE_LIMIT:
            raise unfit
        reference = Reference.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError, ArithmeticError, RecursionError, np.linalg.LinAlgError) as error:
        raise unfit from error
    if reference.features != features:
        raise unfit
    return reference


def _limits_json(limits: Limits) -> dict[str, float]:
    return {"distance": round(limits.distance, 4), "otherness": round(limits.otherness, 4)}


def _cloud_json(cloud: Cloud) -> dict[str, Any]:
    return {
        "mean": _rounded(cloud.mean),
        "covariance": [_rounded(row[: index + 1]) for index, row in enumerate(cloud.covariance)],
    }


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 5) for value in values]


def _limits(values: Any) -> Limits:
    distance, otherness = float(values["distance"]), float(values["otherness"])
    if not np.isfinite([distance, otherness]).all():
        raise ValueError("a limit is not a number")
    return Limits(distance, otherness)


def _vector(values: Any, count: int) -> Floats:
    vector = np.asarray(values, np.float64)
    if vector.shape != (count,) or not np.isfinite(vector).all():
        raise ValueError("a number for each feature is wanted")
    return vector


def _positive(vector: Floats) -> Floats:
    if (vector <= 0).any():
        raise ValueError("a scale must be positive")
    return vector


def _cloud(values: Any, count: int) -> Cloud:
    rows = values["covariance"]
    if len(rows) != count:
        raise ValueError("a row for each feature is wanted")
    lower = np.stack([np.pad(_vector(row, index + 1), (0, count - index - 1)) for index, row in enumerate(rows)])
    covariance = lower + np.tril(lower, -1).T
    np.linalg.cholesky(covariance)  # raises where it is not positive definite
    return Cloud(_vector(values["mean"], count), covariance)
