"""Warnings that a mask is not to be relied on: seen in the smallest window, and in everything that is handed over."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PyQt6.QtTest import QTest

from core.scan import Note
from desktop.session.results import load_result, save_result
from desktop.session.verdicts import State
from tests.desktop.hands import Held, Key, press, settle, states

OpenWindow = Callable[..., Any]
UNLIKE = Note("unfamiliar", "this does not look like what the model learnt; do not rely on what it finds")


@pytest.fixture
def doubted(tmp_path: Path, tiny_model: Path, work: Callable[..., Any]) -> Path:
    """A volume that by its name is T1 and by its look nothing known, segmented by a model for FLAIR."""
    folder, results = tmp_path / "doubted", tmp_path / "cache" / "review-results"
    folder.mkdir()
    grey = np.random.default_rng(0).integers(0, 200, (32, 32, 4), np.int16)
    nibabel.save(nibabel.Nifti1Image(grey, np.eye(4)), folder / "sub-1_T1w.nii")
    work(folder, tiny_model, results)
    (kept,) = results.glob("*.npz")
    result = load_result(results, kept.stem)
    assert result is not None
    save_result(results, kept.stem, replace(result, warnings=(*result.warnings, UNLIKE)))
    return folder


def test_a_mask_that_is_not_to_be_relied_on_says_so_above_the_picture_of_a_small_window(
    qtbot: Any, open_window: OpenWindow, doubted: Path
) -> None:
    window = open_window(doubted)
    window.resize(1024, 640)
    settle(qtbot, window)
    QTest.qWait(100)
    notice = window.reader.notice
    assert (window.width(), window.height()) == (1024, 640)
    first, second = notice.text().splitlines()
    assert (first.endswith("do not rely on what it finds."), "T1w" in first) == (True, True)
    assert second == "This does not look like what the model learnt; do not rely on what it finds."
    assert notice.objectName() == "notice"  # amber
    assert notice.visibleRegion().boundingRect().size() == notice.size()
    assert notice.heightForWidth(notice.width()) <= notice.height()
    assert "do not rely" not in window.warnings.text()  # it is said once
    window.desk.show_names(True)
    assert notice.isVisible()


def exported(qtbot: Any, window: Any, folder: Path) -> tuple[dict[str, str], dict[str, Any], str]:
    """What an export says of the only case: in the table, the record and the report."""
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        window.desk.export(folder)
    with (folder / "verdicts.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    (case,) = json.loads((folder / "review.json").read_text(encoding="utf-8"))["cases"]
    return row, case, (folder / "report.html").read_text(encoding="utf-8")


def test_every_export_holds_the_warnings_also_when_the_answer_is_not_kept_any_more(
    qtbot: Any, open_window: OpenWindow, doubted: Path, tmp_path: Path
) -> None:
    window = open_window(doubted)
    settle(qtbot, window)
    press(window, Key.Key_Return, Held.ShiftModifier)
    assert states(window) == [State.ACCEPTED]
    for kept in (tmp_path / "cache" / "review-results").glob("*.npz"):
        kept.unlink()
    window.close()
    again = open_window(doubted)
    row, case, report = exported(qtbot, again, tmp_path / "out")
    assert {"other-sequence", "unfamiliar"} <= set(row["warnings"].split())
    assert case["warnings"] == row["warnings"].split()
    line = f"Warnings: {', '.join(case['warnings'])}. Do not rely on this mask."
    assert report.count(line) == 1


def test_a_record_of_an_older_metseg_is_read_and_its_cases_warnings_are_learnt_when_they_are_shown(
    qtbot: Any, open_window: OpenWindow, doubted: Path, tmp_path: Path
) -> None:
    window = open_window(doubted)
    settle(qtbot, window)
    press(window, Key.Key_G)
    with window.desk.review.store._db as database:
        database.execute("DROP TABLE warnings")  # as it was before
    window.close()
    again = open_window(doubted)
    settle(qtbot, again)
    assert states(again) == [State.FLAGGED]
    row, _, _ = exported(qtbot, again, tmp_path / "out")
    assert "unfamiliar" in row["warnings"].split()


def test_a_file_that_was_renamed_is_spoken_of_by_the_name_that_it_has(
    qtbot: Any, open_window: OpenWindow, doubted: Path, tmp_path: Path
) -> None:
    for seen, name in ((False, "sub-1_FLAIR.nii"), (True, "sub-1_T1w.nii")):
        for file in doubted.iterdir():
            file.rename(doubted / name)
        window = open_window(doubted)
        settle(qtbot, window)
        assert ("T1w" in window.reader.notice.text()) is seen, name
        press(window, Key.Key_Return, Held.ShiftModifier)
        if seen:  # nothing but codes is left of the answer, and they are of the other name
            for kept in (tmp_path / "cache" / "review-results").glob("*.npz"):
                kept.unlink()
        row, _, _ = exported(qtbot, window, tmp_path / name)
        codes = row["warnings"].split()
        assert (row["problem"], "other-sequence" in codes, "unfamiliar" in codes) == ("", seen, True), name
        window.close()
