"""Scores of made-up masks, for the tests of what is made from scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.evaluation.scores import build_scores
from core.evaluation.scoring import score_case, score_patient
from core.scan import UNKNOWN_SPACING, Spacing

NASTY = "TCGA_<script>alert('|')</script>"


def make_scores(
    name: str, seed: int, count: int = 14, spacing: Spacing = UNKNOWN_SPACING, **about: Any
) -> dict[str, Any]:
    """Scores of made-up masks; the truth depends on the patient alone, what is found also on the seed."""
    rows = []
    for number in range(count):
        truth, mask = np.zeros((3, 24, 24), np.bool_), np.zeros((3, 24, 24), np.bool_)
        draw = np.random.default_rng(number)
        size = int(draw.integers(2, 9))
        truth[:2, 5 : 5 + size, 5 : 5 + size] = number != 3  # the fourth patient has no lesion
        shift = int(np.random.default_rng([seed, number]).integers(-3, 4))
        mask[:, 5 + shift : 5 + size, 5 : 5 + size] = True
        probability = np.where(mask, 0.8, 0.05).astype(np.float32)
        patient = f"TCGA_{('CS', 'DU', 'HT')[number % 3]}_{1000 + number}" if number else NASTY
        head = np.ones(truth.shape, np.bool_)
        case = score_case(patient, truth, mask, probability, head, spacing_mm=spacing, seconds=0.5 + number / 10)
        rows.append(score_patient(patient, [case]))
    model = {"name": name, "version": "1", "summary": "<b>bold</b>", "network": "n", "filters": [1], "licence": "L"}
    base = {
        "name": name,
        "models": [{**model, "weights_sha256": "0" * 64}],
        "data": {"name": "made up", "unlabelled": 0},
        "split": [{"folds": "six", "fold": 0, "rule": "by hand", "absent": 1}],
        "held_out": "yes",
        "settings": {"threshold": 0.5, "mirrored": False},
        "content_check": [{"learnt_patients_at_hand": 3, "shared": False}],
        "training": {"loss": [[1, 0.9], [2, 0.4]]},
        "limits": ["Never seen <anything>."],
    }
    return build_scores({**base, **about}, rows)
