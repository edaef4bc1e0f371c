"""Results are kept within bounds, and their files go with them."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from core.errors import UsageError
from web_gradio.findings import Failure
from web_gradio.shelf import Kept, Shelf

ONE = (Failure("a", "x"),)
TWO = (Failure("b", "y"),)


def test_results_and_their_folder_are_kept_until_dropped(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100, 60)
    key = shelf.put(ONE)
    kept = shelf.get(key)
    (kept.folder / "mask.tif").write_bytes(b"x")
    assert kept.outcomes == ONE
    shelf.drop(key)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="put away"):
        shelf.get(key)


def test_new_results_under_a_key_replace_the_old_ones_and_their_files(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100, 60)
    key = shelf.put(ONE)
    old = shelf.get(key).folder
    assert shelf.put(TWO, key) == key
    assert shelf.get(key).outcomes == TWO
    assert [shelf.get(key).folder] == list(tmp_path.iterdir())
    assert not old.exists()


def test_results_that_take_the_place_of_others_are_kept_no_longer_than_those(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100, 60)
    key = shelf.put(ONE)
    found = shelf.get(key).since
    shelf.put(TWO, key)
    assert shelf.get(key).since == found


def test_nothing_takes_the_place_of_results_whose_time_is_over(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100, -1)
    assert shelf.put(TWO, shelf.put(ONE)) is None
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_being_written_go_when_they_are_written_and_others_need_not_wait(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100, 60)
    key, other = shelf.put(ONE), shelf.put(TWO)
    kept = shelf.get(key)
    with kept.lock:
        dropping = threading.Thread(target=shelf.drop, args=(key,))
        dropping.start()
        while shelf.holds(key, kept):
            time.sleep(0.01)
        assert shelf.get(other).outcomes == TWO
        (kept.folder / "mask.tif").write_bytes(b"x")
    dropping.join(60)
    assert [shelf.get(other).folder] == list(tmp_path.iterdir())


def test_nothing_takes_the_place_of_results_that_were_dropped(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100, 60)
    key = shelf.put(ONE)
    shelf.drop(key)
    assert shelf.put(TWO, key) is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="put away"):
        shelf.get(key)


def test_keys_are_of_no_use_to_others_and_differ(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100, 60)
    first, second = shelf.put(ONE), shelf.put(TWO)
    assert first != second
    assert min(len(first), len(second)) >= 20
    assert shelf.get(first).outcomes == ONE
    for wrong in (None, "", "guess"):
        with pytest.raises(UsageError):
            shelf.get(wrong)


def test_what_was_not_looked_at_for_longest_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kept, "bytes", 40)
    shelf = Shelf(tmp_path, 100, 60)
    first, second = shelf.put(ONE), shelf.put(ONE)
    shelf.get(first)
    third = shelf.put(ONE)
    assert len(list(tmp_path.iterdir())) == 2
    for key in (first, third):
        assert shelf.get(key).outcomes == ONE
    with pytest.raises(UsageError):
        shelf.get(second)


def test_results_go_when_their_time_is_over(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100, -1)
    shelf.put(ONE)
    shelf.sweep()
    assert list(tmp_path.iterdir()) == []
