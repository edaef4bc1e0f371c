"""Cases that hold several series: which one is shown is the one that was chosen, whatever happens meanwhile."""

from __future__ import annotations

import csv
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import BrokenFile
from desktop.session.opened import open_case
from tests.desktop.hands import Key, press

OpenWindow = Callable[..., Any]


def ask(qtbot: Any, open_window: OpenWindow, folder: Path) -> Any:
    """A window that asks which series it shall show."""
    window = open_window(None)
    window.open([folder])
    qtbot.waitUntil(window.reader.series.isVisible, timeout=120000)
    return window


def pick(qtbot: Any, window: Any, key: str) -> None:
    window.reader.series.buttons[key].click()
    qtbot.waitUntil(lambda: window.reader.opened is not None, timeout=120000)


def told_and_shown(window: Any) -> tuple[str, str]:
    """What the window calls the series, and what it is."""
    return window.display.series.currentText().partition(",")[0], window.reader.opened.scan.sequence


def test_a_series_that_came_before_the_chosen_one_does_not_take_its_place(
    qtbot: Any, open_window: OpenWindow, sequences: Callable[..., Path]
) -> None:
    folder = sequences("flair", "t1")
    window = ask(qtbot, open_window, folder)
    pick(qtbot, window, "1")
    assert told_and_shown(window) == ("FLAIR", "FLAIR")
    press(window, Key.Key_G)
    window.close()

    sequences("adc", "flair", "t1")
    again = ask(qtbot, open_window, folder)
    assert (again.reader.case.undecided, again.reader.case.state.value) == (True, "to do")
    pick(qtbot, again, "2")
    assert told_and_shown(again) == ("FLAIR", "FLAIR")


def test_each_series_has_a_verdict_of_its_own_and_none_is_lost_in_the_export(
    qtbot: Any, open_window: OpenWindow, sequences: Callable[..., Path], tmp_path: Path
) -> None:
    window = ask(qtbot, open_window, sequences("flair", "t1"))
    pick(qtbot, window, "1")
    press(window, Key.Key_G)
    window.display.series_picked.emit(1)
    qtbot.waitUntil(lambda: bool(window.reader.opened), timeout=120000)
    assert told_and_shown(window) == ("T1w", "T1w")
    assert window.reader.case.state.value == "to do"
    assert "another series of this case has its verdict" in window.verdicts.state.text()
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        window.desk.export(tmp_path / "out")
    with (tmp_path / "out" / "verdicts.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["state"], row["problem"]) == ("flagged", "")
    window.display.series_picked.emit(0)
    qtbot.waitUntil(lambda: bool(window.reader.opened), timeout=120000)
    assert told_and_shown(window) == ("FLAIR", "FLAIR")
    assert window.reader.case.state.value == "flagged"


def test_a_series_that_came_after_the_chosen_one_is_listed_and_nothing_is_asked(
    qtbot: Any, open_window: OpenWindow, sequences: Callable[..., Path]
) -> None:
    folder = sequences("flair", "t1")
    window = ask(qtbot, open_window, folder)
    pick(qtbot, window, "1")
    window.close()
    sequences("flair", "t1", "t2")
    again = open_window(folder)
    assert told_and_shown(again) == ("FLAIR", "FLAIR")
    assert [again.display.series.itemText(row).partition(",")[0] for row in range(3)] == ["FLAIR", "T1w", "T2w"]


def test_what_is_wrong_with_the_series_chosen_before_is_not_said_of_the_one_chosen_now(
    qtbot: Any, open_window: OpenWindow, sequences: Callable[..., Path], monkeypatch: Any
) -> None:
    chosen_anew = threading.Event()

    def slowly(*arguments: Any) -> Any:
        if "1" in arguments:
            chosen_anew.wait(120)
            raise BrokenFile("a picture of this series is damaged")
        return open_case(*arguments)

    window = ask(qtbot, open_window, sequences("flair", "t1"))
    monkeypatch.setattr("desktop.desk.open_case", slowly)
    window.reader.series.buttons["1"].click()
    window.display.series_picked.emit(1)
    chosen_anew.set()
    qtbot.waitUntil(lambda: not window.desk._reading, timeout=120000)
    assert (window.reader.case.problem, window.reader.pane.message) == ("", "")
    assert told_and_shown(window) == ("T1w", "T1w")
