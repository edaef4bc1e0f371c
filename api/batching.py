"""The one thread that computes: it joins the slices of waiting requests into batches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.errors import Cancelled, DeviceLost, kind_and_place
from core.inference import Predictor
from core.inference.case import Case

log = logging.getLogger("metseg.api")


@dataclass(slots=True, eq=False)
class Promise:
    """A value that the thread owes to a coroutine."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    future: asyncio.Future[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.future = self.loop.create_future()

    def keep(self, value: Any) -> None:
        """Called in the thread."""
        self._settle(lambda: self.future.set_result(value))

    def fail(self, error: Exception) -> None:
        """Called in the thread."""
        self._settle(lambda: self.future.set_exception(error))

    def _settle(self, how: Callable[[], None]) -> None:
        def settle() -> None:
            if not self.future.done():
                how()

        with contextlib.suppress(RuntimeError):  # the server is gone, and so is who waited
            self.loop.call_soon_threadsafe(settle)


@dataclass(slots=True, eq=False)
class Loading:
    """Somebody needs a model."""

    name: str
    promise: Promise


@dataclass(slots=True, eq=False)
class Job:
    """A case to compute; `wanted` turns false when nobody waits for it any more."""

    predictor: Predictor
    case: Case
    until: float
    promise: Promise
    abandoned: bool = False

    @property
    def wanted(self) -> bool:
        return not self.abandoned and time.monotonic() < self.until


class InferenceThread:
    """Computes jobs a batch of slices at a time, so that a lone slice does not wait for a whole volume.

    Turns go by turns to the job that came first and to the one with the fewest slices left; whatever batch the chosen
    one leaves room in is filled with slices of others that fit. A job that nobody wants any more is dropped before its
    next batch.

    Args:
        load: makes the predictor of a name; called once for each, in the thread.
        stall_seconds: how long one call of the network may take before `stalled` says so.
    """

    def __init__(self, load: Callable[[str], Predictor], stall_seconds: float) -> None:
        self.predictors: dict[str, Predictor] = {}
        self._load, self._stall_seconds = load, stall_seconds
        self._inbox: queue.SimpleQueue[Loading | Job | None] = queue.SimpleQueue()
        self._jobs: list[Job] = []
        self._at_hand: list[Loading | Job] = []
        self._beat: float | None = None
        self._lost = False
        self._turns = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Let it finish what is wanted and end; wait for that no longer than `seconds`."""
        self._inbox.put(None)
        self._thread.join(seconds)

    @property
    def stalled(self) -> bool:
        """Whether it has been in one call for longer than it should, or it or its device is gone."""
        beat = self._beat
        hangs = beat is not None and time.monotonic() - beat > self._stall_seconds
        return hangs or self._lost or not self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many jobs have not been taken up yet."""
        return self._inbox.qsize()

    async def predictor(self, name: str) -> Predictor:
        """The model's predictor, loaded at its first use."""
        if name in self.predictors:
            return self.predictors[name]
        promise = Promise()
        self._inbox.put(Loading(name, promise))
        loaded: Predictor = await promise.future
        return loaded

    async def compute(self, predictor: Predictor, case: Case, until: float) -> None:
        """Wait for every slice of a case; who stops waiting takes it back.

        Args:
            predictor: that began the case.
            case: as begun.
            until: on `time.monotonic`'s clock; beyond that nothing of it is computed.

        Raises:
            MetsegError: see `Predictor.advance`.
        """
        job = Job(predictor, case, until, Promise())
        self._inbox.put(job)
        try:
            await job.promise.future
        finally:
            job.abandoned = True

    def _run(self) -> None:
        while True:
            try:
                self._serve()
                return
            except BaseException as error:  # whatever it was: it costs who is at hand, and the others go on
                log.error("inference failed: %s", kind_and_place(error))
                self._give_up()

    def _give_up(self) -> None:
        for lost in self._at_hand:
            lost.promise.fail(RuntimeError("the inference failed"))
        self._jobs = [job for job in self._jobs if job not in self._at_hand]
        self._at_hand, self._beat = [], None

    def _serve(self) -> None:
        while not self._stopping or self._jobs:
            self._take_in()
            self._jobs = [job for job in self._jobs if job.wanted]
            if self._jobs:
                self._turn()
            self._at_hand = []  # else the last one's memory would be held until the next comes

    def _take_in(self) -> None:
        """Whatever waits; where there is nothing to do, wait for it."""
        while True:
            try:
                item = self._inbox.get(block=not self._jobs and not self._stopping)
            except queue.Empty:
                return
            if item is None:
                self._stopping = True
            elif isinstance(item, Job):
                self._jobs.append(item)
            else:
                self._prepare(item)

    def _prepare(self, item: Loading) -> None:
        self._at_hand = [item]
        self._sign_of_life()
        try:
            if item.name not in self.predictors:
                self.predictors[item.name] = self._load(item.name)
            item.promise.keep(self.predictors[item.name])
        except Exception as error:
            item.promise.fail(error)
        self._beat = None

    def _turn(self) -> None:
        """One batch."""
        self._turns += 1
        shortest = self._turns % 2 == 0
        first = min(self._jobs, key=lambda job: job.case.slices - job.case.done) if shortest else self._jobs[0]
        fitting = (job for job in self._jobs if job.predictor is first.predictor and job.case.group == first.case.group)
        jobs = [first, *(job for job in fitting if job is not first)]
        if not self._advance(jobs) and len(jobs) > 1:
            # One of them spoils the batch: each alone, so that only that one fails.
            for job in jobs:
                self._advance([job])
        for job in jobs:
            if job.case.complete:
                self._jobs.remove(job)
                job.promise.keep(None)

    def _advance(self, jobs: list[Job]) -> bool:
        """Whether the batch could be computed; a job that failed alone is told so and struck off."""
        self._at_hand = list(jobs)

        def nobody_waits() -> bool:
            self._sign_of_life()
            return not any(job.wanted for job in jobs)

        self._sign_of_life()
        try:
            jobs[0].predictor.advance([job.case for job in jobs], nobody_waits)
        except Cancelled:
            return True  # they are struck off before the next turn
        except Exception as error:
            self._lost = self._lost or isinstance(error, DeviceLost)
            if len(jobs) == 1:
                self._jobs.remove(jobs[0])
                jobs[0].promise.fail(error)
            return False
        finally:
            self._beat = None
        return True

    def _sign_of_life(self) -> None:
        self._beat = time.monotonic()
