"""A window of one's own, carried to cases and channels of another scale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtTest import QTest

from tests.desktop.hands import Key, press, shown

OpenWindow = Callable[..., Any]
HEAD = np.add.outer(np.arange(64), 10 * np.arange(64)).astype(np.uint16) * 4


def go(qtbot: Any, window: Any, key: Qt.Key, number: int) -> None:
    press(window, key)
    qtbot.waitUntil(lambda: shown(window) == number and window.reader.opened is not None, timeout=120000)


def alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return np.abs(one.astype(int) - other).max() <= 1 and np.ptp(one[..., 0]) > 100


def write_heads(folder: Path) -> Path:
    """The same head twice, the second one 16 times as bright."""
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), HEAD)
    cv2.imwrite(str(folder / "b.png"), HEAD * 16)
    return folder


def test_ones_own_window_shows_the_same_part_of_another_cases_values(
    qtbot: Any, open_window: OpenWindow, tmp_path: Path
) -> None:
    folder = write_heads(tmp_path / "heads")
    window = open_window(folder)
    press(window, Key.Key_C)
    picture = window.reader.pane.picture.copy()
    go(qtbot, window, Key.Key_PageDown, 2)
    assert alike(window.reader.pane.picture, picture)
    pane = window.reader.pane
    QTest.mousePress(pane, Qt.MouseButton.RightButton, pos=QPoint(200, 200))
    QTest.mouseMove(pane, QPoint(260, 200))
    QTest.mouseRelease(pane, Qt.MouseButton.RightButton, pos=QPoint(260, 200))
    picture, chosen = pane.picture.copy(), window.reader.window_
    window.close()

    again = open_window(folder)  # the same case: the very same window
    assert (shown(again), again.reader.window_, again.reader.preset) == (2, chosen, -1)
    go(qtbot, again, Key.Key_PageUp, 1)
    assert alike(again.reader.pane.picture, picture)


def test_ones_own_window_shows_the_same_part_of_another_channels_values(
    qtbot: Any, open_window: OpenWindow, tmp_path: Path
) -> None:
    folder = tmp_path / "colours"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.stack([HEAD * 16, HEAD, HEAD * 4], axis=2))
    window = open_window(folder)
    press(window, Key.Key_C)
    picture = window.reader.pane.picture.copy()
    for _ in window.reader.opened.channels:
        press(window, Key.Key_K)
        assert alike(window.reader.pane.picture, picture)
    assert window.reader.preset == -1
