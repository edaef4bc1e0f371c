"""Whole reviews, by the keys that a reviewer presses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PyQt6.QtCore import QPoint, QPointF, Qt
from PyQt6.QtGui import QWheelEvent
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication

from core.io import find_scans, read_scan
from core.overlay import draw_overlay
from desktop.session.verdicts import State
from desktop.shortcuts import SHORTCUTS
from tests.desktop.hands import Held, Key, press, settle, shown, states

OpenWindow = Callable[..., Any]


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
    qtbot.waitUntil(lambda: shown(window) == 2, timeout=120000)
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
    qtbot.waitUntil(lambda: shown(window) == 2, timeout=120000)
    press(window, Key.Key_Y, Held.ControlModifier)
    assert states(window) == [State.ACCEPTED, State.REJECTED, State.TODO]
    assert window.status.progress.text() == "2/3, 0 flagged"

    window.reader.set_look(opacity=0.6)
    window.reader.zoom(3.0, QPointF(20, 30))
    press(window, Key.Key_2, Held.ShiftModifier)
    press(window, Key.Key_Home)
    place = (window.reader.index, window.reader.pane.zoom, window.reader.pane.centre, window.reader.window_)

    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
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
    assert np.array_equal(reader.pane.picture, draw_overlay(voxels, mask, opacity=0.35))
    press(window, Key.Key_S)
    assert np.array_equal(reader.pane.picture, draw_overlay(voxels, nothing))
    assert np.array_equal(reader.pane.picture[..., 0], voxels)
    press(window, Key.Key_H)
    assert not np.array_equal(reader.pane.picture[..., 0], voxels)
    bright = np.unravel_index(voxels.argmax(), voxels.shape)
    place = reader.pane.to_screen(bright[1] + 0.5, bright[0] + 0.5).toPoint()
    QTest.mouseMove(reader.pane, place)
    qtbot.waitUntil(lambda: bool(reader.pane.corners.bottom_right), timeout=120000)
    assert f"Value {voxels.max()}" in reader.pane.corners.bottom_right
    assert f"x {bright[1]}  y {bright[0]}" in reader.pane.corners.bottom_right


def test_space_hides_what_lies_over_the_picture_while_it_is_held(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    before = window.reader.pane.picture.copy()
    QTest.keyPress(window.reader.pane, Key.Key_Space)
    assert np.array_equal(window.reader.pane.picture[..., 0], window.reader.pane.picture[..., 2])
    QTest.keyRelease(window.reader.pane, Key.Key_Space)
    assert np.array_equal(window.reader.pane.picture, before)


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
    qtbot.waitUntil(lambda: states(window)[0] is State.ACCEPTED, timeout=120000)


def test_no_other_lesion_is_framed_when_the_threshold_numbers_them_anew(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    reader = window.reader
    press(window, Key.Key_Period)
    frame = reader.pane.frame
    assert frame is not None
    reader.set_look(truth=not reader.look.truth)  # the mask is the same
    assert (reader.pane.frame, reader.lesion) == (frame, window.lesions.current)
    window.display.threshold.setValue(45)
    settle(qtbot, window)
    assert reader.opened.finding.lesions
    assert (reader.pane.frame, reader.lesion, window.lesions.current) == (None, -1, -1)
