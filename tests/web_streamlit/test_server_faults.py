"""What the page does when its server is away, slow, restarting, busy or says no: plain words, a retry, files kept."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.io import RawFile, encode_tiff
from core.model_card import ModelCard, NetworkSettings, PreprocessSettings, WeightsFile
from web_streamlit.cases import Case, read_uploads
from web_streamlit.downloads import record
from web_streamlit.pace import Pace
from web_streamlit.runs import Options, Run, Task
from web_streamlit.server import Trouble, fetch_models
from web_streamlit.settings import Settings

Open = Callable[..., AppTest]
CARD = ModelCard(
    name="played",
    version="1",
    summary="answers as told",
    network=NetworkSettings("nested-unet", 1, (4, 6)),
    preprocessing=PreprocessSettings(),
    weights=WeightsFile("model.safetensors", "0" * 64),
)
GOOD = encode_tiff(np.full((1, 40, 40), 0.75, np.float32))


class Played:
    """A server that gives the answers it was told to, one after another; the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = [(200, {}, GOOD)]
        self.asked: list[bytes] = []
        self.pages: dict[str, Any] = {"/models": {"models": [{"name": CARD.name}]}, "/models/played": CARD.to_json()}
        self.pages |= {"/version": {"metseg": "0"}, "/health/ready": {"device": "cpu", "precision": "fp32"}}
        self.slow = threading.Event()
        self.slow.set()
        played = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(200, {}, json.dumps(played.pages[self.path]).encode())

            def do_POST(self) -> None:
                played.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
                played.slow.wait(30)
                self.reply(*(played.answers.pop(0) if len(played.answers) > 1 else played.answers[0]))

            def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing is logged."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.slow.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def played() -> Iterator[Played]:
    server = Played()
    yield server
    server.close()


@pytest.fixture
def case(kit: SimpleNamespace) -> Case:
    reading = read_uploads([RawFile("scan.tif", kit.tiff(kit.noise(40, 40)))], Settings())
    return reading.cases[0]


def problem(status: int, detail: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return status, headers, json.dumps({"status": status, "detail": detail, "code": "played"}).encode()


def run(played: Played, case: Case, patience: float = 0.0, **settings: Any) -> Run:
    options = Settings(played.url, patience_seconds=patience, **settings)
    started = Run(options, [Task(case, CARD, Options())], Pace(), lambda: True)
    started.start()
    return started


def test_a_busy_server_is_asked_again_when_it_said(played: Played, case: Case) -> None:
    busy = problem(503, "there is a queue; come again", **{"Retry-After": "0.3"})
    played.answers = [busy, busy, (200, {"X-Metseg-Warnings": "a, b"}, GOOD)]
    begun = time.monotonic()
    going = run(played, case, patience=30)
    assert going.wait(30)
    assert time.monotonic() - begun >= 0.6
    assert len(played.asked) == 3
    assert going.failed == []
    assert going.found[0].answer.warnings == ("a", "b")


def test_a_server_that_stays_busy_is_left_with_its_own_words(played: Played, case: Case) -> None:
    played.answers = [problem(503, "there is a queue; come again", **{"Retry-After": "30"})]
    going = run(played, case, patience=1)
    assert going.wait(30)
    (failure,) = going.failed
    assert failure.sentence == "There is a queue; come again."


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (problem(413, "the upload is too large"), "The upload is too large."),
        (problem(422, "the file is damaged"), "The file is damaged."),
        (problem(401, "no key"), "METSEG_API_KEY"),
        ((500, {}, b"<html>boom</html>"), "The server answered 500."),
    ],
)
def test_what_is_refused_is_not_asked_again(played: Played, case: Case, answer: Any, told: str) -> None:
    played.answers = [answer]
    going = run(played, case, patience=30)
    assert going.wait(30)
    assert len(played.asked) == 1
    assert told in going.failed[0].sentence


def test_a_silent_server_is_given_up_in_time(played: Played, case: Case) -> None:
    played.slow.clear()
    going = run(played, case, answer_seconds=0.3)
    assert going.wait(30)
    assert "took longer" in going.failed[0].sentence


def test_stopping_takes_the_request_back_at_once(played: Played, case: Case) -> None:
    played.slow.clear()
    going = run(played, case)
    until = time.monotonic() + 30
    while not played.asked:
        assert time.monotonic() < until
        time.sleep(0.01)
    going.stop()
    assert going.wait(10)
    assert (going.found, going.failed) == ([], [])


