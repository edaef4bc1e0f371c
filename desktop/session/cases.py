"""The list of cases: what is known of each, and how the list is filtered, searched and sorted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import count
from pathlib import Path

from core.batch.jobs import leave_out, unique_names
from core.batch.results import CASE_KIND, MANIFEST, RUN_KIND, made_by_metseg
from core.errors import NothingFound, SeriesChoice
from core.io import find_scans, natural_key
from core.scan import ScanSource
from desktop.session.export import RECORD, VERDICTS
from desktop.session.results import Summary
from desktop.session.verdicts import DONE_STATES, OPEN_STATES, State

OWN_RESULTS = "results of metseg cannot be reviewed; open the folder of their scans, the masks are computed again"


NUMBERED = re.compile(r"case (\d{1,9})")


class Filter(StrEnum):
    """Which cases are listed."""

    ALL = "All"
    TODO = "To do"
    FLAGGED = "Flagged"
    DONE = "Done"

    def takes(self, state: State) -> bool:
        """Whether a case of this state is listed."""
        match self:
            case Filter.TODO:
                return state in OPEN_STATES
            case Filter.FLAGGED:
                return state is State.FLAGGED
            case Filter.DONE:
                return state in DONE_STATES
        return True


class Order(StrEnum):
    """How cases are sorted."""

    NAME = "Name"
    BURDEN = "Lesion burden"
    UNCERTAINTY = "Uncertainty"


@dataclass(slots=True, eq=False)
class Case:
    """A case of the list.

    Attributes:
        number: its place by name, from 1, when it was first seen; what it is called while names are hidden.
        source: its files.
        image: SHA-256 of its files, None until it was read once.
        state: where it stands.
        summary: of what the model found, None until it is known.
        note: the reviewer's.
        problem: why it cannot be read or segmented, else "".
        series: key of the series that is reviewed, None where there is only one or nobody chose yet.
        choices: the series to choose from, where there are several.
    """

    number: int
    source: ScanSource
    image: str | None = None
    state: State = State.TODO
    summary: Summary | None = None
    note: str = ""
    problem: str = ""
    series: str | None = None
    choices: tuple[SeriesChoice, ...] = ()

    @property
    def undecided(self) -> bool:
        """Whether a series has to be chosen first."""
        return bool(self.choices) and self.series is None

    @property
    def name(self) -> str:
        """The case's own name, which may be a patient's."""
        return self.source.name

    def label(self, names: bool) -> str:
        """What it is called on the screen."""
        return self.name if names else f"Case {self.number}"


def find_cases(inputs: Sequence[Path]) -> tuple[ScanSource, ...]:
    """The cases in files and folders, in whatever order these are named, each with a name of its own.

    As by `metseg segment`, a case found twice is taken once, a ground-truth mask named beside its image is no case, and
    of two with the same name the second is numbered.

    Raises:
        NothingFound: there is nothing to read in one of the inputs, or in all of them only earlier results.
        InputError: one cannot be opened.
    """
    try:
        return find_scans(inputs[0]) if len(inputs) == 1 else _find_together(inputs)
    except NothingFound as error:
        if any(_holds_results(path) for path in inputs):
            raise NothingFound(OWN_RESULTS, source=error.source) from error
        raise


def _find_together(inputs: Sequence[Path]) -> tuple[ScanSource, ...]:
    found, _ = leave_out([source for path in sorted(inputs, key=Path.resolve) for source in find_scans(path)])
    if not found:
        raise NothingFound(OWN_RESULTS)
    names = unique_names(source.name for source in found)
    return tuple(replace(source, name=name) for name, source in zip(names, found, strict=True))


def _holds_results(path: Path) -> bool:
    """Whether a run of metseg wrote something in a folder, or it is part of an earlier export."""
    runs = (manifest.parent for manifest in path.rglob(MANIFEST))
    if any(made_by_metseg(folder, kind) for folder in runs for kind in (RUN_KIND, CASE_KIND)):
        return True
    exports = (path, *path.absolute().parents[:2])
    return any((folder / VERDICTS).is_file() and (folder / RECORD).is_file() for folder in exports)


def make_cases(sources: Sequence[ScanSource], known: Mapping[str, int] | None = None) -> list[Case]:
    """The cases by name; those that had a number keep it, for notes and reports may speak of it, and the others follow.

    Args:
        sources: of the cases.
        known: numbers that were given before, by name.
    """
    given = known or {}
    following = count(max(given.values(), default=0) + 1)
    ordered = sorted(_spelt_out(sources), key=lambda source: natural_key(source.name))
    return [Case(given.get(source.name) or next(following), source) for source in ordered]


def _spelt_out(sources: Sequence[ScanSource]) -> list[ScanSource]:
    """Sources with names that the record can hold: what is no text in a file's name stands in its case's as escapes."""
    taken = {source.name.casefold() for source in sources}
    spelt = []
    for source in sources:
        base = name = source.name.encode("utf-8", "backslashreplace").decode()
        number = 2
        while name != source.name and name.casefold() in taken:
            name = f"{base}-{number}"
            number += 1
        taken.add(name.casefold())
        spelt.append(source if name == source.name else replace(source, name=name))
    return spelt


def choose(cases: Iterable[Case], which: Filter, search: str, order: Order) -> list[Case]:
    """The cases that are listed, in the order in which they are.

    A search takes the cases whose name, state or note holds every word; "case 7" takes that number alone. Unknown
    burdens come last.
    """
    asked = search.casefold().strip()
    number, words = NUMBERED.fullmatch(asked), asked.split()

    def matches(case: Case) -> bool:
        return case.number == int(number[1]) if number else all(word in _text(case) for word in words)

    listed = [case for case in cases if which.takes(case.state) and matches(case)]
    if order is Order.BURDEN:
        listed.sort(key=lambda case: -case.summary.voxels if case.summary else 1)
    elif order is Order.UNCERTAINTY:
        listed.sort(key=lambda case: -case.summary.uncertainty if case.summary else 1)
    return listed


def _text(case: Case) -> str:
    return f"{case.name} case {case.number} {case.state} {case.note}".casefold()


def counts(cases: Iterable[Case]) -> dict[Filter, int]:
    """How many cases each filter takes."""
    states = [case.state for case in cases]
    return {which: sum(which.takes(state) for state in states) for which in Filter}


def neighbour(order: Sequence[Case], current: Case | None, step: int, listed: Sequence[Case]) -> Case | None:
    """The next (1) or previous (-1) case of a list; None at its end.

    Args:
        order: the list, or what it was when it still held the current case.
        current: the case to go on from; from one that stands nowhere, it is the first of the list.
        step: the direction.
        listed: the cases that may be gone to.
    """
    if current is None or current not in order:
        return listed[0] if listed else None
    place, there = order.index(current), set(listed)
    ahead = order[place + 1 :] if step > 0 else reversed(order[:place])
    return next((case for case in ahead if case in there), None)


def next_open(order: Sequence[Case], current: Case | None, listed: Sequence[Case], which: Filter) -> Case | None:
    """The next case of the list that waits for a verdict: after the current one, else from the top.

    Args:
        order: the list, or what it was when it still held the current case.
        current: the case to go on from.
        listed: the cases that may be gone to.
        which: what is listed; flagged cases wait where they are gone through on purpose.
    """
    waiting = {State.FLAGGED} if which is Filter.FLAGGED else OPEN_STATES
    start, there = order.index(current) + 1 if current in order else 0, set(listed)
    ahead = [case for case in (*order[start:], *order[:start]) if case in there]
    return next((case for case in (*ahead, *listed) if case is not current and case.state in waiting), None)
