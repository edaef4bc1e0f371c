"""What nobody foresaw: the window says so in one sentence, tells no name, and stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PyQt6.QtCore import QPoint
from PyQt6.QtTest import QTest

from desktop.session.faults import LOG
from desktop.session.verdicts import State
from tests.desktop.hands import Held, Key, press, settle, shown, states

OpenWindow = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]

# Run in a process of its own: a timer raises in the window's thread, and the window is closed a little later.
SCRIPT = """
import sys
from PyQt6.QtCore import QTimer
import desktop.app, desktop.main_window

class Harmed(desktop.main_window.MainWindow):
    def __init__(self, settings):
        super().__init__(settings)
        QTimer.singleShot(100, self.harm)
        QTimer.singleShot(500, self.look)

    def harm(self):
        raise MemoryError("/scans/SOMEBODY")

    def look(self):
        print(self.status.message.text())
        self.close()

desktop.app.MainWindow = Harmed
from metseg import main
sys.exit(main(["review"]))
"""


def test_an_error_in_the_window_is_told_and_logged_and_the_window_stays(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("There was not enough memory for this. Verdicts are kept")
    assert "SOMEBODY" not in done.stdout + done.stderr
    assert "MemoryError: /scans/SOMEBODY" in (tmp_path / "home" / LOG).read_text()


def test_the_mouse_may_rest_where_the_next_case_has_no_pixel(
    qtbot: Any, open_window: OpenWindow, tmp_path: Path
) -> None:
    for name, side in (("a", 64), ("b", 16)):
        (tmp_path / "sizes").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "sizes" / f"{name}.png"), np.zeros((side, side), np.uint8))
    window = open_window(tmp_path / "sizes")
    pane = window.reader.pane
    QTest.mouseMove(pane, pane.to_screen(60.5, 60.5).toPoint())
    qtbot.waitUntil(lambda: bool(pane.corners.bottom_right), timeout=120000)
    press(window, Key.Key_PageDown)
    qtbot.waitUntil(lambda: shown(window) == 2 and window.reader.opened is not None, timeout=120000)
    assert pane.corners.bottom_right == []
    QTest.mouseMove(pane, pane.rect().center() + QPoint(2, 2))
    qtbot.waitUntil(lambda: bool(pane.corners.bottom_right), timeout=120000)


def test_work_that_fails_unheard_is_told(qtbot: Any, open_window: OpenWindow, scans: Path, results: Path) -> None:
    window = open_window(scans)
    settle(qtbot, window)

    def fail() -> None:
        raise RuntimeError(str(scans))

    window.desk.tasks.run(fail, lambda _: None)
    qtbot.waitUntil(lambda: "unforeseen" in window.status.message.text(), timeout=120000)
    assert str(scans) not in window.status.message.text()


def test_lesions_that_could_not_be_counted_can_be_counted_again(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    window = open_window(scans)
    settle(qtbot, window)
    with monkeypatch.context() as harmed:
        harmed.setattr("desktop.masks.find", no_memory)
        window.display.threshold.setValue(70)
        qtbot.waitUntil(window.reader.ask.isVisible, timeout=120000)
    assert "could not be counted" in window.reader.notice.text()
    assert "memory" in window.status.message.text()
    window.reader.ask.click()
    settle(qtbot, window)
    assert not window.reader.ask.isVisible()
    press(window, Key.Key_Return, Held.ShiftModifier)
    assert states(window)[0] is State.ACCEPTED
    assert np.array_equal(window.reader.opened.finding.mask, window.reader.opened.result.probability >= np.float32(0.7))


def test_after_a_stop_the_shown_case_can_be_segmented_alone(qtbot: Any, open_window: OpenWindow, scans: Path) -> None:
    window = open_window(scans)
    asked: list[str] = []
    window.desk.segmenting.segmenter.submit = lambda ask, first=False: asked.append(ask.source.name)
    window.desk.masks.segment_all()
    press(window, Key.Key_Period, Held.ControlModifier)
    assert window.reader.notice.text() == "Segmenting was stopped before this case."
    asked.clear()
    window.reader.ask.click()
    assert asked == [window.reader.case.name]
    window.desk.step_case(1)
    qtbot.waitUntil(lambda: shown(window) == 2 and window.reader.opened is not None, timeout=120000)
    assert asked == [window.desk.review.cases[0].name]  # nothing begins by itself
    assert window.reader.ask.text() == "Segment this case"


def test_a_case_that_could_not_be_read_is_read_again_when_asked(
    qtbot: Any, open_window: OpenWindow, tmp_path: Path
) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((32, 32), np.uint8))
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[:40])
    window = open_window(None)
    window.open([folder])
    qtbot.waitUntil(window.reader.ask.isVisible, timeout=120000)
    assert (window.reader.ask.text(), "cannot be shown" in window.reader.pane.message) == ("Try again", True)
    assert window.display.channel.count() == 0
    (folder / "a.png").write_bytes(whole)
    window.reader.ask.click()
    qtbot.waitUntil(lambda: window.reader.opened is not None, timeout=120000)
    assert (window.reader.case.problem, window.reader.ask.isVisible()) == ("", False)
