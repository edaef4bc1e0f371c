"""The window among what goes wrong, and what it never does."""

from __future__ import annotations

import html
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PyQt6.QtCore import QEvent, QMimeData, QPointF, Qt, QUrl
from PyQt6.QtGui import QDropEvent, QKeyEvent
from PyQt6.QtTest import QTest

from core.errors import OutputError
from core.io import find_scans
from desktop.session.cases import Filter
from desktop.session.verdicts import State
from desktop.shortcuts import SHORTCUTS, readable
from tests.desktop.hands import Held, Key, press, settle, shown, states

OpenWindow = Callable[..., Any]


def test_a_second_window_is_read_only_and_says_so(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    first = open_window(scans)
    settle(qtbot, first)
    second = open_window(scans)
    settle(qtbot, second)
    assert "another window" in second.reader.notice.text()
    assert second.status.saved.text() == "Read-only"
    assert not second.verdicts.buttons["accept"].isEnabled()
    second.desk.judge.accept(go_on=True)
    assert states(second) == [State.TODO] * 3
    assert not second.display.threshold.isEnabled()
    assert first.display.threshold.isEnabled()
    press(second, Key.Key_PageDown)
    settle(qtbot, second)
    second.desk.in_memory.clear()
    press(second, Key.Key_PageDown)  # the third case is being read while the first window writes
    first.desk.judge.accept(go_on=False)
    second.desk._seen_version = 0
    second.desk._look_after()
    assert states(second)[0] is State.ACCEPTED
    qtbot.waitUntil(lambda: shown(second) == 3 and second.reader.opened is not None, timeout=120000)


def test_ground_truth_lies_beside_the_mask_with_its_dice(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    assert f"Dice {window.reader.opened.overlap:.3f}" in window.overlap.text()
    assert "count as 1" in window.overlap.text()
    press(window, Key.Key_V)
    assert window.reader.truth_pane.isVisible()
    assert (window.reader.pane.title, window.reader.truth_pane.title) == ("Mask", "Ground truth")
    window.reader.zoom(2.0)
    assert window.reader.truth_pane.zoom == 2.0


def test_search_and_chips_choose_what_is_listed(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_G)
    press(window, Key.Key_F, Held.ControlModifier)
    QTest.keyClicks(window.list.search, "case 2")
    assert [case.number for case in window.list.cases] == [2]
    press(window, Key.Key_Return)
    assert window.reader.pane.hasFocus()
    window.list.search.clear()
    window.list._buttons[Filter.FLAGGED].click()
    assert [case.number for case in window.list.cases] == [1]
    assert window.list._buttons[Filter.FLAGGED].text() == "Flagged 1"
    press(window, Key.Key_PageUp)
    assert shown(window) == 1
    window.list._buttons[Filter.TODO].click()  # a list that has nothing of the one before
    press(window, Key.Key_PageDown)
    assert shown(window) == 2


def test_a_broken_case_says_why_and_the_others_go_on(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    find_scans(scans)[0].paths[1].write_bytes(b"no picture")
    window = open_window(None)
    window.open([scans])
    qtbot.waitUntil(lambda: "cannot be shown" in window.reader.pane.message, timeout=120000)
    assert window.reader.case.name not in window.reader.pane.message
    press(window, Key.Key_PageDown)
    settle(qtbot, window)
    assert shown(window) == 2


def test_a_folder_that_vanishes_ends_nothing(qtbot: Any, open_window: OpenWindow, scans: Path, results: Path) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_G)
    qtbot.waitUntil(lambda: len(window.desk.in_memory) == 2, timeout=120000)  # the next one is read ahead
    window.desk.in_memory.clear()
    shutil.rmtree(scans)
    press(window, Key.Key_End)
    press(window, Key.Key_PageDown)
    qtbot.waitUntil(lambda: "cannot be shown" in window.reader.pane.message, timeout=120000)
    assert states(window)[0] is State.FLAGGED
    window.close()
    again = open_window(None)
    again.open([scans])
    qtbot.waitUntil(
        lambda: bool(again.start.message.text()) and "Looking" not in again.start.message.text(), timeout=120000
    )
    assert again.pages.currentWidget() is again.start


def test_a_name_that_is_no_text_costs_no_verdict(qtbot: Any, open_window: OpenWindow, tmp_path: Path) -> None:
    folder = tmp_path / "names"
    folder.mkdir()
    for grey, name in enumerate((b"anna.png", b"M\xfcller.png", b"zoe.png")):
        cv2.imwrite(str(folder / "new.png"), np.full((16, 16), grey, np.uint8))
        try:
            (folder / "new.png").rename(folder / os.fsdecode(name))
        except OSError:
            pytest.skip("this file system takes no such name")
    window = open_window(folder)
    for number in (1, 2, 3):
        qtbot.waitUntil(lambda n=number: shown(window) == n and window.reader.opened is not None, timeout=120000)
        press(window, Key.Key_G)
        press(window, Key.Key_PageDown)
    assert window.status.saved.text() == "All saved"
    assert window.close()
    again = open_window(folder)
    assert states(again) == [State.FLAGGED] * 3


def test_the_empty_window_takes_drops_and_opens_the_bundled_cases(
    qtbot: Any, open_window: OpenWindow, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(None)
    assert window.pages.currentWidget() is window.start
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(scans))])
    buttons = Qt.MouseButton.LeftButton
    window.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, buttons, Held.NoModifier))
    qtbot.waitUntil(lambda: window.reader.opened is not None, timeout=120000)
    assert len(window.desk.review.cases) == 3

    other = open_window(None)
    monkeypatch.setattr("core.demo.SEEDS", (1,))
    other.start.buttons["bundled"].click()
    qtbot.waitUntil(lambda: other.reader.opened is not None, timeout=120000)
    assert other.reader.case.name.startswith("PHANTOM")


