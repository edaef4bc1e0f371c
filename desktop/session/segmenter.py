"""The queue of cases to segment, and the process that works on it.

Calls come from one thread; what happens is told through a callback from another, which should only pass it on.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import SeriesChoice
from core.scan import ScanSource

ROOT = Path(__file__).resolve().parents[2]
START = (
    "import sys; root = sys.argv[1]; root in sys.path or sys.path.insert(0, root); "
    "from desktop.session.worker import main; main()"
)
DIED = "died"
PATIENCE = 10.0
"""Seconds that the case which is looked at waits for another to be finished; what takes longer makes way."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of the worker for one case; `choices` are the series among which `series` was chosen."""

    source: ScanSource
    series: str | None
    model: Path
    device: str
    precision: str
    channel: str | None
    results: Path
    choices: tuple[SeriesChoice, ...] = ()


@dataclass(slots=True)
class Job:
    """An ask that the process works on. Once it is cancelled, nothing that it still says is an answer."""

    number: int
    ask: Ask
    begun: float
    share: float = 0.0
    cancelled: bool = False

    def seconds_left(self) -> float:
        """How long it will take yet; as long as nothing is done, no less than it has taken."""
        elapsed = time.monotonic() - self.begun
        return elapsed / self.share * (1 - self.share) if self.share else elapsed


@dataclass(frozen=True, slots=True)
class Message:
    """What the worker says: `event` is progress, done, failed, cancelled or died."""

    job: int
    event: str
    values: Mapping[str, Any]


class Segmenter:
    """Segments one case after another in a process of its own, which is started when it is first needed.

    Args:
        tell: hears every message, in a thread of the segmenter's; hand it to `heard` in the caller's own thread.
    """

    def __init__(self, tell: Callable[[Message], None]) -> None:
        self._tell = tell
        self._process: subprocess.Popen[str] | None = None
        self._ended: subprocess.Popen[str] | None = None  # whose output has ended, though it may not be gone yet
        self._waiting: dict[str, Ask] = {}
        self._running: Job | None = None
        self._next = 1
        self._done = 0
        self._seconds: list[float] = []

    @property
    def running(self) -> str | None:
        """The case being segmented."""
        return self._running.ask.source.name if self._running else None

    @property
    def waiting(self) -> tuple[str, ...]:
        """The cases that wait, in order."""
        return tuple(self._waiting)

    def is_asked(self, name: str) -> bool:
        """Whether a case is being segmented, or waits for it."""
        running = self._running is not None and not self._running.cancelled and self.running == name
        return running or name in self._waiting

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return self._running is not None or bool(self._waiting)

    def progress(self) -> tuple[float, int, float | None]:
        """Cases done (with the running one's share), cases in all, and seconds that remain, where they are known."""
        left = len(self._waiting) + (self._running is not None)
        share = self._running.share if self._running else 0.0
        remaining = None
        if self._seconds:
            remaining = sum(self._seconds) / len(self._seconds) * (left - share)
        elif self._running and share > 0.05:
            elapsed = time.monotonic() - self._running.begun
            remaining = elapsed / share * (left - share)
        return self._done + share, self._done + left, remaining

    def submit(self, ask: Ask, *, first: bool = False) -> None:
        """Put a case into the queue, at its front if it is the one being looked at."""
        name, running = ask.source.name, self._running
        if running and self.running == name and not running.cancelled:
            if running.ask == ask:
                return
            self._cancel_running()  # another model, series or channel is wanted of this case now
        if not self.busy:
            self._done = 0
        # What waits already keeps its place, unless it is to be first, and is done as asked last.
        ahead = {name: ask} if first else {}
        if first and running and not running.cancelled and self.running != name and running.seconds_left() > PATIENCE:
            ahead[running.ask.source.name] = running.ask  # begun anew afterwards
            self._cancel_running()
        self._waiting = ahead | self._waiting | {name: ask}
        self._go_on()

    def cancel(self) -> None:
        """Drop what waits and stop what runs."""
        self._waiting.clear()
        self._cancel_running()

    def _cancel_running(self) -> None:
        if self._running:
            self._running.cancelled = True
            self._send({"cancel": self._running.number})

    def heard(self, message: Message) -> Ask | None:
        """Take in a message; the ask that it answers, or None where nobody waits for the answer any more."""
        job = self._running
        if job is None or job.number != message.job:
            return None
        if message.event == "progress":
            done, total = message.values["done"], max(message.values["total"], 1)
            if done == 0:  # reading and loading the model are no part of the speed
                job.begun = time.monotonic()
            job.share = done / total
        else:
            if message.event == "done":
                self._seconds = [*self._seconds[-9:], time.monotonic() - job.begun]
            self._running = None
            self._done += not job.cancelled
            self._go_on()
        return None if job.cancelled else job.ask

    def close(self) -> None:
        """End the process."""
        self._waiting.clear()
        self._running = None
        self._end()

    def _end(self) -> None:
        if self._process:
            process, self._process = self._process, None
            with contextlib.suppress(OSError):
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(OSError, ValueError):
                    if stream:
                        stream.close()

    def _go_on(self) -> None:
        if self._running or not self._waiting:
            return
        name = next(iter(self._waiting))
        ask = self._waiting.pop(name)
        self._running = Job(self._next, ask, time.monotonic())
        self._next += 1
        self._send(
            {
                "job": self._running.number,
                "name": name,
                "paths": [str(path) for path in ask.source.paths],
                "mask_paths": [None if path is None else str(path) for path in ask.source.mask_paths],
                "notes": [asdict(note) for note in ask.source.notes],
                "series": ask.series,
                "choices": [asdict(choice) for choice in ask.choices],
                "model": str(ask.model),
                "device": ask.device,
                "precision": ask.precision,
                "channel": ask.channel,
                "results": str(ask.results),
            }
        )

    def _send(self, values: dict[str, Any]) -> None:
        if self._process in (None, self._ended) or self._process.poll() is not None:
            if "cancel" in values:
                return
            self._end()
            self._process = self._start()
        stdin = self._process.stdin
        with contextlib.suppress(OSError):  # it died; its reading thread says so
            if stdin:
                stdin.write(json.dumps(values) + "\n")
                stdin.flush()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        threading.Thread(target=self._listen, args=(process,), daemon=True, name="metseg-listen").start()
        return process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """Pass on what a process says, and say so when it ends while something is asked of it."""
        with contextlib.suppress(OSError, ValueError):
            for line in process.stdout or ():
                values = json.loads(line)
                self._tell(Message(values.pop("job"), values.pop("event"), values))
        self._ended = process
        running = self._running
        if process is self._process and running:
            self._tell(Message(running.number, DIED, {}))
