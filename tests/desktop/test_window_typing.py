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

from core.io import find_scans
from desktop.session.cases import Filter, Order
from desktop.session.verdicts import State
from desktop.widgets.verdict_panel import SAVE_AFTER_MS
from tests.desktop.hands import Held, Key, press, settle, shown, states

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
    qtbot.waitUntil(lambda: list(window.desk.review.store.notes().values()) == ["left edge"], timeout=120000)
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


def test_what_cannot_be_kept_is_told_and_a_note_stays_in_its_field(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    case = window.reader.case
    case.image = None  # as if nobody knew which images are shown
    press(window, Key.Key_T)
    QTest.keyClicks(window.verdicts.note, "left edge")
    press(window, Key.Key_Escape)
    window.desk.listed.emit()
    assert "not kept yet" in window.status.message.text()
    assert (case.note, window.verdicts.note.toPlainText()) == ("", "left edge")
    press(window, Key.Key_G)
    assert "was not taken" in window.status.message.text()
    window.desk.show(case)
    press(window, Key.Key_G)
    assert (case.state, case.note) == (State.FLAGGED, "left edge")


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
    before = window.reader.pane.picture.copy()
    QTest.keyPress(window.reader.pane, Key.Key_Space)
    assert not np.array_equal(window.reader.pane.picture, before)
    press(window, meanwhile)
    assert np.array_equal(window.reader.pane.picture, before)
    QTest.keyRelease(QApplication.focusWidget(), Key.Key_Space)
    press(window, Key.Key_Escape)
    QTest.keyPress(window.reader.pane, Key.Key_Space)
    assert not np.array_equal(window.reader.pane.picture, before)
    window.list.search.setFocus()
    QTest.keyRelease(window.list.search, Key.Key_Space)
    assert np.array_equal(window.reader.pane.picture, before)


def test_the_search_is_left_by_a_click_on_a_case_and_by_escape(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_F, Held.ControlModifier)
    QTest.keyClicks(window.list.search, "case 3")
    click_case(window, 0)
    qtbot.waitUntil(lambda: shown(window) == 3, timeout=120000)
    settle(qtbot, window)
    press(window, Key.Key_G)
    assert (states(window)[2], window.list.search.text()) == (State.FLAGGED, "case 3")
    press(window, Key.Key_F, Held.ControlModifier)
    press(window, Key.Key_Escape)
    press(window, Key.Key_U)
    assert (states(window)[2], window.list.search.text()) == (State.TODO, "case 3")


@pytest.mark.parametrize("hide", [Key.Key_F11, Key.Key_L])
@pytest.mark.parametrize(("ask", "field"), [(Key.Key_Delete, "reason"), (Key.Key_T, "note")])
def test_what_asks_for_text_is_shown_where_the_column_was_hidden(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, hide: Qt.Key, ask: Qt.Key, field: str
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, hide)
    assert not window.right.isVisible()
    press(window, ask)
    asked = getattr(window.verdicts, field)
    assert asked.isVisible()
    assert asked.hasFocus()
    press(window, Key.Key_Escape)
    press(window, Key.Key_F11)
    assert window.list.isVisible() == window.right.isVisible() == (hide == Key.Key_F11)


def test_a_column_that_is_hidden_keeps_no_keys(qtbot: Any, open_window: OpenWindow, scans: Path, results: Path) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_F, Held.ControlModifier)
    press(window, Key.Key_F11)  # works while text is typed
    press(window, Key.Key_G)
    assert states(window)[0] is State.FLAGGED
    press(window, Key.Key_F, Held.ControlModifier)
    assert window.list.search.isVisible()


@pytest.mark.parametrize("key", [Key.Key_Space, Key.Key_Return, Key.Key_Enter])
def test_a_button_that_has_the_focus_takes_the_keys_that_press_it(
    qtbot: Any, open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch, key: Qt.Key
) -> None:
    asked: list[bool] = []
    window = open_window(None)
    window.actions_["open"].triggered.disconnect()
    window.actions_["open"].triggered.connect(asked.append)
    window.start.buttons["open"].setFocus()
    qtbot.waitUntil(window.start.buttons["open"].hasFocus, timeout=120000)
    press(window, key)
    assert len(asked) == 1


