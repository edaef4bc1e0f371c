"""What is timed and how thoroughly, section by section."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.compare_clahe import clahe_rows
from benchmarks.compare_tiling import tiling_rows
from benchmarks.end_to_end import end_to_end_row
from benchmarks.latency import BATCHES, latency_rows
from benchmarks.rows import Row
from benchmarks.subjects import SIDE, Subject
from benchmarks.timing import QUICK, THOROUGH, Effort
from core.inference.predictor import WINDOW


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is timed.

    Attributes:
        effort: for each measurement.
        batches: pictures per call of a network, by kind of device.
        clahe_batch: pictures per call of CLAHE.
        every_depth: whether the nested network is also timed at its shallower depths.
        every_subject: whether tiling and the way from path to mask are timed with each network, or with one.
        precisions: from path to mask.
        slices: from path to mask.
        side: of a picture, in pixels.
        large_side, window: of the picture that is tiled and of its windows, in pixels.
    """

    effort: Effort
    batches: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: BATCHES)
    clahe_batch: int = 16
    every_depth: bool = True
    every_subject: bool = True
    precisions: tuple[str, ...] = ("auto",)
    slices: int = 8
    side: int = SIDE
    large_side: int = 2048
    window: int = WINDOW


QUICK_PLAN = Plan(QUICK, batches={"cpu": (1,), "cuda": (1, 8)}, every_depth=False, every_subject=False, large_side=1024)
THOROUGH_PLAN = Plan(THOROUGH)

Section = Callable[[Plan, Sequence[Subject], str], Iterator[Row]]


def _networks(plan: Plan, subjects: Sequence[Subject], device: str) -> Iterator[Row]:
    batches = plan.batches[device.partition(":")[0]]
    yield from latency_rows(subjects, device, plan.effort, batches=batches, all_depths=plan.every_depth, side=plan.side)


def _clahe(plan: Plan, _: Sequence[Subject], device: str) -> Iterator[Row]:
    yield from clahe_rows(device, plan.effort, batch=plan.clahe_batch, side=plan.side)


def _tiling(plan: Plan, subjects: Sequence[Subject], device: str) -> Iterator[Row]:
    for subject in _told(plan, subjects):
        yield from tiling_rows(subject, device, plan.effort, side=plan.large_side, window=plan.window)


def _end_to_end(plan: Plan, subjects: Sequence[Subject], device: str) -> Iterator[Row]:
    for subject in _told(plan, subjects):
        for precision in plan.precisions:
            yield end_to_end_row(subject, device, plan.effort, precision=precision, slices=plan.slices, side=plan.side)


def _told(plan: Plan, subjects: Sequence[Subject]) -> Sequence[Subject]:
    """All, or the one that stands for the others: the default model, which is the first of those shipped."""
    if plan.every_subject:
        return subjects
    return [next((subject for subject in subjects if subject.model), subjects[-1])]


SECTIONS: Mapping[str, Section] = {
    "networks": _networks,
    "CLAHE": _clahe,
    "tiling": _tiling,
    "end to end": _end_to_end,
}
