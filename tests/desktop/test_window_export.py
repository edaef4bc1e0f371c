"""Exports behind the window: one at a time, with progress, and nothing of how they end is missed."""

from __future__ import annotations

import csv
import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QFileDialog, QMessageBox

from core.io import read_scan
from desktop.session.results import Result, result_key, save_result
from tests.desktop.hands import Held, Key, press, settle

OpenWindow = Callable[..., Any]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No case is exported before this is set."""
    opened = threading.Event()

    def late(*arguments: Any, **named: Any) -> Any:
        opened.wait(120)
        return read_scan(*arguments, **named)

    monkeypatch.setattr("desktop.session.export.read_scan", late)
    return opened


def exporting(qtbot: Any, open_window: OpenWindow, scans: Path, folder: Path) -> Any:
    """A window that exports into a folder, and has come to its first case."""
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Return, Held.ShiftModifier)
    window.desk.export(folder)
    return window


def test_an_export_has_its_own_thread_and_the_bar_and_refuses_another(
    qtbot: Any,
    open_window: OpenWindow,
    scans: Path,
    results: Path,
    gate: threading.Event,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: asked.append("folder") or "")
    window = exporting(qtbot, open_window, scans, tmp_path / "one")
    assert window.status.work.text() == "Exporting 1 of 3"
    assert window.status.stop.isVisible()
    qtbot.waitUntil(lambda: window.desk.tasks._pool.activeThreadCount() == 0, timeout=120000)
    press(window, Key.Key_E, Held.ControlModifier)
    assert (asked, "is being written" in window.status.message.text()) == ([], True)
    window.desk.export(tmp_path / "two")
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        gate.set()
    assert (window.status.work.text(), window.status.stop.isVisible()) == ("", False)
    assert not (tmp_path / "two").exists()
    record = json.loads((tmp_path / "one" / "review.json").read_text(encoding="utf-8"))
    assert record["record_sha256"] == window.desk.review.store.last_hash() != ""


def test_how_an_export_ended_stands_there_until_something_else_is_said(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, gate: threading.Event, tmp_path: Path
) -> None:
    gate.set()
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Return, Held.ShiftModifier)
    with window.desk.review.store._db as database:
        database.execute("DELETE FROM masks")
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        window.desk.export(tmp_path / "out")
    told = window.status.message.text()
    assert told.startswith("Exported 0 accepted masks")
    assert "1 with a problem" in told
    assert not window._message.isActive()  # it does not go by itself
    press(window, Key.Key_T)
    QTest.keyClicks(window.verdicts.note, "small")
    press(window, Key.Key_Escape)
    assert (window.reader.case.note, window.status.message.text()) == ("small", told)
    press(window, Key.Key_G)
    assert "flagged" in window.status.message.text()
    assert window._message.isActive()


def test_an_export_is_stopped_by_its_button_and_says_that_it_is_not_whole(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, gate: threading.Event, tmp_path: Path
) -> None:
    window = exporting(qtbot, open_window, scans, tmp_path / "out")
    window.status.stop.click()
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        gate.set()
    assert window.status.message.text().startswith("Not exported: the export was stopped")
    assert not (tmp_path / "out" / "verdicts.csv").exists()
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        window.desk.export(tmp_path / "again")
    assert window.status.message.text().startswith("Exported 1 accepted mask,")


def test_the_window_does_not_close_over_an_export_without_asking(
    qtbot: Any,
    open_window: OpenWindow,
    scans: Path,
    results: Path,
    gate: threading.Event,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    answers = [QMessageBox.StandardButton.Cancel, QMessageBox.StandardButton.Close]
    monkeypatch.setattr(QMessageBox, "warning", lambda *said: asked.append(said[2]) or answers.pop(0))
    window = exporting(qtbot, open_window, scans, tmp_path / "out")
    assert not window.close()
    assert window.desk.handover.progress is not None
    threading.Timer(0.2, gate.set).start()
    assert window.close()
    assert ["incomplete" in text for text in asked] == [True, True]
    assert not (tmp_path / "out" / "verdicts.csv").exists()


def test_the_table_of_lesions_holds_the_peaks_that_the_window_shows_as_long_as_they_are_kept(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, tmp_path: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Return, Held.ShiftModifier)
    lesions = window.reader.opened.finding.lesions
    window.display.threshold.setValue(70)  # what is shown by now is not what was judged
    settle(qtbot, window)

    def exported(folder: Path) -> list[dict[str, str]]:
        with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
            window.desk.export(folder)
        with (folder / "lesions.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    rows = exported(tmp_path / "kept")
    for column in ("peak_probability", "mean_probability"):
        told = [float(row[column]) for row in rows]
        assert told == pytest.approx([getattr(lesion, column) for lesion in lesions], rel=1e-4)
    shutil.rmtree(results)
    assert [row["peak_probability"] for row in exported(tmp_path / "gone")] == [""] * len(lesions)


def test_peaks_are_told_only_of_the_answer_that_the_mask_was_cut_from(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Return, Held.ShiftModifier)
    other = replace(window.reader.opened.result, probability=1 - window.reader.opened.result.probability)
    monkeypatch.setattr("desktop.session.export.load_result", lambda *_: other)
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        window.desk.export(tmp_path / "out")
    record = json.loads((tmp_path / "out" / "review.json").read_text(encoding="utf-8"))
    assert {lesion["peak_probability"] for lesion in record["cases"][0]["found"]} == {None}


@pytest.mark.parametrize("part", ["", "masks"])
def test_who_opens_an_export_is_told_what_to_open_instead(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, tmp_path: Path, part: str
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Return, Held.ShiftModifier)
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        window.desk.export(tmp_path / "out")
    window.open([tmp_path / "out" / part])
    qtbot.waitUntil(lambda: "results of metseg" in window.status.message.text(), timeout=120000)
    told = "open the folder of their scans, the masks are computed again"
    assert window.status.message.text().endswith(told)


def only_row(qtbot: Any, window: Any, folder: Path) -> tuple[dict[str, str], str]:
    """What an export says of the first case, in the table and in the report."""
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        window.desk.export(folder)
    with (folder / "verdicts.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    return row, (folder / "report.html").read_text(encoding="utf-8")


def assert_refused(row: dict[str, str], report: str, judged: str) -> None:
    assert (row["state"], row["image_sha256"], row["lesions"], row["voxels"]) == ("reopened", judged, "", "")
    assert row["problem"].startswith("these are not the images that were judged")
    assert "data:image/jpeg" not in report
    assert row["problem"] in report


def test_no_mask_is_drawn_on_images_that_took_the_place_of_the_judged_ones(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, tmp_path: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Return, Held.ShiftModifier)
    judged, source = window.reader.case.image, window.reader.case.source
    row, report = only_row(qtbot, window, tmp_path / "before")
    assert (row["problem"], int(row["voxels"]) > 0, report.count("data:image/jpeg")) == ("", True, 1)
    window.close()
    for path, other in zip(source.paths, reversed(source.paths), strict=True):
        path.with_suffix(".new").write_bytes(other.read_bytes())
    for path in source.paths:
        path.with_suffix(".new").replace(path)
    again = open_window(scans)
    assert again.reader.case.image not in (None, judged)
    assert_refused(*only_row(qtbot, again, tmp_path / "after"), judged)


def keep_answer(window: Any) -> None:
    """An answer of the model to what is shown, as if it had been segmented."""
    case, opened = window.reader.case, window.reader.opened
    probability = np.zeros(opened.scan.shape, np.float32)
    probability[:, 4:8, 4:8] = 0.9
    key = result_key(opened.image, window.desk.review.model.card, None, "fp32", case.source.notes)
    save_result(window.desk.results, key, Result(probability, (), {}))
    window.desk.segmenting.found.emit(case.name)


def test_the_accepted_mask_of_another_series_than_the_shown_one_is_exported_with_its_own_images(
    qtbot: Any, open_window: OpenWindow, sequences: Callable[..., Path], tmp_path: Path
) -> None:
    window = open_window(None)
    window.open([sequences("flair", "t1")])
    qtbot.waitUntil(window.reader.series.isVisible, timeout=120000)
    window.reader.series.buttons["1"].click()
    qtbot.waitUntil(lambda: window.reader.opened is not None, timeout=120000)
    keep_answer(window)
    settle(qtbot, window)
    press(window, Key.Key_Return, Held.ShiftModifier)
    judged = window.reader.case.image
    window.display.series_picked.emit(1)
    qtbot.waitUntil(lambda: window.reader.opened is not None, timeout=120000)
    row, report = only_row(qtbot, window, tmp_path / "out")
    assert (row["state"], row["image_sha256"], row["problem"]) == ("accepted", judged, "")
    assert (int(row["voxels"]) > 0, report.count("data:image/jpeg")) == (True, 1)
    assert len([path for path in (tmp_path / "out" / "masks").rglob("*") if path.is_file()]) == 1
