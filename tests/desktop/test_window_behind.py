"""What comes late from behind the window: it counts for the case, the model and the files that it is about, or not."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication

from core.errors import SeriesChoice
from desktop.session.cases import find_cases
from desktop.session.looks import changed_looks
from desktop.session.results import Summary
from desktop.session.segmenter import Message
from desktop.session.verdicts import State
from tests.desktop.hands import Key, press, settle, shown, states

OpenWindow = Callable[..., Any]
SUMMARY = {"mask": "a mask", "lesions": 1, "voxels": 2, "uncertainty": 0.5, "best_slice": 0}


def wait_for(qtbot: Any, window: Any, number: int) -> None:
    qtbot.waitUntil(lambda: shown(window) == number and window.reader.opened is not None, timeout=120000)


def test_a_case_that_was_read_before_its_change_was_noticed_takes_verdicts_and_notes(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window(scans)
    press(window, Key.Key_PageDown)
    wait_for(qtbot, window, 2)
    press(window, Key.Key_G)
    press(window, Key.Key_PageUp)
    wait_for(qtbot, window, 1)
    path = window.desk.review.cases[1].source.paths[1]
    window.close()
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    pixels[0, 0] ^= 1
    cv2.imwrite(str(path), pixels)
    looked = threading.Event()

    def slowly(*arguments: Any) -> Any:
        looked.wait(120)
        return changed_looks(*arguments)

    monkeypatch.setattr("desktop.desk.changed_looks", slowly)
    again = open_window(scans)
    qtbot.waitUntil(lambda: len(again.desk.in_memory) == 2, timeout=120000)  # the second one is read ahead
    looked.set()
    again.desk.tasks._pool.waitForDone()
    QApplication.processEvents()
    case = again.desk.review.cases[1]
    assert (case.image is None, case.state) == (False, State.REOPENED)
    press(again, Key.Key_PageDown)
    wait_for(qtbot, again, 2)
    press(again, Key.Key_Delete)
    press(again, "3")
    press(again, Key.Key_T)
    QTest.keyClicks(again.verdicts.note, "important")
    press(again, Key.Key_Escape)
    assert (case.state, case.note) == (State.REJECTED, "important")


def test_a_case_shown_from_memory_is_known_again(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    qtbot.waitUntil(lambda: len(window.desk.in_memory) == 2, timeout=120000)
    window.desk.review.files_changed([window.desk.review.cases[1].name])
    press(window, Key.Key_PageDown)
    press(window, Key.Key_G)
    assert states(window) == [State.TODO, State.FLAGGED, State.TODO]


@pytest.fixture
def running(open_window: OpenWindow, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """A window whose shown case is being segmented, by a process that is made up, and what that was told."""
    window = open_window(scans)
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(window.desk.segmenting.segmenter, "_send", sent.append)
    model = window.desk.models[0]
    weights = replace(model.card.weights, sha256="0" * 64)
    window.desk.models += (replace(model, folder=tmp_path / "other", card=replace(model.card, weights=weights)),)
    window.desk.segmenting.add(window.reader.case, first=True)
    return window, sent


def say_done(window: Any, weights: str, image: str) -> None:
    values = {"image": image, "weights": weights, "threshold": 0.5, "summary": SUMMARY}
    window.desk.segmenting._message.emit(Message(1, "done", values))


def test_an_answer_of_the_model_before_is_not_booked_under_the_new_one_which_is_asked_then(running: Any) -> None:
    window, sent = running
    case, review = window.reader.case, window.desk.review
    before, image = review.model.weights, case.image
    window.desk.masks.pick_model(1)
    window.desk.segmenting.add(case, first=True)
    say_done(window, before, image)
    assert review._summaries == {}
    assert case.summary is None
    assert (sent[-1]["name"], sent[-1]["model"]) == (case.name, str(review.model.folder))


def test_an_answer_from_the_folder_before_is_not_booked_for_a_case_of_the_same_name(
    qtbot: Any, running: Any, scans: Path
) -> None:
    window, _ = running
    before, image = window.desk.review, window.reader.case.image
    shutil.copytree(scans, scans.parent / "copy")
    window.open([scans.parent / "copy"])
    qtbot.waitUntil(lambda: window.desk.review is not before and window.reader.opened is not None, timeout=120000)
    assert window.reader.case.image == image
    say_done(window, before.model.weights, image)
    assert window.desk.review._summaries == {}


def test_an_answer_about_another_series_says_nothing_of_this_one(running: Any) -> None:
    window, _ = running
    case, review = window.reader.case, window.desk.review
    image = case.image
    review.set_series(case, "2", (SeriesChoice("1", "FLAIR"), SeriesChoice("2", "T1w")))
    say_done(window, review.model.weights, image)
    assert (case.image, review._summaries) == (None, {})


def test_an_answer_of_weights_that_were_replaced_meanwhile_is_refused_in_a_sentence(running: Any) -> None:
    window, _ = running
    say_done(window, "1" * 64, window.reader.case.image)
    assert window.desk.review._summaries == {}
    assert "replaced" in window.reader.notice.text()


def test_an_answer_that_is_waited_for_is_booked(running: Any) -> None:
    window, _ = running
    case, review = window.reader.case, window.desk.review
    say_done(window, review.model.weights, case.image)
    assert case.summary == Summary(**SUMMARY)


def test_the_shown_case_stays_in_memory_however_large_and_gets_its_mask(
    qtbot: Any, open_window: OpenWindow, scans: Path, made_results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("desktop.session.opened.KEPT_BYTES", 1)
    window = open_window(scans)
    following = window.desk.review.cases[1]
    qtbot.waitUntil(lambda: following.name in window.desk.in_memory, timeout=120000)
    assert window.desk.in_memory[window.reader.case.name] is window.reader.opened
    shutil.copytree(made_results, window.desk.results, dirs_exist_ok=True)
    window.desk.in_memory.clear()  # were it gone all the same, its mask would still find it
    window.desk.segmenting.found.emit(window.reader.case.name)
    settle(qtbot, window)
    press(window, Key.Key_Return)
    assert states(window)[0] is State.ACCEPTED
    for number in (2, 3):
        wait_for(qtbot, window, number)
        press(window, Key.Key_PageDown)
    assert len(window.desk.in_memory) <= 2


@pytest.mark.parametrize("is_there", [True, False])
def test_an_opening_that_another_came_after_changes_nothing_when_it_ends(
    qtbot: Any, open_window: OpenWindow, scans: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    released = threading.Event()
    before = scans.parent / "before"
    if is_there:
        shutil.copytree(scans, before)

    def slowly(inputs: Any) -> Any:
        if inputs == (before,):
            released.wait(120)
        return find_cases(inputs)

    monkeypatch.setattr("desktop.desk.find_cases", slowly)
    window = open_window(None)
    window.open([before])
    window.open([scans])
    qtbot.waitUntil(lambda: window.reader.opened is not None, timeout=120000)
    review = window.desk.review
    released.set()
    window.desk.tasks._pool.waitForDone()
    QApplication.processEvents()
    assert (window.desk.review, review.inputs) == (review, (scans,))
    assert (window.start.message.text(), window.status.message.text()) == ("", "")


def test_an_opening_does_not_drop_what_was_said_while_it_looked_for_scans(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = scans.parent / "other"
    shutil.copytree(scans, other)
    window = open_window(scans)
    settle(qtbot, window)
    review, released = window.desk.review, threading.Event()

    def slowly(inputs: Any) -> Any:
        released.wait(120)
        return find_cases(inputs)

    monkeypatch.setattr("desktop.desk.find_cases", slowly)
    window.open([other])
    database = review.store._db
    database.execute(f"PRAGMA max_page_count = {database.execute('PRAGMA page_count').fetchone()[0]}")
    press(window, Key.Key_T)
    window.verdicts.note.setPlainText("note\n" * 20_000)  # not left yet: it is kept as the new folder opens
    released.set()
    qtbot.waitUntil(lambda: "not on the disk yet" in window.status.message.text(), timeout=120000)
    assert window.desk.review is review
    database.execute(f"PRAGMA max_page_count = {1 << 30}")
    window.desk._look_after()
    assert window.status.saved.text() == "All saved"
    assert review.cases[0].note.startswith("note")
    window.open([other])
    qtbot.waitUntil(lambda: window.desk.review is not review, timeout=120000)
