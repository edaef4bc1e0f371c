"""Comparisons: what they say of the evaluations beside the figures, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import BrokenFile, InputError, NothingFound, OutputError, UsageError
from core.evaluation.compare import compare
from core.evaluation.join import redo_tables
from core.evaluation.scores import save_scores
from tests.core.evaluation.made import make_scores


@pytest.mark.parametrize("what", ["true_voxels", "slices"])
def test_evaluations_that_do_not_agree_about_the_truth_are_not_compared(tmp_path: Path, what: str) -> None:
    for name, factor in (("one", 1), ("two", 3)):
        scores = make_scores(name, 1)
        rows = [{**row, what: factor * row[what]} for row in scores["patients"]]
        (tmp_path / name).mkdir()
        save_scores({**scores, "patients": rows}, tmp_path / name)
    with pytest.raises(InputError, match=r"do not agree about the truth of 1[34] of 14"):
        compare([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_comparison_says_in_what_sets_and_settings_differ(tmp_path: Path) -> None:
    about = {"data": {"name": "a <copy>"}, "settings": {"threshold": 0.4, "mirrored": False, "min_lesion": 3}}
    for name, changes in (("one", {}), ("two", about), ("same", {})):
        (tmp_path / name).mkdir()
        save_scores(make_scores(name, 1, **changes), tmp_path / name)
    compare([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    told = "Not only the models differ: data (one made up, two a {}); threshold (one 0.5, two 0.4); min lesion (one "
    table, page = ((tmp_path / "out" / name).read_text() for name in ("table.md", "report.html"))
    assert told.format("_copy_") in table[: table.index("|---")]
    assert told.format("&lt;copy&gt;") in page[: page.index("<main>")]
    compare([tmp_path / "one", tmp_path / "same"], tmp_path / "alike")
    assert "differ:" not in (tmp_path / "alike" / "table.md").read_text()


def test_a_comparison_says_of_whom_its_figures_are(tmp_path: Path) -> None:
    about = {"data": {"name": "made up", "own_masks": 2}, "left_out": [{"patient": "gone", "problem": "damaged"}]}
    for name, changes in (("one", {}), ("two", about)):
        (tmp_path / name).mkdir()
        save_scores(make_scores(name, 1, 4, **changes), tmp_path / name)
    comparison = compare([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    table = (tmp_path / "out" / "table.md").read_text()
    for said in ("one: So few patients (4)", "two: Left out: gone (damaged)", "two: 2 cases scored against masks"):
        assert table.count(f"**{said}") == 1, said
    assert comparison["evaluations"][1]["left_out"] == about["left_out"]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    for name, first in (("a", 0), ("b", 0), ("c", 10)):
        scores = make_scores("same", first)
        rows = [{**row, "patient": f"{row['patient']}{first}"} for row in scores["patients"]]
        (tmp_path / name).mkdir()
        save_scores({**scores, "patients": rows}, tmp_path / name)
    with pytest.raises(UsageError, match="two"):
        compare([tmp_path / "a"], tmp_path / "out")
    with pytest.raises(UsageError, match="names"):
        compare([tmp_path / "a", tmp_path / "b"], tmp_path / "out", names=["x"])
    with pytest.raises(InputError, match="no patient is in all"):
        compare([tmp_path / "a", tmp_path / "c"], tmp_path / "out")
    with pytest.raises(OutputError, match="holds an evaluation"):
        compare([tmp_path / "a", tmp_path / "b"], tmp_path / "a")
    compare([tmp_path / "a", tmp_path / "a"], tmp_path / "both")
    table = (tmp_path / "both" / "table.md").read_text()
    with pytest.raises(OutputError, match="holds a comparison; choose another"):
        redo_tables([tmp_path / "a"], tmp_path / "both", overwrite=True)
    assert (tmp_path / "both" / "table.md").read_text() == table
    with pytest.raises(NothingFound, match="no scores"):
        compare([tmp_path / "a", tmp_path / "nowhere"], tmp_path / "out")
    whole = json.loads((tmp_path / "a" / "scores.json").read_text())
    twice = {**whole, "patients": [*whole["patients"], whole["patients"][0]]}
    for content in ({"kind": "x"}, {key: whole[key] for key in whole if key != "settings"}, twice):
        (tmp_path / "other.json").write_text(json.dumps(content))
        with pytest.raises(BrokenFile, match="no scores"):
            compare([tmp_path / "a", tmp_path / "other.json"], tmp_path / "out")
    result = compare([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert [scores["name"] for scores in result["evaluations"]] == ["same 1", "same 2"]
    with pytest.raises(OutputError, match="--overwrite"):
        compare([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    compare([tmp_path / "a", tmp_path / "b"], tmp_path / "out", overwrite=True)
