"""Shows one slice, as large as fits or zoomed, with corner texts; says where the mouse is and what it asks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QFont, QFontMetricsF, QImage, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from desktop.session.display import length_text
from desktop.theme import GROUND
from desktop.widgets import slice_marks as marks
from desktop.widgets.slice_marks import Corners

MOST_ZOOM = 40.0
WHEEL_STEP = 120
CLICK_PX = 4


class SliceView(QWidget):
    """A pane.

    Attributes:
        picture: (H, W, 3) uint8 RGB, what is shown of the scan; None where nothing is.

    Signals:
        stepped(int): slices to move by.
        zoomed(float, QPointF): factor, and the image point that stays where it is.
        panned(QPointF): by how much of the image, in pixels of it.
        window_dragged(float, float): change of level and width, in shares of the present width.
        pointed(object, bool): (row, column) under the mouse, or None; whether Shift is held.
        picked(int, int): row and column of a click.
        maximise_asked(): a double click.
    """

    stepped = pyqtSignal(int)
    zoomed = pyqtSignal(float, QPointF)
    panned = pyqtSignal(QPointF)
    window_dragged = pyqtSignal(float, float)
    pointed = pyqtSignal(object, bool)
    picked = pyqtSignal(int, int)
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
        self.crosshair: tuple[float, float] | None = None  # row, column
        self.frame: tuple[int, int, int, int] | None = None  # top, bottom, left, right of the chosen lesion
        self.spacing: tuple[float | None, float | None] = (None, None)  # millimetres between rows, between columns
        self.ruling = False
        self.ruler: tuple[QPointF, QPointF] | None = None  # image points
        self.zoom = 1.0
        self.centre: QPointF | None = None
        self._image: QImage | None = None
        self.picture: NDArray[np.uint8] | None = None
        self._drag: tuple[Qt.MouseButton, QPointF] | None = None
        self._pressed: QPointF | None = None  # as long as it may become a click
        self._wheel = 0

    @property
    def millimetres(self) -> float | None:
        """The width of a pixel."""
        return self.spacing[1]

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width; 1 where the spacing is not known."""
        row, column = self.spacing
        return row / column if row and column else 1.0

    @property
    def middle(self) -> QPointF:
        """The middle of the picture (column, row)."""
        return QPointF(self._image.width() / 2, self._image.height() / 2) if self._image else QPointF()

    def ruler_text(self) -> str:
        """How long the ruler's line is; "" without one."""
        if self.ruler is None:
            return ""
        by = self.ruler[1] - self.ruler[0]
        return length_text(by.y(), by.x(), *self.spacing)

    def show_picture(self, picture: NDArray[np.uint8] | None) -> None:
        """Show (H, W, 3) uint8 RGB, or nothing."""
        if picture is None:
            self._image = self.picture = self.ruler = None
        else:
            self.picture = np.ascontiguousarray(picture)
            height, width, _ = picture.shape
            self._image = QImage(self.picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
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
        middle = self.centre or self.middle
        return QPointF(self.width() / 2 - middle.x() * across, self.height() / 2 - middle.y() * down)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#000000" if self._image else GROUND))
        font = self._font()
        painter.setFont(font)
        width, height = self.width(), self.height()
        if self._image is not None:
            self._draw_image(painter, self._image)
            if self.frame:
                marks.draw_frame(painter, self.to_screen, self.frame)
            if self.crosshair:
                marks.draw_crosshair(painter, self.to_screen(self.crosshair[1], self.crosshair[0]))
            if self.ruler:
                begin, end = (self.to_screen(place.x(), place.y()) for place in self.ruler)
                marks.draw_ruler(painter, begin, end, self.ruler_text())
            if self.millimetres:
                marks.draw_scale_bar(painter, width, height, self.scale()[0] / self.millimetres)
            if self.corners.edges:
                marks.draw_letters(painter, width, height, self._title_px, self.corners.edges)
        for line in self.lines():
            marks.draw_text(painter, *line)
        if self.title:
            marks.draw_text(painter, QRectF(0, marks.MARGIN_PX, width, marks.LINE_PX), self.title, "centre")
        if self.message:
            marks.draw_message(painter, QRectF(self.rect()), font, self.message)

    def lines(self) -> list[marks.Line]:
        """The texts of the corners as they are written, below the title."""
        bar = self._image is not None and self.millimetres is not None
        metrics = QFontMetricsF(self._font())
        return marks.lay_out(self.corners, (self.width(), self.height()), self._title_px, bar, metrics)

    @property
    def _title_px(self) -> int:
        return marks.LINE_PX if self.title else 0

    def _font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(12)
        return font

    def _draw_image(self, painter: QPainter, image: QImage) -> None:
        # Only what is in sight, by whole pixels: at forty times its size the rest would be slow.
        first, last = self.to_image(QPointF(0, 0)), self.to_image(QPointF(self.width(), self.height()))
        left, top = max(int(first.x()) - 1, 0), max(int(first.y()) - 1, 0)
        right, bottom = min(int(last.x()) + 2, image.width()), min(int(last.y()) + 2, image.height())
        if right <= left or bottom <= top:
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.smooth)
        source = QRectF(left, top, right - left, bottom - top)
        target = QRectF(self.to_screen(left, top), self.to_screen(right, bottom))
        painter.drawImage(target, image, source)

    def _inside(self, place: QPointF) -> tuple[int, int] | None:
        """The pixel (row, column) under a point of the widget."""
        at, image = self.to_image(place), self._image
        inside = image is not None and 0 <= at.x() < image.width() and 0 <= at.y() < image.height()
        return (int(at.y()), int(at.x())) if inside else None

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
        if event is None:
            return
        self.setFocus()
        self._drag = (event.button(), event.position())
        left = event.button() is Qt.MouseButton.LeftButton
        self._pressed = event.position() if left else None
        if left and self.ruling and self._image is not None:
            place = self.to_image(event.position())
            self.ruler = (place, place)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        self._drag = None
        if self._pressed is not None and (place := self._inside(self._pressed)):
            if self.ruling:
                self.ruler = None  # a click takes it away
                self.update()
            else:
                self.picked.emit(*place)
        self._pressed = None

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        if event is not None and event.button() is Qt.MouseButton.LeftButton:
            self.maximise_asked.emit()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        if event is None:
            return
        if self._pressed is not None and (event.position() - self._pressed).manhattanLength() > CLICK_PX:
            self._pressed = None
        if self._drag:
            self._dragged(*self._drag, event.position())
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self.pointed.emit(self._inside(event.position()), shift and self._drag is None)

    def _dragged(self, button: Qt.MouseButton, before: QPointF, now: QPointF) -> None:
        moved = now - before
        self._drag = (button, now)
        if button is Qt.MouseButton.RightButton:
            self.window_dragged.emit(-moved.y() / 300.0, moved.x() / 300.0)
        elif button is Qt.MouseButton.LeftButton and self.ruling:
            if self.ruler:
                self.ruler = (self.ruler[0], self.to_image(now))
                self.update()
        else:
            across, down = self.scale()
            self.panned.emit(QPointF(-moved.x() / across, -moved.y() / down))

    def leaveEvent(self, event: object) -> None:  # noqa: N802
        self.pointed.emit(None, False)
