"""The panes in the middle of the window: the slice, its twin with the truth, and two cuts across; zoom and pan."""

from __future__ import annotations

from PyQt6.QtCore import QPointF, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from desktop.widgets.slice_bar import SliceBar
from desktop.widgets.slice_view import MOST_ZOOM, SliceView


class Panes(QWidget):
    """Four panes, of which those are seen that have something to show.

    Attributes:
        main: the first view.
        twin: the same slice with the ground truth, moved and zoomed along with it.
        sides: the other two views, one below the other.
        bar: where in the stack the main pane is.

    Signals:
        aimed(): a pane shows another part of its picture.
    """

    aimed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.main, self.twin = SliceView(), SliceView()
        self.sides = (SliceView(), SliceView())
        self.bar = SliceBar()
        self._across, self._beside = False, False
        self.alone: SliceView | None = None
        self._column = QWidget()
        column = QVBoxLayout(self._column)
        row = QHBoxLayout(self)
        for layout in (column, row):
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setSpacing(1)
        for side in self.sides:
            column.addWidget(side, 1)
        row.addWidget(self.main, 2)
        row.addWidget(self.twin, 2)
        row.addWidget(self.bar)
        row.addWidget(self._column, 1)
        for pane in self.all:
            pane.zoomed.connect(lambda factor, around, pane=pane: self.zoom(factor, around, pane))
            pane.panned.connect(lambda by, pane=pane: self.pan(by, pane))
        self.arrange(across=False, beside=False)

    @property
    def all(self) -> tuple[SliceView, ...]:
        """Every pane, seen or not."""
        return (self.main, self.twin, *self.sides)

    def arrange(self, *, across: bool, beside: bool) -> None:
        """Show the cuts across, or the truth beside the mask; both would leave no room for the slice."""
        self._across, self._beside = across, beside
        shown: dict[QWidget, bool] = dict.fromkeys(self.sides, across and not beside)
        shown |= {self.main: True, self.twin: beside}
        if self.alone is not None and shown[self.alone]:
            shown = {pane: pane is self.alone for pane in shown}
        shown[self._column] = any(shown[side] for side in self.sides)
        for widget, visible in sorted(shown.items(), key=lambda each: each[1]):  # what goes makes room first
            widget.setVisible(visible)

    def show_alone(self, pane: SliceView | None) -> None:
        """Give all the room to one pane; None shares it out again."""
        self.alone = pane
        self.arrange(across=self._across, beside=self._beside)

    def reset(self) -> None:
        """Whole pictures everywhere."""
        for pane in self.all:
            pane.zoom, pane.centre = 1.0, None
            pane.update()
        self.aimed.emit()

    def zoom(self, factor: float, around: QPointF | None = None, pane: SliceView | None = None) -> None:
        """Magnify a pane, the main one by default; the image point `around` stays where it is."""
        pane = pane or self.main
        middle = pane.centre or pane.middle
        around = around or middle
        zoom = min(max(pane.zoom * factor, 1.0), MOST_ZOOM)
        share = pane.zoom / zoom
        self.aim(zoom, around + (middle - around) * share if zoom > 1.0 else None, pane)

    def pan(self, by: QPointF, pane: SliceView | None = None) -> None:
        """Shift a picture, never out of sight."""
        pane = pane or self.main
        if pane.zoom > 1.0:
            self.aim(pane.zoom, (pane.centre or pane.middle) + by, pane)

    def aim(self, zoom: float, centre: QPointF | None, pane: SliceView | None = None) -> None:
        """Zoom, with an image point in the middle (None: the picture's own)."""
        pane = pane or self.main
        if centre is not None:
            far = pane.middle * 2
            centre = QPointF(min(max(centre.x(), 0.0), far.x()), min(max(centre.y(), 0.0), far.y()))
        for each in (self.main, self.twin) if pane in (self.main, self.twin) else (pane,):
            each.zoom, each.centre = zoom, centre
            each.update()
        self.aimed.emit()
