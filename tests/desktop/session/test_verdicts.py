from dataclasses import replace

import pytest

from desktop.session.verdicts import Binding, Event, Kind, State, fold, state_after

HERE = Binding("image", "mask", "model", "weights", 0.5)


def event(number: int, kind: Kind, target: int | None = None, about: Binding = HERE) -> Event:
    return Event(number, "2026-01-01T00:00:00+00:00", "someone", "case", about, kind, "", target)


def numbers(*events: Event) -> tuple[list[int], list[int]]:
    history = fold(events)
    return [e.number for e in history.applied], [e.number for e in history.undone]


def test_an_undo_takes_back_and_a_redo_gives_again() -> None:
    given = [event(1, Kind.ACCEPT), event(2, Kind.FLAG), event(3, Kind.UNDO, 2)]
    assert numbers(*given) == ([1], [2])
    assert numbers(*given, event(4, Kind.REDO, 2)) == ([1, 2], [])


def test_a_new_verdict_ends_what_could_be_redone() -> None:
    assert numbers(event(1, Kind.ACCEPT), event(2, Kind.UNDO, 1), event(3, Kind.FLAG)) == ([3], [])


def test_a_rejection_that_gets_its_reason_is_undone_as_one() -> None:
    given = [event(1, Kind.REJECT), event(2, Kind.REJECT, target=1)]
    assert numbers(*given) == ([2], [])
    assert numbers(*given, event(3, Kind.UNDO, 2)) == ([], [2])


def test_an_undo_of_nothing_changes_nothing() -> None:
    assert numbers(event(1, Kind.ACCEPT), event(2, Kind.UNDO, 7)) == ([1], [])


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (Kind.ACCEPT, State.ACCEPTED),
        (Kind.REJECT, State.REJECTED),
        (Kind.FLAG, State.FLAGGED),
        (Kind.CLEAR, State.TODO),
    ],
)
def test_a_verdict_holds_for_what_it_was_given_on(kind: Kind, state: State) -> None:
    assert state_after(event(1, kind), HERE) is state


@pytest.mark.parametrize(
    "change", [{"image": "other"}, {"mask": "other"}, {"weights": "other"}, {"threshold": 0.6}], ids=str
)
def test_anything_else_reopens_the_case(change: dict[str, object]) -> None:
    assert state_after(event(1, Kind.ACCEPT), replace(HERE, **change)) is State.REOPENED


def test_while_the_mask_is_not_known_model_and_threshold_decide() -> None:
    assert state_after(event(1, Kind.ACCEPT), replace(HERE, mask=None)) is State.ACCEPTED
    assert state_after(event(1, Kind.ACCEPT), replace(HERE, mask=None, threshold=0.4)) is State.REOPENED


def test_a_verdict_on_the_image_alone_holds_with_any_mask() -> None:
    assert state_after(event(1, Kind.REJECT, about=Binding("image")), HERE) is State.REJECTED
    assert state_after(None, HERE) is State.TODO