def test_without_a_model_cases_can_still_be_looked_at_and_judged(
    qtbot: Any, open_window: OpenWindow, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desktop.session.models.shipped_models", tuple)
    window = open_window(scans, model=None)
    assert "No model is installed" in window.reader.notice.text()
    press(window, Key.Key_G)
    press(window, Key.Key_Return)
    assert states(window)[0] is State.FLAGGED


def test_the_sheet_holds_every_key_and_covers_them(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_F1)
    assert window.sheet.isVisible()
    text = html.unescape(" ".join(label.text() for label in window.sheet.labels))
    assert all(entry.text in text for entry in SHORTCUTS if entry.keys)
    assert all(readable(entry.keys[0]) in text for entry in SHORTCUTS if entry.keys)
    press(window, Key.Key_G)  # closes the sheet, and decides nothing
    assert not window.sheet.isVisible()
    assert states(window)[0] is State.TODO
    press(window, Key.Key_G)  # and the keys are the window's again
    assert states(window)[0] is State.FLAGGED


def test_a_rejection_left_without_a_reason_gives_the_keys_back(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Delete)
    assert window.verdicts.reason.hasFocus()
    window.list.view.clicked.emit(window.list._model.index(1))  # another case is clicked
    qtbot.waitUntil(lambda: shown(window) == 2, timeout=120000)
    settle(qtbot, window)
    assert not window.verdicts.reasons.isVisible()
    press(window, Key.Key_G)
    assert states(window) == [State.REJECTED, State.FLAGGED, State.TODO]
    assert window.reader.case.note == ""


def test_menus_and_tooltips_come_from_the_table(qtbot: Any, open_window: OpenWindow) -> None:
    window = open_window(None)
    in_menus = {action.text() for menu in window.menuBar().actions() for action in menu.menu().actions()}
    assert in_menus == {entry.text for entry in SHORTCUTS if not entry.held}
    assert window.actions_["accept"].toolTip() == "Accept and go on (Enter)"
    assert "Enter" in window.verdicts.buttons["accept"].text()


def test_sources_are_never_opened_for_writing(qtbot: Any, open_window: OpenWindow, scans: Path, results: Path) -> None:
    written: list[str] = []
    listening = [True]
    changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT  # `open` has a mode too, `os.open` has flags alone

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and event == "open" and not isinstance(arguments[0], int) and arguments[2] & changing:
            path = os.fsdecode(arguments[0])
            if path.startswith(str(scans)):
                written.append(path)

    sys.addaudithook(hear)
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Return)
    settle(qtbot, window)
    window.close()
    assert written == []
    os.close(os.open(scans / "heard", os.O_WRONLY | os.O_CREAT))
    (scans / "heard").open("a").close()
    listening.clear()
    assert written == [str(scans / "heard")] * 2


