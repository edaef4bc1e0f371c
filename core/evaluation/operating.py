"""What a smallest lesion is worth: how many true lesions are still found when small finds are dropped.

`metseg segment --min-lesion N` drops them, so a row says what a user gets by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
    sizes = sorted({voxels for row in patients for voxels, lesions in row["candidates"] if not lesions})
    cuts = [0, *(voxels + 1 for voxels in sizes)]
    points = []
    for budget in BUDGETS:
        cut = next(cut for cut in cuts if _false(patients, cut) <= budget)
        points.append(
            {
                "budget": budget,
                "min_lesion": cut,
                "false_positives_per_scan": round(_false(patients, cut), DECIMALS),
                "lesion_sensitivity": figure([_found(row, cut) for row in patients]),
            }
        )
    return points


def _false(patients: Sequence[Row], cut: int) -> float:
    return sum(
        sum(1 for voxels, lesions in row["candidates"] if voxels >= cut and not lesions) / len(row["cases"])
        for row in patients
    ) / len(patients)


def _found(row: Row, cut: int) -> float | None:
    found = {lesion for voxels, lesions in row["candidates"] if voxels >= cut for lesion in lesions}
    return len(found) / row["lesions_true"] if row["lesions_true"] else None
