"""Temperatures: found where they were put in, judged on folds they were not fitted to."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError, UsageError
from core.evaluation.calibration import calibrate, calibration_error, fit_temperature
from core.evaluation.scores import build_scores, save_scores
from core.evaluation.scoring import LOGIT_BINS, bin_logits, score_case, score_patient

VOXELS = (4, 64, 64)


def scores_of(
    folder: Path, patients: tuple[str, ...], overconfidence: float, held_out: str = "yes", middle: float = -1.0
) -> Path:
    """An evaluation of a model whose logits, around a middle, are larger than they should be, by a factor."""
    rows = []
    for patient in patients:
        draw = np.random.default_rng(list(patient.encode()))
        honest = draw.normal(middle, 1.5, VOXELS)
        truth = draw.random(VOXELS) < 1 / (1 + np.exp(-honest))
        probability = (1 / (1 + np.exp(-overconfidence * honest))).astype(np.float32)
        case = score_case(
            patient, truth, probability >= 0.5, probability, np.ones(VOXELS, np.bool_), spacing_mm=(None, None, None)
        )
        rows.append(score_patient(patient, [case]))
    model = {"network": "unet", "filters": [2], "weights_sha256": folder.name}
    about = {
        "name": "model", "models": [model], "data": {"name": "set"}, "split": [],
        "held_out": held_out, "settings": {}, "content_check": [], "training": None, "limits": [],
    }  # fmt: skip
    folder.mkdir()
    save_scores(build_scores(about, rows), folder)
    return folder


def test_logits_are_counted_with_those_of_certain_voxels_in_the_outermost_bins() -> None:
    probability = np.array([0.0, 0.5, 0.63, 1.0, 1.0], np.float32)  # the logit of 0.63 is 0.53
    counts = bin_logits(probability, np.array([False, True, False, True, False]))
    assert np.flatnonzero(counts[0]).tolist() == [0, LOGIT_BINS // 2, LOGIT_BINS // 2 + 1, LOGIT_BINS - 1]
    assert counts[0].tolist()[-1] == 2
    assert np.flatnonzero(counts[1]).tolist() == [LOGIT_BINS // 2, LOGIT_BINS - 1]


@pytest.mark.parametrize("overconfidence", [0.5, 1.0, 2.0])
def test_the_temperature_is_that_by_which_logits_were_multiplied(tmp_path: Path, overconfidence: float) -> None:
    folds = [scores_of(tmp_path / str(k), (f"p{k}", f"q{k}"), overconfidence) for k in range(3)]
    result = calibrate(folds, tmp_path / "out" / "calibration.json")
    assert json.loads((tmp_path / "out" / "calibration.json").read_text(encoding="utf-8")) == result
    assert result["temperature"] == pytest.approx(overconfidence, rel=0.05)
    assert result["patients"] == 6
    for fold in result["folds"]:
        assert fold["temperature_of_the_others"] == pytest.approx(overconfidence, rel=0.08)
    error = result["calibration_error"]
    assert error["after"]["mean"] < 0.03
    assert result["cross_entropy"]["difference"]["mean"] <= 0.0005
    called = result["calibration_error_in_masks"]
    if overconfidence != 1:
        assert called["before"]["mean"] > 0.02 > called["after"]["mean"]
        assert result["cross_entropy"]["difference"]["high"] < 0
        assert error["before"]["mean"] > 0.05
        assert error["difference"]["high"] < 0


def test_voxels_that_are_nearly_certain_do_not_pull_the_temperature(tmp_path: Path) -> None:
    folds = [scores_of(tmp_path / str(k), (f"p{k}",), 2.0, middle=-6.0) for k in range(4)]  # logits around -12
    assert calibrate(folds)["temperature"] == pytest.approx(2.0, rel=0.15)


def test_scores_of_different_networks_are_not_one_recipe(tmp_path: Path) -> None:
    one, other = (scores_of(tmp_path / name, (name,), 1.0) for name in ("a", "b"))
    values = json.loads((other / "scores.json").read_text(encoding="utf-8"))
    values["models"][0]["filters"] = [3]
    (other / "scores.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(InputError, match="another recipe"):
        calibrate([one, other])


def test_patients_count_alike_whatever_their_size() -> None:
    def row(voxels: int, overconfidence: float) -> dict[str, object]:
        draw = np.random.default_rng(voxels)
        honest = draw.normal(0, 2, voxels)
        lesion = draw.random(voxels) < 1 / (1 + np.exp(-honest))
        logits = bin_logits((1 / (1 + np.exp(-overconfidence * honest))).astype(np.float32), lesion)
        return {"logits": logits.tolist()}

    large, small = row(200_000, 2.0), row(20_000, 1.0)
    together = fit_temperature([large, small])
    assert fit_temperature([small]) < together < fit_temperature([large])
    assert together == pytest.approx(1.5, abs=0.25)
    assert calibration_error(large, 2.0) < calibration_error(large, 1.0)


def test_scores_that_cannot_judge_a_temperature_are_refused(tmp_path: Path) -> None:
    one, other = (scores_of(tmp_path / name, (name,), 1.0) for name in ("a", "b"))
    with pytest.raises(UsageError, match="two or more"):
        calibrate([one])
    with pytest.raises(InputError, match="more than one of these scores"):
        calibrate([one, one])
    with pytest.raises(InputError, match="held-out"):
        calibrate([one, scores_of(tmp_path / "learnt", ("c",), 1.0, held_out="no")])
    with pytest.raises(InputError, match=r"no temperature from 0.2 to 5"):
        calibrate([scores_of(tmp_path / name, (name,), 20.0) for name in ("d", "e")])
    file = other / "scores.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    del values["patients"][0]["logits"]
    file.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(InputError, match="do not count logits"):
        calibrate([one, other])
