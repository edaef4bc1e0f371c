"""The list of cases in the window: what is listed, in which order it is gone through, and what stays in its place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PyQt6.QtCore import QPoint, QPointF, Qt
from PyQt6.QtGui import QWheelEvent
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication

from desktop.session.cases import Filter
from desktop.session.opened import open_case
from desktop.session.results import unpack_mask
from desktop.session.verdicts import State
from desktop.widgets.case_list import shared_start
from metseg import main
from tests.desktop.hands import Held, Key, press, settle, shown, states

OpenWindow = Callable[..., Any]


def test_cases_of_the_same_name_in_two_folders_are_both_listed_and_called_as_by_segment(
    qtbot: Any, open_window: OpenWindow, tiny_model: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for grey, folder in enumerate(folders):
        folder.mkdir()
        cv2.imwrite(str(folder / "flair.png"), np.full((64, 64), grey, np.uint8))
    window = open_window(None)
    window.open([*folders, folders[0] / "flair.png"])  # the same file twice is one case
    qtbot.waitUntil(lambda: window.reader.opened is not None, timeout=120000)
    names = {case.name: case.source.paths[0] for case in window.list.cases}
    assert names == {"flair": folders[0] / "flair.png", "flair-2": folders[1] / "flair.png"}
    out = tmp_path / "out"
    assert main(["segment", *map(str, folders), "--out", str(out), "--model", str(tiny_model), "--device", "cpu"]) == 0
    assert set(names) <= {path.name for path in out.iterdir()}


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Forty cases of one small picture."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(40):
        cv2.imwrite(str(folder / f"case-{number}.png"), np.full((16, 16), number, np.uint8))
    return folder


def go_to(qtbot: Any, window: Any, number: int) -> None:
    window.desk.show(window.desk.review.cases[number - 1])
    wait_for(qtbot, window, number)


def wait_for(qtbot: Any, window: Any, number: int) -> None:
    qtbot.waitUntil(lambda: shown(window) == number and window.reader.opened is not None, timeout=120000)


def test_from_a_case_that_its_verdict_took_off_the_list_the_next_one_is_the_one_below_it(
    qtbot: Any, open_window: OpenWindow, many: Path
) -> None:
    window = open_window(many)
    window.list._buttons[Filter.TODO].click()
    go_to(qtbot, window, 5)
    for key, number in ((Key.Key_PageDown, 6), (Key.Key_PageUp, 4)):
        press(window, Key.Key_Delete)
        press(window, "4")
        assert shown(window) not in [case.number for case in window.list.cases]
        press(window, key)
        wait_for(qtbot, window, number)


def test_enter_goes_through_the_flagged_cases(qtbot: Any, open_window: OpenWindow, scans: Path, results: Path) -> None:
    window = open_window(scans)
    for number in (3, 1):
        go_to(qtbot, window, number)
        settle(qtbot, window)
        press(window, Key.Key_G)
    window.list._buttons[Filter.FLAGGED].click()
    press(window, Key.Key_Return)
    wait_for(qtbot, window, 3)
    assert states(window) == [State.ACCEPTED, State.TODO, State.FLAGGED]
    settle(qtbot, window)
    press(window, Key.Key_Return)
    assert (shown(window), states(window)[2]) == (3, State.ACCEPTED)
    assert "Every case of this list" in window.status.message.text()


def test_enter_stays_in_a_list_that_was_searched(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    window.list.search.setText(window.desk.review.cases[2].name)
    assert [case.number for case in window.list.cases] == [3]
    press(window, Key.Key_Return)
    wait_for(qtbot, window, 3)
    assert states(window) == [State.ACCEPTED, State.TODO, State.TODO]


def test_enter_in_the_search_opens_what_was_searched_for_and_judges_nothing(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    for text, number in (("case 3", 3), ("no such case", 3), ("case 2", 2)):
        press(window, Key.Key_F, Held.ControlModifier)
        window.list.search.selectAll()
        QTest.keyClicks(window.list.search, text)
        press(window, Key.Key_Return)
        assert (shown(window), window.reader.pane.hasFocus()) == (number, text != "no such case"), text
    assert states(window) == [State.TODO] * 3
    assert [case.number for case in window.list.cases] == [2]  # whatever numbers the names hold


def test_scrolling_past_a_slider_changes_nothing(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    for slider in (window.display.threshold, window.display.opacity):
        before, centre = slider.value(), QPointF(slider.rect().center())
        wheel = QWheelEvent(
            centre, slider.mapToGlobal(centre), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(slider, wheel)
        assert slider.value() == before
    assert not wheel.isAccepted()


def test_the_list_stays_where_it_was_scrolled_to_until_another_case_is_shown(
    qtbot: Any, open_window: OpenWindow, many: Path
) -> None:
    window = open_window(many)
    bar = window.list.view.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 500 and len(window.desk.in_memory) == 2, timeout=120000)
    bar.setValue(400)
    window.desk.listed.emit()  # something was segmented or read ahead
    window.desk.case_changed.emit()
    QTest.qWait(100)
    assert bar.value() == 400
    window.list._buttons[Filter.TODO].click()  # another list begins at the shown case
    assert bar.value() == 0
    bar.setValue(400)
    press(window, Key.Key_G)  # a row less
    QTest.qWait(100)
    assert (len(window.list.cases), bar.value()) == (39, 400)
    press(window, Key.Key_PageDown)
    wait_for(qtbot, window, 2)
    QTest.qWait(100)
    assert bar.value() == 0


def test_another_folder_is_listed_whole(
    qtbot: Any, open_window: OpenWindow, many: Path, scans: Path, results: Path
) -> None:
    window = open_window(many)
    window.list.search.setText("case-3")
    window.list._buttons[Filter.DONE].click()
    assert window.list.cases == []
    window.open([scans])
    qtbot.waitUntil(lambda: len(window.desk.review.cases) == 3, timeout=120000)
    settle(qtbot, window)
    assert (window.list.search.text(), window.list.which, len(window.list.cases)) == ("", Filter.ALL, 3)


def test_a_verdict_on_a_case_that_is_gone_is_not_taken_back_unseen(
    qtbot: Any, open_window: OpenWindow, many: Path
) -> None:
    window = open_window(many)
    press(window, Key.Key_G)
    go_to(qtbot, window, 2)
    press(window, Key.Key_G)
    gone = window.reader.case
    window.close()
    gone.source.paths[0].unlink()
    again = open_window(many)
    press(again, Key.Key_Z, Held.ControlModifier)
    assert "Case 1" in again.status.message.text()
    assert states(again)[0] is State.TODO
    press(again, Key.Key_Z, Held.ControlModifier)
    assert "nothing to undo" in again.status.message.text()
    assert again.desk.review._history.applied[-1].case == gone.name


def test_a_case_that_cannot_be_read_is_rejected_or_flagged_until_it_can_be(
    qtbot: Any, open_window: OpenWindow, many: Path
) -> None:
    path = many / "case-1.png"
    whole = path.read_bytes()
    path.write_bytes(b"no picture")
    window = open_window(many)
    press(window, Key.Key_PageDown)
    qtbot.waitUntil(lambda: "cannot be shown" in window.reader.pane.message, timeout=120000)
    press(window, Key.Key_Return)
    assert "rejected or flagged" in window.status.message.text()
    press(window, Key.Key_Delete)
    press(window, "4")
    assert (states(window)[1], window.status.progress.text()) == (State.REJECTED, "1/40, 0 flagged")
    window.close()

    again = open_window(None)
    again.open([many])
    qtbot.waitUntil(lambda: "cannot be shown" in again.reader.pane.message, timeout=120000)
    assert (states(again)[1], again.verdicts.buttons["flag"].isEnabled()) == (State.REJECTED, True)
    assert again.verdicts.note.isEnabled()
    path.write_bytes(whole)
    go_to(qtbot, again, 2)
    assert states(again)[1] is State.REOPENED


def test_cases_that_are_only_passed_by_are_not_read(
    qtbot: Any, open_window: OpenWindow, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    passed = threading.Event()

    def slowly(source: Any, *rest: Any) -> Any:
        passed.wait(120)
        read.append(source.name)
        return open_case(source, *rest)

    window = open_window(many)
    monkeypatch.setattr("desktop.desk.open_case", slowly)
    for _ in range(15):
        press(window, Key.Key_PageDown)
    passed.set()
    wait_for(qtbot, window, 16)
    assert len(read) < 6
    press(window, Key.Key_PageUp)  # one of those that were passed by
    wait_for(qtbot, window, 15)


def test_masks_are_unpacked_behind_the_window(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[bool] = []

    def noted(*packed: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return unpack_mask(*packed)

    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Return, Held.ShiftModifier)
    monkeypatch.setattr("desktop.session.export.unpack_mask", noted)
    with qtbot.waitSignal(window.desk.handover.finished, timeout=120000):
        window.desk.export(tmp_path / "out")
    assert threads == [False]


def test_what_segment_all_found_is_listed_when_the_window_is_opened_again(
    qtbot: Any, open_window: OpenWindow, scans: Path, results: Path
) -> None:
    window = open_window(scans)
    settle(qtbot, window)
    press(window, Key.Key_Return, Held.ControlModifier)
    last = window.desk.review.cases[2]  # neither shown nor read ahead
    qtbot.waitUntil(lambda: last.summary is not None, timeout=120000)
    assert last.name not in window.desk.in_memory
    window.close()
    again = open_window(scans)
    again.desk.tasks._pool.waitForDone()
    QApplication.processEvents()
    case = again.desk.review.cases[2]
    assert (case.image, case.summary) == (last.image, last.summary)
    assert case.name not in again.desk.in_memory


def test_of_long_names_the_part_is_shown_that_tells_them_apart() -> None:
    assert shared_start(["TCGA_CS_4941_1", "TCGA_CS_4942_2"]) == "TCGA_CS_"
    assert shared_start(["scan-12-t1c", "scan-12-t2w"]) == "scan-12-"
    assert [shared_start(names) for names in (["one"], ["abc1", "abc2"], [])] == ["", "", ""]
