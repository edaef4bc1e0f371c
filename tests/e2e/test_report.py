"""The report of a comparison in a real browser, wide and narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.evaluation.compare import build_comparison, common_patients
from core.evaluation.report import report_html
from core.evaluation.scores import read_scores

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "shipped"


@pytest.fixture(scope="module")
def page() -> str:
    evaluations = common_patients([read_scores(path) for path in sorted(RESULTS.iterdir())])
    return report_html(evaluations, comparison=build_comparison(evaluations))


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_figure_of_a_comparison_is_cut_off(open_tab: Any, page: str, width: int) -> None:
    tab = open_tab(width=width)
    tab.set_content(page)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    ends = tab.evaluate("[...document.querySelectorAll('.stacked span')].map(e => e.getBoundingClientRect().right)")
    assert len(ends) > 50
    assert max(ends) <= width
    named = "e => getComputedStyle(e, '::before').content"
    said = tab.locator(".stacked td").nth(1).evaluate(named)
    assert said == ('"attention-unet"' if width < 480 else "none")


def test_a_table_that_is_scrolled_keeps_its_measures_in_view(open_tab: Any) -> None:
    tab = open_tab(width=390)
    tab.set_content(report_html([read_scores(RESULTS / "nested-unet")]))
    table = tab.locator(".scroll").first
    head = table.locator("tbody th").first
    before = head.bounding_box()
    moved = table.evaluate("e => { e.scrollLeft = e.scrollWidth; return e.scrollLeft; }")
    assert moved > 0
    assert head.bounding_box() == before
