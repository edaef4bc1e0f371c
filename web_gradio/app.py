"""The page: what happens when something is pressed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from web_gradio import pictures, words
from web_gradio.downloads import write_downloads
from web_gradio.endpoints import add_endpoints
from web_gradio.findings import (
    OTHERS,
    Failure,
    Finding,
    Outcome,
    Step,
    find_in_files,
    report_unforeseen,
    sentence_of,
)
from web_gradio.layout import Asking, Showing, lay_out
from web_gradio.models import find_predictor
from web_gradio.plain import plainly
from web_gradio.room import Room
from web_gradio.wanted import wanted_of

INFERENCE: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "inference"}
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
Updates = dict[Any, Any]


def build_app(room: Room) -> gr.Blocks:
    """The page with its queue and its endpoints, ready to be launched."""
    settings = room.settings
    page: gr.Blocks
    with gr.Blocks(
        title="metseg", analytics_enabled=False, delete_cache=(60, settings.keep_seconds), fill_width=False
    ) as page:
        asking, showing = lay_out(room)
        key = gr.State(None, time_to_live=settings.keep_seconds, delete_callback=room.shelf.drop)
        _wire(room, asking, showing, States(key, gr.State(0), gr.State(None)))
        add_endpoints(room, INFERENCE)
    page.queue(max_size=settings.queue, default_concurrency_limit=4, api_open=False)
    return page


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """What the server remembers of a tab.

    Attributes:
        key: of its results on the shelf, or None.
        chosen: which of them is on view.
        asked: what was asked for last: files, model, mirrored, channel, and whether that is under way.
    """

    key: gr.State
    chosen: gr.State
    asked: gr.State


def _wire(room: Room, asking: Asking, showing: Showing, states: States) -> None:
    key, chosen, asked = states.key, states.chosen, states.asked

    def begin(
        files: list[str] | None, model: str, tta: bool, channel: str, series: str | None, known: str | None
    ) -> Updates:
        # At once and not in its turn, so that nobody exchanges the file while it waits.
        room.shelf.drop(known)
        question = (list(files or ()), model, tta, channel, series, "waiting")
        return {asked: question, key: None, showing.status: words.WAITING, **_busy(asking), **_nothing(showing)}

    def find(
        files: list[str] | None,
        model: str,
        threshold: float,
        tta: bool,
        min_lesion: float | None,
        channel: str,
        series: str | None,
    ) -> Iterator[Updates]:
        outcomes: list[Outcome] = []
        try:
            wanted = wanted_of(threshold, tta, min_lesion, channel, series)
            steps = find_in_files(
                [Path(name) for name in files or []], find_predictor(room.models, model), wanted, room.settings
            )
            question = (list(files or ()), model, tta, channel, series)
            yield {asked: (*question, True)}
            for step in steps:
                if isinstance(step, Step):
                    yield {showing.status: words.progress(step)}
                else:
                    outcomes.append(step)
            first = next((index for index, outcome in enumerate(outcomes) if isinstance(outcome, Finding)), 0)
            made = room.shelf.put(tuple(outcomes))
            yield {
                key: made, chosen: first, asked: (*question, False), **_idle(asking), **_show(showing, outcomes, first),
                **_series(asking, outcomes),
            }  # fmt: skip
        except Exception as error:
            report_unforeseen(error)
            yield {asked: None, showing.status: words.trouble(sentence_of(error)), **_idle(asking)}

    def put_away(
        files: list[str] | None,
        model: str,
        tta: bool,
        channel: str,
        series: str | None,
        question: tuple[Any, ...] | None,
        known: str | None,
    ) -> Any:
        # A browser may tell of the new file only after the button was pressed; that file's result is the right one.
        now = (list(files or ()), model, tta, channel, series)
        if question is not None and question[:-1] == now:
            return gr.skip()
        room.shelf.drop(known)
        # Another file has other series; the same one keeps its choice.
        other = question is None or question[0] != now[0]
        forgotten = {asking.series: gr.update(choices=[], value=None, visible=False)} if other else {}
        return {key: None, chosen: 0, asked: question, showing.status: words.EMPTY, **_nothing(showing), **forgotten}

    def settle(*now: Any) -> Any:
        # What is on view now may have been on its way while a file or a setting was exchanged.
        question = now[-2]
        return put_away(*now) if question is not None and not question[-1] else gr.skip()

    def refuse(question: tuple[Any, ...] | None) -> Any:
        # A run that is stopped comes by here too; only one that never began met a full queue.
        if question is None or question[-1] != "waiting":
            return gr.skip()
        return {asked: None, showing.status: words.trouble(words.FULL), **_idle(asking)}

    def stop() -> Updates:
        return {asked: None, showing.status: words.trouble("stopped, as you asked"), **_idle(asking)}

    def take_head(question: tuple[Any, ...] | None, event: gr.SelectData) -> Any:
        under_way = question is not None and question[-1]
        return gr.skip() if under_way else [str(room.examples[event.index].path)]

    def take_model(model: str) -> tuple[float, str]:
        card = find_predictor(room.models, model).card
        return card.threshold, words.about(card.limits)

    def at_threshold(known: str | None, index: int, place: float, threshold: float, min_lesion: float | None) -> Any:
        if known is None:
            return gr.skip()
        with plainly():
            outcomes = [
                outcome.at(threshold, int(min_lesion or 0)) if isinstance(outcome, Finding) else outcome
                for outcome in room.shelf.get(known).outcomes
            ]
            # The file may have been exchanged while this was counted.
            if room.shelf.put(tuple(outcomes), known) is None:
                return gr.skip()
            return {key: known, **_show(showing, outcomes, index, int(place) - 1)}

    def take_case(known: str | None, event: gr.SelectData) -> Updates:
        with plainly():
            outcomes = room.shelf.get(known).outcomes
            index = [outcome.name for outcome in outcomes].index(event.row_value[0])
            return {chosen: index, **_show(showing, outcomes, index)}

    def take_lesion(known: str | None, index: int, event: gr.SelectData) -> Updates:
        with plainly():
            finding = _finding(room, known, index)
            # Not by the row's place, for visitors sort the table.
            lesion = finding.result.lesions[int(event.row_value[0]) - 1]
            first, last = finding.view.box(lesion.box)[0]
            of_lesion = finding.view.turn(finding.numbers)[first : last + 1] == min(lesion.label, OTHERS)
            place = first + int(of_lesion.sum(axis=(1, 2)).argmax())
            return {showing.slice: place + 1, **_pictures(showing, finding, place)}

    def take_slice(known: str | None, index: int, place: float) -> Updates:
        with plainly():
            return _pictures(showing, _finding(room, known, index), int(place) - 1)

    def write(known: str | None, index: int) -> Any:
        if known is None:
            return [gr.update(value=None, interactive=False)] * len(showing.buttons)
        with plainly():
            kept = room.shelf.get(known)
            finding = kept.outcomes[index]
            if not isinstance(finding, Finding):
                return [gr.update(value=None, interactive=False)] * len(showing.buttons)
            with kept.lock:
                # Others may have taken their place; their files are written in their turn.
                if not room.shelf.holds(known, kept):
                    return gr.skip()
                made = write_downloads(kept.outcomes, finding, kept.folder)
            paths = (made.mask, made.overlay, made.table, made.report, made.everything)
            return [gr.update(value=str(path), interactive=True) for path in paths]

    shown = [showing.status, showing.results, showing.cases, showing.slice, showing.annotated, showing.compare]
    shown += [showing.pictures, showing.lesions, *showing.buttons, key, chosen, asked, asking.series]
    buttons = [asking.find, asking.stop, *(part for part in asking.inputs if part is not asking.series)]
    ask = [
        asking.files,
        asking.model,
        asking.threshold,
        asking.tta,
        asking.min_lesion,
        asking.channel,
        asking.series,
    ]
    question: list[Any] = [asking.files, asking.model, asking.tta, asking.channel, asking.series]
    settled = {"fn": settle, "inputs": [*question, asked, key], "outputs": shown, "queue": False} | QUIET
    files = {"fn": write, "inputs": [key, chosen], "outputs": showing.buttons, **QUIET}

    begun = asking.find.click(begin, [*question, key], [*shown, *buttons], queue=False, **QUIET)
    run = begun.then(find, ask, [*shown, *buttons], **QUIET, **INFERENCE)
    run.then(**settled).then(**files)
    run.failure(refuse, asked, [showing.status, asked, asking.series, *buttons], queue=False, **QUIET)
    stopped: dict[str, Any] = {
        "fn": stop,
        "inputs": None,
        "outputs": [showing.status, asked, asking.series, *buttons],
        "queue": False,
    }
    # Said again, for what the run told last may come after the first answer.
    asking.stop.click(**stopped, cancels=[run], **QUIET).then(**stopped, **QUIET)
    asking.heads.select(take_head, asked, asking.files, **QUIET)
    asking.model.change(take_model, asking.model, [asking.threshold, asking.limits], **QUIET)
    # A result never stands beside a file or a setting that it did not come from.
    for changed in question:
        changed.change(put_away, [*question, asked, key], shown, queue=False, **QUIET)
    for moved in (asking.threshold.input, asking.min_lesion.change):
        again = moved(
            at_threshold,
            [key, chosen, showing.slice, asking.threshold, asking.min_lesion],
            shown,
            trigger_mode="always_last",
            **QUIET,
        )
        again.then(**settled).then(**files)
    showing.cases.select(take_case, key, shown, **QUIET).then(**settled).then(**files)
    showing.lesions.select(take_lesion, [key, chosen], [showing.slice, showing.annotated, showing.compare], **QUIET)
    showing.slice.input(
        take_slice,
        [key, chosen, showing.slice],
        [showing.annotated, showing.compare],
        trigger_mode="always_last",
        **QUIET,
    )


def _finding(room: Room, known: str | None, index: int) -> Finding:
    outcome = room.shelf.get(known).outcomes[index]
    if isinstance(outcome, Failure):
        raise gr.Error(outcome.sentence, print_exception=False)
    return outcome


def _busy(asking: Asking) -> Updates:
    """While files are segmented nothing can be changed, so that the result is that of what the page says."""
    locked = {component: gr.update(interactive=False) for component in asking.inputs}
    return {asking.find: gr.update(visible=False), asking.stop: gr.update(visible=True), **locked}


def _idle(asking: Asking) -> Updates:
    free = {component: gr.update(interactive=True) for component in asking.inputs}
    return {asking.find: gr.update(visible=True), asking.stop: gr.update(visible=False), **free}


def _series(asking: Asking, outcomes: Sequence[Outcome]) -> Updates:
    """Where a file holds several series, what there is to choose from."""
    for outcome in outcomes:
        if isinstance(outcome, Failure) and outcome.choices:
            told = [(choice.description, choice.key) for choice in outcome.choices]
            return {asking.series: gr.update(choices=told, value=None, visible=True, interactive=True)}
    return {}


def _nothing(showing: Showing) -> Updates:
    return {
        showing.results: gr.update(visible=False),
        **{button: gr.update(value=None, interactive=False) for button in showing.buttons},
    }


def _show(showing: Showing, outcomes: Any, index: int, place: int | None = None) -> Updates:
    """Everything about one of the outcomes; the buttons follow when their files are written."""
    several, outcome = len(outcomes) > 1, outcomes[index]
    updates: Updates = {
        showing.results: gr.update(visible=several or isinstance(outcome, Finding)),
        showing.cases: gr.update(value=words.file_rows(outcomes), visible=several),
        **{button: gr.update(interactive=False) for button in showing.buttons},
    }
    if isinstance(outcome, Failure):
        return updates | {
            showing.status: words.trouble(outcome.sentence),
            showing.slice: gr.update(visible=False),
            showing.pictures: gr.update(visible=False),
            showing.lesions: gr.update(value=[], visible=False),
        }
    slices = outcome.view.shape[0]
    place = pictures.fullest_slice(outcome) if place is None or place >= slices else place
    rows = words.lesion_rows(outcome)
    return updates | {
        showing.status: words.headline(outcome),
        # A slider from 1 to 1 is no slider.
        showing.slice: gr.update(minimum=1, maximum=max(2, slices), value=place + 1, visible=slices > 1),
        showing.lesions: gr.update(value=rows, visible=bool(rows)),
        showing.pictures: gr.update(visible=True),
        **_pictures(showing, outcome, place),
    }


def _pictures(showing: Showing, finding: Finding, place: int) -> Updates:
    place = min(max(place, 0), finding.view.shape[0] - 1)
    return {
        showing.annotated: pictures.annotated(finding, place),
        showing.compare: pictures.before_and_after(finding, place),
    }
