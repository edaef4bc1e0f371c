"""Shows one slice, as large as fits or zoomed, with corner texts; says where the mouse is and what it asks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QFont, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from desktop.theme import ACCENT, GROUND, MUTED, TEXT

MOST_ZOOM = 40.0
WHEEL_STEP = 120
MARGIN_PX = 12


@dataclass(slots=True)
class Corners:
    """Lines of text for the four corners; letters at the edges where the orientation is known."""

    top_left: list[str] = field(default_factory=list)
    top_right: list[str] = field(default_factory=list)
    bottom_left: list[str] = field(default_factory=list)
    bottom_right: list[str] = field(default_factory=list)
    edges: tuple[str, str, str, str] | None = None


class SliceView(QWidget):
    """A pane.

    Signals:
        stepped(int): slices to move by.
        zoomed(float, QPointF): factor, and the image point that stays where it is.
        panned(QPointF): by how much of the image, in pixels of it.
        window_dragged(float, float): change of level and width, in shares of the present width.
        pointed(object): (row, column) under the mouse, or None.
        maximise_asked(): a double click.
    """

    stepped = pyqtSignal(int)
    zoomed = pyqtSignal(float, QPointF)
    panned = pyqtSignal(QPointF)
    window_dragged = pyqtSignal(float, float)
    pointed = pyqtSignal(object)
    maximise_asked = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 160)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.corners = Corners()
        self.message = ""
        self.title = ""
        self.smooth = False
        self.crosshair: tuple[float, float] | None = None
        self.frame: tuple[int, int, int, int] | None = None  # top, bottom, left, right of the chosen lesion
        self.millimetres: float | None = None  # the width of a pixel
        self.aspect = 1.0
        self.zoom = 1.0
        self.centre: QPointF | None = None
        self._image: QImage | None = None
        self._pixels: NDArray[np.uint8] | None = None
        self._drag: tuple[Qt.MouseButton, QPointF] | None = None
        self._wheel = 0

    def show_picture(self, picture: NDArray[np.uint8] | None) -> None:
        """Show (H, W, 3) uint8 RGB, or nothing."""
        if picture is None:
            self._image = self._pixels = None
        else:
            self._pixels = np.ascontiguousarray(picture)
            height, width, _ = picture.shape
            self._image = QImage(self._pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        self.update()

    def scale(self) -> tuple[float, float]:
        """Screen pixels per image pixel, across and down."""
        if self._image is None:
            return 1.0, 1.0
        room = max(self.width() - 2.0, 1.0), max(self.height() - 2.0, 1.0)
        fit = min(room[0] / self._image.width(), room[1] / (self._image.height() * self.aspect))
        return fit * self.zoom, fit * self.zoom * self.aspect

    def to_image(self, place: QPointF) -> QPointF:
        """The image point (column, row) under a point of the widget."""
        across, down = self.scale()
        corner = self._corner()
        return QPointF((place.x() - corner.x()) / across, (place.y() - corner.y()) / down)

    def to_screen(self, column: float, row: float) -> QPointF:
        """Where an image point lies in the widget."""
        across, down = self.scale()
        corner = self._corner()
        return QPointF(corner.x() + column * across, corner.y() + row * down)

    def _corner(self) -> QPointF:
        if self._image is None:
            return QPointF()
        across, down = self.scale()
        middle = self.centre or QPointF(self._image.width() / 2, self._image.height() / 2)
        return QPointF(self.width() / 2 - middle.x() * across, self.height() / 2 - middle.y() * down)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#000000" if self._image else GROUND))
        if self._image is not None:
            across, down = self.scale()
            self._draw_image(painter, across, down)
            self._draw_marks(painter)
            self._draw_scale_bar(painter, across)
        self._draw_texts(painter)

    def _draw_image(self, painter: QPainter, across: float, down: float) -> None:
        assert self._image is not None  # noqa: S101
        # Only what is in sight, by whole pixels: at forty times its size the rest would be slow.
        first, last = self.to_image(QPointF(0, 0)), self.to_image(QPointF(self.width(), self.height()))
        left, top = max(int(first.x()) - 1, 0), max(int(first.y()) - 1, 0)
        right, bottom = min(int(last.x()) + 2, self._image.width()), min(int(last.y()) + 2, self._image.height())
        if right <= left or bottom <= top:
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.smooth)
        source = QRectF(left, top, right - left, bottom - top)
        target = QRectF(self.to_screen(left, top), self.to_screen(right, bottom))
        painter.drawImage(target, self._image, source)

    def _draw_marks(self, painter: QPainter) -> None:
        if self.frame:
            top, bottom, left, right = self.frame
            box = QRectF(self.to_screen(left, top), self.to_screen(right + 1, bottom + 1)).adjusted(-5, -5, 5, 5)
            arm = min(10.0, box.width() / 3, box.height() / 3)
            painter.setPen(QPen(QColor(TEXT), 1.5))
            for x, inward_x in ((box.left(), arm), (box.right(), -arm)):
                for y, inward_y in ((box.top(), arm), (box.bottom(), -arm)):
                    painter.drawLine(QPointF(x, y), QPointF(x + inward_x, y))
                    painter.drawLine(QPointF(x, y), QPointF(x, y + inward_y))
        if self.crosshair:
            row, column = self.crosshair
            place = self.to_screen(column, row)
            painter.setPen(QPen(QColor(ACCENT), 1.0))
            for sign in (-1, 1):
                painter.drawLine(place + QPointF(6.0 * sign, 0), QPointF(sign * 1e5 + place.x(), place.y()))
                painter.drawLine(place + QPointF(0, 6.0 * sign), QPointF(place.x(), sign * 1e5 + place.y()))

    def _draw_scale_bar(self, painter: QPainter, across: float) -> None:
        if not self.millimetres:
            return
        per_mm = across / self.millimetres
        length = next((mm for mm in (100, 50, 20, 10, 5, 2, 1) if mm * per_mm <= self.width() / 4), 1)
        right, y = self.width() / 2 + length * per_mm / 2, self.height() - MARGIN_PX - 4
        left = right - length * per_mm
        painter.setPen(QPen(QColor(TEXT), 1.5))
        painter.drawLine(QPointF(left, y), QPointF(right, y))
        for x in (left, right):
            painter.drawLine(QPointF(x, y - 4), QPointF(x, y + 1))
        self._text(painter, QRectF(left - 60, y - 22, right - left + 120, 16), f"{length} mm", "centre")

    def _draw_texts(self, painter: QPainter) -> None:
        font = QFont(self.font())
        font.setPixelSize(12)
        painter.setFont(font)
        height, width = self.height(), self.width()
        corners = self.corners
        for index, line in enumerate(corners.top_left):
            self._text(painter, QRectF(MARGIN_PX, MARGIN_PX + 17 * index, width / 2, 17), line, "left")
        for index, line in enumerate(corners.top_right):
            box = QRectF(width / 2 - MARGIN_PX, MARGIN_PX + 17 * index, width / 2, 17)
            self._text(painter, box, line, "right")
        for lines, side in ((corners.bottom_left, "left"), (corners.bottom_right, "right")):
            for index, line in enumerate(reversed(lines)):
                left = MARGIN_PX if side == "left" else width / 2 - MARGIN_PX
                self._text(painter, QRectF(left, height - MARGIN_PX - 17 * (index + 1), width / 2, 17), line, side)
        if corners.edges and self._image is not None:
            left_letter, right_letter, top_letter, bottom_letter = corners.edges
            self._text(painter, QRectF(MARGIN_PX, height / 2 - 9, 20, 18), left_letter, "left")
            self._text(painter, QRectF(width - MARGIN_PX - 20, height / 2 - 9, 20, 18), right_letter, "right")
            self._text(painter, QRectF(width / 2 - 20, MARGIN_PX, 40, 18), top_letter, "centre")
            self._text(painter, QRectF(width / 2 - 20, height - 60, 40, 18), bottom_letter, "centre")
        if self.title:
            self._text(painter, QRectF(0, height - MARGIN_PX - 17, width, 17), self.title, "centre")
        if self.message:
            painter.setPen(QColor(MUTED))
            font.setPixelSize(15)
            painter.setFont(font)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()).adjusted(48, 48, -48, -48), flags, self.message)

    def _text(self, painter: QPainter, box: QRectF, text: str, side: str) -> None:
        """A line with a dark shadow, readable on any picture."""
        where = {"left": Qt.AlignmentFlag.AlignLeft, "right": Qt.AlignmentFlag.AlignRight}
        flags = where.get(side, Qt.AlignmentFlag.AlignHCenter) | Qt.AlignmentFlag.AlignVCenter
        painter.setPen(QColor(0, 0, 0, 220))
        for x, y in ((1, 1), (-1, 0), (0, -1)):
            painter.drawText(box.translated(x, y), flags, text)
        painter.setPen(QColor(TEXT))
        painter.drawText(box, flags, text)

    def wheelEvent(self, event: QWheelEvent | None) -> None:  # noqa: N802
        if event is None:
            return
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoomed.emit(1.0015 ** event.angleDelta().y(), self.to_image(event.position()))
        else:
            # A trackpad sends many small steps; they add up to whole slices.
            self._wheel += event.angleDelta().y()
            steps = int(self._wheel / WHEEL_STEP)
            self._wheel -= steps * WHEEL_STEP
            if steps:
                self.stepped.emit(-steps)
        event.accept()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        if event is not None:
            self.setFocus()
            self._drag = (event.button(), event.position())

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        self._drag = None

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        if event is not None and event.button() is Qt.MouseButton.LeftButton:
            self.maximise_asked.emit()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        if event is None:
            return
        if self._drag:
            button, before = self._drag
            moved = event.position() - before
            self._drag = (button, event.position())
            if button is Qt.MouseButton.RightButton:
                self.window_dragged.emit(-moved.y() / 300.0, moved.x() / 300.0)
            else:
                across, down = self.scale()
                self.panned.emit(QPointF(-moved.x() / across, -moved.y() / down))
        place = self.to_image(event.position())
        inside = (
            self._image is not None and 0 <= place.x() < self._image.width() and 0 <= place.y() < self._image.height()
        )
        self.pointed.emit((int(place.y()), int(place.x())) if inside else None)

    def leaveEvent(self, event: object) -> None:  # noqa: N802
        self.pointed.emit(None)
