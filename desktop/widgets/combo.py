"""A combo box that shows by its arrow that it can be opened, and leaves letters and digits to the window."""

from __future__ import annotations

from PyQt6.QtCore import QPointF, Qt
from PyQt6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from PyQt6.QtWidgets import QComboBox, QWidget

from desktop.theme import HAIRLINE, MUTED


class Combo(QComboBox):
    """The style sheet takes the arrow away; here it is drawn again."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(MUTED if self.isEnabled() else HAIRLINE), 1.5))
        x, y = self.width() - 16.0, self.height() / 2
        painter.drawPolyline(QPolygonF([QPointF(x - 4, y - 2), QPointF(x, y + 2), QPointF(x + 4, y - 2)]))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """A letter that means nothing to the window picks nothing either; F4 or Alt+Down opens the list."""
        if event and event.text().isprintable() and event.text():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        """Scrolling past it changes nothing by accident."""
        if event:
            event.ignore()
