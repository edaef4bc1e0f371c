"""The sheet of keys, made from the table of shortcuts; lies over the window until a key or a click."""

from __future__ import annotations

from html import escape

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QMouseEvent
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from desktop.shortcuts import Shortcut, readable, sections
from desktop.theme import ACCENT, MUTED, PANEL, TEXT

SCROLL_PX = 60
COLUMNS = ((("File", "Verdict", "Help"), 4), (("Go",), 3), (("View",), 5))
"""Sections side by side, and their shares of the width."""


class KeySheet(QWidget):
    """All keys at a glance.

    Signals:
        closed(): it is gone; the keys belong to the window again.
    """

    closed = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(f"KeySheet {{ background: {PANEL}; }} QLabel {{ background: {PANEL}; }}")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        outside = QVBoxLayout(self)
        outside.setContentsMargins(0, 0, 0, 0)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QScrollArea.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        outside.addWidget(self.area)
        inside = QWidget()
        inside.setObjectName("panel")
        self.area.setWidget(inside)
        whole = QVBoxLayout(inside)
        whole.setContentsMargins(48, 32, 48, 32)
        whole.setSpacing(16)
        hint = f"<span style='color:{MUTED}'>↑ and ↓ scroll, any other key closes</span>"
        heading = QLabel(f"<span style='font-size:20px'><b>Keys</b></span> {hint}")
        row = QHBoxLayout()
        whole.addStretch(1)
        whole.addWidget(heading)
        whole.addLayout(row)
        whole.addStretch(2)
        row.setSpacing(40)
        table = sections()
        self.labels = []
        for names, share in COLUMNS:
            label = QLabel("".join(_section(name, table[name]) for name in names))
            label.setAlignment(Qt.AlignmentFlag.AlignTop)
            label.setWordWrap(True)
            row.addWidget(label, share)
            self.labels.append(label)
        self.hide()

    def open(self) -> None:
        """Cover the window."""
        parent = self.parentWidget()
        if parent:
            self.setGeometry(parent.rect())
        self.show()
        self.raise_()
        self.setFocus()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        bar = self.area.verticalScrollBar()
        if event and bar and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            bar.setValue(bar.value() + (SCROLL_PX if event.key() == Qt.Key.Key_Down else -SCROLL_PX))
        else:
            self._close()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        self._close()

    def _close(self) -> None:
        self.hide()
        self.closed.emit()  # else Qt gives the focus to whatever comes next, which may be a text field


def _section(name: str, entries: list[Shortcut]) -> str:
    rows = "".join(_row(entry) for entry in entries if entry.keys or entry.mouse)
    return f"<p style='color:{ACCENT}'><b>{escape(name)}</b></p><table cellspacing='0' cellpadding='2'>{rows}</table>"


def _row(entry: Shortcut) -> str:
    # Enter is shown once, though keyboards have two.
    keys = [key for key in entry.keys if key not in ("Enter", "Shift+Enter")]
    shown = " or ".join(escape(readable(key)) for key in keys)
    held = " (hold)" if entry.held else ""
    mouse = f"<span style='color:{MUTED}'> · {escape(entry.mouse)}</span>" if entry.mouse else ""
    return (
        f"<tr><td style='color:{TEXT}; padding-right:16px'><b>{shown}</b>{held}</td>"
        f"<td>{escape(entry.text)}{mouse}</td></tr>"
    )
