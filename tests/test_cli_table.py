"""The verb table: the same figures again from scores alone, and folds joined."""

import json
from pathlib import Path

import pytest

import metseg
from core.evaluation.scores import build_scores, save_scores, table_markdown
from core.evaluation.scoring import score_case, score_patient
from core.phantom import make_phantom
from core.scan import UNKNOWN_SPACING


def write_scores(folder: Path, seeds: range) -> dict:
    rows = []
    for seed in seeds:
        _, truth = make_phantom(seed, slices=2, size=64)
        found = truth.copy()
        found[0, :32] = False
        case = score_case(f"p{seed}", truth, found, found.astype("float32"), truth | True, spacing_mm=UNKNOWN_SPACING)
        rows.append(score_patient(f"p{seed}", [case]))
    about = {"name": "half", "models": [], "data": {"name": "made up"}, "split": [], "held_out": "yes", "settings": {}}
    scores = build_scores({**about, "content_check": [], "training": None, "limits": []}, rows)
    folder.mkdir()
    save_scores(scores, folder)
    return scores


def test_a_table_is_printed_again_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = write_scores(tmp_path / "fold0", range(3))
    assert metseg.main(["table", str(tmp_path / "fold0" / "scores.json")]) == 0
    assert capsys.readouterr().out.strip() == table_markdown(scores).strip()


def test_folds_are_joined_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [write_scores(tmp_path / "fold0", range(3)), write_scores(tmp_path / "fold1", range(3, 5))]
    folders = [str(tmp_path / "fold0"), str(tmp_path / "fold1")]
    assert metseg.main(["table", *folders, "--out", str(tmp_path / "all"), "--name", "joined"]) == 0
    assert "# joined on made up" in capsys.readouterr().out
    whole = json.loads((tmp_path / "all" / "scores.json").read_text(encoding="utf-8"))
    dice = [row["dice"] for part in parts for row in part["patients"]]
    assert whole["figures"]["dice"]["mean"] == pytest.approx(sum(dice) / 5, abs=1e-5)
    assert (tmp_path / "all" / "report.html").is_file()
    assert metseg.main(["table", folders[0], folders[0]]) == 3
    assert "stand in more than one" in capsys.readouterr().err
