"""Makes actions, menus and tooltips from the table of shortcuts, and keeps keys away from those who type."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PyQt6.QtCore import QEvent, QObject, Qt
from PyQt6.QtGui import QAction, QKeyEvent, QKeySequence
from PyQt6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QMainWindow,
    QMenuBar,
    QPlainTextEdit,
    QPushButton,
    QTextEdit,
    QWidget,
)

from desktop.shortcuts import SHORTCUTS, readable, sections

CHECKABLE = frozenset(
    {"mask", "outline", "truth", "beside", "clahe", "smooth", "crosshair", "ruler", "maximise", "names"},
)
PRESSING = frozenset({Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter})
# What works while text is typed: no verdict, and nothing that a text field needs itself.
WHILE_TYPING = frozenset({"F1", "F11", "Ctrl+O", "Ctrl+E", "Ctrl+Q", "Ctrl+F"})


def make_actions(window: QMainWindow, handlers: Mapping[str, Callable[[], object]]) -> dict[str, QAction]:
    """An action for each entry of the table; a held one acts through `KeyGuard` instead of a shortcut."""
    actions = {}
    for entry in SHORTCUTS:
        action = QAction(entry.text, window)
        action.setCheckable(entry.name in CHECKABLE)
        if not entry.held:
            action.setShortcuts([QKeySequence(key) for key in entry.keys])
            action.setAutoRepeat(not entry.verdict and entry.name not in CHECKABLE)
            action.triggered.connect(lambda _, run=handlers[entry.name]: run())
        keys = "".join(readable(key) for key in entry.keys[:1])
        action.setToolTip(f"{entry.text.rstrip('…')} ({keys})" if keys else entry.text)
        actions[entry.name] = action
        window.addAction(action)
    return actions


def fill_menus(bar: QMenuBar, actions: Mapping[str, QAction]) -> None:
    """A menu for each section."""
    for name, entries in sections().items():
        menu = bar.addMenu(f"&{name}")
        for entry in entries:
            if menu is not None and not entry.held:
                menu.addAction(actions[entry.name])


def is_typing() -> bool:
    """Whether keys go into a text."""
    focus = QApplication.focusWidget()
    if isinstance(focus, QComboBox):
        return focus.isEditable()
    return isinstance(focus, QLineEdit | QPlainTextEdit | QTextEdit | QAbstractSpinBox)


class KeyGuard(QObject):
    """Sees every key of a window first.

    Args:
        window: whose keys.
        held: what to call with True when a held key goes down and with False when it comes up.
        covered: whether something lies over the window that takes every key.
    """

    def __init__(self, window: QMainWindow, held: Callable[[bool], None], covered: Callable[[], bool]) -> None:
        super().__init__(window)
        self._window, self._held, self._covered = window, held, covered
        self._keys = {QKeySequence(key)[0].key() for entry in SHORTCUTS if entry.held for key in entry.keys}
        self._down = False

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        if event is None:
            return False
        kind = event.type()
        if kind in (QEvent.Type.WindowDeactivate, QEvent.Type.FocusOut):
            self._release()  # the key may come up where nobody hears it
        if kind not in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
            return False
        if not isinstance(event, QKeyEvent) or not isinstance(watched, QWidget) or watched.window() is not self._window:
            return False
        button = QApplication.focusWidget()
        if isinstance(button, QPushButton) and event.key() in PRESSING and not self._covered():
            event.accept()  # the key is the button's, and no shortcut's
            if kind == QEvent.Type.KeyPress and event.key() != Qt.Key.Key_Space:
                button.click()
            return event.key() != Qt.Key.Key_Space or kind == QEvent.Type.ShortcutOverride
        if kind == QEvent.Type.ShortcutOverride:
            if self._covered() or (is_typing() and _name(event) not in WHILE_TYPING):
                event.accept()  # the key goes to the text, and to no shortcut
                return True
            return False
        if event.key() not in self._keys:
            return False
        if self._down and kind == QEvent.Type.KeyRelease:
            if not event.isAutoRepeat():
                self._release()
            return True
        if kind == QEvent.Type.KeyPress and not is_typing() and not self._covered():
            if not event.isAutoRepeat():
                self._down = True
                self._held(True)
            return True
        return False

    def _release(self) -> None:
        if self._down:
            self._down = False
            self._held(False)


def _name(event: QKeyEvent) -> str:
    return QKeySequence(event.keyCombination()).toString()
