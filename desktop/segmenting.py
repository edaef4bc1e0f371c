"""Segments cases behind the window: the one that is looked at first, then those that come next."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PyQt6.QtCore import QObject, pyqtSignal

from desktop.session.cases import Case
from desktop.session.results import Summary
from desktop.session.review import Review
from desktop.session.segmenter import DIED, Ask, Message, Segmenter

AHEAD = 2
STOPPED_SHORT = "The segmentation ended unexpectedly, perhaps for want of memory."
OTHER_WEIGHTS = "The model's files were replaced since this window was opened; open it anew."


class Failure(NamedTuple):
    """Why a case was not segmented: the error's code, "" where there was no error, and a sentence."""

    code: str
    detail: str


class Segmenting(QObject):
    """The queue, in the window's thread.

    Signals:
        found(str): a case's result is kept now.
        failed(): a case cannot be segmented; `failures` says which and why.
        changed(): progress.
    """

    found = pyqtSignal(str)
    failed = pyqtSignal()
    changed = pyqtSignal()
    _message = pyqtSignal(object)

    def __init__(self, results: Path, device: str, precision: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.segmenter = Segmenter(self._message.emit)
        self._message.connect(self._hear)
        self._results, self._device_wish, self._precision = results, device, precision
        self.review: Review | None = None
        self.device = ""
        self.failures: dict[str, Failure] = {}
        self.automatic = True
        self.stopped = False  # by the reviewer

    def serve(self, review: Review | None) -> None:
        """Begin with another review or another model."""
        self.segmenter.cancel()
        self.review, self.automatic, self.stopped = review, True, False
        self.failures.clear()
        self.changed.emit()

    def look_ahead(self, current: Case | None, listed: Iterable[Case], has_result: bool) -> None:
        """Segment the shown case if it needs it, and the next few of the list."""
        if not self.automatic or self.review is None or current is None:
            return
        if not has_result:
            self.add(current, first=True)
        cases = list(listed)
        start = cases.index(current) + 1 if current in cases else 0
        for case in cases[start : start + AHEAD]:
            if case.summary is None:
                self.add(case)

    def add(self, case: Case, *, first: bool = False) -> None:
        """Put a case into the queue, unless it failed before."""
        review = self.review
        if review is None or review.model is None or case.problem or case.undecided or case.name in self.failures:
            return
        channel = review.channel(case)
        model, how = review.model.folder, (self._device_wish, self._precision, channel, self._results)
        self.segmenter.submit(Ask(case.source, case.series, model, *how, case.choices), first=first)
        self.changed.emit()

    def again(self, case: Case) -> None:
        """Try a case that failed or was stopped; the others stay as they are."""
        self.failures.pop(case.name, None)
        self.add(case, first=True)

    def stop(self) -> None:
        """Stop, and begin nothing by oneself until asked."""
        self.automatic, self.stopped = False, True
        self.segmenter.cancel()
        self.changed.emit()

    def close(self) -> None:
        """End the process."""
        self.segmenter.close()

    def _hear(self, message: Message) -> None:
        ask = self.segmenter.heard(message)
        self.device = str(message.values.get("device", self.device))
        if ask and self.review and message.event != "progress":
            self._take(self.review, ask, message)
        self.changed.emit()

    def _take(self, review: Review, ask: Ask, message: Message) -> None:
        """Take an answer, but only for the very case, series and weights that it was made of."""
        name, values = ask.source.name, message.values
        case = next((case for case in review.cases if case.name == name), None)
        if case is None or review.model is None or (case.source, case.series) != (ask.source, ask.series):
            return
        if message.event == "done" and values["weights"] == review.model.weights:
            if case.image in (None, values["image"]):
                if case.image is None:
                    review.was_read(case, values["look"], values["image"])
                review.was_found(case, values["threshold"], Summary(**values["summary"]))
            self.found.emit(name)
        elif message.event in ("done", "failed", DIED):
            detail = OTHER_WEIGHTS if message.event == "done" else STOPPED_SHORT
            self.failures[name] = Failure(values.get("code", ""), values.get("detail", detail))
            self.failed.emit()
