import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop.session.results import Summary
from desktop.session.store import DATABASE, LOCK, Store
from desktop.session.verdicts import Binding, Event, Kind


def event(number: int, case: str = "case") -> Event:
    about = Binding("image", "mask", "model", "weights", 0.5)
    return Event(number, "2026-01-01T00:00:00+00:00", "someone", case, about, Kind.ACCEPT, "a reason", None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "review")
    yield opened
    opened.close()


def test_what_was_written_is_there_the_next_time(store: Store, tmp_path: Path) -> None:
    store.add_event(event(1), ("mask", (1, 2, 3), b"bits"))
    store.set_note("image", "case", "a note", "now")
    store.set_image("case", "look", "image")
    store.set_summary("image", "weights", 0.5, Summary("mask", 2, 30, 0.25, 1))
    store.set_choice("image", 0.4, "1")
    store.set_view({"reader": "{}"})
    store.close()
    again = Store(tmp_path / "review")
    assert (again.notice, again.read_only) == ("", False)
    assert again.events() == (event(1),)
    assert again.mask("mask") == (b"bits", (1, 2, 3))
    assert again.notes() == {"image": "a note"}
    assert again.images() == {"case": ("look", "image")}
    assert again.summaries() == {("image", "weights", 0.5): Summary("mask", 2, 30, 0.25, 1)}
    assert again.choices() == {"image": (0.4, "1")}
    assert again.view() == {"reader": "{}"}
    again.close()


def test_it_is_in_wal_mode_and_each_verdict_is_on_the_disk_at_once(store: Store, tmp_path: Path) -> None:
    store.add_event(event(1))
    other = sqlite3.connect(tmp_path / "review" / DATABASE)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert other.execute("SELECT case_name FROM events").fetchall() == [("case",)]
    other.close()


def test_a_second_window_is_read_only_says_so_and_sees_what_the_first_writes(store: Store, tmp_path: Path) -> None:
    second = Store(tmp_path / "review")
    assert second.read_only
    assert "another window" in second.notice
    before = second.version()
    store.add_event(event(1))
    assert second.version() != before
    assert second.events() == (event(1),)
    second.set_note("image", "case", "lost", "now")
    assert store.notes() == {}
    store.close()
    second.close()
    third = Store(tmp_path / "review")
    assert not third.read_only
    third.close()


EDITS = {
    "nothing": ("SELECT 1", ""),
    "an entry": ("UPDATE events SET reason = 'another' WHERE number = 2", "Entry 3 of"),
    "an older entry": ("UPDATE events SET who = 'nobody' WHERE number = 1", "Entry 2 of"),
    "a link": ("UPDATE links SET previous = '' WHERE number = 3", "Entry 3 of"),
    "a missing link": ("DELETE FROM links WHERE number = 3", "Entry 3 of"),
    "a missing entry": ("DELETE FROM events WHERE number = 2", "Entry 2 of"),
    "a missing end": ("DELETE FROM events WHERE number > 2", "Entry 3 of"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_record_is_told_and_kept(store: Store, tmp_path: Path, edit: str) -> None:
    statement, told = EDITS[edit]
    store.add_event(event(1))
    store._db.execute("DROP TABLE links")  # as in a record of an older version
    store.close()
    older = Store(tmp_path / "review")
    for number in (2, 3, 4):
        older.add_event(event(number))
    older.close()
    with sqlite3.connect(tmp_path / "review" / DATABASE) as database:
        database.execute(statement)
    database.close()
    again = Store(tmp_path / "review")
    assert again.notice.startswith(told)
    assert bool(again.notice) == bool(told)
    before, kept = again.last_hash(), again.events()
    again.add_event(event(again.last_number() + 1))
    assert again.events()[:-1] == kept
    assert again.events()[-1].number == 5
    assert again.last_hash() != before
    again.close()
    later = Store(tmp_path / "review")
    assert later.notice == again.notice
    later.close()


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "no database":
        path.write_bytes(b"this is no database at all" * 100)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:  # its last pages are overwritten
        path.write_bytes(content[: -len(content) // 3] + b"\xa5" * (len(content) // 3))


@pytest.mark.parametrize("how", ["no database", "empty", "cut", "overwritten"])
def test_a_damaged_record_is_set_aside_and_the_review_goes_on(tmp_path: Path, how: str) -> None:
    store = Store(tmp_path)
    for number in range(1, 400):
        store.add_event(event(number, "x" * 100))
    store.close()
    damage(tmp_path / DATABASE, how)
    again = Store(tmp_path)
    assert not again.read_only
    if how != "empty":
        assert "damaged" in again.notice
        assert len(list(tmp_path.glob(f"{DATABASE}.damaged-*"))) >= 1
    kept = again.events()
    again.add_event(event(1000))
    assert again.events() == (*kept, event(1000))
    if how == "overwritten":
        assert len(kept) > 50
    again.close()


def test_a_damaged_lock_is_replaced(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_bytes(b"no lock" * 1000)
    store = Store(tmp_path)
    assert not store.read_only
    store.close()


def test_a_folder_that_cannot_be_made_leaves_the_review_read_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / "review")
    assert store.read_only
    assert "cannot be opened" in store.notice
    assert store.events() == ()
    store.close()
