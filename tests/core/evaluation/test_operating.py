"""What a smallest lesion costs and saves."""

from __future__ import annotations

import numpy as np

from core.evaluation.operating import operating_points
from core.evaluation.scoring import score_case, score_patient


def row(true: int, *candidates: tuple[int, list[int]], scans: int = 1) -> dict[str, object]:
    return {"candidates": candidates, "lesions_true": true, "cases": ["scan"] * scans}


def test_the_least_size_that_keeps_false_lesions_within_the_budget_is_taken() -> None:
    rows = [
        row(2, (50, [0]), (9, [1]), (30, []), (5, []), (5, [])),
        row(1, (20, [0]), (4, []), scans=2),
        row(0, (6, [])),
    ]
    points = {point["budget"]: point for point in operating_points(rows)}
    # False ones of at least n voxels a scan, mean over patients: 0: 4.5 / 3; 5: 4 / 3; 6: 2 / 3; 7: 1 / 3.
    assert [points[budget]["min_lesion"] for budget in (2.0, 1.0, 0.5)] == [0, 6, 7]
    assert points[1.0]["false_positives_per_scan"] == round(2 / 3, 6)
    assert points[0.5]["lesion_sensitivity"]["mean"] == 1.0
    assert (points[0.5]["lesion_sensitivity"]["n"], points[0.5]["lesion_sensitivity"]["undefined"]) == (2, 1)


def test_true_lesions_are_lost_with_the_finds_that_lie_on_them() -> None:
    rows = [row(2, (50, [0]), (9, [1]), (30, []), (12, []))]
    half, one, two = operating_points(rows)
    assert (half["min_lesion"], half["lesion_sensitivity"]["mean"]) == (31, 0.5)
    assert (one["min_lesion"], one["lesion_sensitivity"]["mean"]) == (13, 0.5)
    assert (two["min_lesion"], two["lesion_sensitivity"]["mean"]) == (0, 1.0)


def test_finds_of_all_a_patients_scans_are_kept_apart_and_together() -> None:
    cases = []
    for name, columns in (("a", (2, 9)), ("b", (2, 6))):
        truth, mask = np.zeros((1, 12, 12), np.bool_), np.zeros((1, 12, 12), np.bool_)
        truth[0, 2:5, 2:5] = True
        for column in columns:
            mask[0, 3, column : column + 2] = True
        probability = mask.astype(np.float32)
        cases.append(score_case(name, truth, mask, probability, ~truth, spacing_mm=(None, None, None)))
    scores = score_patient("p", cases)
    assert scores["candidates"] == [[2, [1]], [2, [0]], [2, []], [2, []]]
    assert (scores["lesions_true"], scores["lesions_found"], scores["lesions_false"]) == (2, 2, 2)


def test_scores_that_list_no_finds_have_no_points() -> None:
    assert operating_points([{"lesions_true": 1, "cases": ["a"]}]) == []
