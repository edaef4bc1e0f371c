from __future__ import annotations

import time

import pytest

from benchmarks import timing
from benchmarks.timing import Effort, Timing, measure, measure_in_turns


def test_rounds_take_turns_and_warm_up_does_not_count() -> None:
    calls: list[str] = []
    effort = Effort(warm_up=2, least=3, most=3, seconds=0.0)
    timings = measure_in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, effort=effort)
    assert "".join(calls) == "ab" * 5
    assert {name: len(rounds.samples) for name, rounds in timings.items()} == {"a": 3, "b": 3}


def test_a_gpu_is_woken_before_it_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "wait_for", lambda device: time.sleep(0.01))
    monkeypatch.setattr(timing, "WAKE_SECONDS", 0.1)
    calls: list[float] = []
    effort = Effort(warm_up=1, least=1, most=1, seconds=0.0)
    began = time.perf_counter()
    measure(lambda: calls.append(time.perf_counter() - began), "cuda:0", effort)
    assert len(calls) > 2
    assert calls[-1] > 0.1


def test_short_work_is_repeated_until_the_seconds_are_spent_but_no_more_than_the_most() -> None:
    assert len(measure(lambda: None, effort=Effort(warm_up=0, least=1, most=7, seconds=60.0)).samples) == 7
    rounds = len(measure(lambda: time.sleep(0.02), effort=Effort(warm_up=0, least=1, most=99, seconds=0.05)).samples)
    assert 1 <= rounds <= 3


def test_times_are_milliseconds() -> None:
    slept = measure(lambda: time.sleep(0.03), effort=Effort(warm_up=0, least=3, most=3, seconds=0.0))
    assert slept.median >= 30
    assert slept.per(3).median == pytest.approx(slept.median / 3)


def test_the_median_and_the_quartiles_ignore_an_outlier() -> None:
    rounds = Timing((5.0, 1.0, 2.0, 1000.0, 3.0))
    assert rounds.median == 3
    assert rounds.quartiles == (2, 5)
    assert Timing((4.0,)).quartiles == (4, 4)


def test_a_ratio_is_taken_round_by_round() -> None:
    # The machine was slow in the middle: both were three times as slow, and one is twice the other all the same.
    assert Timing((2.0, 6.0, 2.0)).ratio_to(Timing((1.0, 3.0, 1.0))) == 2
