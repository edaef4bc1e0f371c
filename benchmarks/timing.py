"""Times that can be compared: warmed up, in turns, on devices that have finished, as medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Work = Callable[[], Any]
WAKE_SECONDS = 0.3
"""A CUDA device warms up at least so long: one that had nothing to do runs at a lower clock."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Attributes:
        warm_up: rounds that do not count, at least: kernels are compiled and memory is taken in them.
        least: rounds that count, at least.
        most: rounds that count, at most.
        seconds: after which no further round begins, once there are enough.
    """

    warm_up: int = 2
    least: int = 5
    most: int = 200
    seconds: float = 2.0


QUICK = Effort(warm_up=1, least=3, most=50, seconds=0.5)
THOROUGH = Effort()


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one piece of work, one entry a round."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """In milliseconds."""
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The middle half of the rounds lies between these, in milliseconds."""
        if len(self.samples) == 1:
            return self.samples[0], self.samples[0]
        first, _, third = statistics.quantiles(self.samples, n=4, method="inclusive")
        return first, third

    def per(self, count: int) -> Timing:
        """The same, shared out among the `count` pictures that each round did."""
        return Timing(tuple(sample / count for sample in self.samples))

    def ratio_to(self, other: Timing) -> float:
        """Median of round by round ratios, so that what slows the machine for a while slows both."""
        return statistics.median(own / its for own, its in zip(self.samples, other.samples, strict=True))


def measure(work: Work, device: str = "cpu", effort: Effort = THOROUGH) -> Timing:
    """Time one piece of work."""
    return measure_in_turns({"": work}, device, effort)[""]


def measure_in_turns(works: Mapping[str, Work], device: str = "cpu", effort: Effort = THOROUGH) -> dict[str, Timing]:
    """Time several pieces of work side by side: every round does each of them once.

    Args:
        works: by name.
        device: what they run on; a CUDA device is waited for before and after each.
        effort: how long; its seconds count for all of them together.

    Returns:
        timings by name, all with the same number of rounds.
    """
    rounds, start = 0, time.perf_counter()
    wake = WAKE_SECONDS if device.startswith("cuda") else 0.0
    while rounds < effort.warm_up or time.perf_counter() - start < wake:
        for work in works.values():
            _milliseconds(work, device)
        rounds += 1
    samples: dict[str, list[float]] = {name: [] for name in works}
    rounds, start = 0, time.perf_counter()
    while rounds < effort.least or (rounds < effort.most and time.perf_counter() - start < effort.seconds):
        for name, work in works.items():
            samples[name].append(_milliseconds(work, device))
        rounds += 1
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def _milliseconds(work: Work, device: str) -> float:
    wait_for(device)
    start = time.perf_counter()
    work()
    wait_for(device)
    return (time.perf_counter() - start) * 1000


def wait_for(device: str) -> None:
    """Return when a CUDA device has done all it was given; a CPU has done so already."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)
