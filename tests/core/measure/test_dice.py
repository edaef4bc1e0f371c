"""Dice and its rule for empty masks."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from core.measure.dice import EMPTY_RULE, dice

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=6)
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape)))


@given(PAIRS)
def test_it_is_what_counting_by_hand_gives(pair: tuple[NDArray[np.bool_], NDArray[np.bool_]]) -> None:
    a, b = ({index for index, value in np.ndenumerate(mask) if value} for mask in pair)
    expected = Fraction(2 * len(a & b), len(a) + len(b)) if a or b else Fraction(1)
    assert dice(*pair) == pytest.approx(float(expected))
    assert dice(*pair) == dice(pair[1], pair[0])
    assert dice(pair[0], pair[0]) == 1.0


def test_two_empty_masks_agree_and_the_rule_says_so() -> None:
    nothing = np.zeros((2, 3, 3), bool)
    assert dice(nothing, nothing) == 1.0
    assert "two empty masks" in EMPTY_RULE
    assert "1" in EMPTY_RULE


def test_one_empty_mask_disagrees() -> None:
    assert dice(np.zeros((3, 3), bool), np.eye(3, dtype=bool)) == 0.0


def test_a_large_volume_does_not_overflow() -> None:
    full = np.ones((70, 256, 256), bool)
    assert dice(full, full) == 1.0


@pytest.mark.parametrize(("a", "b"), [
    (np.ones((2, 3), bool), np.ones((3, 2), bool)),
    (np.ones((1, 3), bool), np.ones((3,), bool)),
    (np.ones(3, np.uint8), np.ones(3, bool)),
    (np.ones(3, bool), np.full(3, 255)),
])  # fmt: skip
def test_masks_that_cannot_be_compared_are_refused(a: Any, b: Any) -> None:
    with pytest.raises(ValueError, match="mask"):
        dice(a, b)
