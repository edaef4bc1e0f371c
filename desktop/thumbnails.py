"""Small pictures of the cases in sight, made one after another behind the window."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QObject, pyqtSignal
from PyQt6.QtGui import QImage

from desktop.session.cases import Case
from desktop.session.opened import thumbnail
from desktop.session.results import load_result, result_key
from desktop.session.review import Review
from desktop.tasks import Tasks

KEPT, WAITING = 2000, 24


class Thumbnails(QObject):
    """Pictures by case; the one asked for last is made first, for it is in sight.

    Signals:
        ready(): one more has come.
    """

    ready = pyqtSignal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._tasks = Tasks(1, self)
        self._made: OrderedDict[tuple[str, str], QImage | None] = OrderedDict()
        self._waiting: OrderedDict[tuple[str, str], Case] = OrderedDict()
        self._busy = False
        self._review: Review | None = None
        self._precision, self._results = "auto", Path()

    def serve(self, review: Review | None, precision: str, results: Path) -> None:
        """Begin with another review."""
        self._review, self._precision, self._results = review, precision, results
        self._made.clear()
        self._waiting.clear()

    def get(self, case: Case) -> QImage | None:
        """The case's picture, or the one before while a newer is being made, or None."""
        name = case.name if case.series is None else f"{case.name} {case.series}"
        key = (name, case.summary.mask if case.summary else "")
        if key in self._made:
            return self._made[key]
        self._waiting[key] = case
        self._waiting.move_to_end(key)
        while len(self._waiting) > WAITING:
            self._waiting.popitem(last=False)
        self._go_on()
        return self._made.get((name, ""))

    def _go_on(self) -> None:
        if self._busy or not self._waiting or self._review is None:
            return
        key, case = self._waiting.popitem()
        review, model, image, summary = self._review, self._review.model, case.image, case.summary
        threshold, channel = review.threshold(case), review.channel(case)
        precision, results, series = self._precision, self._results, case.series
        self._busy = True

        def make() -> NDArray[np.uint8]:
            mask = None
            if summary and summary.lesions and model and image:
                result = load_result(results, result_key(image, model.card, channel, precision, case.source.notes))
                if result is not None:
                    mask = np.asarray(result.probability >= np.float32(threshold), np.bool_)
            return thumbnail(case.source, summary.best_slice if summary else None, mask, series)

        def done(picture: NDArray[np.uint8] | None) -> None:
            self._busy = False
            if review is self._review:
                self._made[key] = None if picture is None else _image(picture)
                while len(self._made) > KEPT:
                    self._made.popitem(last=False)
                self.ready.emit()
            self._go_on()

        self._tasks.run(make, done, lambda _: done(None))

    def close(self) -> None:
        """Stop making any."""
        self._waiting.clear()
        self._tasks.close()


def _image(picture: NDArray[np.uint8]) -> QImage:
    height, width, _ = picture.shape
    content = np.ascontiguousarray(picture).tobytes()
    return QImage(content, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
