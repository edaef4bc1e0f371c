"""The reading room: the shown case, its slices and what lies over them. Everything about how it looks is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, Qt, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from core.overlay import draw_overlay
from desktop.corners import describe, pointer_lines
from desktop.session.cases import Case
from desktop.session.display import PRESETS, Window, apply_window, aspect_of, auto_window, eight_bit, equalised
from desktop.session.opened import Opened
from desktop.session.results import slice_of
from desktop.tasks import Tasks
from desktop.widgets.slice_bar import SliceBar
from desktop.widgets.slice_view import MOST_ZOOM, SliceView

OPACITY_STEP = 0.1


@dataclass(slots=True)
class Look:
    """How pictures are shown; the same for every case."""

    opacity: float = 0.35
    mask: bool = True
    truth: bool = True
    outline: bool = True
    beside: bool = False
    clahe: bool = False
    smooth: bool = False
    crosshair: bool = False


class Reader(QWidget):
    """The panes and the slice bar.

    Signals:
        slice_changed(int): another slice is shown.
        look_changed(): opacity, window, channel or what lies over the picture.
        lesion_changed(int): a lesion was gone to.
        asked(): the button beside the notice.
        maximise_asked(): a double click.
    """

    slice_changed = pyqtSignal(int)
    look_changed = pyqtSignal()
    lesion_changed = pyqtSignal(int)
    asked = pyqtSignal()
    maximise_asked = pyqtSignal()

    def __init__(self, tasks: Tasks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tasks = tasks
        self.look = Look()
        self.case: Case | None = None
        self.opened: Opened | None = None
        self.names = False
        self.index, self.channel, self.lesion = 0, 0, -1
        self.window_: Window | None = None
        self.preset = 0
        self.preview: float | None = None  # a threshold whose lesions are not counted yet
        self._peeking = False
        self._eight_bit: dict[int, NDArray[np.uint8]] = {}
        self._pointed: tuple[int, int] | None = None
        self.pane, self.truth_pane = SliceView(), SliceView()
        self.truth_pane.hide()
        self.bar = SliceBar()
        self.notice = QLabel()
        self.notice.setObjectName("notice")
        self.notice.setWordWrap(True)
        self.ask = QPushButton()
        self.ask.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.ask.clicked.connect(self.asked)
        above = QHBoxLayout()
        above.setContentsMargins(8, 0, 8, 0)
        above.addWidget(self.notice, 1)
        above.addWidget(self.ask)
        panes = QHBoxLayout()
        panes.setContentsMargins(0, 0, 0, 0)
        panes.setSpacing(1)
        panes.addWidget(self.pane, 1)
        panes.addWidget(self.truth_pane, 1)
        panes.addWidget(self.bar)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(above)
        layout.addLayout(panes, 1)
        self.say("")
        self.bar.picked.connect(self.go_to)
        for pane in (self.pane, self.truth_pane):
            pane.stepped.connect(self.step)
            pane.zoomed.connect(self.zoom)
            pane.panned.connect(self.pan)
            pane.window_dragged.connect(self.drag_window)
            pane.pointed.connect(self.point)
            pane.maximise_asked.connect(self.maximise_asked)

    def say(self, text: str, ask: str = "") -> None:
        """A line above the picture, with a button where something can be done."""
        self.notice.setText(text)
        self.notice.setVisible(bool(text))
        self.ask.setText(ask)
        self.ask.setVisible(bool(ask))

    def wait_for(self, case: Case, message: str) -> None:
        """Show that a case is being read, or why it cannot be."""
        self.case, self.opened, self.lesion, self.preview = case, None, -1, None
        self._eight_bit.clear()
        self.bar.set_marks(0, None, None)
        for pane in (self.pane, self.truth_pane):
            pane.message, pane.frame, pane.corners = message, None, describe(self)
            pane.show_picture(None)

    def show_case(self, case: Case, opened: Opened, index: int | None = None) -> None:
        """Show a case that was read, at a slice or where most lesion is."""
        self.case, self.opened, self.lesion, self.preview = case, opened, -1, None
        self._eight_bit.clear()
        self.channel = opened.channel
        self.apply_preset()
        slices = opened.scan.shape[0]
        self.index = min(max(self._start() if index is None else index, 0), slices - 1)
        for pane in (self.pane, self.truth_pane):
            pane.message, pane.frame = "", None
            pane.zoom, pane.centre = 1.0, None
            pane.aspect = aspect_of(opened.scan)
            pane.millimetres = opened.scan.spacing_mm[2]
        self.finding_changed()
        self.slice_changed.emit(self.index)

    def _start(self) -> int:
        assert self.opened is not None  # noqa: S101
        return self.opened.finding.summary.best_slice if self.opened.finding else self.opened.scan.shape[0] // 2

    def finding_changed(self) -> None:
        """The mask is another one."""
        opened = self.opened
        if opened is None:
            return
        self.preview = None
        lesion = None if opened.finding is None else np.count_nonzero(opened.finding.mask, axis=(1, 2))
        truth = None if opened.truth is None or not self.look.truth else np.count_nonzero(opened.truth, axis=(1, 2))
        self.bar.set_marks(opened.scan.shape[0], lesion, truth)
        self._frame()
        self.render_slice()

    def mask_of(self, index: int) -> NDArray[np.bool_] | None:
        """(H, W): the mask of a slice, at the threshold that is being chosen."""
        opened = self.opened
        if opened is None:
            return None
        if self.preview is not None and opened.result is not None:
            return np.asarray(opened.result.probability[index] >= np.float32(self.preview), np.bool_)
        return None if opened.finding is None else opened.finding.mask[index]

    def render_slice(self) -> None:
        """Draw the slice anew."""
        opened, look = self.opened, self.look
        if opened is None:
            return
        grey = self._grey()
        nothing = np.zeros(grey.shape, np.bool_)
        mask = self.mask_of(self.index) if look.mask and not self._peeking else None
        truth = opened.truth[self.index] if opened.truth is not None and look.truth and not self._peeking else None
        over_mask = None if look.beside else truth
        opacity = look.opacity if mask is not None else 0.0
        picture = draw_overlay(
            grey, nothing if mask is None else mask, truth=over_mask, opacity=opacity, outline=look.outline
        )
        corners = describe(self)
        for pane in (self.pane, self.truth_pane):
            pane.corners, pane.smooth = corners, look.smooth
        beside = look.beside and opened.truth is not None
        self.pane.title, self.truth_pane.title = ("Mask", "Ground truth") if beside else ("", "")
        self.truth_pane.setVisible(beside)
        self.pane.show_picture(picture)
        if beside:
            self.truth_pane.show_picture(draw_overlay(grey, nothing, truth=truth, opacity=0.0, outline=look.outline))
        self.bar.set_current(self.index)

    def _grey(self) -> NDArray[np.uint8]:
        assert self.opened is not None  # noqa: S101
        opened, channel = self.opened, self.channel
        volume = opened.volume(channel)
        if self.look.clahe:
            if volume.dtype == np.uint8:
                return equalised(volume, self.index)
            if channel in self._eight_bit:
                return equalised(self._eight_bit[channel], self.index)
            self._tasks.run(lambda: eight_bit(volume), lambda made: self._take_eight_bit(opened, channel, made))
        return apply_window(volume[self.index], self.window_ or opened.range_of(channel).preset(0))

    def _take_eight_bit(self, opened: Opened, channel: int, made: NDArray[np.uint8]) -> None:
        if opened is self.opened:
            self._eight_bit[channel] = made
            self.render_slice()

    # Moving

    def go_to(self, index: int) -> None:
        """Show a slice."""
        if self.opened is None:
            return
        index = min(max(index, 0), self.opened.scan.shape[0] - 1)
        if index != self.index:
            self.index = index
            self._frame()
            self.render_slice()
            self._tell_pointer()
            self.slice_changed.emit(index)

    def step(self, slices: int) -> None:
        """Move by slices."""
        self.go_to(self.index + slices)

    def go_to_lesion(self, which: int) -> None:
        """Show a lesion where it is largest, in the middle if the picture is zoomed."""
        opened = self.opened
        if opened is None or opened.finding is None or not 0 <= which < len(opened.finding.lesions):
            return
        lesion = opened.finding.lesions[which]
        self.lesion = which
        if self.pane.zoom > 1.0:
            _, row, column = lesion.centroid
            self.aim(self.pane.zoom, QPointF(column + 0.5, row + 0.5))
        self.index = slice_of(lesion, opened.finding.mask)
        self._frame()
        self.render_slice()
        self.lesion_changed.emit(which)
        self.slice_changed.emit(self.index)

    def step_lesion(self, step: int) -> None:
        """The next or previous lesion, round and round."""
        count = len(self.opened.finding.lesions) if self.opened and self.opened.finding else 0
        if count:
            self.go_to_lesion((self.lesion + step) % count if self.lesion >= 0 else 0 if step > 0 else count - 1)

    def _frame(self) -> None:
        """Corners around the chosen lesion, in the slices it lies in."""
        self.pane.frame = None
        finding = self.opened.finding if self.opened else None
        if finding and 0 <= self.lesion < len(finding.lesions):
            (first, last), (top, bottom), (left, right) = finding.lesions[self.lesion].box
            if first <= self.index <= last:
                self.pane.frame = (top, bottom, left, right)

    def zoom(self, factor: float, around: QPointF | None = None) -> None:
        """Magnify; the point `around` stays where it is."""
        if self.opened is None:
            return
        middle = self.pane.centre or self._middle()
        around = around or middle
        zoom = min(max(self.pane.zoom * factor, 1.0), MOST_ZOOM)
        share = self.pane.zoom / zoom
        self.aim(zoom, around + (middle - around) * share if zoom > 1.0 else None)

    def pan(self, by: QPointF) -> None:
        """Shift the picture, never out of sight."""
        if self.opened is not None and self.pane.zoom > 1.0:
            self.aim(self.pane.zoom, (self.pane.centre or self._middle()) + by)

    def _middle(self) -> QPointF:
        _, height, width = self.opened.scan.shape if self.opened else (0, 0, 0)
        return QPointF(width / 2, height / 2)

    def aim(self, zoom: float, centre: QPointF | None) -> None:
        """Zoom, with an image point in the middle (None: the picture's own)."""
        if centre is not None:
            far = self._middle() * 2
            centre = QPointF(min(max(centre.x(), 0.0), far.x()), min(max(centre.y(), 0.0), far.y()))
        corners = describe(self, zoom)
        for pane in (self.pane, self.truth_pane):
            pane.zoom, pane.centre, pane.corners = zoom, centre, corners
            pane.update()

    # How it looks

    def set_look(self, **changes: Any) -> None:
        """Change what lies over the picture, or how it is drawn."""
        for name, value in changes.items():
            setattr(self.look, name, value)
        if "truth" in changes:
            self.finding_changed()
        else:
            self.render_slice()
        if not self.look.crosshair:
            self.pane.crosshair = self.truth_pane.crosshair = None
        self.look_changed.emit()

    def fade(self, steps: int) -> None:
        """More or less opacity."""
        self.set_look(opacity=round(min(max(self.look.opacity + steps * OPACITY_STEP, 0.0), 1.0), 2))

    def peek(self, on: bool) -> None:
        """Hide everything that lies over the picture, for as long as a key is held."""
        if self._peeking != on:
            self._peeking = on
            self.render_slice()

    def pick_channel(self, channel: int) -> None:
        """Show another channel."""
        if self.opened is not None and channel != self.channel:
            self.channel = channel
            self.apply_preset()
            self.render_slice()
            self.look_changed.emit()

    def next_channel(self) -> None:
        """Show the channel after this one."""
        if self.opened is not None:
            self.pick_channel((self.channel + 1) % len(self.opened.channels))

    def pick_preset(self, index: int) -> None:
        """Show values by one of the presets."""
        if 0 <= index < len(PRESETS):
            self.preset = index
            self.apply_preset()
            self.render_slice()
            self.look_changed.emit()

    def apply_preset(self) -> None:
        """Work out the window of the chosen preset."""
        if self.opened is not None and self.preset >= 0:
            self.window_ = self.opened.range_of(self.channel).preset(self.preset)

    def set_window(self, window: Window | None) -> None:
        """Show values by a window of one's own."""
        if window is not None:
            self.window_, self.preset = window, -1
            self.render_slice()
            self.look_changed.emit()

    def drag_window(self, level: float, width: float) -> None:
        """Change the window as the mouse is dragged."""
        if self.opened is not None and self.window_ is not None:
            reach = self.opened.range_of(self.channel)
            self.set_window(self.window_.moved(level, width, (reach.high - reach.low) / 256))

    def auto_window(self) -> None:
        """The window that fits this slice."""
        if self.opened is not None:
            self.set_window(auto_window(self.opened.volume(self.channel)[self.index]))

    def reset(self) -> None:
        """No zoom, the full range."""
        self.aim(1.0, None)
        self.pick_preset(0)

    def point(self, place: tuple[int, int] | None) -> None:
        """The mouse is over a pixel, or over none."""
        self._pointed = place
        self._tell_pointer()

    def _tell_pointer(self) -> None:
        lines = pointer_lines(self, self._pointed)
        crosshair = None
        if self.look.crosshair and self._pointed:
            crosshair = (self._pointed[0] + 0.5, self._pointed[1] + 0.5)
        for pane in (self.pane, self.truth_pane):
            pane.corners.bottom_right = lines
            pane.crosshair = crosshair
            pane.update()
