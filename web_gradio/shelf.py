"""Results that visitors may still look at, within a bound of memory and time."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from core.errors import UsageError
from web_gradio.findings import Finding, Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """One visitor's results, and the folder of the files made from them."""

    outcomes: tuple[Outcome, ...]
    folder: Path
    since: float

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
        with self._lock:
            if known is not None and known not in self._kept:
                return None
            self._forget(key)
            folder.mkdir(parents=True)
            self._kept[key] = Kept(outcomes, folder, time.monotonic())
            while len(self._kept) > 1 and sum(kept.bytes for kept in self._kept.values()) > self._limit:
                self._forget(next(iter(self._kept)))
            self._sweep()
        return key

    def get(self, key: str | None) -> Kept:
        """What a key holds.

        Raises:
            UsageError: nothing any more.
        """
        with self._lock:
            self._sweep()
            if key is None or key not in self._kept:
                raise UsageError("this result was put away to make room; press Find lesions again")
            self._kept.move_to_end(key)
            return self._kept[key]

    def drop(self, key: str | None) -> None:
        """Forget what a key holds, and its files."""
        with self._lock:
            self._forget(key)

    def sweep(self) -> None:
        """Forget what has been kept for long enough."""
        with self._lock:
            self._sweep()

    def _sweep(self) -> None:
        end = time.monotonic() - self._keep
        for key in [key for key, kept in self._kept.items() if kept.since < end]:
            self._forget(key)

    def _forget(self, key: str | None) -> None:
        kept = self._kept.pop(key, None) if key is not None else None
        if kept is not None:
            shutil.rmtree(kept.folder, ignore_errors=True)
