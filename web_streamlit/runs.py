"""Segments cases in the background, one request at a time, so that the page stays alive and can be left or stopped."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import InputError, sentence
from core.model_card import ModelCard
from web_streamlit.cases import Case, one_slice, payload
from web_streamlit.pace import Pace, work_of
from web_streamlit.server import Answer, Trouble, fetch_machine, fetch_probability
from web_streamlit.settings import Settings

WORTH_MEASURING = 4
"""Slices from which one is sent ahead where nobody knows how fast the server is."""
GONE_SECONDS = 60.0
"""After so long without anybody looking at the page a run ends."""
WATCH_SECONDS = 2.0
ALMOST = 0.97


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of the server beside the model; everything else is decided on the page, without a new request."""

    tta: bool = False
    channel: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A case to be segmented with a model."""

    case: Case
    card: ModelCard
    options: Options

    @property
    def key(self) -> tuple[str, str]:
        """The case's key and the model's name."""
        return self.case.key, self.card.name

    @property
    def work(self) -> float:
        """Pixels that the network will see."""
        return work_of(self.case.scan, self.card)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the server answered to a task.

    Attributes:
        task: what was asked.
        answer: what came back.
        seconds: from asking to the answer.
        machine: what the server said about itself right after the answer.
    """

    task: Task
    answer: Answer
    seconds: float
    machine: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task has no answer."""

    task: Task
    sentence: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        stage: what is being done, for a person.
        done, total: tasks.
        share: of everything, from 0 to 1.
        remaining: seconds, or None where nobody knows.
    """

    stage: str
    done: int
    total: int
    share: float
    remaining: float | None


@dataclass(slots=True)
class _Now:
    """What the run is at; replaced by its thread, read by the page's."""

    stage: str = "Starting"
    begun: float = 0.0
    guess: float | None = None
    until: float | None = None


@dataclass(slots=True, eq=False)
class Run:
    """Tasks on their way through the server, in a thread of their own.

    Args:
        settings: the server.
        tasks: in order.
        pace: what is known about the server's speed; it learns.
        watched: whether anybody still looks at the page.
    """

    settings: Settings
    tasks: Sequence[Task]
    pace: Pace
    watched: Callable[[], bool]
    found: list[Found] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    stopped: bool = False
    _now: _Now = field(default_factory=_Now)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="metseg-run", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; the request under way is taken back."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end; whether it came."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self.finished

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to come."""
        return self._thread is not None and not self._thread.is_alive()

    def progress(self) -> Progress:
        """How far it is."""
        now, clock = self._now, time.monotonic()
        done = len(self.found) + len(self.failed)
        stage = now.stage
        if now.until is not None:
            stage += f" Trying again in {max(1, round(now.until - clock))} s."
        if done >= len(self.tasks):
            return Progress("Done", done, done, 1.0, 0.0)
        if now.guess is None:
            return Progress(stage, done, len(self.tasks), done / len(self.tasks), None)
        rate = now.guess / self.tasks[done].work  # of models that nobody has timed, until somebody has
        guesses = ((self._guess(task), task.work * rate) for task in self.tasks[done + 1 :])
        ahead = sum(stand_in if known is None else known for known, stand_in in guesses)
        behind = sum(found.seconds for found in self.found)
        passed = min(clock - now.begun, ALMOST * now.guess) if now.begun else 0.0
        rest = now.guess - passed + ahead
        late = bool(now.begun) and clock - now.begun > now.guess
        share = (behind + passed) / max(behind + passed + rest, 1e-9)
        return Progress(stage, done, len(self.tasks), share, None if late or now.until else rest)

    async def _all(self) -> None:
        work = asyncio.create_task(self._each())
        unseen = 0.0
        while not work.done():
            await asyncio.wait({work}, timeout=WATCH_SECONDS if unseen else 0.1)
            unseen = 0.0 if self.watched() else unseen + WATCH_SECONDS
            if self._stop.is_set() or unseen > GONE_SECONDS:
                self.stopped = True
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await work
        if not self.stopped:
            work.result()

    async def _each(self) -> None:
        for index, task in enumerate(self.tasks):
            try:
                self.found.append(await self._patiently(task))
            except (Trouble, InputError) as error:
                trouble = error if isinstance(error, Trouble) else Trouble(sentence(error.detail), "refused")
                self.failed.append(Failure(task, trouble.sentence))
                if trouble.kind == "away":  # nobody is there for the others either
                    self.failed += [Failure(other, trouble.sentence) for other in self.tasks[index + 1 :]]
                    return
            except Exception as error:  # a bug of ours must not leave the page waiting
                self.failed.append(
                    Failure(task, f"Something unforeseen went wrong on this page ({type(error).__name__}).")
                )

    async def _patiently(self, task: Task) -> Found:
        """Ask again while the server is away or busy, until patience ends."""
        content, fields = await asyncio.to_thread(payload, task.case, task.card.preprocessing, task.options.channel)
        fields |= {"model": task.card.name, "tta": str(task.options.tta).lower()}
        give_up = time.monotonic() + self.settings.patience_seconds
        while True:
            try:
                await self._measure(task)
                begun = time.monotonic()
                answer = await self._ask(task, content, fields)
            except Trouble as trouble:
                if trouble.kind == "refused" or time.monotonic() + trouble.wait > give_up:
                    raise
                self._now = _Now(trouble.sentence, until=time.monotonic() + trouble.wait)
                await asyncio.sleep(trouble.wait)
            else:
                seconds = time.monotonic() - begun
                self.pace.learn(task.card.name, task.options.tta, task.work, seconds)
                # Only now: while it warms up a server does not say it, and since the page was opened it may be another.
                return Found(task, answer, seconds, await fetch_machine(self.settings))

    async def _measure(self, task: Task) -> None:
        """Send one slice ahead where nothing is known about the model's speed and it matters."""
        if self._guess(task) is not None or task.case.scan.shape[0] < WORTH_MEASURING:
            return
        if len(task.card.preprocessing.channels) > 1:  # the slice sent ahead has but one
            return
        self._now = _Now(f"{self._title(task)}: measuring how fast the server is.")
        content = await asyncio.to_thread(one_slice, task.case, task.card.preprocessing, task.options.channel)
        fields = {"model": task.card.name, "tta": str(task.options.tta).lower()}
        await fetch_probability(self.settings, content, fields)  # it may have to load the model first
        begun = time.monotonic()
        await fetch_probability(self.settings, content, fields)
        work = work_of(task.case.scan, task.card, slices=1)
        self.pace.learn(task.card.name, task.options.tta, work, time.monotonic() - begun)

    async def _ask(self, task: Task, content: bytes, fields: dict[str, str]) -> Answer:
        title, slices = self._title(task), task.case.scan.shape[0]
        begun, guess = time.monotonic(), self._guess(task)

        def sent(share: float) -> None:
            doing = f"segmenting {slices} slice{'s' * (slices > 1)}" if share >= 1 else f"sending, {share:.0%}"
            self._now = _Now(f"{title}: {doing}.", begun, guess)

        sent(0.0)
        return await fetch_probability(self.settings, content, fields, sent)

    def _guess(self, task: Task) -> float | None:
        return self.pace.guess(task.card.name, task.options.tta, task.work)

    def _title(self, task: Task) -> str:
        number = len(self.found) + len(self.failed) + 1
        count = f"{number} of {len(self.tasks)} · " if len(self.tasks) > 1 else ""
        return f"{count}{task.case.scan.name} with {task.card.name}"
