"""What is drawn over a slice: corners around a lesion, crosshair, ruler, scale bar, letters and texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from desktop.theme import ACCENT, MUTED, RULER, TEXT

MARGIN_PX, LINE_PX, GAP_PX, LETTER_PX = 12, 17, 8, 28
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


class Line(NamedTuple):
    """A text, its box, and the side of it at which it stands."""

    box: QRectF
    text: str
    side: str


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


def lay_out(corners: Corners, size: tuple[int, int], top: int, bar: bool, metrics: QFontMetricsF) -> list[Line]:
    """Where the texts of the corners go, none over another.

    Lines stand beside each other, and beside the letter and the scale bar, where they fit; else further in, the right
    ones behind the left ones. What is still too long loses its end, so that no number loses its first digits.

    Args:
        corners: the texts.
        size: width and height of the pane.
        top: pixels that something else takes above.
        bar: whether there is a scale bar.
        metrics: of the font.
    """
    width, height = size
    lines: list[Line] = []
    for left, right, middle, blocked, upwards in (
        (corners.top_left, corners.top_right, LETTER_PX, 1 if corners.edges else 0, False),
        (corners.bottom_left[::-1], corners.bottom_right[::-1], max(width / 4, 60), 3 if bar else 0, True),
    ):
        full, half = width - 2 * MARGIN_PX, (width - middle) / 2 - MARGIN_PX
        wide = metrics.horizontalAdvance
        beside = all(
            max(wide(one), wide(other)) <= half if row < blocked else wide(one) + wide(other) + GAP_PX <= full
            for row, (one, other) in enumerate(zip_longest(left, right, fillvalue=""))
        )
        near = 0 if all(wide(text) <= half for text in left[:blocked]) else blocked
        further = 0 if beside else max(near + len(left), blocked)
        for texts, side, first in ((left, "left", near), (right, "right", further)):
            for row, text in enumerate(texts, first):
                room = half if row < blocked else full
                y = height - MARGIN_PX - LINE_PX * (row + 1) if upwards else top + MARGIN_PX + LINE_PX * row
                x = MARGIN_PX if side == "left" else width - MARGIN_PX - room
                if wide(text) > room:
                    text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room)
                lines.append(Line(QRectF(x, y, room, LINE_PX), text, side))
    return lines


def draw_letters(painter: QPainter, width: int, height: int, over: int, edges: tuple[str, str, str, str]) -> None:
    """Which side of the body each edge is: left, right, top, bottom; `over` pixels above are taken."""
    left, right, top, bottom = edges
    draw_text(painter, QRectF(MARGIN_PX, height / 2 - 9, 20, 18), left, "left")
    draw_text(painter, QRectF(width - MARGIN_PX - 20, height / 2 - 9, 20, 18), right, "right")
    draw_text(painter, QRectF(width / 2 - 20, over + MARGIN_PX, 40, 18), top, "centre")
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
