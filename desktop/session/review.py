"""A review: the cases, the model, and the verdicts, kept in step with the store."""

from __future__ import annotations

import getpass
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import SeriesChoice
from core.model_card import ModelCard
from core.scan import ScanSource
from desktop.session.cases import Case, make_cases
from desktop.session.results import Finding, PackedMask, Summary, pack_mask
from desktop.session.store import Store
from desktop.session.verdicts import Binding, Event, History, Kind, State, fold, state_after

VERDICTS = (Kind.ACCEPT, Kind.REJECT, Kind.FLAG, Kind.CLEAR)
NO_TEXT = "Not saved: something that was written holds a character that cannot be kept; write it anew without."


@dataclass(frozen=True, slots=True)
class Model:
    """The model whose masks are reviewed."""

    folder: Path
    card: ModelCard

    @property
    def weights(self) -> str:
        """SHA-256 of its weights."""
        return self.card.weights.sha256


class Review:
    """What one window works on. All its methods are quick and meant for one thread.

    Attributes:
        cases: by name.
        model: whose masks are shown; None where there is none.
        store: the database.
        unsaved: events that could not be written yet; `save_again` tries.
    """

    def __init__(self, inputs: Sequence[Path], store: Store, model: Model | None = None) -> None:
        self.inputs, self.store, self.model = tuple(inputs), store, model
        self.cases: list[Case] = []
        self.unsaved: list[tuple[Event, tuple[str, tuple[int, int, int], bytes] | None]] = []
        self.problem = ""
        self._later: dict[tuple[str, str], Callable[[], None]] = {}
        self._who = _login()
        self._load()

    def _load(self) -> None:
        try:
            self._events = list(self.store.events())
            self._number = 0 if self.read_only else self.store.last_number()
            self._notes, self._images = self.store.notes(), self.store.images()
            self._summaries, self._choices = self.store.summaries(), self.store.choices()
            self._series = self.store.series()
        except sqlite3.Error as error:
            self._events, self._notes, self._images, self._summaries, self._choices = [], {}, {}, {}, {}
            self._series, self._number = {}, 0
            self.problem = f"The record of this review cannot be read ({error})."
        self._refold()

    def _refold(self) -> None:
        self._history: History = fold(self._events)
        self._last: dict[tuple[str, str], Event] = {}
        self._last_of_case: dict[str, Event] = {}
        for event in self._history.applied:
            self._last[event.case, event.about.image] = event
            self._last_of_case[event.case] = event

    @property
    def read_only(self) -> bool:
        """Whether verdicts are refused."""
        return self.store.read_only

    @property
    def saved(self) -> bool:
        """Whether every verdict is on the disk."""
        return not self.unsaved and not self._later and not self.problem

    @property
    def waiting(self) -> int:
        """How many verdicts, notes and choices are not on the disk yet."""
        return len(self.unsaved) + len(self._later)

    def set_cases(self, sources: Iterable[ScanSource]) -> None:
        """Take the cases that were found."""
        known = self.store.numbers()
        self.cases = make_cases(tuple(sources), known)
        added = {case.name: case.number for case in self.cases if case.name not in known}
        if added:
            self._keep("numbers", "", lambda: self.store.set_numbers(added))
        self._recall()

    def _recall(self) -> None:
        """Tell the cases what the store knows of them."""
        for case in self.cases:
            case.series, case.choices = _series_of(*self._series.get(case.name, (None, "[]")))
            if known := self._images.get(case.name):
                case.image = known[1]
            self.refresh(case)

    def set_series(self, case: Case, key: str | None, choices: Sequence[SeriesChoice]) -> None:
        """Take another series of a case, None where nobody chose yet; what was known of the case no longer holds."""
        if (key, tuple(choices)) == (case.series, case.choices):
            return
        case.series, case.choices, case.image, case.problem = key, tuple(choices), None, ""
        entry = key, json.dumps([asdict(choice) for choice in choices])
        self._series[case.name] = entry
        self._keep("series", case.name, lambda: self.store.set_series(case.name, *entry))
        self.refresh(case)

    def set_model(self, model: Model | None) -> None:
        """Show another model's masks; verdicts on the old one's do not hold for them."""
        self.model = model
        for case in self.cases:
            self.refresh(case)

    def reload(self) -> None:
        """Take over what another window has written; the cases stay the same objects, for one may be being read."""
        self._load()
        self._recall()

    def threshold(self, case: Case) -> float:
        """From which probability a voxel of this case is lesion."""
        chosen = self.choice(case.name, case.image or "")[0]
        return chosen if chosen is not None else self.model.card.threshold if self.model else 0.5

    def channel(self, case: Case) -> str | None:
        """Which channel the reviewer chose for the model; None lets the scan decide."""
        return self.choice(case.name, case.image or "")[1]

    def choice(self, name: str, image: str) -> tuple[float | None, str | None]:
        """The reviewer's own threshold and channel for a case with these images; any thread may ask."""
        return self._choices.get(_key(name, image), self._choices.get(image, (None, None)))

    def set_choice(self, case: Case, threshold: float | None, channel: str | None) -> None:
        """Keep the reviewer's threshold and channel for a case that was read."""
        if case.image is None:
            return
        key = _key(case.name, case.image)
        self._choices[key] = (threshold, channel)
        self._keep("choice", key, lambda: self.store.set_choice(key, threshold, channel))
        self.refresh(case)

    def binding(self, case: Case, finding: Finding | None = None) -> Binding:
        """What a verdict given now would be about; without a finding, as far as it is known."""
        image = case.image or ""
        if self.model is None:
            return Binding(image)
        mask = finding.mask_sha256 if finding else case.summary.mask if case.summary else None
        return Binding(image, mask, self.model.card.name, self.model.weights, self.threshold(case))

    def refresh(self, case: Case) -> None:
        """Work out anew what is known of a case."""
        image = case.image
        case.note = self._notes.get(_note_key(case), self._notes.get(image or "", ""))
        case.summary = None
        if image and self.model:
            case.summary = self._summaries.get((image, self.model.weights, self.threshold(case)))
        case.state = state_after(self.last_event(case), self.binding(case))

    def last_event(self, case: Case) -> Event | None:
        """The verdict given last on a case's images, else on what they were before; each series has its own."""
        last = None if case.choices else self._last_of_case.get(case.name)
        return self._last.get((case.name, case.image), last) if case.image else last

    def handed_over(self, case: Case) -> tuple[Event | None, State]:
        """The verdict that an export holds, and its state: the shown series', else what was given last on another."""
        if case.state is not State.TODO:
            return self.last_event(case), case.state
        if not case.choices:
            return None, State.TODO
        given = [event for (name, image), event in self._last.items() if name == case.name and image != case.image]
        others = [event for event in given if event.kind is not Kind.CLEAR]
        if not others:
            return None, State.TODO
        other = max(others, key=lambda event: event.number)
        return other, state_after(other, other.about)

    def warnings(self, case: Case, event: Event | None) -> str:
        """Codes of what the model noticed on its way to the mask that a verdict is about, else to the present one."""
        summary = case.summary
        if event and event.about.threshold is not None:
            about = event.about
            summary = self._summaries.get((about.image, about.weights, event.about.threshold))
        return summary.warnings if summary else ""

    def was_read(self, case: Case, look: str, image: str) -> None:
        """Take over what reading a case told: its content's hash, and what its files look like."""
        case.image, case.problem = image, ""
        if self._images.get(case.name) != (look, image):
            self._images[case.name] = (look, image)
            self._keep("image", case.name, lambda: self.store.set_image(case.name, look, image))
        self.refresh(case)

    def look(self, case: Case) -> str:
        """What a case's files looked like when it was read last; "" where it never was."""
        return self._images.get(case.name, ("", ""))[0]

    def looks(self) -> dict[str, str]:
        """For the cases that were read before: what their files looked like."""
        return {case.name: self._images[case.name][0] for case in self.cases if case.name in self._images}

    def files_changed(self, names: Iterable[str]) -> None:
        """These cases' files look different from when they were read, so what was known of them may not hold."""
        gone = set(names)
        for case in self.cases:
            if case.name in gone:
                case.image = None
                self.refresh(case)

    def was_found(self, case: Case, threshold: float, summary: Summary) -> None:
        """Take over what the present model found in a case that was read."""
        if case.image is None or self.model is None:
            return
        image, weights = case.image, self.model.weights
        if self._summaries.get((image, weights, threshold)) != summary:
            self._summaries[image, weights, threshold] = summary
            of = f"{image} {weights} {threshold}"
            self._keep("summary", of, lambda: self.store.set_summary(image, weights, threshold, summary))
        self.refresh(case)

    def decide(self, case: Case, kind: Kind, finding: Finding | None = None, reason: str = "") -> Event | None:
        """Record a verdict on what is shown; None where nothing may be recorded.

        A reason given to a rejection that has none yet replaces it, so that one undo takes both back; a rejection
        repeated without a reason changes nothing. A verdict on a case that cannot be read is bound to no image, and
        holds until it can be.
        """
        unseen = case.image is None and not case.problem
        if self.read_only or unseen or kind not in VERDICTS or (kind is Kind.ACCEPT and finding is None):
            return None
        about = self.binding(case, finding) if finding else Binding(case.image or "")
        last, target = self.last_event(case), None
        if last and last.kind is kind is Kind.REJECT and last.about == about:
            if not reason:
                return last
            target = None if last.reason else last.number
        mask = (finding.mask_sha256, _shape(finding.mask), pack_mask(finding.mask)) if finding else None
        return self._record(case.name, about, kind, reason, target, mask)

    def undo(self) -> Event | None:
        """Take back the verdict given last on whatever case is here; returns it, or None where there is none."""
        return self._turn(Kind.UNDO, self._history.applied)

    def redo(self) -> Event | None:
        """Give again the verdict that was taken back last."""
        return self._turn(Kind.REDO, self._history.undone)

    def _turn(self, kind: Kind, events: tuple[Event, ...]) -> Event | None:
        here = {case.name for case in self.cases}
        event = next((event for event in reversed(events) if event.case in here), None)
        if self.read_only or event is None:
            return None
        self._record(event.case, event.about, kind, "", event.number, None)
        return event

    def _record(
        self,
        name: str,
        about: Binding,
        kind: Kind,
        reason: str,
        target: int | None,
        mask: tuple[str, tuple[int, int, int], bytes] | None,
    ) -> Event:
        self._number += 1
        event = Event(self._number, _now(), self._who, name, about, kind, reason, target)
        self._events.append(event)
        self.unsaved.append((event, mask))
        self.save_again()
        self._refold()
        for case in self.cases:
            if case.name == name:
                self.refresh(case)
        return event

    def save_again(self) -> bool:
        """Write what could not be written yet; whether all is on the disk now."""
        self.problem = ""
        try:
            for entry in tuple(self.unsaved):
                if self._takes(partial(self.store.add_event, *entry)):
                    self.unsaved.remove(entry)
            for what, write in tuple(self._later.items()):
                if self._takes(write):
                    del self._later[what]
        except sqlite3.Error as error:
            self.problem = f"Not saved yet ({error}); trying again."
        return self.saved

    def _takes(self, write: Callable[[], None]) -> bool:
        """Whether the store takes it; text that it never will stays behind, and keeps nothing else from the disk.

        Raises:
            sqlite3.Error: nothing can be written now.
        """
        try:
            write()
        except UnicodeError:
            self.problem = NO_TEXT
            return False
        return True

    def set_note(self, case: Case, text: str) -> bool:
        """Keep the reviewer's note on a case that was read, or cannot be; whether it is kept."""
        if text == case.note:
            return True
        if self.read_only or (case.image is None and not case.problem):
            return False
        key, at = _note_key(case), _now()
        case.note = self._notes[key] = text
        self._keep("note", key, lambda: self.store.set_note(key, case.name, text, at))
        return True

    def record_hash(self) -> str:
        """Of the record's last entry on the disk; a copy of it shows later whether the record was rewritten."""
        with suppress(sqlite3.Error):
            return self.store.last_hash()
        return ""

    def judged_mask(self, event: Event | None) -> PackedMask | None:
        """The very mask that a verdict was given on, packed; None where there was none."""
        if event is None or event.about.mask is None:
            return None
        for _, mask in self.unsaved:
            if mask and mask[0] == event.about.mask:
                return mask[2], mask[1]
        with suppress(sqlite3.Error):
            return self.store.mask(event.about.mask)
        return None

    def _keep(self, kind: str, of: str, write: Callable[[], None]) -> None:
        """Write something that is no verdict; what fails is tried again, unless something newer replaces it."""
        self._later.pop((kind, of), None)
        try:
            if self._takes(write):
                return
        except sqlite3.Error as error:
            self.problem = f"Not saved yet ({error}); trying again."
        self._later[kind, of] = write


def _note_key(case: Case) -> str:
    """What a note is bound to: the case and its images, or the case itself as long as these cannot be read."""
    return _key(case.name, case.image) if case.image else f"unread {case.name}"


def _key(name: str, image: str) -> str:
    """What notes and choices are kept by, for two cases may hold the same; an older metseg kept them by image alone."""
    return f"{image} {name}"


def _series_of(key: str | None, choices: str) -> tuple[str | None, tuple[SeriesChoice, ...]]:
    """What the store says of a case's series; a damaged entry says nothing."""
    with suppress(ValueError, TypeError):
        return key, tuple(SeriesChoice(**choice) for choice in json.loads(choices))
    return None, ()


def _shape(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    slices, height, width = mask.shape
    return slices, height, width


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