def test_a_remembered_view_that_makes_no_sense_is_forgotten(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    window.desk.review.store.set_view({"reader": json.dumps({"case": "gone", "slice": "x"}), "filter": "no json"})
    window.desk.review.store.close()
    window.desk.review = None
    window.close()
    again = open_window(scans)
    settle(qtbot, again)
    assert shown(again) == 1


def test_the_window_works_where_every_way_out_is_blocked(
    qtbot: Any, open_window: OpenWindow, scans: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offline = Path(__file__).resolve().parents[1] / "offline"
    notes = tmp_path / "outside.txt"
    notes.touch()
    monkeypatch.setenv("METSEG_TEST_OUTSIDE", str(notes))
    monkeypatch.setenv("PYTHONPATH", str(offline))  # the worker's process is watched
    monkeypatch.setattr("socket.socket.connect", refuse)
    window = open_window(scans, segment=True)
    qtbot.waitUntil(lambda: all(case.summary for case in window.desk.review.cases), timeout=120000)
    settle(qtbot, window)
    press(window, Key.Key_Return)
    assert states(window)[0] is State.ACCEPTED
    assert window.status.device.text().endswith("on cpu")
    assert notes.read_text() == ""


def refuse(*_: object) -> None:
    raise AssertionError("something asked for a connection")


def test_the_guard_takes_what_a_keyboard_sends_first(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    window.list.search.setFocus()
    assert window.list.search.hasFocus()
    event = QKeyEvent(QEvent.Type.ShortcutOverride, Key.Key_G, Held.NoModifier, "g")
    event.ignore()
    assert window.guard.eventFilter(window.list.search, event)
    assert event.isAccepted()


def test_a_full_disk_is_told_and_the_window_does_not_close_over_it(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    database = window.desk.review.store._db
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    press(window, Key.Key_T)
    window.verdicts.note.setPlainText("note\n" * 20_000)
    press(window, Key.Key_Escape)
    press(window, Key.Key_G)
    assert states(window)[0] is State.FLAGGED
    assert "full" in window.status.saved.text()
    asked: list[int] = []
    monkeypatch.setattr(type(window), "may_lose", lambda self, unsaved: bool(asked.append(unsaved)))
    assert not window.close()
    window.open([scans])  # nor does it open anything else
    assert "not on the disk yet" in window.status.message.text()
    assert asked[0] >= 1
    database.execute(f"PRAGMA max_page_count = {1 << 30}")
    window.desk._look_after()
    assert window.status.saved.text() == "All saved"
    assert window.close()


def test_truth_of_another_shape_costs_the_dice_and_not_the_case(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    mask = find_scans(scans)[0].mask_paths[0]
    cv2.imwrite(str(mask), np.zeros((32, 64), np.uint8))
    window = open_window(scans)
    settle(qtbot, window)
    assert window.reader.opened.truth is None
    assert window.overlap.text() == ""
    assert "no Dice" in window.warnings.text()
    assert not window.actions_["beside"].isEnabled()
    press(window, Key.Key_Return, Held.ShiftModifier)
    assert states(window)[0] is State.ACCEPTED


def test_ten_thousand_cases_are_listed_searched_and_stepped_through(
    qtbot: Any, open_window: OpenWindow, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    cv2.imwrite(str(folder / "patient-00000.png"), np.arange(256, dtype=np.uint8).reshape(16, 16))
    for number in range(1, 10_000):
        (folder / f"patient-{number:05}.png").hardlink_to(folder / "patient-00000.png")
    window = open_window(folder)
    assert window.status.progress.text() == "0/10,000, 0 flagged"
    assert window.list._buttons[Filter.ALL].text() == "All 10,000"
    press(window, Key.Key_PageDown)
    qtbot.waitUntil(lambda: shown(window) == 2 and window.reader.opened is not None, timeout=120000)
    press(window, Key.Key_G)
    assert window.status.progress.text() == "0/10,000, 1 flagged"
    window.list.search.setText("patient-04321")
    assert [case.number for case in window.list.cases] == [4322]
    assert len(window.desk.in_memory) <= 4


def test_an_export_that_cannot_be_written_says_so(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OutputError("the disk is full; make room and start again")

    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Return, Held.ShiftModifier)
    monkeypatch.setattr("desktop.session.export.write_atomic", full)
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        window.desk.export(tmp_path / "out")
    assert "the disk is full" in window.status.message.text()
    assert states(window)[0] is State.ACCEPTED
