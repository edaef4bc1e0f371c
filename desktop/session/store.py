"""The database of a review: SQLite, written at once, by one window at a time.

A window that finds another one writing opens it read-only. A damaged database is set aside, what can be read of it is
carried over, and the review goes on.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from desktop.session.chain import first_break, row_hash
from desktop.session.results import PackedMask, Summary
from desktop.session.verdicts import Binding, Event, Kind

DATABASE, LOCK = "review.sqlite3", "open.lock"
WAIT_SECONDS = 0.2
"""For somebody else's lock; the window stands still meanwhile, so it is short, and what failed is tried again."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, case_name TEXT NOT NULL, image TEXT NOT NULL,
    mask TEXT, model TEXT NOT NULL, weights TEXT NOT NULL, threshold REAL, kind TEXT NOT NULL, reason TEXT NOT NULL,
    target INTEGER);
CREATE TABLE IF NOT EXISTS links (number INTEGER PRIMARY KEY, previous TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notes (image TEXT PRIMARY KEY, case_name TEXT NOT NULL, text TEXT NOT NULL, at TEXT);
CREATE TABLE IF NOT EXISTS masks (
    sha256 TEXT PRIMARY KEY, slices INTEGER, height INTEGER, width INTEGER, bits BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cases (name TEXT PRIMARY KEY, look TEXT NOT NULL, image TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS summaries (
    image TEXT, weights TEXT, threshold REAL, mask TEXT, lesions INTEGER, voxels INTEGER, uncertainty REAL,
    best_slice INTEGER, PRIMARY KEY (image, weights, threshold));
CREATE TABLE IF NOT EXISTS warnings (image TEXT, weights TEXT, codes TEXT NOT NULL, PRIMARY KEY (image, weights));
CREATE TABLE IF NOT EXISTS choices (image TEXT PRIMARY KEY, threshold REAL, channel TEXT);
CREATE TABLE IF NOT EXISTS series (name TEXT PRIMARY KEY, key TEXT, choices TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS view (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
TABLES = ("events", "links", "notes", "masks", "cases", "summaries", "warnings", "choices", "series", "numbers", "view")
EVENT_COLUMNS = "number, at, who, case_name, image, mask, model, weights, threshold, kind, reason, target"
ENTRIES = f"SELECT {EVENT_COLUMNS}, previous FROM events LEFT JOIN links USING (number) ORDER BY number"  # noqa: S608


class Store:
    """An open database. Every write is on the disk when the call returns, or raises `sqlite3.Error`.

    Attributes:
        read_only: whether writing is refused; `notice` says why.
        notice: one sentence on what a person should know about how it was opened; "" when all is well.
    """

    def __init__(self, folder: Path) -> None:
        self.notice = ""
        self.read_only = False
        self._lock: sqlite3.Connection | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _take_lock(folder / LOCK)
            if self._lock is None:
                self._open_beside(folder / DATABASE)
            else:
                self._open(folder / DATABASE)
        except (OSError, sqlite3.Error) as error:
            self._release()
            self._open_nowhere(error)

    def _open(self, path: Path) -> None:
        try:
            self._db = _connect(path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
            path.replace(aside)
            for end in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    path.with_name(path.name + end).replace(aside.with_name(aside.name + end))
            self._db = _connect(path)
            rows = _salvage(aside, self._db)
            self.notice = (
                f"The record of this review was damaged and was set aside; {rows} of its entries could be carried over."
            )
        else:
            with contextlib.suppress(sqlite3.Error):
                self.notice = self._doubts()

    def _doubts(self) -> str:
        """What is odd about entries of the record, which are all kept; "" where nothing is."""
        gone = self._db.execute("SELECT min(number) FROM links WHERE number NOT IN (SELECT number FROM events)")
        if number := gone.fetchone()[0]:
            return f"Entry {number} of this review's record is gone, so it was damaged or edited; the rest is kept."
        if number := first_break(self._db.execute(ENTRIES)):
            return (
                f"Entry {number} of this review's record does not follow from the one before, so it was damaged or "
                "edited; all is kept."
            )
        foreign = f"SELECT count(*) FROM events WHERE kind NOT IN ({', '.join('?' * len(Kind))})"  # noqa: S608
        if self._db.execute(foreign, tuple(Kind)).fetchone()[0]:
            return "This review's record holds entries of a newer metseg, which are kept but not shown."
        return ""

    def _open_beside(self, path: Path) -> None:
        """The same review is open in another window."""
        self.read_only = True
        self.notice = "This review is open in another window, so this one is read-only: no verdict is kept here."
        self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=WAIT_SECONDS)
        self._db.execute("SELECT count(*) FROM events").fetchone()

    def _open_nowhere(self, error: Exception) -> None:
        """Nothing can be kept, but the scans can still be looked at."""
        self.read_only = True
        self._db = sqlite3.connect(":memory:")
        self._db.executescript(SCHEMA)
        reason = getattr(error, "strerror", None) or str(error)
        self.notice = self.notice or f"The record of this review cannot be opened ({reason}), so it is read-only."

    def close(self) -> None:
        """Let another window write."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def version(self) -> int:
        """A number that changes when another window has written."""
        with contextlib.suppress(sqlite3.Error):
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])
        return -1

    def events(self) -> tuple[Event, ...]:
        """All events, in order. One that makes no sense is passed over."""
        return tuple(_events(self._db.execute(f"SELECT {EVENT_COLUMNS} FROM events ORDER BY number")))  # noqa: S608

    def last_number(self) -> int:
        """Of the last event, also where it makes no sense here; 0 where there is none."""
        both = "SELECT number FROM events UNION ALL SELECT number FROM links"
        return int(self._db.execute(f"SELECT coalesce(max(number), 0) FROM ({both})").fetchone()[0])  # noqa: S608

    def last_hash(self) -> str:
        """Of the last event, which follows from all before it; "" where there is none."""
        row = self._db.execute(f"{ENTRIES} DESC LIMIT 1").fetchone()
        return "" if row is None else row_hash(row)

    def add_event(self, event: Event, mask: tuple[str, tuple[int, int, int], bytes] | None = None) -> None:
        """Write an event, the hash of the one before, and the mask that it is about (hash, shape, packed bits)."""
        about = event.about
        bound = (about.image, about.mask, about.model, about.weights, about.threshold)
        row = (event.number, event.at, event.who, event.case, *bound, event.kind.value, event.reason, event.target)
        with self._db:
            if mask is not None:
                digest, shape, bits = mask
                self._db.execute("INSERT OR IGNORE INTO masks VALUES (?, ?, ?, ?, ?)", (digest, *shape, bits))
            self._db.execute("INSERT INTO links VALUES (?, ?)", (event.number, self.last_hash()))
            self._db.execute(f"INSERT INTO events ({EVENT_COLUMNS}) VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608

    def mask(self, digest: str) -> PackedMask | None:
        """The packed bits and the shape of a mask that a verdict was given on."""
        row = self._db.execute("SELECT bits, slices, height, width FROM masks WHERE sha256 = ?", (digest,)).fetchone()
        return None if row is None else (row[0], (row[1], row[2], row[3]))

    def notes(self) -> dict[str, str]:
        """The reviewer's notes, by image and case, see `Review`; in older records by image alone."""
        return dict(self._db.execute("SELECT image, text FROM notes"))

    def set_note(self, key: str, case: str, text: str, at: str) -> None:
        """Write a note; its key stands in the column `image`."""
        self._write("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", (key, case, text, at))

    def images(self) -> dict[str, tuple[str, str]]:
        """For each case that was ever read: what its files looked like, and its image's hash."""
        return {name: (look, image) for name, look, image in self._db.execute("SELECT name, look, image FROM cases")}

    def set_image(self, case: str, look: str, image: str) -> None:
        """Remember what a case holds."""
        self._write("INSERT OR REPLACE INTO cases VALUES (?, ?, ?)", (case, look, image))

    def summaries(self) -> dict[tuple[str, str, float], Summary]:
        """What is known of findings, by image, weights and threshold."""
        rows, codes = self._db.execute("SELECT * FROM summaries"), self._warnings()
        return {
            (image, weights, threshold): replace(Summary(*rest), warnings=codes.get((image, weights), ""))
            for image, weights, threshold, *rest in rows
        }

    def _warnings(self) -> dict[tuple[str, str], str]:
        """What was noticed, by image and weights; nothing where an older metseg is writing, which has no such table."""
        with contextlib.suppress(sqlite3.Error):
            rows = self._db.execute("SELECT image, weights, codes FROM warnings")
            return {(image, weights): codes for image, weights, codes in rows}
        return {}

    def set_summary(self, image: str, weights: str, threshold: float, summary: Summary) -> None:
        """Remember what was found."""
        values = (summary.mask, summary.lesions, summary.voxels, summary.uncertainty, summary.best_slice)
        self._write("INSERT OR REPLACE INTO warnings VALUES (?, ?, ?)", (image, weights, summary.warnings))
        self._write(
            "INSERT OR REPLACE INTO summaries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (image, weights, threshold, *values)
        )

    def choices(self) -> dict[str, tuple[float | None, str | None]]:
        """The reviewer's own threshold and channel, by the same keys as notes."""
        rows = self._db.execute("SELECT image, threshold, channel FROM choices")
        return {key: (threshold, channel) for key, threshold, channel in rows}

    def set_choice(self, key: str, threshold: float | None, channel: str | None) -> None:
        """Remember a threshold and a channel."""
        self._write("INSERT OR REPLACE INTO choices VALUES (?, ?, ?)", (key, threshold, channel))

    def series(self) -> dict[str, tuple[str | None, str]]:
        """For each case with several series: the key of the chosen one, and what there is to choose from, as JSON."""
        return {name: (key, choices) for name, key, choices in self._db.execute("SELECT * FROM series")}

    def set_series(self, case: str, key: str | None, choices: str) -> None:
        """Remember which series of a case is reviewed."""
        self._write("INSERT OR REPLACE INTO series VALUES (?, ?, ?)", (case, key, choices))

    def numbers(self) -> dict[str, int]:
        """What cases are called, by name; nothing where an older metseg is writing, which has no such table."""
        with contextlib.suppress(sqlite3.Error):
            return dict(self._db.execute("SELECT name, number FROM numbers"))
        return {}

    def set_numbers(self, numbers: dict[str, int]) -> None:
        """Remember what cases are called."""
        if not self.read_only:
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO numbers VALUES (?, ?)", numbers.items())

    def view(self) -> dict[str, str]:
        """Where the reviewer was: texts by name."""
        return dict(self._db.execute("SELECT name, value FROM view"))

    def set_view(self, values: dict[str, str]) -> None:
        """Remember where the reviewer is."""
        if not self.read_only:
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO view VALUES (?, ?)", values.items())

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        if not self.read_only:
            with self._db:
                self._db.execute(statement, values)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=WAIT_SECONDS)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        if (found := db.execute("PRAGMA quick_check(1)").fetchone()) != ("ok",):
            raise sqlite3.DatabaseError(f"malformed: {found}")
        db.executescript(SCHEMA)
        for table in TABLES:  # one of another layout is damage too
            db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        db.execute(f"SELECT {EVENT_COLUMNS} FROM events LIMIT 1").fetchone()  # noqa: S608
    except BaseException:
        db.close()
        raise
    return db


def _take_lock(path: Path) -> sqlite3.Connection | None:
    """A lock that the system releases when the process dies; None where another window holds it."""
    lock = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return None
        raise
    except sqlite3.DatabaseError:
        # It holds nothing, so a damaged one is simply replaced.
        lock.close()
        path.unlink(missing_ok=True)
        lock = sqlite3.connect(path, timeout=0, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    return lock


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is bad, rather than locked, full or out of reach."""
    return _code(error) in (0, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _salvage(damaged: Path, into: sqlite3.Connection) -> int:
    """Carry over every row that can still be read; how many of them were verdicts, notes or masks."""
    carried = 0
    try:
        old = sqlite3.connect(damaged, timeout=WAIT_SECONDS)
    except sqlite3.Error:
        return 0
    with contextlib.closing(old):
        for table in TABLES:
            with contextlib.suppress(sqlite3.Error):
                for row in _rows(old, table):
                    with contextlib.suppress(sqlite3.Error), into:
                        into.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
                        carried += table in ("events", "notes", "masks")
    return carried


def _rows(db: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """A table's rows one by one, from the front and, where the front breaks off, from the back."""
    met = set()
    for order in ("ASC", "DESC"):
        with contextlib.suppress(sqlite3.Error):
            for row in db.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid {order}"):  # noqa: S608
                if row[0] not in met:
                    met.add(row[0])
                    yield row[1:]


def _events(rows: Iterator[tuple[Any, ...]] | sqlite3.Cursor) -> Iterator[Event]:
    for number, at, who, case, image, mask, model, weights, threshold, kind, reason, target in rows:
        with contextlib.suppress(ValueError):
            about = Binding(image, mask, model, weights, threshold)
            yield Event(number, at, who, case, about, Kind(kind), reason, target)
