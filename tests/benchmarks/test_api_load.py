"""The load script: its sums, and one small run against a real server."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.api_clients import Answered, Load, quantile_ms
from benchmarks.api_load import run_load


def test_quantiles_are_values_that_were_measured() -> None:
    values = [number / 1000 for number in range(1, 101)]
    assert quantile_ms(values, 0.5) == 51
    assert quantile_ms(values, 0.95) == 96
    assert quantile_ms(values, 1.0) == 100
    assert quantile_ms([], 0.5) is None


def test_a_row_tells_good_answers_from_refusals_and_from_wrong_ones() -> None:
    answers = (
        Answered(200, 0.1, True), Answered(200, 0.3, False), Answered(503, 0.01, False), Answered(0, 9.0, False),
        Answered(500, 9.0, False),
    )  # fmt: skip
    assert Load(answers, 4.0).row() == {
        "requests": 5,
        "good": 2,
        "refused": 1,
        "other": 2,
        "wrong_answers": 1,
        "good_per_second": 0.5,
        "p50_ms": 300.0,
        "p95_ms": 300.0,
        "refusal_p95_ms": 10.0,
    }


def test_a_small_load_is_answered_as_one_request_is(tiny_model: Path) -> None:
    report = run_load(str(tiny_model), clients=(1, 3), shares=(0.7,), requests=6, seconds=20, side=64, queue=64)
    rows = [row for row in report["rows"] if row["what"] != "bare predictor"]
    assert [row["what"] for row in rows] == [
        "closed loop, 1 clients", "closed loop, 3 clients", "open loop, 0.7 of capacity",
    ]  # fmt: skip
    assert len(report["rows"]) == 6
    for row in rows:
        assert (row["good"], row["refused"], row["other"], row["wrong_answers"]) == (row["requests"], 0, 0, 0)
    assert rows[1]["requests"] == 6
    assert all(row["good_per_second"] > 0 for row in report["rows"])
    json.dumps(report, allow_nan=False)