def test_removing_the_files_ends_their_run(played: Played, open_page: Open, kit: SimpleNamespace) -> None:
    files = [(f"{name}.tif", kit.tiff(kit.noise(40, 40, seed=seed))) for seed, name in enumerate("abc")]
    page = kit.upload(open_page(played.url), *files)
    played.slow.clear()
    going = kit.desk_of(kit.press(page, "go")).run
    wait_for(lambda: len(played.asked) == 1)
    next(button for button in page.button if button.label == "Remove these files").click().run()
    assert not page.exception
    desk = kit.desk_of(page)
    assert (desk.run, desk.found, desk.failed) == (None, {}, ())
    assert "stop" not in {button.key for button in page.button}
    assert going.wait(30)
    assert going.stopped
    assert len(played.asked) == 1


def try_again(page: Any, kit: SimpleNamespace) -> None:
    """Press the button, and see all that was left done without an error."""
    kit.press(page, "again")
    going = kit.desk_of(page).run
    assert going is None or going.wait(60)
    page.run()
    assert not page.error


def test_what_is_left_when_a_file_was_removed_midway_can_be_tried_again(
    played: Played, open_page: Open, kit: SimpleNamespace
) -> None:
    files = [(f"{name}.tif", kit.tiff(kit.noise(40, 40, seed=seed))) for seed, name in enumerate("abc")]
    page = kit.upload(open_page(played.url), *files)
    played.slow.clear()
    kit.press(page, "go")
    wait_for(lambda: len(played.asked) == 1)
    kit.upload(page, *files[1:])
    assert not page.exception
    assert page.error[0].value.startswith("The run was stopped because files were removed.")
    assert page.error[0].value.endswith("Not segmented: b, c")
    played.slow.set()
    try_again(page, kit)
    assert len(kit.desk_of(page).found) == 2


def test_an_answer_that_comes_after_its_file_was_removed_is_dropped(
    played: Played, open_page: Open, kit: SimpleNamespace
) -> None:
    page = kit.upload(open_page(played.url), ("a.tif", kit.tiff(kit.noise(40, 40))))
    going = kit.desk_of(kit.press(page, "go")).run
    assert going is None or going.wait(30)
    next(button for button in page.button if button.label == "Remove these files").click().run()
    desk = kit.desk_of(page)
    assert not page.exception
    assert (desk.run, desk.found, desk.failed) == (None, {}, ())


