"""What one open page holds: cases, models, the run, results. It lives in its session and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError, SeriesChoice, sentence
from core.model_card import ModelCard, PreprocessSettings
from core.views import View, first_view
from web_streamlit.cases import Case, Reading
from web_streamlit.downloads import Result, batch_row
from web_streamlit.findings import Finding, Images, decode_probability, find, make_images
from web_streamlit.runs import Failure, Found, Options, Run, Task
from web_streamlit.server import Trouble

Mask = NDArray[np.bool_]
T = TypeVar("T")
FOLLOWING = 24
"""Answers up to which the table of all cases follows each move of a threshold."""
STOP_SECONDS = 3.0
INTERRUPTED = "The run was stopped because files were removed."
KEPT_ARRAYS = 6
"""Decoded pictures and probabilities that are kept at hand; the others are decoded again when they are looked at."""


@dataclass(slots=True, eq=False)
class Desk:
    """State of a page; the attributes are changed by the page's script alone.

    Attributes:
        readings: what was read, by where it came from.
        source: which of them is looked at.
        models: the server's, the default first.
        trouble: why the server did not list them; None where it did.
        run: under way, or None.
        found: answers, by case and model.
        failed: what the last run could not do.
        truths: ground truth that was added by hand, by case.
        case_key: of the case that is looked at.
        slices: for each case the slice that is looked at, in the view that the model sees.
        crosses: for each case the (row, column) in that slice through which the other views are cut.
        choices: the series that were found in what holds several, by its mark.
        series: of what holds several series the chosen one, by its mark.
        thresholds: for each model the one that was chosen.
        min_lesion: in voxels.
        opacity, outline: of the overlay.
        moved: whether a threshold or the smallest lesion was moved since the table of all cases was drawn.
    """

    readings: dict[str, Reading] = field(default_factory=dict)
    source: str = ""
    models: tuple[ModelCard, ...] = ()
    trouble: Trouble | None = None
    run: Run | None = None
    found: dict[tuple[str, str], Found] = field(default_factory=dict)
    failed: tuple[Failure, ...] = ()
    truths: dict[str, Mask] = field(default_factory=dict)
    case_key: str = ""
    slices: dict[str, int] = field(default_factory=dict)
    crosses: dict[str, tuple[int, int]] = field(default_factory=dict)
    choices: dict[str, tuple[SeriesChoice, ...]] = field(default_factory=dict)
    series: dict[str, str] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    min_lesion: int = 0
    opacity: float = 0.45
    outline: bool = True
    moved: bool = False
    _arrays: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    _rows: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)

    @property
    def table_follows(self) -> bool:
        """Whether the table of all cases is drawn again at once when a threshold moves; many take their time."""
        return len(self.results()) <= FOLLOWING

    @property
    def reading(self) -> Reading:
        """What is looked at."""
        return self.readings.get(self.source, Reading())

    @property
    def case(self) -> Case | None:
        """The case that is looked at: the one that was chosen, else the first."""
        cases = self.reading.cases
        return next((case for case in cases if case.key == self.case_key), cases[0] if cases else None)

    def put_reading(self, source: str, reading: Reading) -> None:
        """Take in what was read, and forget whatever belonged to cases that are gone; a run of theirs ends."""
        self.readings[source], self.source = reading, source
        kept = self._kept_cases()
        self.found = {key: found for key, found in self.found.items() if key[0] in kept}
        self.truths = {key: truth for key, truth in self.truths.items() if key in kept}
        self.slices = {key: index for key, index in self.slices.items() if key in kept}
        self.crosses = {key: cross for key, cross in self.crosses.items() if key in kept}
        self.failed = tuple(failure for failure in self.failed if failure.task.case.key in kept)
        marks = {mark for each in self.readings.values() for mark in each.marks.values()}
        self.choices = {mark: choices for mark, choices in self.choices.items() if mark in marks}
        self.series = {mark: series for mark, series in self.series.items() if mark in marks}
        self._arrays.clear()
        self._rows.clear()
        if self.run is not None and any(task.case.key not in kept for task in self.run.tasks):
            self.run.stop()
            self.run.wait(STOP_SECONDS)
            self.collect()

    def collect(self) -> bool:
        """Take over what the run has found; whether it has ended."""
        run = self.run
        if run is None:
            return False
        ended = run.finished  # asked first: what comes later is then complete
        kept = self._kept_cases()
        for found in list(run.found):
            key = found.task.key
            if key[0] not in kept or self.found.get(key) is found:
                continue
            try:
                probability = decode_probability(found.answer.tiff, found.task.case.scan)
            except InputError as error:
                run.found.remove(found)
                run.failed.append(Failure(found.task, sentence(error.detail)))
                continue
            self.found[key] = found
            self._arrays = {known: value for known, value in self._arrays.items() if key[0] not in known}
            threshold = self.threshold(found.task.card)
            if key[0] not in self.slices or len(run.tasks) == 1:
                finding = find(probability, found.task.case.scan, threshold, self.min_lesion)
                self._look_at(key[0], finding, first_view(found.task.case.scan))
        if ended:
            failed = run.failed
            if any(task.case.key not in kept for task in run.tasks):
                known = {each.task for each in run.found} | {each.task for each in run.failed}
                failed = failed + [Failure(task, INTERRUPTED) for task in run.tasks if task not in known]
            self.failed, self.run = tuple(each for each in failed if each.task.case.key in kept), None
        return ended

    def _kept_cases(self) -> set[str]:
        return {case.key for reading in self.readings.values() for case in reading.cases}

    def _look_at(self, case: str, finding: Finding, view: View) -> None:
        """Begin in the slice with the most lesion, and cut the other views through its middle."""
        index = self.slices[case] = finding.best_slice(view)
        rows, columns = np.nonzero(view.turn(finding.mask)[index])
        if rows.size:
            self.crosses[case] = round(float(rows.mean())), round(float(columns.mean()))

    def threshold(self, card: ModelCard) -> float:
        """The chosen one, else the card's."""
        return self.thresholds.get(card.name, card.threshold)

    def truth(self, case: Case) -> Mask | None:
        """Ground truth: what was added by hand goes before what came with the case."""
        return self.truths.get(case.key, case.truth)

    def cards_of(self, case: Case) -> tuple[ModelCard, ...]:
        """The models that have answered for a case."""
        return tuple(found.task.card for key, found in self.found.items() if key[0] == case.key)

    def images(self, case: Case, settings: PreprocessSettings, channel: str | None) -> Images:
        """A case as pictures; see `make_images`."""
        return self._kept((case.key, "images", settings, channel), lambda: make_images(case.scan, settings, channel))

    def finding(self, found: Found) -> Finding:
        """An answer at the present threshold."""
        scan, card = found.task.case.scan, found.task.card
        threshold, least = self.threshold(card), self.min_lesion
        probability: NDArray[np.float32] = self._kept(
            (*found.task.key, "probability", found.answer.tiff), lambda: decode_probability(found.answer.tiff, scan)
        )
        return self._kept(
            (*found.task.key, "finding", found.answer.tiff, threshold, least),
            lambda: find(probability, scan, threshold, least),
        )

    def result(self, case: Case, card: ModelCard) -> Result:
        """Everything about a case and a model that has answered."""
        found = self.found[case.key, card.name]
        other = next((each for each in self.cards_of(case) if each.name != card.name), None)
        return Result(
            case=case,
            found=found,
            finding=self.finding(found),
            images=self.images(case, card.preprocessing, found.task.options.channel),
            truth=self.truth(case),
            other=None if other is None else (other.name, self.finding(self.found[case.key, other.name]).mask),
            min_lesion=self.min_lesion,
        )

    def results(self) -> tuple[tuple[Case, ModelCard], ...]:
        """All that has an answer, in the order of the cases."""
        return tuple((case, card) for case in self.reading.cases for card in self.cards_of(case))

    def rows(self) -> list[dict[str, Any]]:
        """The table of all cases at the present thresholds, with those that failed."""
        rows = []
        for case, card in self.results():
            cards = self.cards_of(case)
            answers = tuple((self.found[case.key, each.name].answer.tiff, self.threshold(each)) for each in cards)
            key = (case.key, card.name, answers, self.min_lesion, id(self.truth(case)))
            if key not in self._rows:
                self._rows[key] = batch_row(self.result(case, card))
            rows.append(self._rows[key])
        rows += [
            {"case": each.task.case.scan.name, "model": each.task.card.name, "problem": each.sentence}
            for each in self.failed
            if each.task.key not in self.found
        ]
        return rows + [{"case": each.name, "problem": each.sentence} for each in self.reading.refused]

    def tasks(self, cards: Sequence[ModelCard], options: Options) -> list[Task]:
        """What is to be asked for the cases that are looked at."""
        return [Task(case, card, options) for case in self.reading.cases for card in cards]

    def _kept(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        if key in self._arrays:
            self._arrays[key] = self._arrays.pop(key)  # the latest used stands last
        else:
            self._arrays[key] = make()
            while len(self._arrays) > KEPT_ARRAYS:
                self._arrays.pop(next(iter(self._arrays)))
        value: T = self._arrays[key]
        return value
