"""Scores slice by slice, and the leak that they measure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.atomic import write_json
from core.errors import BrokenFile, InputError, NothingFound
from core.evaluation.scores import build_scores
from core.evaluation.scoring import score_case, score_patient
from core.evaluation.slices import SliceCounts, measure_leak, read_slices, write_slices
from core.scan import UNKNOWN_SPACING

MODEL = {"network": "attention-unet", "filters": [4, 6], "recipe": {"seed": 0}, "weights_sha256": "0"}


def folder(
    path: Path, *slices: tuple[str, str, int, int, int], held_out: str = "yes", seed: int = 0, threshold: float = 0.5
) -> Path:
    path.mkdir()
    write_slices([SliceCounts(*values) for values in slices], path)
    nothing = np.zeros((1, 4, 4), np.bool_)
    case = score_case("p", nothing, nothing, nothing.astype(np.float32), ~nothing, spacing_mm=UNKNOWN_SPACING)
    about = {
        "name": path.name, "models": [{**MODEL, "recipe": {"seed": seed}}], "data": {"name": "set"}, "split": [],
        "held_out": held_out, "settings": {"threshold": threshold, "device": path.name}, "content_check": [],
        "training": None, "limits": [],
    }  # fmt: skip
    write_json(path / "scores.json", build_scores(about, [score_patient("p", [case])]))
    return path


def test_slices_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = folder(tmp_path / "a", ("p", "p_1", 10, 8, 6), ("p", "p_2", 0, 0, 0))
    assert read_slices(written) == {
        "p_1": SliceCounts("p", "p_1", 10, 8, 6),
        "p_2": SliceCounts("p", "p_2", 0, 0, 0),
    }


def test_the_leak_is_counted_over_common_slices_grouped_by_patient(tmp_path: Path) -> None:
    one = folder(tmp_path / "f0", ("p", "p_1", 10, 10, 5), ("p", "p_2", 10, 10, 0), ("q", "q_1", 0, 4, 0))
    two = folder(tmp_path / "f1", ("r", "r_1", 20, 20, 20), ("r", "r_2", 20, 20, 0))
    mixed = folder(tmp_path / "mixed", ("p_1", "p_1", 10, 10, 10), ("r_1", "r_1", 20, 20, 20), ("q_1", "q_1", 0, 0, 0))
    result = measure_leak([one, two], mixed, tmp_path / "out" / "leak.json")
    assert json.loads((tmp_path / "out" / "leak.json").read_text(encoding="utf-8")) == result
    # p: 0.5 becomes 1; r stays at 1, its second slice is not common; q has no lesion on its common slice.
    assert (result["patients"], result["patients_without_lesion_there"], result["slices"]) == (2, 1, 2)
    for measure in result["measures"].values():
        assert (measure["by_patient"], measure["by_slice"], measure["difference"]) == (0.75, 1.0, 0.25)
        assert measure["low"] == 0.0
        assert measure["high"] == 0.5


def test_tumour_slices_weigh_alike_and_volumes_by_their_size(tmp_path: Path) -> None:
    honest = folder(tmp_path / "h", ("p", "p_1", 10, 10, 10), ("p", "p_2", 30, 30, 0), ("p", "p_3", 0, 20, 0))
    mixed = folder(tmp_path / "m", ("x", "p_1", 10, 10, 10), ("y", "p_2", 30, 30, 30), ("z", "p_3", 0, 0, 0))
    measures = measure_leak([honest], mixed, tmp_path / "leak.json")["measures"]
    assert measures["dice"]["by_patient"] == 0.2
    assert measures["tumour_slice_dice"]["by_patient"] == 0.5
    assert measures["dice"]["by_slice"] == measures["tumour_slice_dice"]["by_slice"] == 1.0


def test_evaluations_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    honest = folder(tmp_path / "h", ("p", "p_1", 10, 10, 5))
    out = tmp_path / "leak.json"
    with pytest.raises(InputError, match="two of these evaluations"):
        measure_leak([honest, honest], honest, out)
    with pytest.raises(InputError, match="agree about the truth"):
        measure_leak([honest], folder(tmp_path / "other", ("p", "p_1", 9, 9, 9)), out)
    with pytest.raises(InputError, match="no slice with lesion in common"):
        measure_leak([honest], folder(tmp_path / "strange", ("s", "s_1", 9, 9, 9)), out)
    with pytest.raises(InputError, match=r"differ in their settings \(threshold\)"):
        measure_leak([honest], folder(tmp_path / "strict", ("p", "p_1", 10, 10, 5), threshold=0.9), out)
    with pytest.raises(InputError, match="another recipe"):
        measure_leak([honest], folder(tmp_path / "else", ("p", "p_1", 10, 10, 5), seed=1), out)
    for held_out in ("no", "unknown"):
        learnt = folder(tmp_path / held_out, ("p", "p_2", 10, 10, 5), held_out=held_out)
        with pytest.raises(InputError, match="may have learnt from these patients"):
            measure_leak([honest, learnt], honest, out)
    with pytest.raises(NothingFound):
        measure_leak([tmp_path], honest, out)
    (honest / "slices.csv").write_text("patient,slice\r\np,p_1\r\n", encoding="utf-8")
    with pytest.raises(BrokenFile):
        read_slices(honest)
    with pytest.raises(InputError, match="one name"):
        read_slices(folder(tmp_path / "twice", ("p", "1", 1, 1, 1), ("q", "1", 1, 1, 1)))
    assert not out.exists()
