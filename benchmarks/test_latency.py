"""Latency of the networks: architecture × depth × width × device × precision × batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from benchmarks.latency import BATCHES, depths, network_call
from benchmarks.subjects import PRECISIONS, SIDE, Subject, missing_device, shipped_subjects, standard_subjects


def cases() -> Iterator[Any]:
    for device, precisions in PRECISIONS.items():
        why = missing_device(device)
        marks = [pytest.mark.skip(reason=f"not measured: {why}")] if why else []
        for precision in precisions:
            for batch in BATCHES[device]:
                yield pytest.param(device, precision, batch, marks=marks, id=f"{device}-{precision}-batch{batch}")


def variants() -> Iterator[Any]:
    for subject in (*standard_subjects(), *shipped_subjects()):
        levels = len(subject.filters) - 1
        for depth in range(levels, 0, -1) if subject.network == "nested-unet" else (levels,):
            yield pytest.param(subject, levels - depth, id=f"{subject.slug}-L{depth}")


@pytest.fixture(scope="module")
def build() -> Callable[[Subject], tuple[nn.Module, ...]]:
    """Each network is built once, with its cuts, the deepest first."""
    return cache(lambda subject: tuple(network for _, network in depths(subject.build())))


@pytest.mark.parametrize(("device", "precision", "batch"), list(cases()))
@pytest.mark.parametrize(("subject", "shallower_by"), list(variants()))
def test_latency_of_a_network(
    subject: Subject,
    shallower_by: int,
    device: str,
    precision: str,
    batch: int,
    build: Callable[[Subject], tuple[nn.Module, ...]],
    clock: Callable[..., None],
    benchmark: BenchmarkFixture,
) -> None:
    benchmark.group = f"{device}, {precision}, batch {batch}, {SIDE}×{SIDE}"
    settings = subject.preprocessing
    _, call = network_call(build(subject)[shallower_by], device, precision, batch, settings=settings)
    assert call().shape == (batch, 1, SIDE // settings.shrink, SIDE // settings.shrink)
    clock(call, device, batch, precision=precision)
