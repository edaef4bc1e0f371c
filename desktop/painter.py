"""Draws the slices of a case for its panes; what takes longer is made behind the window and drawn when it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.views import View
from desktop.session.display import Window, eight_bit
from desktop.session.opened import Opened
from desktop.session.picture import Look, clahe_slice, grey_slice, mask_slice, picture, truth_slice
from desktop.tasks import Tasks


@dataclass(frozen=True, slots=True)
class What:
    """What of a case a pane shows, and how.

    Attributes:
        look: opacity and outline.
        mask, truth: whether they lie over the picture.
        clahe: whether contrast is as the model sees it.
        channel: which one.
        window: values shown as black and white; None takes the channel's full range.
        threshold: one that is only tried; None takes the case's own.
    """

    look: Look
    mask: bool
    truth: bool
    clahe: bool
    channel: int
    window: Window | None
    threshold: float | None


class Painter:
    """Draws one case at a time.

    Args:
        tasks: where 8-bit volumes are made.
        ready: called when a picture that could not be made at once can be.
    """

    def __init__(self, tasks: Tasks, ready: Callable[[], None]) -> None:
        self._tasks, self._ready = tasks, ready
        self._eight_bit: dict[int, NDArray[np.uint8]] = {}
        self._begun: set[int] = set()  # channels that are, or are being, made
        self._case = 0

    def clear(self) -> None:
        """Another case is shown."""
        self._eight_bit.clear()
        self._begun.clear()
        self._case += 1

    def picture(self, opened: Opened, view: View, index: int, what: What) -> NDArray[np.uint8]:
        """(H, W, 3) of a slice of a view."""
        mask = mask_slice(opened, view, index, what.threshold) if what.mask else None
        truth = truth_slice(opened, view, index) if what.truth else None
        return picture(self._grey(opened, view, index, what), mask, truth, what.look)

    def _grey(self, opened: Opened, view: View, index: int, what: What) -> NDArray[np.uint8]:
        channel = what.channel
        if what.clahe:
            volume, case = opened.volume(channel), self._case
            made = volume if volume.dtype == np.uint8 else self._eight_bit.get(channel)
            if made is not None:
                return clahe_slice(made, view, index, opened.settings)
            if channel not in self._begun:
                self._begun.add(channel)
                self._tasks.run(lambda: eight_bit(volume), lambda made: self._take(case, channel, made))
        return grey_slice(opened, view, index, channel, what.window or opened.range_of(channel).preset(0))

    def _take(self, case: int, channel: int, made: NDArray[np.uint8]) -> None:
        if case == self._case:
            self._eight_bit[channel] = made
            self._ready()
