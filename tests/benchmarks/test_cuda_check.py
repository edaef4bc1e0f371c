from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import cuda_check
from benchmarks.cuda_check import check, main, tiny_scale
from benchmarks.machine import describe_machine


def test_a_dry_run_on_the_cpu_writes_everything_that_a_cuda_run_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "check.json"
    code = main(["--device", "cpu", "--out", str(out)])
    report = json.loads(out.read_text(encoding="utf-8"))
    assert set(report["exactness"]) == {"CLAHE", "tiling", "precision", "learning"}
    assert set(report["timings"]) == {"networks", "CLAHE", "tiling", "end to end"}
    assert report["errors"] == {}
    claims = list(report["claims"].values())
    assert len(claims) == 7
    tiled = claims.pop(1)
    assert all(claims)
    assert code == (0 if tiled else 1)  # fresh weights may round worse in float32 than trained ones
    rows = [row for section in report["timings"].values() for row in section]
    assert {row["status"] for row in rows} == {"measured"}
    assert {row["precision"] for row in report["timings"]["end to end"]} == {"fp32", "bf16"}
    assert capsys.readouterr().out.count("holds: ") == 6 + tiled


PRECISION = {"precision": "fp32", "largest_difference_in_logits": 2e-5, "dice": 1.0, "fallbacks": {}}
TILED = {"float32": 3e-5, "error_of_float32": 2e-5, "float64": 1e-13}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Leaves out what takes time, and lets every claim hold."""
    monkeypatch.setattr(cuda_check, "SECTIONS", {})
    monkeypatch.setattr(cuda_check, "clahe_against_opencv", lambda *_: {"most": 0})
    monkeypatch.setattr(cuda_check, "tiling_against_whole", lambda *_: [TILED])
    monkeypatch.setattr(cuda_check, "precision_against_fp32", lambda *_: [PRECISION])
    monkeypatch.setattr(cuda_check, "learning_on", lambda *_: [{"learnt": True}])
    return monkeypatch


def test_a_part_that_fails_is_told_and_the_others_go_on(
    short: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> dict[str, Any]:
        raise RuntimeError("not implemented for 'UInt16'\nand more")

    short.setattr(cuda_check, "clahe_against_opencv", broken)
    report = check("cpu", tiny_scale(), say=lambda _: None)
    assert report["errors"] == {"exactness: CLAHE": "RuntimeError: not implemented for 'UInt16'"}
    assert set(report["exactness"]) == {"tiling", "precision", "learning"}
    assert list(report["claims"].values()) == [None, *[True] * 6]
    assert "not implemented" in capsys.readouterr().err


def test_the_exit_code_is_0_where_every_claim_held(
    tmp_path: Path, short: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--device", "cpu", "--out", str(tmp_path / "check.json")]) == 0
    assert "DOES NOT HOLD" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("part", "finding", "claim"),
    [
        ("clahe_against_opencv", {"most": 1}, "CLAHE"),
        ("tiling_against_whole", [TILED | {"error_of_float32": 1e-6}], "tiled float32"),
        ("tiling_against_whole", [TILED | {"float64": 1e-8}], "tiled float64"),
        ("precision_against_fp32", [PRECISION | {"largest_difference_in_logits": 5e-3}], "float32 logits"),  # TF32
        ("precision_against_fp32", [PRECISION, PRECISION | {"precision": "bf16", "dice": 0.5}], "masks in reduced"),
        ("precision_against_fp32", [PRECISION | {"fallbacks": {"batch-halved": 1}}], "no batch"),
        ("learning_on", [{"learnt": True}, {"learnt": False}], "networks learn"),
    ],
)
def test_a_claim_that_does_not_hold_is_said_and_told_by_the_exit_code(
    part: str, finding: Any, claim: str, tmp_path: Path, short: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short.setattr(cuda_check, part, lambda *_: finding)
    assert main(["--device", "cpu", "--out", str(tmp_path / "check.json")]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("DOES NOT HOLD")]
    assert line.startswith(f"DOES NOT HOLD: {claim}")


def test_a_run_that_is_cut_short_leaves_what_it_has_found(tmp_path: Path, short: pytest.MonkeyPatch) -> None:
    def cut_short(*_: Any) -> Any:
        raise KeyboardInterrupt

    short.setattr(cuda_check, "precision_against_fp32", cut_short)
    with pytest.raises(KeyboardInterrupt):
        main(["--device", "cpu", "--out", str(tmp_path / "check.json")])
    report = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))
    assert set(report["exactness"]) == {"CLAHE", "tiling"}
    assert list(report["claims"].values()) == [True, True, True, None, None, None, None]


def test_a_cudnn_that_does_not_suit_a_card_is_said_and_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsuited() -> int:
        raise RuntimeError("cuDNN version 92000 is not compatible with devices with SM < 7.5\nand more")

    monkeypatch.setattr(torch.backends.cudnn, "version", unsuited)
    assert describe_machine()["cudnn"] == "cuDNN version 92000 is not compatible with devices with SM < 7.5"


def test_without_a_cuda_device_nothing_is_measured_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--out", str(tmp_path / "check.json")]) == 2
    assert "not measured" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("half", "other"), [("exactness", "timings"), ("timings", "exactness")])
def test_a_half_may_be_done_alone(half: str, other: str, tmp_path: Path, short: pytest.MonkeyPatch) -> None:
    short.setattr(cuda_check, "SECTIONS", {"networks": lambda *_: []})
    assert main(["--device", "cpu", "--out", str(tmp_path / "check.json"), "--only", half]) == 0
    report = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))
    assert (bool(report[half]), report[other]) == (True, {})
    assert set(report["claims"].values()) == ({True} if half == "exactness" else {None})
