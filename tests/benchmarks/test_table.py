from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from benchmarks.plan import QUICK_PLAN, SECTIONS, Plan
from benchmarks.subjects import Subject
from benchmarks.table import run_bench
from benchmarks.timing import Effort

ONCE = Effort(warm_up=0, least=1, most=1, seconds=0.0)
TINY = Plan(ONCE, batches={"cpu": (1,), "cuda": (1,)}, clahe_batch=2, slices=2, side=64, large_side=128, window=96)
SUBJECTS = (Subject("nested-unet", (4, 6, 8)), Subject("attention-unet", (4, 6, 8)))


def test_the_table_has_every_section_and_is_json() -> None:
    seen: list[dict[str, Any]] = []
    report = run_bench(True, ("cpu",), plan=TINY, subjects=SUBJECTS, progress=seen.append)
    assert list(report.rows) == seen
    assert json.loads(json.dumps(report.to_json()))["rows"] == seen
    assert {row["subject"] for row in seen} == {"network", "CLAHE", "tiling", "end to end"}
    assert {row["status"] for row in seen} == {"measured"}
    assert all(row["ms"] > 0 for row in seen)
    assert report.machine["torch_threads"] == torch.get_num_threads()
    ends = [row for row in seen if row["subject"] == "end to end"]
    assert [row["what"] for row in ends] == [subject.name for subject in SUBJECTS]
    assert all("network" in row["note"] for row in ends)


def test_a_device_that_is_not_there_is_not_measured_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    report = run_bench(True, ("cuda",), subjects=SUBJECTS)
    assert {row["subject"] for row in report.rows} == {"network", "CLAHE", "tiling", "end to end"}
    for row in report.rows:
        assert (row["device"], row["status"], row["ms"]) == ("cuda", "not measured", None)
        assert row["note"] == "no CUDA device can be used here"


def test_where_time_is_short_the_default_model_stands_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    shipped = (Subject("nested-unet", (4, 6), "default"), Subject("attention-unet", (4, 6), "other"))
    told = list(SECTIONS["end to end"](QUICK_PLAN, (*SUBJECTS, *shipped), "cuda"))
    assert [row.what for row in told] == [shipped[0].name]
    told = list(SECTIONS["end to end"](QUICK_PLAN, SUBJECTS, "cuda"))
    assert [row.what for row in told] == [SUBJECTS[-1].name]
