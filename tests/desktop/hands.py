"""A reviewer's hands and eyes, for the tests of the window."""

from __future__ import annotations

from typing import Any

from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication

from desktop.session.verdicts import State

Key, Held = Qt.Key, Qt.KeyboardModifier


def press(window: Any, key: Qt.Key | str, held: Qt.KeyboardModifier = Held.NoModifier) -> None:
    """Press and release a key, wherever the focus is."""
    focus = QApplication.focusWidget()
    QTest.keyClick(focus if focus is not None and focus.window() is window else window, key, held)


def settle(qtbot: Any, window: Any) -> None:
    """Wait until the shown case is there with its mask."""
    qtbot.waitUntil(lambda: bool(window.reader.opened and window.reader.opened.finding), timeout=120000)


def states(window: Any) -> list[State]:
    return [case.state for case in window.desk.review.cases]


def shown(window: Any) -> int:
    return window.reader.case.number
