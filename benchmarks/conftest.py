"""What the benchmarks share. They run only when asked: `pytest benchmarks --benchmark-enable`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.machine import describe_machine
from benchmarks.timing import THOROUGH, Work, wait_for

Clock = Callable[..., None]


@pytest.fixture
def clock(benchmark: BenchmarkFixture) -> Clock:
    """A function that times work on a device: warmed up, waited for, with what else to know beside the figures."""

    def run(work: Work, device: str, pictures: int, **facts: Any) -> None:
        def whole() -> None:
            work()
            wait_for(device)

        for _ in range(THOROUGH.warm_up):
            start = time.perf_counter()
            whole()
            seconds = time.perf_counter() - start
        rounds = min(max(THOROUGH.least, int(THOROUGH.seconds / seconds)), THOROUGH.most)
        benchmark.extra_info.update(device=device, pictures=pictures, torch_threads=torch.get_num_threads(), **facts)
        benchmark.pedantic(whole, rounds=rounds)  # type: ignore[no-untyped-call]

    return run


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Threads, versions and load go into the saved file."""
    machine_info["metseg"] = describe_machine()
