"""What is typed in the window: it is kept, it stays with its case, and it never decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication

from desktop.session.verdicts import State
from desktop.widgets.verdict_panel import SAVE_AFTER_MS
from tests.desktop.hands import Key, press, settle, shown, states

OpenWindow = Callable[..., Any]


def click_case(window: Any, row: int) -> None:
    view = window.list.view
    QTest.mouseClick(
        view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(window.list._model.index(row)).center()
    )


def test_a_note_is_on_the_disk_soon_after_the_last_key(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_T)
    QTest.keyClicks(window.verdicts.note, "left edge")
    QTest.qWait(SAVE_AFTER_MS + 300)
    assert list(window.desk.review.store.notes().values()) == ["left edge"]
    QTest.keyClicks(window.verdicts.note, ", small")
    window.close()
    again = open_window(scans)
    settle(qtbot, again)
    assert again.verdicts.note.toPlainText() == "left edge, small"


def test_what_happens_behind_the_window_leaves_a_note_alone(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_T)
    for word in ("left", " edge"):
        QTest.keyClicks(window.verdicts.note, word)
        window.desk.listed.emit()
        window.desk.case_changed.emit()
    assert window.verdicts.note.toPlainText() == "left edge"
    press(window, Key.Key_Escape)
    assert window.reader.case.note == "left edge"


def test_a_note_stays_with_the_case_that_it_was_typed_on(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_T)
    QTest.keyClicks(window.verdicts.note, "of the first")
    click_case(window, 1)
    qtbot.waitUntil(lambda: shown(window) == 2, timeout=120000)
    settle(qtbot, window)
    QTest.qWait(SAVE_AFTER_MS + 300)
    assert [case.note for case in window.desk.review.cases] == ["of the first", "", ""]
    assert window.verdicts.note.toPlainText() == ""


def test_a_reason_is_typed_to_its_end_whatever_happens_behind_the_window(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Delete)
    QTest.keyClicks(window.verdicts.reason, "bad ")
    window.desk.listed.emit()  # another case was segmented or read ahead
    window.desk.case_changed.emit()
    assert window.verdicts.reason.hasFocus()
    QTest.keyClicks(window.verdicts.reason, "coil, G")
    press(window, Key.Key_Return)
    event = window.desk.review.last_event(window.reader.case)
    assert (states(window), event.reason) == ([State.REJECTED, State.TODO, State.TODO], "bad coil, G")
    assert not window.verdicts.reasons.isVisible()


@pytest.mark.parametrize("meanwhile", [Key.Key_T, Key.Key_F1])
def test_a_mask_that_was_hidden_while_space_is_held_comes_back_wherever_the_focus_went(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, meanwhile: Qt.Key
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    before = window.reader.pane._pixels.copy()
    QTest.keyPress(window.reader.pane, Key.Key_Space)
    assert not np.array_equal(window.reader.pane._pixels, before)
    press(window, meanwhile)
    assert np.array_equal(window.reader.pane._pixels, before)
    QTest.keyRelease(QApplication.focusWidget(), Key.Key_Space)
    press(window, Key.Key_Escape)
    QTest.keyPress(window.reader.pane, Key.Key_Space)
    assert not np.array_equal(window.reader.pane._pixels, before)
    window.list.search.setFocus()
    QTest.keyRelease(window.list.search, Key.Key_Space)
    assert np.array_equal(window.reader.pane._pixels, before)
