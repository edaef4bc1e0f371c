"""What happens at the desk: cases are opened and read, verdicts given, masks exported. Between session and window."""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QObject, pyqtSignal
from PyQt6.QtWidgets import QMainWindow

from core.errors import AmbiguousSeries, InputError, MetsegError, SeriesChoice
from core.scan import ScanSource
from desktop.handover import Handover
from desktop.judge import Judge
from desktop.masks import Masks
from desktop.reader import Reader
from desktop.remembered import restore, restore_look, state_of, view_in
from desktop.segmenting import Segmenting
from desktop.session.cases import Case, Filter, Order, choose, counts, find_cases, neighbour
from desktop.session.faults import explain
from desktop.session.looks import changed_looks
from desktop.session.models import find_models
from desktop.session.opened import Opened, make_room, open_case
from desktop.session.places import bundled_cases, results_folder, session_folder
from desktop.session.review import Model, Review
from desktop.session.store import Store
from desktop.tasks import Latest, T, Tasks, make_timer
from desktop.thumbnails import Thumbnails

SAVE_VIEW_MS, RETRY_MS = 700, 2000


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command was asked for.

    Attributes:
        model: name or folder; None takes the default model.
        device, precision: as for `metseg segment`.
        segment: whether cases are segmented without being asked.
    """

    model: str | Path | None = None
    device: str = "auto"
    precision: str = "auto"
    segment: bool = True


class Desk(QObject):
    """Owns the review and everything that works behind the window.

    Signals:
        listed(): cases, states or counts changed.
        leaving(): another case, series or folder will be shown; what is being typed belongs to the present one.
        case_changed(): another case is shown, or more is known of it.
        told(str): a word for the reviewer.
        opening_failed(str): nothing was opened, and why.
        view_restored(dict): where the reviewer was the last time.
    """

    listed = pyqtSignal()
    leaving = pyqtSignal()
    case_changed = pyqtSignal()
    told = pyqtSignal(str)
    opening_failed = pyqtSignal(str)
    view_restored = pyqtSignal(dict)

    def __init__(self, settings: Settings, window: QMainWindow) -> None:
        super().__init__(window)
        self.settings = settings
        self.review: Review | None = None
        self.names = False
        self.tasks = Tasks(2, self)
        self.tasks.failed.connect(lambda error: self.told.emit(explain(error)))
        self.reader = Reader(self.tasks)
        self.reader.series.chosen.connect(self.choose_series)
        self.thumbnails = Thumbnails(self)
        self.results = results_folder()
        self.segmenting = Segmenting(self.results, settings.device, settings.precision, self)
        self.masks, self.judge = Masks(self), Judge(self)
        self.segmenting.found.connect(self.masks.found)
        self.segmenting.failed.connect(self.masks.show_notice)
        self.handover = Handover(self.results, settings.precision, self)
        self.models, self.model_problem = find_models(settings.model)
        self.in_list: list[Case] = []
        self.which = Filter.ALL
        self.order: list[Case] = []  # the list, or the one before if the shown case has dropped out since
        self.in_memory: OrderedDict[str, Opened] = OrderedDict()
        self._reading: set[str] = set()
        self._wanted: tuple[Case, dict[str, Any]] | None = None
        self._ahead: Case | None = None
        self._resume: dict[str, Any] = {}
        self._opening = Latest(self.tasks)
        self._timers = {
            "view": make_timer(self, SAVE_VIEW_MS, self.save_view),
            "retry": make_timer(self, RETRY_MS, self._look_after, once=False),
        }
        self._timers["retry"].start()
        self._seen_version = -1
        for signal in (self.reader.slice_changed, self.reader.look_changed):
            signal.connect(lambda *_: self._timers["view"].start())

    # Opening

    def open(self, paths: Sequence[Path]) -> None:
        """Look for cases, and begin or go on with their review."""
        if not self._may_leave():
            return
        inputs = tuple(paths)
        self._open("Looking for scans…", lambda: find_cases(inputs), lambda sources: self._begin(inputs, sources))

    def open_bundled(self) -> None:
        """Open the synthetic cases that came with metseg; they are drawn the first time."""
        self._open("Drawing the bundled cases…", bundled_cases, lambda folder: self.open([folder]))

    def _may_leave(self) -> bool:
        """Whether all that was said in the present review is on the disk; says so where it is not."""
        self.leaving.emit()
        unsaved = self.unsaved()
        if unsaved:
            self.told.emit(
                f"{unsaved} verdicts are not on the disk yet; make room there before opening something else."
            )
        return not unsaved

    def _open(self, saying: str, work: Callable[[], T], then: Callable[[T], None]) -> None:
        """Do a part of an opening behind the window."""
        self.opening_failed.emit(saying)
        self._opening.run(work, then, self._opening_failed)

    def _opening_failed(self, error: Exception) -> None:
        text = str(error) if isinstance(error, MetsegError) else explain(error)
        self.opening_failed.emit(text)
        self.told.emit(text)

    def _begin(self, inputs: tuple[Path, ...], sources: tuple[ScanSource, ...]) -> None:
        self.opening_failed.emit("")
        if not self._may_leave():  # more may have been said while the scans were looked for
            return
        self._end()
        try:
            store = Store(session_folder(inputs))
        except MetsegError as error:
            self._opening_failed(error)
            return
        review = Review(inputs, store, self.models[0] if self.models else None)
        review.set_cases(sources)
        self.review = review
        self._resume = view_in(store)
        chosen = next((m for m in self.models if m.card.name == self._resume.get("model")), None)
        if chosen is not None and self.settings.model is None:
            review.set_model(chosen)
        self.segmenting.serve(review)
        self.segmenting.automatic = self.settings.segment
        self.thumbnails.serve(review, self.settings.precision, self.results)
        reader = self._resume.get("reader", {})
        restore_look(self.reader, reader.get("look", {}))
        self.listed.emit()
        self.view_restored.emit(self._resume)
        last = next((case for case in review.cases if case.name == reader.get("case")), None)
        self.show(last or review.cases[0], reader if last else None)
        looks = review.looks()
        sources_by_name = [case.source for case in review.cases if case.name in looks]
        self.tasks.run(lambda: changed_looks(sources_by_name, looks), lambda names: self._changed(review, names, looks))
        if store.notice:
            self.told.emit(store.notice)

    def _changed(self, review: Review, names: Sequence[str], looks: Mapping[str, str]) -> None:
        """These files look different from `looks`; a case that was read since is known better than that."""
        if review is self.review and names:
            now = review.looks()
            review.files_changed(n for n in names if n not in self.in_memory and now.get(n) == looks[n])
            self.listed.emit()

    def unsaved(self) -> int:
        """Verdicts and notes that would be lost if the window closed now; the last try to save them was just made."""
        return 0 if self.review is None or self.review.save_again() else self.review.waiting

    def _end(self) -> None:
        if self.review:
            self.save_view()
            self.segmenting.serve(None)
            self.review.store.close()
        self.review = None
        self.in_memory.clear()
        self._reading.clear()

    def close(self, view: dict[str, Any]) -> None:
        """Keep where the reviewer was, and end everything."""
        self._resume.update(view)
        for timer in self._timers.values():
            timer.stop()
        self.segmenting.close()
        self.handover.close()
        self.thumbnails.close()
        self.tasks.close()
        self._end()

    # Cases

    def choose(self, which: Filter, search: str, order: Order) -> tuple[list[Case], dict[Filter, int]]:
        """The cases to list, and how many each filter takes."""
        cases = self.review.cases if self.review else []
        self.in_list, self.which = choose(cases, which, search, order), which
        gone = self.reader.case not in self.order or not set(self.order) & set(self.in_list)
        if gone or self.reader.case in self.in_list:
            self.order = self.in_list
        return self.in_list, counts(cases)

    def show(self, case: Case, state: dict[str, Any] | None = None) -> None:
        """Show a case; it is read first where it is not in memory."""
        if self.review is None:
            return
        self.leaving.emit()
        self.masks.leave()
        self._wanted = (case, state or {})
        if case.undecided:
            self.reader.wait_for(case, "")
            self.masks.show_notice()
            self.case_changed.emit()
        elif case.name in self.in_memory:
            self.in_memory.move_to_end(case.name)
            self._show_opened(case, self.in_memory[case.name])
        else:
            self.reader.wait_for(case, "Reading…")
            self.masks.show_notice()
            self.case_changed.emit()
            self._read(case)

    def _read(self, case: Case) -> None:
        review = self.review
        if review is None or case.name in self._reading:
            return
        self._reading.add(case.name)
        case.problem = ""
        model, source, series = review.model, case.source, case.series
        choices, look = case.choices, review.look(case)

        def read() -> Opened | None:
            if not self._awaits(case):  # the reviewer has gone on before its turn came
                return None
            precision, results = self.settings.precision, self.results
            return open_case(source, model, review.choice, precision, results, series, choices, look)

        self.tasks.run(
            read,
            lambda opened: self._was_read(review, model, case, opened, series),
            lambda error: self._cannot_read(review, case, error, series),
        )

    def _awaits(self, case: Case) -> bool:
        return case is self._ahead or bool(self._wanted and self._wanted[0] is case)

    def _was_read(
        self, review: Review, model: Model | None, case: Case, opened: Opened | None, series: str | None = None
    ) -> None:
        if review is not self.review:
            return
        self._reading.discard(case.name)
        if opened is None or series != case.series:  # it was not read, or another series was chosen meanwhile
            if self._awaits(case):
                self._read(case)
            return
        if model is not review.model:
            opened.drop()
        if opened.choices:
            review.set_series(case, series, opened.choices)
        review.was_read(case, opened.look, opened.image)
        if opened.finding:
            review.was_found(case, review.threshold(case), opened.finding.summary)
        self.in_memory[case.name] = opened
        self.in_memory.move_to_end(case.name)
        make_room(self.in_memory, self.reader.opened)
        if self._wanted and self._wanted[0] is case:
            self._show_opened(case, opened)
        self.listed.emit()

    def _cannot_read(self, review: Review, case: Case, error: Exception, series: str | None) -> None:
        if review is not self.review:
            return
        self._reading.discard(case.name)
        if series != case.series:
            if self._awaits(case):
                self._read(case)
            return
        if isinstance(error, AmbiguousSeries) and error.choices:
            self._ask_series(review, case, error.choices)
            return
        detail = explain(error).rstrip(".")
        where = f"\n{error.source}" if self.names and isinstance(error, InputError) and error.source else ""
        case.problem = detail
        if self._wanted and self._wanted[0] is case:
            self.reader.wait_for(case, f"This case cannot be shown: {detail}.{where}")
            self.masks.show_notice()
            self.case_changed.emit()
        self.listed.emit()

    def _ask_series(self, review: Review, case: Case, choices: Sequence[SeriesChoice]) -> None:
        """There are several series, and none, or one that is not there any more, was chosen."""
        review.set_series(case, None, choices)
        if self._wanted and self._wanted[0] is case:
            self.reader.wait_for(case, "")
            self.masks.show_notice()
            self.case_changed.emit()
        self.listed.emit()

    @property
    def choices(self) -> tuple[SeriesChoice, ...]:
        """The series of the shown case, where there are several."""
        return self.reader.case.choices if self.reader.case else ()

    def choose_series(self, key: str) -> None:
        """Review this series of the shown case."""
        case, review = self.reader.case, self.review
        if case is None or review is None or key == case.series:
            return
        self.leaving.emit()
        review.set_series(case, key, case.choices)
        self.in_memory.pop(case.name, None)
        self.segmenting.failures.pop(case.name, None)
        self.show(case)
        self.listed.emit()

    def _show_opened(self, case: Case, opened: Opened) -> None:
        if self.review:
            self.review.was_read(case, opened.look, opened.image)  # verdicts and notes are bound to what is shown
        state = self._wanted[1] if self._wanted else {}
        index = state.get("slice")
        self.reader.show_case(case, opened, index if isinstance(index, int) else None)
        if state:
            restore(self.reader, state)
            self._wanted = (case, {})
        self.masks.show_notice()
        self.case_changed.emit()
        self._timers["view"].start()
        self.segmenting.look_ahead(case, self.order, opened.result is not None)
        following = neighbour(self.order, case, 1, self.in_list)
        if following and following.name not in self.in_memory and not following.problem and not following.undecided:
            self._ahead = following
            self._read(following)

    def step_case(self, step: int) -> None:
        """The next or previous case of the list."""
        case = neighbour(self.order, self.reader.case, step, self.in_list)
        if case is not None:
            self.show(case)
        else:
            self.told.emit("This is the last case of the list." if step > 0 else "This is the first case of the list.")

    def show_names(self, on: bool) -> None:
        """Show or hide the cases' names."""
        self.names = self.reader.names = on
        self.reader.render_slice()
        self.listed.emit()

    def _look_after(self) -> None:
        """Try again what was not saved; see what another window has written."""
        review = self.review
        if review is None:
            return
        if not review.saved:
            review.save_again()
            self.listed.emit()
        if review.read_only and (version := review.store.version()) != self._seen_version:
            if self._seen_version != -1:
                review.reload()
                self.listed.emit()
            self._seen_version = version

    def save_view(self) -> None:
        """Keep where the reviewer is."""
        if self.review and not self.review.read_only and self.reader.case:
            self._resume["reader"] = state_of(self.reader)
            self._resume["model"] = self.review.model.card.name if self.review.model else None
            with suppress(sqlite3.Error):
                self.review.store.set_view({name: json.dumps(value) for name, value in self._resume.items()})

    def export(self, folder: Path) -> None:
        """Write masks, tables and report, behind the window."""
        if self.review:
            self.handover.begin(self.review, folder, self.names, self.models)

    def stop(self) -> None:
        """Stop what the bar shows: the export, else segmenting."""
        if self.handover.progress:
            self.handover.stop()
        else:
            self.segmenting.stop()
            self.masks.show_notice()
