"""What the window says of a desk: counts, progress, overlap, warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.measure.dice import dice
from core.scan import Note
from core.unfamiliar.judge import DOUBTS
from desktop.session.cases import Filter
from desktop.session.verdicts import State

if TYPE_CHECKING:
    from desktop.desk import Desk


def tally(desk: Desk) -> tuple[int, int, int]:
    """Cases done, cases in all, cases flagged."""
    cases = desk.review.cases if desk.review else []
    done = sum(Filter.DONE.takes(case.state) for case in cases)
    return done, len(cases), sum(case.state is State.FLAGGED for case in cases)


def work(desk: Desk) -> tuple[str, float, float | None]:
    """What is being exported or segmented, how far, and how long segmenting will take."""
    if desk.handover.progress:
        done, total = desk.handover.progress
        return f"Exporting {min(done + 1, total):,} of {total:,}", done / max(total, 1), None
    segmenter = desk.segmenting.segmenter
    if not segmenter.busy:
        return "", 0.0, None
    cases, total, remaining = segmenter.progress()
    return f"Segmenting {min(int(cases) + 1, total):,} of {total:,}", cases / max(total, 1), remaining


def engine(desk: Desk) -> str:
    """Which model runs on what."""
    if desk.review is None or desk.review.model is None:
        return ""
    name = desk.review.model.card.name
    return f"{name} on {desk.segmenting.device}" if desk.segmenting.device else name


def model_names(desk: Desk) -> list[str]:
    """The models that can be chosen."""
    return [model.card.name for model in desk.models]


def model_index(desk: Desk) -> int:
    """Which of them is."""
    return desk.models.index(desk.review.model) if desk.review and desk.review.model in desk.models else -1


def series_names(desk: Desk) -> list[str]:
    """The series that can be chosen; none as long as none is."""
    return [choice.description for choice in desk.choices] if series_index(desk) >= 0 else []


def series_index(desk: Desk) -> int:
    """Which of them is shown."""
    keys = [choice.key for choice in desk.choices]
    return keys.index(desk.reader.case.series) if desk.reader.case and desk.reader.case.series in keys else -1


def threshold(desk: Desk) -> float:
    """Of the shown case."""
    if desk.reader.preview is not None:
        return desk.reader.preview
    return desk.review.threshold(desk.reader.case) if desk.review and desk.reader.case else 0.5


def why_no_lesions(desk: Desk) -> str:
    """What stands in place of the shown case's lesions where none are listed."""
    case, opened = desk.reader.case, desk.reader.opened
    if opened is not None and opened.finding is not None:
        return "No lesion at this threshold"
    if case is not None and case.undecided:
        return "Choose a series first"
    if case is not None and case.problem:
        return "Cannot be read"
    running = desk.segmenting.segmenter.running
    if case is None or running is None or not desk.segmenting.segmenter.is_asked(case.name):
        return "Not segmented yet"
    return "Being segmented" if running == case.name else "Waits for another case"


def slice_overlap(desk: Desk) -> float | None:
    """Dice of the shown slice."""
    opened = desk.reader.opened
    if opened is None or opened.truth is None or opened.finding is None:
        return None
    view, index = opened.view, desk.reader.index
    return dice(view.cut(opened.finding.mask, index), np.asarray(view.cut(opened.truth, index), np.bool_))


def doubts(desk: Desk) -> list[str]:
    """Sentences that say why the shown mask is not to be relied on."""
    said = (note.message.rstrip(".") for note in _notes(desk) if note.code in DOUBTS)
    return [f"{text[:1].upper()}{text[1:]}." for text in dict.fromkeys(said)]


def warnings(desk: Desk) -> list[str]:
    """What else should be known of the shown case."""
    return list(dict.fromkeys(note.message.rstrip(".") for note in _notes(desk) if note.code not in DOUBTS))


def _notes(desk: Desk) -> tuple[Note, ...]:
    opened = desk.reader.opened
    if opened is None:
        return ()
    return (*opened.notes, *(opened.result.warnings if opened.result else ()))
