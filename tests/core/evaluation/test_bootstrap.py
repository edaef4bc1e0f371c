"""The bootstrap against a plain loop, and what it must always say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation import bootstrap
from core.evaluation.bootstrap import Difference, Interval, mean_interval, paired_difference, resampled_means

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=30)


@pytest.mark.parametrize("size", [2, 17, 88])
def test_it_is_what_a_loop_over_resamples_gives(size: int) -> None:
    values = np.random.default_rng(size).random(size).tolist()
    draw = np.random.default_rng(5)
    means = []
    for _ in range(400):
        picked = draw.integers(0, size, size)
        means.append(sum(values[index] for index in picked) / size)
    assert resampled_means(values, 400, seed=5) == pytest.approx(means, abs=1e-12)
    interval = mean_interval(values, 400, seed=5)
    assert interval.low == pytest.approx(np.percentile(means, 2.5), abs=1e-12)
    assert interval.high == pytest.approx(np.percentile(means, 97.5), abs=1e-12)


def test_it_is_the_same_however_the_draws_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(23).tolist()
    whole = resampled_means(values, 1000)
    monkeypatch.setattr(bootstrap, "DRAWS_AT_ONCE", 100)
    assert np.array_equal(resampled_means(values, 1000), whole)


def test_ten_thousand_resamples_of_a_known_spread_give_the_known_interval() -> None:
    values = np.random.default_rng(1).normal(0.8, 0.1, 400)
    interval = mean_interval(values.tolist())
    half = 1.96 * values.std() / 20
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=1e-3)
    assert interval.high == pytest.approx(values.mean() + half, abs=1e-3)


@given(VALUES)
def test_the_interval_holds_the_mean_and_lies_among_the_values(values: list[float]) -> None:
    interval = mean_interval(values, 200)
    assert mean_interval(values, 200) == interval
    if min(values) < max(values):
        assert min(values) - 1e-12 <= interval.low <= interval.high <= max(values) + 1e-12


def test_neither_one_patient_nor_equal_ones_have_an_interval() -> None:
    assert mean_interval([0.7]) == Interval(0.7, None, None)
    assert mean_interval([1.0] * 18) == Interval(1.0, None, None)
    assert paired_difference([0.7], [0.8]) == Difference(pytest.approx(0.1), None, None, None)


def test_a_paired_difference_is_that_of_the_differences() -> None:
    draw = np.random.default_rng(2)
    first = draw.random(30)
    second = first + draw.normal(0.02, 0.03, 30)
    result = paired_difference(first.tolist(), second.tolist())
    alone = mean_interval((second - first).tolist())
    assert (result.mean, result.low, result.high) == pytest.approx((alone.mean, alone.low, alone.high))
    swapped = paired_difference(second.tolist(), first.tolist())
    assert swapped.mean == pytest.approx(-result.mean)
    assert swapped.share_above_zero == pytest.approx(1 - result.share_above_zero)
    assert 0.9 < result.share_above_zero <= 1


def test_equal_models_differ_by_nothing_and_unequal_lengths_are_refused() -> None:
    same = paired_difference([0.5, 0.7], [0.5, 0.7])
    assert same == Difference(0, None, None, 0.5)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        paired_difference([0.5], [0.5, 0.6])
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])
