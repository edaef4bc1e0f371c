"""Results that visitors may still look at, within a bound of memory and time."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import UsageError
from web_gradio.findings import Finding, Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """One visitor's results, and the folder of the files made from them.

    Attributes:
        outcomes: the results.
        folder: for files.
        since: when they were found.
        lock: held while files are written into the folder and while it is removed, so that none comes back.
    """

    outcomes: tuple[Outcome, ...]
    folder: Path
    since: float
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bytes(self) -> int:
        """The memory that they take."""
        return sum(outcome.bytes for outcome in self.outcomes if isinstance(outcome, Finding))


class Shelf:
    """Keeps results by a key that nobody can guess; the oldest go first when there is no room.

    Args:
        folder: for the files made from results, one folder for each key.
        limit_bytes: of all results together; the newest one is kept even if it is larger.
        keep_seconds: after which results go.
    """

    def __init__(self, folder: Path, limit_bytes: int, keep_seconds: float) -> None:
        self._folder, self._limit, self._keep = folder, limit_bytes, keep_seconds
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, outcomes: tuple[Outcome, ...], known: str | None = None) -> str | None:
        """Keep results, and give back their key.

        Args:
            outcomes: the results.
            known: the key of those that they take the place of; where it holds nothing any more, nothing is kept.

        Returns:
            The key; None where nothing was kept.
        """
        key = known or secrets.token_urlsafe(16)
        folder = self._folder / secrets.token_hex(8)
        with self._changing() as gone:
            gone += self._sweep()
            before = self._kept.pop(key, None)
            if before is not None:
                gone.append(before)
            elif known is not None:
                return None
            folder.mkdir(parents=True)
            # The time to keep them runs from when they were found: moving a threshold does not prolong it.
            self._kept[key] = Kept(outcomes, folder, before.since if before is not None else time.monotonic())
            while len(self._kept) > 1 and sum(kept.bytes for kept in self._kept.values()) > self._limit:
                gone.append(self._kept.popitem(last=False)[1])
        return key

    def get(self, key: str | None) -> Kept:
        """What a key holds.

        Raises:
            UsageError: nothing any more.
        """
        with self._changing() as gone:
            gone += self._sweep()
            if key is None or key not in self._kept:
                raise UsageError("this result was put away to make room; press Find lesions again")
            self._kept.move_to_end(key)
            return self._kept[key]

    def holds(self, key: str, kept: Kept) -> bool:
        """Whether a key still holds just these results."""
        with self._lock:
            return self._kept.get(key) is kept

    def drop(self, key: str | None) -> None:
        """Forget what a key holds, and its files."""
        with self._changing() as gone:
            if key is not None and key in self._kept:
                gone.append(self._kept.pop(key))

    def sweep(self) -> None:
        """Forget what has been kept for long enough."""
        with self._changing() as gone:
            gone += self._sweep()

    @contextmanager
    def _changing(self) -> Iterator[list[Kept]]:
        """Hold the shelf; files of what is put into the list go when others may use it again."""
        gone: list[Kept] = []
        try:
            with self._lock:
                yield gone
        finally:
            for kept in gone:
                _forget(kept)

    def _sweep(self) -> list[Kept]:
        end = time.monotonic() - self._keep
        return [self._kept.pop(key) for key, kept in [*self._kept.items()] if kept.since < end]


def _forget(kept: Kept) -> None:
    with kept.lock:  # somebody may be writing
        shutil.rmtree(kept.folder, ignore_errors=True)
