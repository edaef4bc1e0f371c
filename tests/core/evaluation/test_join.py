"""What joined scores are called; that their figures are right is in `test_report.py`."""

from __future__ import annotations

import pytest

from core.evaluation.join import common_name


@pytest.mark.parametrize(
    ("names", "shared"),
    [(("a b", "a b"), "a b"), (("net", "net-2"), "net"), (("f1", "f2"), "f1, f2"), (("_a", "_b"), "_a, _b")],
)
def test_what_names_share_are_whole_words(names: tuple[str, ...], shared: str) -> None:
    assert common_name(names) == shared