def test_nobody_s_run_ends(played: Played, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web_streamlit.runs.GONE_SECONDS", 0.0)
    played.slow.clear()
    gone = Run(Settings(played.url), [Task(case, CARD, Options())], Pace(), lambda: False)
    gone.start()
    assert gone.wait(30)
    assert gone.stopped


def test_no_name_goes_to_the_server(played: Played, kit: SimpleNamespace) -> None:
    reading = read_uploads([RawFile("DOE^JANE.tif", kit.tiff(kit.noise(40, 40)))], Settings())
    assert run(played, reading.cases[0]).wait(30)
    assert b"DOE" not in played.asked[0]


def test_an_answer_of_another_shape_is_not_shown(played: Played, open_page: Open, kit: SimpleNamespace) -> None:
    played.answers = [(200, {}, encode_tiff(np.zeros((1, 8, 8), np.float32)))]
    page = kit.find_lesions(kit.upload(open_page(played.url), ("scan.tif", kit.tiff(kit.noise(40, 40)))))
    assert not page.exception
    assert "does not lie on the scan's grid" in page.error[0].value
    assert kit.desk_of(page).found == {}


def test_a_file_s_name_is_shown_as_it_is_and_not_as_a_formula_or_a_link(
    played: Played, open_page: Open, kit: SimpleNamespace
) -> None:
    shown = r"\$x^2\$ \[a\]\(b\)"
    page = kit.upload(open_page(played.url), ("$x^2$ [a](b).tif", kit.tiff(kit.noise(40, 40))))
    assert shown in {header.value for header in page.header}
    played.answers = [problem(422, "the file is damaged")]
    played.slow.clear()
    kit.press(page, "go")
    wait_for(lambda: len(played.asked) == 1)
    page.run()
    assert page.get("progress")[0].proto.text.startswith(f"{shown} with played")
    played.slow.set()
    going = kit.desk_of(page).run
    assert going is None or going.wait(30)
    page.run()
    assert page.error[0].value == f"The file is damaged.\n\nNot segmented: {shown}"


def test_files_are_kept_while_the_server_is_away_and_the_page_goes_on_when_it_is_back(
    open_page: Open, kit: SimpleNamespace, free_port: Callable[[], int], tiny_model: Path
) -> None:
    port = free_port()
    page = open_page(f"http://127.0.0.1:{port}")
    assert "does not answer" in page.warning[0].value
    assert page.button(key="go").disabled
    kit.upload(page, ("scan.tif", kit.tiff(kit.noise(40, 40))))
    assert len(kit.desk_of(page).reading.cases) == 1
    with kit.api([tiny_model], port=port):
        kit.press(page, "knock").run()
        assert not page.warning
        assert not page.button(key="go").disabled
    # It went away again, between being asked for its models and for a mask.
    kit.find_lesions(page)
    assert not page.exception
    assert "does not answer" in page.error[0].value
    assert "Not segmented: scan" in page.error[0].value
    assert len(kit.desk_of(page).reading.cases) == 1
    with kit.api([tiny_model], port=port):
        try_again(page, kit)
    assert len(kit.desk_of(page).found) == 1


@pytest.mark.parametrize(
    ("models", "told"), [(["hello"], "no metseg server"), ({"models": []}, "has no model"), ({}, "no metseg server")]
)
def test_what_is_no_metseg_server_is_said(played: Played, models: Any, told: str) -> None:
    played.pages["/models"] = models
    with pytest.raises(Trouble, match=told):
        fetch_models(Settings(played.url))


def test_progress_is_staged_and_estimates_from_what_was_measured(played: Played, kit: SimpleNamespace) -> None:
    content = kit.tiff(kit.noise(6, 40, 40))
    reading = read_uploads([RawFile("scan.tif", content)], Settings())
    played.answers = [(200, {}, encode_tiff(np.zeros((6, 40, 40), np.float32)))]
    pace = Pace()
    played.slow.clear()
    going = Run(Settings(played.url), [Task(reading.cases[0], CARD, Options())], pace, lambda: True)
    going.start()
    wait_for(lambda: len(played.asked) == 1)
    first = going.progress()
    assert "measuring how fast" in first.stage
    assert first.remaining is None
    pace.learn("played", False, 1.0, 0.001)
    played.slow.set()
    wait_for(lambda: len(played.asked) >= 2)
    assert going.wait(30)
    assert going.progress().share == 1.0

    played.slow.clear()
    second = Run(Settings(played.url), [Task(reading.cases[0], CARD, Options())] * 2, pace, lambda: True)
    second.start()
    asked = len(played.asked)
    wait_for(lambda: len(played.asked) == asked + 1)
    progress = second.progress()
    assert progress.stage == "1 of 2 · scan with played: segmenting 6 slices."
    assert 0 <= progress.share < 1
    assert progress.remaining is None or progress.remaining > 0
    played.slow.set()
    assert second.wait(30)


def test_the_time_left_counts_what_is_ahead_models_without_a_measurement_included(played: Played, case: Case) -> None:
    pace = Pace()
    pace.learn("played", False, Task(case, CARD, Options()).work, 100.0)
    played.slow.clear()
    tasks = [Task(case, CARD, Options()), Task(case, CARD, Options()), Task(case, replace(CARD, name="new"), Options())]
    going = Run(Settings(played.url), tasks, pace, lambda: True)
    going.start()
    wait_for(lambda: len(played.asked) == 1)
    assert 290 < (going.progress().remaining or 0) <= 300
    going.stop()
    assert going.wait(10)


def test_the_record_says_how_the_server_computed_when_it_answered(
    played: Played, open_page: Open, kit: SimpleNamespace
) -> None:
    page = kit.upload(open_page(played.url), ("scan.tif", kit.tiff(kit.noise(40, 40))))
    played.pages["/health/ready"] = {"device": "cuda", "precision": "fp16"}  # it was restarted meanwhile
    kit.find_lesions(page)
    assert not page.exception
    desk = kit.desk_of(page)
    (each,) = desk.results()
    assert record(desk.result(*each))["server"] == {"metseg": "0", "device": "cuda", "precision": "fp16"}


@pytest.mark.parametrize("said", [[], None, "ready"])
def test_an_answer_counts_also_where_the_server_says_nothing_of_itself(played: Played, case: Case, said: Any) -> None:
    played.pages["/health/ready"] = said
    going = run(played, case)
    assert going.wait(30)
    assert going.failed == []
    assert going.found[0].machine == {}


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