def test_a_case_rejected_again_keeps_its_reason_unless_another_is_given(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    case, review = window.reader.case, window.desk.review
    press(window, Key.Key_Delete)
    press(window, "3")
    press(window, Key.Key_Delete)
    assert window.verdicts.reason.hasFocus()
    press(window, Key.Key_Escape)
    assert (case.state, review.last_event(case).reason) == (State.REJECTED, "Wrong outline")
    press(window, Key.Key_Delete)
    press(window, "1")
    assert review.last_event(case).reason == "Missed lesion"
    press(window, Key.Key_Z, Held.ControlModifier)
    assert review.last_event(case).reason == "Wrong outline"


def test_a_case_that_cannot_be_read_takes_a_note_and_no_letter_of_it_is_a_verdict(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    first, second, _ = find_scans(scans)
    for source in (first, second):
        source.paths[1].write_bytes(b"no picture")
    for visit in ("first", "again"):
        window = open_window(None)
        window.open([scans])
        qtbot.waitUntil(lambda w=window: "cannot be shown" in w.reader.pane.message, timeout=120000)
        if visit == "first":
            press(window, Key.Key_T)
            assert window.verdicts.note.hasFocus()
            QTest.keyClicks(QApplication.focusWidget(), "ugly, gone")
            press(window, Key.Key_Escape)
            assert states(window)[0] is State.TODO
        assert (window.verdicts.note.toPlainText(), window.reader.case.note) == ("ugly, gone", "ugly, gone")
        press(window, Key.Key_PageDown)  # the next one cannot be read either, and has a note of its own
        qtbot.waitUntil(lambda w=window: shown(w) == 2 and "cannot" in w.reader.pane.message, timeout=120000)
        assert window.verdicts.note.toPlainText() == ""
        press(window, Key.Key_PageUp)
        window.close()


def test_a_note_that_cannot_be_written_says_why(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    window.reader.wait_for(window.reader.case, "Reading…")
    window.desk.case_changed.emit()
    press(window, Key.Key_T)
    assert window.reader.pane.hasFocus()
    assert "not on the screen yet" in window.status.message.text()
    second = open_window(scans)
    settle(qtbot, second)
    press(second, Key.Key_T)
    assert "another window" in second.status.message.text()


def test_threshold_and_model_are_reached_by_tab_and_the_pictures_keys_still_work(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    panel, reader = window.display, window.reader
    for widget in (panel.threshold, panel.model, panel.preset):
        for _ in range(12):
            if widget.hasFocus():
                break
            press(window, Key.Key_Tab)
        assert widget.hasFocus()
        press(window, Key.Key_Home)
        press(window, Key.Key_Down)
        assert reader.index == 1
        for key in (Key.Key_N, Key.Key_7):  # mean nothing, and so choose nothing
            before = panel.model.currentIndex(), panel.preset.currentIndex(), panel.threshold.value()
            press(window, key)
            assert before == (panel.model.currentIndex(), panel.preset.currentIndex(), panel.threshold.value())
        press(window, Key.Key_G)
        assert states(window)[0] is State.FLAGGED
        press(window, Key.Key_U)
        assert states(window)[0] is State.TODO
    panel.threshold.setFocus()
    before = panel.threshold.value()
    press(window, Key.Key_Right)
    assert (panel.threshold.value(), reader.preview) == (before + 1, (before + 1) / 100)
    settle(qtbot, window)
    press(window, Key.Key_Return)
    qtbot.waitUntil(lambda: shown(window) == 2 and reader.opened is not None, timeout=120000)
    assert not window.verdicts.note.hasFocus()
    assert not window.list.search.hasFocus()


def tab_to(window: Any, widget: Any) -> None:
    for _ in range(20):
        if widget.hasFocus():
            break
        press(window, Key.Key_Tab)
    assert widget.hasFocus()


def test_sorting_and_filters_are_reached_by_tab_and_letters_mean_what_they_always_do(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    chips = window.list._buttons
    for widget in (window.list.order, *chips.values()):
        tab_to(window, widget)
        before = window.list.which, window.list.sorting
        press(window, Key.Key_N)  # means nothing, and so chooses nothing
        press(window, Key.Key_Down)
        assert (window.list.which, window.list.sorting, widget.hasFocus()) == (*before, True)
        press(window, Key.Key_G)
        assert states(window)[0] is State.FLAGGED
        press(window, Key.Key_U)
        assert states(window)[0] is State.TODO
    for which, key in ((Filter.FLAGGED, Key.Key_Return), (Filter.DONE, Key.Key_Space), (Filter.ALL, Key.Key_Enter)):
        tab_to(window, chips[which])
        for _ in range(2):  # a second press leaves it on
            press(window, key)
            assert [chip for chip, button in chips.items() if button.isChecked()] == [which]
    assert states(window) == [State.TODO] * 3
    window.list.order.setCurrentIndex(1)
    assert window.list.sorting is Order.BURDEN


def test_the_button_beside_the_notice_is_reached_by_tab_and_leaves_the_keys_to_the_window_when_it_goes(
    qtbot: Any, open_window: OpenWindow, scans: Path
) -> None:
    window = open_window(scans)
    asked: list[bool] = []
    window.reader.asked.disconnect()
    window.reader.asked.connect(lambda: asked.append(True))
    window.reader.say("This case was not segmented: no room.", "Try again")
    tab_to(window, window.reader.ask)
    press(window, Key.Key_G)
    assert (states(window)[0], asked) == (State.FLAGGED, [])
    press(window, Key.Key_Return)
    press(window, Key.Key_Space)
    assert (len(asked), states(window)[0]) == (2, State.FLAGGED)
    window.reader.say("")
    QTest.keyClicks(QApplication.focusWidget() or window, "u")
    assert (states(window)[0], window.verdicts.note.toPlainText(), window.list.search.text()) == (State.TODO, "", "")
