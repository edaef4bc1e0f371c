"""Exports a review behind the window."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from PyQt6.QtCore import QObject, pyqtSignal

from core.errors import MetsegError
from desktop.session.cases import Case
from desktop.session.export import VERDICTS, Answer, Entry, Exported, export_review
from desktop.session.faults import explain
from desktop.session.results import result_key
from desktop.session.review import Model, Review
from desktop.session.verdicts import State
from desktop.tasks import Tasks


class Handover(QObject):
    """One export at a time, in a thread of its own. `results` and `precision` are those of the masks.

    Attributes:
        progress: cases written and cases in all; None while nothing is exported.

    Signals:
        told(str): how it ended, or why it does not begin.
        changed(): progress.
        finished(object): an `Exported`, or the error.
    """

    told = pyqtSignal(str)
    changed = pyqtSignal()
    finished = pyqtSignal(object)
    _step = pyqtSignal(int, int)

    def __init__(self, results: Path, precision: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._results, self._precision = results, precision
        self._tasks = Tasks(1, self)
        self._stop = threading.Event()
        self.progress: tuple[int, int] | None = None
        self._step.connect(lambda done, total: self._go_on((done, total)))

    def _go_on(self, progress: tuple[int, int] | None) -> None:
        self.progress = progress
        self.changed.emit()

    def may_begin(self) -> bool:
        """Whether no other export runs; says so where one does."""
        if self.progress is not None:
            self.told.emit("An export is being written; wait for its end, or stop it, before another.")
        return self.progress is None

    def begin(self, review: Review, folder: Path, names: bool, models: Sequence[Model]) -> None:
        """Write the accepted masks, and tables and report of all cases."""
        if not self.may_begin():
            return
        self._stop.clear()
        self._go_on((0, len(review.cases)))
        entries = [entry_of(review, case, names, self._answer(review, case, models)) for case in review.cases]
        inputs, record = review.inputs, review.record_hash()
        self._tasks.run(
            lambda: export_review(entries, inputs, folder, self._step.emit, self._stop.is_set, record),
            self._done,
            self._failed,
        )

    def _answer(self, review: Review, case: Case, models: Sequence[Model]) -> Answer | None:
        """How the answer was asked for on which a case was judged, as far as its model is still there."""
        event = review.handed_over(case)[0]
        model = next((model for model in models if event and model.weights == event.about.weights), None)
        if model is None or event is None or not event.about.image:
            return None
        channel = review.choice(case.name, event.about.image)[1]
        key = result_key(event.about.image, model.card, channel, self._precision, case.source.notes)
        return Answer(self._results, key, model.card.preprocessing.channels, channel)

    def stop(self) -> None:
        """Stop as soon as the present case is written."""
        self._stop.set()

    def close(self) -> None:
        """Stop, and wait until it has."""
        self.stop()
        self._tasks.close()

    def _done(self, exported: Exported) -> None:
        self._go_on(None)
        count = len(exported.problems)
        problems = f"; {count:,} with a problem, which {VERDICTS} names" if count else ""
        masks = "1 accepted mask" if exported.masks == 1 else f"{exported.masks:,} accepted masks"
        self.told.emit(f"Exported {masks}, tables and report{problems}")
        self.finished.emit(exported)

    def _failed(self, error: Exception) -> None:
        self._go_on(None)
        self.told.emit(f"Not exported: {error if isinstance(error, MetsegError) else explain(error)}")
        self.finished.emit(error)


def entry_of(review: Review, case: Case, names: bool, answer: Answer | None = None) -> Entry:
    """A case as it is handed over: its verdict and the mask that this was given on."""
    event, state = review.handed_over(case)
    mask = review.judged_mask(event)
    about = event.about if event else None
    return Entry(
        source=case.source,
        series=_series(case),
        label=case.label(names),
        state=state.value,
        note=case.note,
        event=event,
        image=about.image if about else case.image,
        mask=mask,
        model=about.model if about else "",
        threshold=about.threshold if about else None,
        mask_sha256=(about.mask or "") if about else "",
        write=state is State.ACCEPTED,
        answer=answer,
        warnings=review.warnings(case, event),
    )


def _series(case: Case) -> tuple[str | None, ...]:
    """The series of a case, the one that is reviewed first."""
    keys = (choice.key for choice in case.choices)
    return (case.series, *(key for key in keys if key != case.series)) if case.series else tuple(keys) or (None,)
