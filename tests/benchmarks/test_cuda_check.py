from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import cuda_check
from benchmarks.cuda_check import check, main, tiny_scale


def test_a_dry_run_on_the_cpu_writes_everything_that_a_cuda_run_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "check.json"
    code = main(["--device", "cpu", "--out", str(out)])
    report = json.loads(out.read_text(encoding="utf-8"))
    assert set(report["exactness"]) == {"CLAHE", "tiling", "precision"}
    assert set(report["timings"]) == {"networks", "CLAHE", "tiling", "end to end"}
    assert report["errors"] == {}
    clahe, tiled, tiled_in_double = report["claims"].values()
    assert clahe
    assert tiled_in_double
    assert code == (0 if tiled else 1)  # fresh weights may round worse in float32 than trained ones
    rows = [row for section in report["timings"].values() for row in section]
    assert {row["status"] for row in rows} == {"measured"}
    assert {row["precision"] for row in report["timings"]["end to end"]} == {"fp32", "bf16"}
    assert capsys.readouterr().out.count("holds: ") == 2 + tiled


TILED = {"float32": 3e-5, "error_of_float32": 2e-5, "float64": 1e-13}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Leaves out what takes time, and lets every claim hold."""
    monkeypatch.setattr(cuda_check, "SECTIONS", {})
    monkeypatch.setattr(cuda_check, "clahe_against_opencv", lambda *_: {"most": 0})
    monkeypatch.setattr(cuda_check, "tiling_against_whole", lambda *_: [TILED])
    monkeypatch.setattr(cuda_check, "precision_against_fp32", lambda *_: [])
    return monkeypatch


def test_a_part_that_fails_is_told_and_the_others_go_on(
    short: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> dict[str, Any]:
        raise RuntimeError("not implemented for 'UInt16'\nand more")

    short.setattr(cuda_check, "clahe_against_opencv", broken)
    report = check("cpu", tiny_scale(), say=lambda _: None)
    assert report["errors"] == {"exactness: CLAHE": "RuntimeError: not implemented for 'UInt16'"}
    assert set(report["exactness"]) == {"tiling", "precision"}
    assert list(report["claims"].values()) == [None, True, True]
    assert "not implemented" in capsys.readouterr().err


def test_the_exit_code_says_whether_every_claim_held(
    tmp_path: Path, short: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--device", "cpu", "--out", str(tmp_path / "check.json")]
    assert main(arguments) == 0
    assert "DOES NOT HOLD" not in capsys.readouterr().out
    short.setattr(cuda_check, "clahe_against_opencv", lambda *_: {"most": 1})
    assert main(arguments) == 1
    assert "DOES NOT HOLD: CLAHE" in capsys.readouterr().out
    short.setattr(cuda_check, "clahe_against_opencv", lambda *_: {"most": 0})
    short.setattr(cuda_check, "tiling_against_whole", lambda *_: [TILED | {"error_of_float32": 1e-6}])
    assert main(arguments) == 1
    assert "DOES NOT HOLD: tiled float32" in capsys.readouterr().out


def test_without_a_cuda_device_nothing_is_measured_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--out", str(tmp_path / "check.json")]) == 2
    assert "not measured" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
