"""What the `metseg` command shows while it works, and how Ctrl+C stops it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from metseg_console import clean, complain, counted, milliseconds, sentence_of, show_traceback

if TYPE_CHECKING:
    from rich.progress import Progress

    from core.batch.run import Event
    from core.batch.tables import Outcome
    from core.demo import DemoStep
    from training.experiment import Run


class _Progress:
    """A bar on stderr where that is a terminal, else plain lines."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._done, self._total = 0.0, 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            columns = (BarColumn(bar_width=30), TextColumn("{task.description}", markup=False))
            times = (TimeElapsedColumn(), TimeRemainingColumn(compact=True))
            self._bar = Progress(*columns, *times, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _show(self, doing: str, done: float, total: float) -> None:
        if self._bar is not None:
            if total != self._total or done < self._done:
                self._bar.reset(self._task)  # a new count: what the last one took says nothing of this one
            self._done, self._total = done, total
            self._bar.update(self._task, description=clean(doing), completed=done, total=total)

    def _say(self, text: str) -> None:
        """A line that stays, above the bar."""
        if self._bar is None:
            complain(text)
        else:
            self._bar.console.print(clean(text), markup=False, highlight=False)


class RunProgress(_Progress):
    """Shows a run of `core.batch.run`; without a bar, by a line for each case that ended."""

    def __init__(self, cases: int) -> None:
        super().__init__()
        self._cases, self._ended, self._begun = cases, 0, (0, 0)

    def __call__(self, event: Event) -> None:
        """Take an event."""
        from core.batch.run import CaseBegun, CaseEnded, CaseProgress

        match event:
            case CaseBegun(name, number, total):
                self._begun = (number, total)
                self._show(f"{number}/{total} {name}", number - 1, total)
            case CaseProgress(name, done, slices):
                number, total = self._begun
                part = done / max(1, slices)
                self._show(f"{number}/{total} {name}, slice {done}/{slices}", number - 1 + part, total)
            case CaseEnded(outcome):
                self._ended += 1
                if self._bar is None:
                    self._say(f"[{self._ended}/{self._cases}] {outcome.name}: {_ending(outcome)}")


class StepProgress(_Progress):
    """Shows the steps of `core.demo`."""

    def __call__(self, step: DemoStep) -> None:
        """Take a step."""
        if self._bar is None:
            self._say(f"[{step.done}/{step.total}] {step.doing}")
        self._show(step.doing, step.done, step.total)


class CountProgress(_Progress):
    """Shows how many of something are done."""

    def __init__(self, doing: str) -> None:
        super().__init__()
        self._doing = doing

    def __call__(self, done: int, total: int) -> None:
        """Take that so many are done."""
        self._show(f"{self._doing} {done}/{total}", done, total)


class StageProgress(_Progress):
    """Shows stages that count cases."""

    def __call__(self, doing: str, done: int, total: int) -> None:
        """Take how far a stage is."""
        self._show(f"{doing} {done}/{total}", done, total)


class TrainProgress(_Progress):
    """Shows a training; each epoch's figures stay on the screen.

    Attributes:
        failed: names of the runs that could not be done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failed: list[str] = []

    def reading(self, done: int, total: int) -> None:
        """Take that so many of the cases are read."""
        self._show(f"reading case {done}/{total}", done, total)

    def begin(self, run: Run) -> None:
        """Take that a run of an experiment begins, or goes on."""
        self._say(f"{run.name}:")

    def end(self, run: Run, scores: Mapping[str, Any]) -> None:
        """Take a run's scores."""
        dice = scores["figures"]["dice"]
        self._say(
            f"{run.name}: Dice {dice['mean']:.3f} (median {dice['median']:.3f}), {scores['run']['minutes']} minutes"
        )

    def epoch(self, seconds: float, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Take an epoch's end."""
        told = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self._say(f"epoch {done}/{total}, {seconds:.0f} s: {told}")

    def moving(self, share: float, epoch: int, epochs: int) -> None:
        """Take a step: the bar goes by the course's computing, for epochs differ in what they cost."""
        self._show(f"epoch {epoch}/{epochs}", share, 1.0)

    def fail(self, run: Run, error: Exception) -> None:
        """Take that a run cannot be done."""
        from core.errors import MetsegError, unforeseen

        if isinstance(error, MetsegError):
            self._say(f"{run.name}: failed: {error.detail}")
        else:
            self._say(f"{run.name}: failed: {unforeseen(error)}")
            show_traceback(error)
        self.failed.append(run.name)


def bench_progress(row: Mapping[str, Any]) -> None:
    """A line for each measurement, as soon as it is there."""
    complain(f"{row['subject']}, {row['what']}, {row['device']}: {milliseconds(row)}")


def _ending(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"failed: {sentence_of(outcome)}"
    lesions = len(outcome.manifest["result"]["lesions"]) if outcome.manifest else 0
    return f"{outcome.status}, {counted(lesions, 'lesion')}"


class StopOnInterrupt:
    """Turns the first Ctrl+C into a wish to stop, asked about between steps; the second one interrupts at once."""

    def __init__(self) -> None:
        self._asked = False

    def asked(self) -> bool:
        """Whether somebody pressed Ctrl+C."""
        return self._asked

    def __enter__(self) -> StopOnInterrupt:
        self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _take(self, *_: object) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        # Not print: the signal may have come in the middle of one, and streams cannot be entered twice.
        with contextlib.suppress(OSError):
            os.write(2, b"\nStopping after this step; Ctrl+C again stops at once.\n")
