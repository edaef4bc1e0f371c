"""The reading room: the shown case, the place in it, and how it looks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, pyqtSignal
from PyQt6.QtWidgets import QVBoxLayout, QWidget

from core.views import Place, View
from desktop.corners import describe, describe_side, pointer_lines
from desktop.painter import Painter, What
from desktop.panes import Panes
from desktop.session.cases import Case
from desktop.session.display import PRESETS, Range, Window, auto_window
from desktop.session.opened import Opened
from desktop.session.picture import Look, mask_slice
from desktop.session.results import slice_of
from desktop.tasks import Tasks
from desktop.widgets.notice import Notice
from desktop.widgets.series_list import SeriesList
from desktop.widgets.slice_view import SliceView

OPACITY_STEP = 0.1


class Reader(QWidget):
    """The panes, and what is said above them.

    The place is one voxel of the scan; every pane shows the slice of its view in which that voxel lies.

    Signals:
        slice_changed(int): the main pane shows another slice.
        look_changed(): opacity, window, channel or what lies over the picture.
        lesion_changed(int): a lesion was gone to.
        asked(): the button beside the notice.
        maximise_asked(object): a double click in this pane.
    """

    slice_changed = pyqtSignal(int)
    look_changed = pyqtSignal()
    lesion_changed = pyqtSignal(int)
    asked = pyqtSignal()
    maximise_asked = pyqtSignal(object)

    def __init__(self, tasks: Tasks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = Look()
        self.case: Case | None = None
        self.opened: Opened | None = None
        self.names = False
        self.place: Place = (0, 0, 0)  # as stored
        self.channel, self.lesion = 0, -1
        self.window_: Window | None = None
        self._reach: Range | None = None  # of the channel that the window was made for
        self.preset = 0
        self.preview: float | None = None  # a threshold whose lesions are not counted yet
        self._peeking = self._linking = False
        self._painter = Painter(tasks, self.render_slice)
        self._pointed: tuple[SliceView, int, int] | None = None
        self.panes = Panes()
        self.pane, self.truth_pane, self.bar = self.panes.main, self.panes.twin, self.panes.bar
        self.series = SeriesList()
        self._above = Notice()
        self.notice, self.ask = self._above.label, self._above.button
        self.ask.clicked.connect(self.asked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._above)
        layout.addWidget(self.series, 1)
        layout.addWidget(self.panes, 1)
        self.say("")
        self.bar.picked.connect(self.go_to)
        self.panes.aimed.connect(self._describe)
        for pane in self.panes.all:
            pane.stepped.connect(lambda slices, pane=pane: self.step(slices, pane))
            pane.window_dragged.connect(self.drag_window)
            pane.pointed.connect(lambda place, shift, pane=pane: self.point(pane, place, shift))
            pane.picked.connect(lambda row, column, pane=pane: self.pick(pane, row, column))
            pane.maximise_asked.connect(lambda pane=pane: self.maximise_asked.emit(pane))

    @property
    def index(self) -> int:
        """The slice in the main pane."""
        return self.opened.view.place(self.place)[0] if self.opened else 0

    def view_of(self, pane: SliceView) -> View | None:
        """What a pane shows; None where nothing is."""
        if self.opened is None:
            return None
        if pane in self.panes.sides:
            number = self.panes.sides.index(pane) + 1
            return self.opened.views[number] if number < len(self.opened.views) else None
        return self.opened.view

    def say(self, text: str, ask: str = "") -> None:
        """A line above the picture, with a button where something can be done."""
        self._above.say(text, ask)

    def wait_for(self, case: Case, message: str) -> None:
        """Show that a case is being read, why it cannot be, or which series there are to choose from."""
        self._leave(case, None)
        self.bar.set_marks(0, None, None)
        self.panes.arrange(across=False, beside=self.look.beside and self.truth_pane.isVisible())
        for pane in self.panes.all:
            pane.message, pane.frame, pane.crosshair, pane.corners = message, None, None, describe(self)
            pane.show_picture(None)
        self.series.offer(case.choices if case.undecided else ())
        self.panes.setVisible(not case.undecided)

    def show_case(self, case: Case, opened: Opened, index: int | None = None) -> None:
        """Show a case that was read, at a slice or where most lesion is."""
        self._leave(case, opened)
        self.channel = opened.channel
        self.series.offer(())
        self.panes.setVisible(True)
        self.apply_preset()
        self.place = self._start() if index is None else self._at(index)
        for pane in self.panes.all:
            view = self.view_of(pane)
            pane.message, pane.frame, pane.ruler = "", None, None
            pane.zoom, pane.centre = 1.0, None
            pane.spacing = view.spacing_mm[1:] if view else (None, None)
        self.finding_changed()
        self.slice_changed.emit(self.index)

    def _leave(self, case: Case, opened: Opened | None) -> None:
        self.case, self.opened, self.lesion, self.preview = case, opened, -1, None
        self._pointed = None  # a pixel of the case before, which may lie outside of this one
        self._painter.clear()

    def _at(self, index: int, place: Place | None = None) -> Place:
        """A slice of the first view, at the rows and columns of a place or in its middle."""
        assert self.opened is not None  # noqa: S101
        view = self.opened.view
        slices, height, width = view.shape
        _, row, column = view.place(place) if place else (0, height // 2, width // 2)
        return view.stored((min(max(index, 0), slices - 1), row, column))

    def _start(self) -> Place:
        """In the largest lesion, where most lesion is."""
        assert self.opened is not None  # noqa: S101
        finding = self.opened.finding
        if finding is None:
            return self._at(self.opened.view.shape[0] // 2)
        a, b, c = finding.lesions[0].centroid if finding.lesions else (None, None, None)
        centre = (round(a), round(b), round(c)) if a is not None and b is not None and c is not None else None
        return self._at(finding.summary.best_slice, centre)

    def go_to_start(self) -> None:
        """Show the slice with most lesion."""
        if self.opened is not None:
            self.go_to_place(self._start())

    def finding_changed(self) -> None:
        """The mask is another one, and its lesions are numbered anew."""
        self.lesion, self.preview = -1, None
        self._mark_slices()
        self.render_slice()

    def _mark_slices(self) -> None:
        """Show in the bar which slices hold lesion and truth."""
        opened = self.opened
        if opened is None:
            return
        masks = opened.finding.mask if opened.finding else None, opened.truth if self.look.truth else None
        areas = (None if m is None else np.count_nonzero(opened.view.turn(m), axis=(1, 2)) for m in masks)
        self.bar.set_marks(opened.view.shape[0], *areas)

    def mask_of(self, index: int) -> NDArray[np.bool_] | None:
        """(H, W): the mask of a slice of the first view, at the threshold that is being chosen."""
        return None if self.opened is None else mask_slice(self.opened, self.opened.view, index, self.preview)

    def render_slice(self) -> None:
        """Draw all panes anew."""
        opened = self.opened
        if opened is None:
            return
        beside = self.look.beside and opened.truth is not None
        self.pane.title, self.truth_pane.title = ("Mask", "Ground truth") if beside else ("", "")
        self.panes.arrange(across=len(opened.views) > 1, beside=beside)
        for pane in self.panes.all:
            self._draw(pane)
        self._describe()

    def _draw(self, pane: SliceView) -> None:
        """A pane's slice."""
        opened, view = self.opened, self.view_of(pane)
        if opened is None or view is None or pane.isHidden():
            return
        index = view.place(self.place)[0]
        pane.smooth, pane.ruling = self.look.smooth, self.look.ruler
        pane.show_picture(self._painter.picture(opened, view, index, self._what(pane)))
        if pane is self.pane:
            self.bar.set_current(index)

    def _what(self, pane: SliceView) -> What:
        look, beside = self.look, self.look.beside
        # CLAHE belongs to the slices that the model sees; cuts across them keep the window.
        return What(
            look=look,
            mask=look.mask and not self._peeking and pane is not self.truth_pane,
            truth=look.truth and not self._peeking and (pane is self.truth_pane or not beside),
            clahe=look.clahe and pane not in self.panes.sides,
            channel=self.channel,
            window=self.window_,
            threshold=self.preview,
        )

    def _describe(self) -> None:
        """Texts, crosshair and the chosen lesion's corners of all panes."""
        opened = self.opened
        if opened is None:
            return
        corners = describe(self)
        corners.bottom_right = pointer_lines(self, self._pointed_place())
        finding = opened.finding
        chosen = finding.lesions[self.lesion] if finding and 0 <= self.lesion < len(finding.lesions) else None
        for pane in self.panes.all:
            view = self.view_of(pane)
            if view is None:
                continue
            index, row, column = view.place(self.place)
            frame = None
            if chosen:
                (first, last), rows, columns = view.box(chosen.box)
                frame = (*rows, *columns) if first <= index <= last else None
            crosshair = (row + 0.5, column + 0.5) if self.look.crosshair or self._linking else None
            texts = describe_side(view, index) if pane in self.panes.sides else corners
            if (texts, crosshair, frame) != (pane.corners, pane.crosshair, pane.frame):
                pane.corners, pane.crosshair, pane.frame = texts, crosshair, frame
                pane.update()

    # Moving

    def go_to_place(self, place: Place) -> None:
        """Go to a voxel of the scan; only panes whose slice changes are drawn anew."""
        if self.opened is None:
            return
        before = self.index
        changed = []
        for pane in self.panes.all:
            view = self.view_of(pane)
            if view and view.place(place)[0] != view.place(self.place)[0]:
                pane.ruler = None
                changed.append(pane)
        self.place = place
        for pane in changed:
            self._draw(pane)
        self._describe()
        if self.index != before:
            self.slice_changed.emit(self.index)

    def go_to(self, index: int) -> None:
        """Show a slice in the main pane."""
        if self.opened is not None:
            self.go_to_place(self._at(index, self.place))

    def step(self, slices: int, pane: SliceView | None = None) -> None:
        """Move by slices of a pane, the main one by default."""
        if view := self.view_of(pane or self.pane):
            index, row, column = view.place(self.place)
            self.go_to_place(view.stored((min(max(index + slices, 0), view.shape[0] - 1), row, column)))

    def go_to_lesion(self, which: int) -> None:
        """Show a lesion where it is largest, in the middle if the picture is zoomed."""
        opened = self.opened
        if opened is None or opened.finding is None or not 0 <= which < len(opened.finding.lesions):
            return
        lesion = opened.finding.lesions[which]
        self.lesion = which
        a, b, c = lesion.centroid
        index = slice_of(opened.view.box(lesion.box), opened.view.turn(opened.finding.mask))
        self.go_to_place(self._at(index, (round(a), round(b), round(c))))
        for pane in self.panes.all:
            if pane.zoom > 1.0 and (view := self.view_of(pane)):
                _, row, column = view.place(self.place)
                self.panes.aim(pane.zoom, QPointF(column + 0.5, row + 0.5), pane)
        self.lesion_changed.emit(which)

    def step_lesion(self, step: int) -> None:
        """The next or previous lesion, round and round."""
        count = len(self.opened.finding.lesions) if self.opened and self.opened.finding else 0
        if count:
            self.go_to_lesion((self.lesion + step) % count if self.lesion >= 0 else 0 if step > 0 else count - 1)

    def pick(self, pane: SliceView, row: int, column: int) -> None:
        """A pixel of a pane was clicked: the other panes go there."""
        if view := self.view_of(pane):
            self.go_to_place(view.stored((view.place(self.place)[0], row, column)))

    def point(self, pane: SliceView, place: tuple[int, int] | None, shift: bool = False) -> None:
        """The mouse is over a pixel, or over none; with Shift the other panes follow it."""
        self._pointed = None if place is None else (pane, *place)
        self._linking = shift and place is not None
        if self._linking and place is not None:
            self.pick(pane, *place)
        self._describe()

    def _pointed_place(self) -> Place | None:
        if self._pointed is None or (view := self.view_of(self._pointed[0])) is None:
            return None
        _, row, column = self._pointed
        return view.stored((view.place(self.place)[0], row, column))

    def zoom(self, factor: float, around: QPointF | None = None) -> None:
        """Magnify the main pane; the point `around` stays where it is."""
        if self.opened is not None:
            self.panes.zoom(factor, around)

    # How it looks

    def set_look(self, **changes: Any) -> None:
        """Change what lies over the picture, or how it is drawn."""
        for name, value in changes.items():
            setattr(self.look, name, value)
        if not self.look.ruler:
            for pane in self.panes.all:
                pane.ruler = None
        if "truth" in changes:
            self._mark_slices()
        self.render_slice()
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
        """Work out the window of the chosen preset; one of one's own shows the same part of another range."""
        if self.opened is not None:
            reach, before = self.opened.range_of(self.channel), self._reach
            if self.preset >= 0:
                self.window_ = reach.preset(self.preset)
            elif self.window_ and before and before != reach:
                self.window_ = reach.window(*before.shares(self.window_))
            self._reach = reach

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
            self.set_window(auto_window(self.opened.view.cut(self.opened.volume(self.channel), self.index)))

    def reset(self) -> None:
        """No zoom, the full range."""
        self.panes.reset()
        self.pick_preset(0)
