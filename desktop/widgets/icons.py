"""The signs of the verdicts, drawn, so that no font needs to have them."""

from __future__ import annotations

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

from desktop.session.verdicts import State
from desktop.theme import STATE_COLOURS


def draw_state(painter: QPainter, state: State, box: QRectF) -> None:
    """Draw a state's sign into a square box: a tick, a cross, a flag, a turning arrow, or a ring."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(box.topLeft())
    painter.scale(box.width() / 16, box.height() / 16)
    colour = QColor(STATE_COLOURS[state])
    pen = QPen(colour, 2.0, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    match state:
        case State.ACCEPTED:
            painter.drawPolyline(_points((3, 8.5), (6.5, 12), (13, 4.5)))
        case State.REJECTED:
            painter.drawLine(QPointF(4, 4), QPointF(12, 12))
            painter.drawLine(QPointF(12, 4), QPointF(4, 12))
        case State.FLAGGED:
            painter.drawLine(QPointF(4, 2.5), QPointF(4, 14))
            painter.setBrush(colour)
            painter.drawPolygon(_points((4, 3), (13, 5.5), (4, 9)))
        case State.REOPENED:
            path = QPainterPath()
            path.arcMoveTo(QRectF(3, 3, 10, 10), 60)
            path.arcTo(QRectF(3, 3, 10, 10), 60, 290)
            painter.drawPath(path)
            painter.setBrush(colour)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawPolygon(_points((9, 0.5), (14, 4), (8.5, 6.5)))
        case State.TODO:
            pen.setWidthF(1.5)
            painter.setPen(pen)
            painter.drawEllipse(QRectF(4, 4, 8, 8))
    painter.restore()


def state_icon(state: State, size: int = 16) -> QIcon:
    """A state's sign as an icon."""
    pixmap = QPixmap(size * 2, size * 2)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    draw_state(painter, state, QRectF(0, 0, size * 2, size * 2))
    painter.end()
    pixmap.setDevicePixelRatio(2.0)
    return QIcon(pixmap)


def _points(*places: tuple[float, float]) -> QPolygonF:
    return QPolygonF([QPointF(x, y) for x, y in places])
