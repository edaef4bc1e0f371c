"""The line at the bottom: how far the review is, whether all is saved, what is being exported or segmented, on what."""

from __future__ import annotations

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

from desktop.theme import AMBER, GREEN, HAIRLINE, MUTED, PANEL

WIDE_PX = 1200
"""From this width on there is room for everything beside a message."""


class _Elided(QLabel):
    """A text that loses its end where there is no room, and never widens the window; the whole is its tooltip."""

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(0, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        shown = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
        self.setToolTip(self.text() if shown != self.text() else "")


class StatusLine(QWidget):
    """The line.

    Signals:
        stop_asked(): what the bar shows shall stop.
    """

    stop_asked = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("line")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(
            f"#line {{ background: {PANEL}; border-top: 1px solid {HAIRLINE}; }}#line QLabel {{ background: {PANEL}; }}"
        )
        self.setFixedHeight(32)
        self.progress, self.saved, self.message = QLabel(), _Elided(), _Elided()
        self.message.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.work, self.device, self.research = QLabel(), QLabel(), QLabel("Research use only")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(110)
        self.stop = QPushButton("Stop")
        self.stop.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.stop.setStyleSheet("padding: 1px 8px;")
        self.stop.clicked.connect(self.stop_asked)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 1, 12, 0)  # labels must not cover the line above
        row.setSpacing(16)
        for label in (self.progress, self.saved):
            row.addWidget(label)
        row.addWidget(self.message, 1)
        for widget in (self.work, self.bar, self.stop, self.device, self.research):
            row.addWidget(widget)
        for label in (self.message, self.device):
            label.setStyleSheet(f"color: {MUTED};")
        self.research.setStyleSheet(f"color: {AMBER};")
        self.set_work("", 0.0)

    def say(self, text: str) -> None:
        """A word for the reviewer; in a narrow window it takes the place of what can wait."""
        self.message.setText(text)
        self._make_room()

    def _make_room(self) -> None:
        roomy = not self.message.text() or self.width() >= WIDE_PX
        self.device.setVisible(roomy)
        self.bar.setVisible(roomy and bool(self.work.text()))

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        super().resizeEvent(event)
        self._make_room()

    def set_review(self, done: int, total: int, flagged: int) -> None:
        """How far the review is."""
        self.progress.setText(f"{done:,}/{total:,}, {flagged:,} flagged" if total else "")

    def set_saved(self, saved: bool, read_only: bool, problem: str) -> None:
        """Whether every verdict is on the disk."""
        text = "Read-only" if read_only else "All saved" if saved else problem or "Saving…"
        self.saved.setText(text)
        self.saved.setStyleSheet(f"color: {GREEN if saved and not read_only else AMBER};")

    def set_work(self, text: str, share: float, seconds: float | None = None) -> None:
        """What is being exported or segmented; "" for nothing."""
        remaining = "" if seconds is None else f", {duration(seconds)} left"
        self.work.setText(text + remaining if text else "")
        self.stop.setVisible(bool(text))
        self._make_room()
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(share * 1000))


def duration(seconds: float) -> str:
    """A span of time in words."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
