"""What is learnt from patients' slices, the limits that follow, and the file that holds them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import ModelDamaged
from core.unfamiliar.learn import FALSE_ALARMS, learn_reference
from core.unfamiliar.reference import FEWEST_SLICES, REFERENCE_FILE, Reference, load_reference

FEATURES = ("one", "two", "three")
PATIENTS = [f"p{number}" for number in range(40)]
GROUPS = [PATIENTS[part::4] for part in range(4)]


def slices(seed: int, mean: float, count: int = 12) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    return random.normal(mean + 0.2 * random.normal(), 1.0, (count, len(FEATURES))) * (1.0, 5.0, 0.1)


def made(with_others: bool = True) -> Reference:
    learnt = {name: slices(index, 0.0) for index, name in enumerate(PATIENTS)}
    others = {name: [slices(1000 + index, 3.0)] for index, name in enumerate(PATIENTS)} if with_others else {}
    return learn_reference(learnt, others, GROUPS, FEATURES, {"set": "made up"})


@pytest.fixture(scope="module")
def reference() -> Reference:
    return made()


def test_new_patients_of_the_kind_pass_and_others_do_not(reference: Reference) -> None:
    new = [reference.judge(slices(seed, 0.0)) for seed in range(2000, 2040)]
    assert np.mean([verdict.is_strange or verdict.is_other for verdict in new]) <= 0.15
    assert all(reference.judge(slices(seed, 3.0)).is_other for seed in range(3000, 3010))
    far = reference.judge(np.array([[9.0, -45.0, 0.9]] * 12) * 3)
    assert far.is_strange


def test_limits_leave_few_of_the_patients_beyond_but_some(reference: Reference) -> None:
    """Not exactly the allowed share: limits come from references without the patient, verdicts from the whole one."""
    learnt = [reference.judge(slices(index, 0.0)) for index in range(len(PATIENTS))]
    beyond = sum(verdict.is_strange or verdict.is_other for verdict in learnt)
    assert 1 <= beyond <= (FALSE_ALARMS + 0.05) * len(PATIENTS)


def test_the_middle_slice_of_the_scan_decides_and_missing_rows_do_not_count(reference: Reference) -> None:
    rows = slices(5, 0.0)
    plain = reference.judge(rows)
    with_gaps = reference.judge(np.concatenate([rows, np.full((3, len(FEATURES)), np.nan)]))
    assert with_gaps == plain
    spoilt = rows.copy()
    spoilt[:4] = 1e6
    assert np.isfinite(reference.judge(spoilt).distance or np.nan)
    assert not reference.judge(spoilt).is_strange


def test_few_slices_are_held_to_limits_of_their_own(reference: Reference) -> None:
    rows = slices(7, 0.0)
    assert reference.judge(rows[: FEWEST_SLICES - 1]).limits == reference.lone
    assert reference.judge(rows[:FEWEST_SLICES]).limits == reference.volume
    assert reference.lone.distance > reference.volume.distance


def test_nothing_is_said_of_a_scan_that_shows_nothing(reference: Reference) -> None:
    verdict = reference.judge(np.full((2, len(FEATURES)), np.nan))
    assert (verdict.slices, verdict.distance, verdict.is_strange, verdict.is_other) == (0, None, False, False)


def test_without_other_sequences_only_the_distance_is_asked() -> None:
    alone = made(with_others=False)
    verdict = alone.judge(slices(3000, 3.0))
    assert verdict.otherness is None
    assert not verdict.is_other
    assert verdict.is_strange


def test_limits_need_patients_who_were_held_out() -> None:
    with pytest.raises(ValueError, match="two groups"):
        learn_reference({"p": slices(0, 0.0)}, {}, [["p"]], FEATURES, {})


def test_the_file_gives_the_same_verdicts_again(reference: Reference, tmp_path: Path) -> None:
    (tmp_path / REFERENCE_FILE).write_text(json.dumps(reference.to_json()), encoding="utf-8")
    again = load_reference(tmp_path, FEATURES)
    assert again is not None
    rows = slices(11, 1.0)
    first, second = reference.judge(rows), again.judge(rows)
    assert second.distance == pytest.approx(first.distance, abs=1e-3)
    assert second.otherness == pytest.approx(first.otherness, abs=1e-3)
    assert again.about == {"set": "made up"}


def test_a_model_without_the_file_has_no_reference(tmp_path: Path) -> None:
    assert load_reference(tmp_path, FEATURES) is None


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 99},
        {"features": ["one", "two"]},
        {"features": ["one", "two", "other"]},
        {"scale": [1, 0, 1]},
        {"centre": [1, "x", 1]},
        {"limits": {"volume": {"distance": "NaN", "otherness": 1}, "lone": {"distance": 1, "otherness": 1}}},
        {"learnt": {"mean": [0, 0, 0], "covariance": [[1], [2, 1], [0, 0, 1]]}},
        {"limits": {"volume": {"distance": 10**400, "otherness": 1}, "lone": {"distance": 1, "otherness": 1}}},
        {"learnt": None},
        {"others": {"mean": [0, 0], "covariance": [[1], [0, 1]]}},
        None,
    ],
)
def test_a_damaged_file_is_told(change: dict[str, Any] | None, reference: Reference, tmp_path: Path) -> None:
    values: Any = [] if change is None else {**reference.to_json(), **change}
    (tmp_path / REFERENCE_FILE).write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ModelDamaged, match=REFERENCE_FILE):
        load_reference(tmp_path, FEATURES)
