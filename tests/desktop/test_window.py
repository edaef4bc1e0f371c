"""Whole reviews, by the keys that a reviewer presses."""

from __future__ import annotations

import hashlib
import html
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PyQt6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PyQt6.QtGui import QDropEvent, QKeyEvent, QWheelEvent
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication

from core.io import find_scans, read_scan
from core.overlay import draw_overlay
from desktop.session.cases import Filter
from desktop.session.verdicts import State
from desktop.shortcuts import SHORTCUTS

Key, Held = Qt.Key, Qt.KeyboardModifier
OpenWindow = Callable[..., Any]


def press(window: Any, key: Qt.Key | str, held: Qt.KeyboardModifier = Held.NoModifier) -> None:
    """Press and release a key, wherever the focus is."""
    focus = QApplication.focusWidget()
    QTest.keyClick(focus if focus is not None and focus.window() is window else window, key, held)


def settle(qtbot: Any, window: Any) -> None:
    """Wait until the shown case is there with its mask."""
    qtbot.waitUntil(lambda: bool(window.reader.opened and window.reader.opened.finding), timeout=20000)


def states(window: Any) -> list[State]:
    return [case.state for case in window.desk.review.cases]


def shown(window: Any) -> int:
    return window.reader.case.number


def digest(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_whole_review_by_keys_exported_and_opened_again(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, tiny_model: Path, tmp_path: Path
) -> None:
    import tifffile

    from metseg import main

    before = digest(scans)
    window = open_window(scans)
    settle(qtbot, window)
    assert shown(window) == 1

    for key, moved in ((Key.Key_Home, 0), (Key.Key_Down, 1), (Key.Key_End, 3), (Key.Key_Up, 2)):
        press(window, key)
        assert window.reader.index == moved
    press(window, Key.Key_Period)
    assert window.reader.lesion == window.lesions.current == 0
    assert window.reader.mask_of(window.reader.index).any()
    press(window, Key.Key_Comma)
    assert window.reader.lesion == len(window.reader.opened.finding.lesions) - 1

    press(window, Key.Key_Return)  # accept the first and go on
    assert states(window) == [State.ACCEPTED, State.TODO, State.TODO]
    qtbot.waitUntil(lambda: shown(window) == 2)
    settle(qtbot, window)
    press(window, Key.Key_Delete)  # reject the second; nothing moves on, and it asks why
    assert states(window)[1] is State.REJECTED
    assert (shown(window), window.verdicts.reason.hasFocus()) == (2, True)
    press(window, "3")
    assert window.desk.review.last_event(window.reader.case).reason == "Wrong outline"
    assert not window.verdicts.reasons.isVisible()
    press(window, Key.Key_PageDown)
    settle(qtbot, window)
    press(window, Key.Key_G)
    assert states(window) == [State.ACCEPTED, State.REJECTED, State.FLAGGED]
    press(window, Key.Key_T)
    QTest.keyClicks(window.verdicts.note, "uG. Enter")  # letters that are verdict keys elsewhere
    press(window, Key.Key_Return)
    press(window, Key.Key_Delete)
    press(window, Key.Key_Escape)
    assert states(window) == [State.ACCEPTED, State.REJECTED, State.FLAGGED]
    assert window.reader.case.note == "uG. Enter\n"

    press(window, Key.Key_Z, Held.ControlModifier)
    assert states(window)[2] is State.TODO
    press(window, Key.Key_Z, Held.ControlModifier)  # the rejection, with its reason, on another case
    assert states(window)[1] is State.TODO
    qtbot.waitUntil(lambda: shown(window) == 2)
    press(window, Key.Key_Y, Held.ControlModifier)
    assert states(window) == [State.ACCEPTED, State.REJECTED, State.TODO]
    assert window.status.progress.text() == "2/3, 0 flagged"

    window.reader.set_look(opacity=0.6)
    window.reader.zoom(3.0, QPointF(20, 30))
    press(window, Key.Key_2, Held.ShiftModifier)
    press(window, Key.Key_Home)
    place = (window.reader.index, window.reader.pane.zoom, window.reader.pane.centre, window.reader.window_)

    with qtbot.waitSignal(window.desk.handover.finished, timeout=20000):
        window.desk.export(tmp_path / "out")
    name = window.desk.review.cases[0].name
    asked = ["segment", str(scans), "--out", str(tmp_path / "cli"), "--model", str(tiny_model)]
    assert main([*asked, "--device", "cpu", "--precision", "fp32"]) == 0
    masks = sorted((tmp_path / "out" / "masks").rglob("*.tif"))
    assert [path.parent.name for path in masks] == [name] * 4
    for path in masks:
        assert np.array_equal(tifffile.imread(path), tifffile.imread(tmp_path / "cli" / name / path.name))

    window.close()
    again = open_window(scans)
    settle(qtbot, again)
    assert states(again) == [State.ACCEPTED, State.REJECTED, State.TODO]
    reader = again.reader
    assert shown(again) == 2
    assert (reader.index, reader.pane.zoom, reader.pane.centre, reader.window_) == place
    assert reader.look.opacity == 0.6
    assert again.desk.review.cases[2].note == "uG. Enter\n"
    assert digest(scans) == before


def test_no_verdict_key_fires_while_someone_types(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    for field in (window.list.search, window.verdicts.note, window.verdicts.reason):
        if field is window.verdicts.reason:
            window.verdicts.ask_reason()
        field.setFocus()
        for entry in SHORTCUTS:
            if entry.verdict:
                for key in window.actions_[entry.name].shortcuts():
                    combination = key[0]
                    if field.hasFocus():
                        press(window, combination.key(), combination.keyboardModifiers())
        assert window.desk.review._events == []
    window.reader.pane.setFocus()
    press(window, Key.Key_G)
    assert states(window)[0] is State.FLAGGED


def test_a_verdict_key_that_is_held_down_decides_once(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    assert not any(window.actions_[entry.name].autoRepeat() for entry in SHORTCUTS if entry.verdict)
    assert window.actions_["next_slice"].autoRepeat()


def test_nothing_is_judged_before_it_is_on_the_screen(qtbot: Any, open_window: OpenWindow, scans: Path) -> None:
    window = open_window(scans)  # no results: nothing to accept
    press(window, Key.Key_Return)
    assert states(window) == [State.TODO] * 3
    assert "no mask" in window.status.message.text()
    window.reader.wait_for(window.desk.review.cases[1], "Reading…")
    press(window, Key.Key_G)
    assert states(window) == [State.TODO] * 3


def test_pixels_on_the_screen_are_the_files_and_the_pointer_tells_the_raw_value(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    reader = window.reader
    voxels = read_scan(find_scans(scans)[0]).voxels[reader.index, 0]
    nothing = np.zeros(voxels.shape, bool)
    reader.set_look(truth=False)
    mask = reader.opened.finding.mask[reader.index]
    assert np.array_equal(reader.pane._pixels, draw_overlay(voxels, mask, opacity=0.35))
    press(window, Key.Key_S)
    assert np.array_equal(reader.pane._pixels, draw_overlay(voxels, nothing))
    assert np.array_equal(reader.pane._pixels[..., 0], voxels)
    press(window, Key.Key_H)
    assert not np.array_equal(reader.pane._pixels[..., 0], voxels)
    bright = np.unravel_index(voxels.argmax(), voxels.shape)
    place = reader.pane.to_screen(bright[1] + 0.5, bright[0] + 0.5).toPoint()
    QTest.mouseMove(reader.pane, place)
    qtbot.waitUntil(lambda: bool(reader.pane.corners.bottom_right))
    assert f"Value {voxels.max()}" in reader.pane.corners.bottom_right
    assert f"x {bright[1]}  y {bright[0]}" in reader.pane.corners.bottom_right


def test_space_hides_what_lies_over_the_picture_while_it_is_held(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    before = window.reader.pane._pixels.copy()
    QTest.keyPress(window.reader.pane, Key.Key_Space)
    assert np.array_equal(window.reader.pane._pixels[..., 0], window.reader.pane._pixels[..., 2])
    QTest.keyRelease(window.reader.pane, Key.Key_Space)
    assert np.array_equal(window.reader.pane._pixels, before)


def test_a_png_names_no_side_and_no_millimetres(qtbot: Any, open_window: OpenWindow, tmp_path: Path) -> None:
    import cv2

    (tmp_path / "pngs").mkdir()
    cv2.imwrite(str(tmp_path / "pngs" / "one.png"), np.arange(4096, dtype=np.uint8).reshape(64, 64))
    window = open_window(tmp_path / "pngs")
    corners = window.reader.pane.corners
    assert corners.edges is None
    assert corners.top_right == ["Orientation unknown", "64 × 64 px, spacing unknown"]
    assert window.reader.pane.millimetres is None


def test_names_are_hidden_until_they_are_switched_on(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    name = window.reader.case.name

    def texts() -> str:
        labels = [widget.text() for widget in window.findChildren(type(window.status.saved))]
        rows = [str(window.list._model.data(window.list._model.index(row), 3)) for row in range(3)]
        corners = window.reader.pane.corners
        return " ".join([window.windowTitle(), *labels, *rows, *corners.top_left])

    assert name not in texts()
    assert "Case 1" in texts()
    press(window, Key.Key_N, Held.ControlModifier | Held.ShiftModifier)
    assert name in texts()


def test_wheel_zoom_window_and_channel(qtbot: Any, open_window: OpenWindow, scans: Path, results: Path) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    reader, pane = window.reader, window.reader.pane
    press(window, Key.Key_Home)

    def wheel(turn: int, held: Qt.KeyboardModifier = Held.NoModifier) -> None:
        middle = QPointF(pane.rect().center())
        phase = Qt.ScrollPhase.NoScrollPhase
        event = QWheelEvent(middle, middle, QPoint(), QPoint(0, turn), Qt.MouseButton.NoButton, held, phase, False)
        QApplication.sendEvent(pane, event)

    wheel(-120)
    assert reader.index == 1
    wheel(-60)
    assert reader.index == 1
    wheel(-60)
    assert reader.index == 2
    wheel(240, Held.ControlModifier)
    assert pane.zoom > 1.2
    before = pane.to_image(QPointF(pane.rect().center()))
    QTest.mousePress(pane, Qt.MouseButton.MiddleButton, pos=QPoint(200, 200))
    QTest.mouseMove(pane, QPoint(230, 200))
    QTest.mouseRelease(pane, Qt.MouseButton.MiddleButton, pos=QPoint(230, 200))
    assert pane.to_image(QPointF(pane.rect().center())).x() < before.x()
    old = reader.window_
    QTest.mousePress(pane, Qt.MouseButton.RightButton, pos=QPoint(200, 200))
    QTest.mouseMove(pane, QPoint(260, 200))
    QTest.mouseRelease(pane, Qt.MouseButton.RightButton, pos=QPoint(260, 200))
    assert reader.window_.width > old.width
    assert window.display.preset.currentIndex() == -1
    press(window, Key.Key_R)
    assert (pane.zoom, pane.centre, reader.window_) == (1.0, None, old)


def test_the_threshold_moves_the_mask_at_once_counts_later_and_reopens(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    reader = window.reader
    press(window, Key.Key_Return, Held.ShiftModifier)
    assert states(window)[0] is State.ACCEPTED
    before = reader.mask_of(reader.index).sum()
    window.display.threshold.setValue(70)
    assert reader.mask_of(reader.index).sum() < before
    press(window, Key.Key_Return, Held.ShiftModifier)  # the lesions are not counted yet
    settle(qtbot, window)
    assert states(window)[0] is State.REOPENED
    assert np.array_equal(reader.opened.finding.mask, reader.opened.result.probability >= np.float32(0.7))
    window.display.threshold.setValue(50)
    qtbot.waitUntil(lambda: states(window)[0] is State.ACCEPTED)


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
    first.desk.judge.accept(go_on=False)
    second.desk._seen_version = 0
    second.desk._look_after()
    assert states(second)[0] is State.ACCEPTED


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


def test_a_broken_case_says_why_and_the_others_go_on(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    find_scans(scans)[0].paths[1].write_bytes(b"no picture")
    window = open_window(None)
    window.open([scans])
    qtbot.waitUntil(lambda: "cannot be shown" in window.reader.pane.message, timeout=20000)
    assert window.reader.case.name not in window.reader.pane.message
    press(window, Key.Key_PageDown)
    settle(qtbot, window)
    assert shown(window) == 2


def test_a_folder_that_vanishes_ends_nothing(qtbot: Any, open_window: OpenWindow, scans: Path, results: Path) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_G)
    qtbot.waitUntil(lambda: len(window.desk.in_memory) == 2, timeout=20000)  # the next one is read ahead
    window.desk.in_memory.clear()
    shutil.rmtree(scans)
    press(window, Key.Key_End)
    press(window, Key.Key_PageDown)
    qtbot.waitUntil(lambda: "cannot be shown" in window.reader.pane.message, timeout=20000)
    assert states(window)[0] is State.FLAGGED
    window.close()
    again = open_window(None)
    again.open([scans])
    qtbot.waitUntil(lambda: bool(again.start.message.text()) and "Looking" not in again.start.message.text())
    assert again.pages.currentWidget() is again.start


def test_the_empty_window_takes_drops_and_opens_the_bundled_cases(
    qtbot: Any, open_window: OpenWindow, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(None)
    assert window.pages.currentWidget() is window.start
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(scans))])
    buttons = Qt.MouseButton.LeftButton
    window.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, buttons, Held.NoModifier))
    qtbot.waitUntil(lambda: window.reader.opened is not None, timeout=20000)
    assert len(window.desk.review.cases) == 3

    other = open_window(None)
    monkeypatch.setattr("core.demo.SEEDS", (1,))
    other.start.buttons["bundled"].click()
    qtbot.waitUntil(lambda: other.reader.opened is not None, timeout=30000)
    assert other.reader.case.name.startswith("PHANTOM")


def test_without_a_model_cases_can_still_be_looked_at_and_judged(
    qtbot: Any, open_window: OpenWindow, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desktop.desk.shipped_models", tuple)
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
    assert all(entry.keys[0].replace("Return", "Enter") in text for entry in SHORTCUTS if entry.keys)
    press(window, Key.Key_G)  # closes the sheet, and decides nothing
    assert not window.sheet.isVisible()
    assert states(window)[0] is State.TODO


def test_menus_and_tooltips_come_from_the_table(qtbot: Any, open_window: OpenWindow) -> None:
    window = open_window(None)
    in_menus = {action.text() for menu in window.menuBar().actions() for action in menu.menu().actions()}
    assert in_menus == {entry.text for entry in SHORTCUTS if not entry.held}
    assert window.actions_["accept"].toolTip() == "Accept and go on (Enter)"
    assert "Enter" in window.verdicts.buttons["accept"].text()


def test_sources_are_never_opened_for_writing(qtbot: Any, open_window: OpenWindow, scans: Path, results: Path) -> None:
    written: list[str] = []
    listening = [True]

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        named = [part for part in arguments[:2] if isinstance(part, str)] if listening and event == "open" else []
        if len(named) == 2 and named[0].startswith(str(scans)) and set(named[1]) & set("wax+"):
            written.append(named[0])

    sys.addaudithook(hear)
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Return)
    settle(qtbot, window)
    window.close()
    listening.clear()
    assert written == []


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
