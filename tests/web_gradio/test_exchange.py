"""A result never stands beside a file or a setting that it did not come from."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from core.errors import UsageError
from web_gradio.app import build_app
from web_gradio.downloads import write_downloads
from web_gradio.findings import Finding, find_in_files
from web_gradio.models import find_predictor
from web_gradio.room import Room, open_room
from web_gradio.settings import Settings
from web_gradio.shelf import Kept, Shelf
from web_gradio.wanted import Wanted


@pytest.fixture(scope="module")
def room(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Room:
    return open_room(Settings((str(tiny_model),), "cpu", "fp32"), tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def steps(room: Room) -> Iterator[list[Any]]:
    """What the page does, in the order in which it was wired."""
    loops, new_event_loop = [], asyncio.new_event_loop

    def noted() -> asyncio.AbstractEventLoop:
        loops.append(new_event_loop())
        return loops[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", noted)
        app = build_app(room)
    yield list(app.fns.values())
    for loop in loops:  # Gradio makes them where none runs, and leaves them open
        loop.close()


@pytest.fixture
def known(room: Room, scans: dict[str, Path], tiny_model: Path) -> Any:
    """The key of a result that is on view."""
    predictor = find_predictor(room.models, tiny_model.name)
    *_, found = find_in_files([scans["slice.tif"]], predictor, Wanted(), room.settings)
    return room.shelf.put((found,))


def named(steps: list[Any], name: str) -> Callable[..., Any]:
    return next(step.fn for step in steps if step.name == name)


def test_a_file_that_is_removed_while_the_threshold_is_counted_stays_away(
    room: Room, steps: list[Any], known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Finding.at

    def removed_meanwhile(finding: Finding, threshold: float, min_lesion: int) -> Finding:
        room.shelf.drop(known)
        return at(finding, threshold, min_lesion)

    monkeypatch.setattr(Finding, "at", removed_meanwhile)
    assert named(steps, "at_threshold")(known, 0, 1, 0.3, None) == gr.skip()
    with pytest.raises(UsageError, match="put away"):
        room.shelf.get(known)


def test_a_threshold_that_was_counted_takes_the_place_of_the_one_before(
    room: Room, steps: list[Any], known: str
) -> None:
    shown = named(steps, "at_threshold")(known, 0, 1, 0.3, None)
    assert known in shown.values()
    (finding,) = room.shelf.get(known).outcomes
    assert finding.case.settings.threshold == 0.3


def test_files_that_are_written_while_the_threshold_moves_do_not_stay(
    room: Room, steps: list[Any], known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = room.shelf.get(known)
    moves: list[threading.Thread] = []

    def moved_meanwhile(*told: Any) -> Any:
        moves.append(threading.Thread(target=named(steps, "at_threshold"), args=(known, 0, 1, 0.3, None)))
        moves[0].start()
        while room.shelf.get(known) is before:
            time.sleep(0.01)
        return write_downloads(*told)

    monkeypatch.setattr("web_gradio.app.write_downloads", moved_meanwhile)
    named(steps, "write")(known, 0)
    moves[0].join(60)
    assert not before.folder.exists()
    assert list(room.shelf.get(known).folder.iterdir()) == []


def test_files_are_not_written_for_results_that_were_just_replaced(
    room: Room, steps: list[Any], known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = Shelf.get

    def replaced_meanwhile(shelf: Shelf, key: str | None) -> Kept:
        kept = get(shelf, key)
        shelf.put(kept.outcomes, key)
        return kept

    monkeypatch.setattr(Shelf, "get", replaced_meanwhile)
    assert named(steps, "write")(known, 0) == gr.skip()
    monkeypatch.undo()
    files = named(steps, "write")(known, 0)
    assert all(Path(update["value"]).is_file() for update in files)


@pytest.mark.parametrize("name", ["find", "at_threshold", "take_case"])
def test_whatever_shows_a_result_is_followed_by_a_look_at_the_file_it_is_of(steps: list[Any], name: str) -> None:
    shown = {step._id for step in steps if step.name == name}
    followed = {step.trigger_after for step in steps if step.name == "settle"}
    assert shown != set()
    assert shown <= followed


def test_a_result_that_came_after_its_file_was_removed_is_taken_away(room: Room, steps: list[Any], known: str) -> None:
    question = (["slice.tif"], "tiny", False, "", None, False)
    settle = named(steps, "settle")
    assert settle(*question[:-1], question, known) == gr.skip()
    assert room.shelf.get(known).outcomes != ()
    assert None in settle([], *question[1:-1], question, known).values()
    with pytest.raises(UsageError, match="put away"):
        room.shelf.get(known)
