"""What a smallest lesion is worth: how many true lesions are still found when small finds are dropped.

`metseg segment --min-lesion N` drops them, so a row says what a user gets by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.evaluation.figures import DECIMALS, figure

BUDGETS = (0.5, 1.0, 2.0)
"""False lesions per scan that may remain, mean over patients."""

Row = Mapping[str, Any]


def operating_points(patients: Sequence[Row]) -> list[dict[str, Any]]:
    """For each of `BUDGETS` the least size that keeps false lesions within it, and the share of lesions still found.

    The size is read off the patients that are scored, so the share is what a user of it could reach at best.

    Args:
        patients: rows of `core.evaluation.scoring.score_patient`.

    Returns:
        `budget`, `min_lesion` in voxels, `false_positives_per_scan`, and `lesion_sensitivity`, a figure over patients;
        nothing where the rows list no finds.
    """
    if not all("candidates" in row for row in patients):
        return []
    # A false find counts by its share of its patient's scans, of all patients.
    finds = sorted(
        (voxels, 1 / len(row["cases"]) / len(patients))
        for row in patients
        for voxels, lesions in row["candidates"]
        if not lesions
    )
    sizes = np.array([voxels for voxels, _ in finds], np.int64)
    larger = np.cumsum([share for _, share in reversed(finds)])[::-1]  # false ones of this size or more, per scan
    points = []
    for budget in BUDGETS:
        dropped = int(np.count_nonzero(larger > budget + 1e-9))
        cut = int(sizes[dropped - 1]) + 1 if dropped else 0
        left = int(np.searchsorted(sizes, cut))
        points.append(
            {
                "budget": budget,
                "min_lesion": cut,
                "false_positives_per_scan": round(float(larger[left]) if left < len(larger) else 0.0, DECIMALS),
                "lesion_sensitivity": figure([_found(row, cut) for row in patients]),
            }
        )
    return points


def _found(row: Row, cut: int) -> float | None:
    found = {lesion for voxels, lesions in row["candidates"] if voxels >= cut for lesion in lesions}
    return len(found) / row["lesions_true"] if row["lesions_true"] else None
