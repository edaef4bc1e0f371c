"""What reviewers decide, as a list of events that only ever grows, and what follows from it.

An undo is an event too, so nothing that was once decided is ever lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an event does."""

    ACCEPT = "accept"
    REJECT = "reject"
    FLAG = "flag"
    CLEAR = "clear"
    UNDO = "undo"
    REDO = "redo"


class State(StrEnum):
    """Where a case stands. REOPENED: a verdict was given, but on another mask or image than is there now."""

    TODO = "to do"
    REOPENED = "reopened"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FLAGGED = "flagged"


OPEN_STATES = frozenset({State.TODO, State.REOPENED})
DONE_STATES = frozenset({State.ACCEPTED, State.REJECTED})
STATE_OF = {
    Kind.ACCEPT: State.ACCEPTED,
    Kind.REJECT: State.REJECTED,
    Kind.FLAG: State.FLAGGED,
    Kind.CLEAR: State.TODO,
}
REASONS = ("Missed lesion", "False finding", "Wrong outline", "Poor image", "Wrong sequence")


@dataclass(frozen=True, slots=True)
class Binding:
    """What a verdict is about; it holds for nothing else.

    Attributes:
        image: SHA-256 of the case's files.
        mask: hash of the mask that was shown (`results.mask_hash`), or None where none was there.
        model: name of the model, "" without a mask.
        weights: SHA-256 of its weights, "" without a mask.
        threshold: probability from which a voxel was lesion, or None without a mask.
    """

    image: str
    mask: str | None = None
    model: str = ""
    weights: str = ""
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the record.

    Attributes:
        number: 1, 2, … in the order of deciding.
        at: when, ISO 8601 with the zone.
        who: the user's login name.
        case: the case's name.
        about: what it holds for.
        kind: what was decided.
        reason: of a rejection, in words.
        target: the event that is undone, redone, or (a rejection that was given its reason) replaced.
    """

    number: int
    at: str
    who: str
    case: str
    about: Binding
    kind: Kind
    reason: str = ""
    target: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Events sorted into those that hold and those that were undone and can be redone, the last one last."""

    applied: tuple[Event, ...] = ()
    undone: tuple[Event, ...] = ()


def fold(events: Iterable[Event]) -> History:
    """What holds after all these events. An undo or redo whose target is not there changes nothing."""
    applied: dict[int, Event] = {}
    undone: dict[int, Event] = {}
    for event in events:
        match event.kind:
            case Kind.UNDO:
                if event.target in applied:
                    undone[event.target] = applied.pop(event.target)
            case Kind.REDO:
                if event.target in undone:
                    applied[event.target] = undone.pop(event.target)
            case _:
                undone.clear()
                applied.pop(event.target or 0, None)
                applied[event.number] = event
    return History(tuple(applied.values()), tuple(undone.values()))


def state_after(last: Event | None, now: Binding) -> State:
    """Where a case stands whose last event that holds is `last`, while `now` is what is shown.

    A verdict on the image alone, given before there was a mask, holds with any mask. While the mask is not known yet,
    model and threshold decide.
    """
    if last is None:
        return State.TODO
    then = last.about
    holds = then.image == now.image and (
        then.mask is None
        or (
            (then.weights, then.threshold) == (now.weights, now.threshold)
            and (now.mask is None or then.mask == now.mask)
        )
    )
    if holds or last.kind is Kind.CLEAR:
        return STATE_OF[last.kind]
    return State.REOPENED
