"""What is drawn over a slice: corners around a lesion, crosshair, ruler, scale bar, letters and texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QFont, QPainter, QPen

from desktop.theme import ACCENT, MUTED, RULER, TEXT

MARGIN_PX, LINE_PX = 12, 17
LENGTHS_MM = (100, 50, 20, 10, 5, 2, 1)
ToScreen = Callable[[float, float], QPointF]


@dataclass(slots=True)
class Corners:
    """Lines of text for the four corners; letters at the edges where the orientation is known."""

    top_left: list[str] = field(default_factory=list)
    top_right: list[str] = field(default_factory=list)
    bottom_left: list[str] = field(default_factory=list)
    bottom_right: list[str] = field(default_factory=list)
    edges: tuple[str, str, str, str] | None = None


def draw_frame(painter: QPainter, to_screen: ToScreen, frame: tuple[int, int, int, int]) -> None:
    """Corners around a box of pixels: top, bottom, left, right."""
    top, bottom, left, right = frame
    box = QRectF(to_screen(left, top), to_screen(right + 1, bottom + 1)).adjusted(-5, -5, 5, 5)
    arm = min(10.0, box.width() / 3, box.height() / 3)
    painter.setPen(QPen(QColor(TEXT), 1.5))
    for x, inward_x in ((box.left(), arm), (box.right(), -arm)):
        for y, inward_y in ((box.top(), arm), (box.bottom(), -arm)):
            painter.drawLine(QPointF(x, y), QPointF(x + inward_x, y))
            painter.drawLine(QPointF(x, y), QPointF(x, y + inward_y))


def draw_crosshair(painter: QPainter, place: QPointF) -> None:
    """Lines through a point, open at the point itself."""
    painter.setPen(QPen(QColor(ACCENT), 1.0))
    for sign in (-1, 1):
        painter.drawLine(place + QPointF(6.0 * sign, 0), QPointF(sign * 1e5 + place.x(), place.y()))
        painter.drawLine(place + QPointF(0, 6.0 * sign), QPointF(place.x(), sign * 1e5 + place.y()))


def draw_ruler(painter: QPainter, begin: QPointF, end: QPointF, text: str) -> None:
    """A line with its length beside its end."""
    for colour, width in ((QColor(0, 0, 0, 200), 3.5), (QColor(RULER), 1.5)):
        painter.setPen(QPen(colour, width))
        painter.drawLine(begin, end)
        for place in (begin, end):
            painter.drawEllipse(place, 3.0, 3.0)
    side = "left" if end.x() >= begin.x() else "right"
    draw_text(painter, QRectF(end.x() + (10 if side == "left" else -110), end.y() - 9, 100, 18), text, side)


def draw_scale_bar(painter: QPainter, width: int, height: int, per_mm: float) -> None:
    """A bar of a round number of millimetres at the bottom."""
    length = next((mm for mm in LENGTHS_MM if mm * per_mm <= width / 4), 1)
    right, y = width / 2 + length * per_mm / 2, height - MARGIN_PX - 4
    left = right - length * per_mm
    painter.setPen(QPen(QColor(TEXT), 1.5))
    painter.drawLine(QPointF(left, y), QPointF(right, y))
    for x in (left, right):
        painter.drawLine(QPointF(x, y - 4), QPointF(x, y + 1))
    draw_text(painter, QRectF(left - 60, y - 22, right - left + 120, 16), f"{length} mm", "centre")


def draw_corners(painter: QPainter, width: int, height: int, corners: Corners) -> None:
    """The texts of the corners."""
    half = width / 2
    for index, line in enumerate(corners.top_left):
        draw_text(painter, QRectF(MARGIN_PX, MARGIN_PX + LINE_PX * index, half, LINE_PX), line, "left")
    for index, line in enumerate(corners.top_right):
        box = QRectF(half - MARGIN_PX, MARGIN_PX + LINE_PX * index, half, LINE_PX)
        draw_text(painter, box, line, "right")
    sides: Sequence[tuple[list[str], str, float]] = (
        (corners.bottom_left, "left", MARGIN_PX),
        (corners.bottom_right, "right", half - MARGIN_PX),
    )
    for lines, side, left in sides:
        for index, line in enumerate(reversed(lines)):
            top = height - MARGIN_PX - LINE_PX * (index + 1)
            draw_text(painter, QRectF(left, top, half, LINE_PX), line, side)


def draw_letters(painter: QPainter, width: int, height: int, edges: tuple[str, str, str, str]) -> None:
    """Which side of the body each edge is: left, right, top, bottom."""
    left, right, top, bottom = edges
    draw_text(painter, QRectF(MARGIN_PX, height / 2 - 9, 20, 18), left, "left")
    draw_text(painter, QRectF(width - MARGIN_PX - 20, height / 2 - 9, 20, 18), right, "right")
    draw_text(painter, QRectF(width / 2 - 20, MARGIN_PX, 40, 18), top, "centre")
    draw_text(painter, QRectF(width / 2 - 20, height - 60, 40, 18), bottom, "centre")


def draw_message(painter: QPainter, box: QRectF, font: QFont, text: str) -> None:
    """A sentence instead of a picture."""
    painter.setPen(QColor(MUTED))
    font.setPixelSize(15)
    painter.setFont(font)
    painter.drawText(box.adjusted(48, 48, -48, -48), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, text)


def draw_text(painter: QPainter, box: QRectF, text: str, side: str) -> None:
    """A line with a dark shadow, readable on any picture."""
    where = {"left": Qt.AlignmentFlag.AlignLeft, "right": Qt.AlignmentFlag.AlignRight}
    flags = where.get(side, Qt.AlignmentFlag.AlignHCenter) | Qt.AlignmentFlag.AlignVCenter
    painter.setPen(QColor(0, 0, 0, 220))
    for x, y in ((1, 1), (-1, 0), (0, -1)):
        painter.drawText(box.translated(x, y), flags, text)
    painter.setPen(QColor(TEXT))
    painter.drawText(box, flags, text)
