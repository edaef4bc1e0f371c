"""A slim bar beside the picture: where in the stack one is, and where lesions are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QWidget

from desktop.theme import GROUND, HAIRLINE, LESION, TEXT, TRUTH

PAD_PX = 10


class SliceBar(QWidget):
    """First slice at the top. Amber at the left: the mask, longer where there is more of it; blue: the truth.

    Signals:
        picked(int): a slice was clicked or dragged to.
    """

    picked = pyqtSignal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedWidth(28)
        self.slices, self.current = 0, 0
        self._lesion: NDArray[np.float64] = np.zeros(0)
        self._truth: NDArray[np.float64] = np.zeros(0)

    def set_marks(self, slices: int, lesion: NDArray[np.int64] | None, truth: NDArray[np.int64] | None) -> None:
        """Take the pixels of lesion in each slice, found and true, where they are known."""
        self.slices = slices
        top = max([1, *(int(a.max()) for a in (lesion, truth) if a is not None and a.size)])
        self._lesion = np.zeros(0) if lesion is None else lesion / top
        self._truth = np.zeros(0) if truth is None else truth / top
        self.setToolTip("Slices with lesion: amber found, blue ground truth" if slices > 1 else "")
        self.update()

    def set_current(self, index: int) -> None:
        """Show which slice is shown."""
        self.current = index
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(GROUND))
        if not self.slices:
            return
        pitch = (self.height() - 2 * PAD_PX) / self.slices
        middle = self.width() / 2
        painter.setPen(QPen(QColor(HAIRLINE), 2))
        painter.drawLine(QPointF(middle, PAD_PX), QPointF(middle, self.height() - PAD_PX))
        thick = max(pitch - (1 if pitch > 4 else 0), 1.0)
        for shares, colour, sign in ((self._lesion, LESION, -1), (self._truth, TRUTH, 1)):
            for index in np.flatnonzero(shares):
                length = 3 + 7 * float(np.sqrt(shares[index]))
                left = middle + 1 if sign > 0 else middle - 1 - length
                painter.fillRect(QRectF(left, PAD_PX + index * pitch, length, thick), QColor(colour))
        y = PAD_PX + (self.current + 0.5) * pitch
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(TEXT))
        painter.drawRoundedRect(QRectF(2, y - 2, self.width() - 4, 4), 2, 2)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        self._pick(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        self._pick(event)

    def _pick(self, event: QMouseEvent | None) -> None:
        if event is not None and self.slices:
            share = (event.position().y() - PAD_PX) / max(self.height() - 2 * PAD_PX, 1)
            self.picked.emit(min(max(int(share * self.slices), 0), self.slices - 1))
