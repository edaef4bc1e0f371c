"""The course of a training, from the log that lies beside its model."""

from __future__ import annotations

import csv
import math
from pathlib import Path

LOG = Path("logs", "metrics.csv")
SIZE_LIMIT = 64 << 20
KEPT = {"loss": "loss", "inner_dice": "Dice of watched patients"}


def read_curves(model: Path) -> dict[str, list[list[float]]] | None:
    """What `RUN/logs/metrics.csv` says about the model in `RUN/model`.

    Args:
        model: the model's folder.

    Returns:
        by name the points [epoch, value], epochs counted from 1; None where there is no such log.
    """
    path = model.resolve().parent / LOG
    curves: dict[str, dict[int, float]] = {name: {} for name in KEPT.values()}
    try:
        if path.stat().st_size > SIZE_LIMIT:
            return None
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for column, name in KEPT.items():
                    value = float(row.get(column) or "nan")
                    if math.isfinite(value):
                        curves[name][int(row["epoch"]) + 1] = round(value, 6)
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
    # A resumed run writes an epoch again; the last word counts.
    kept = {name: [[epoch, value] for epoch, value in sorted(points.items())] for name, points in curves.items()}
    return {name: points for name, points in kept.items() if points} or None
