"""`metseg segment` through its public door: real files, real processes, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile

import metseg

ROOT = Path(__file__).parent.parent


def head(seed: int, size: int = 48) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 60, (size, size), dtype=np.uint8)
    image[size // 4 : size // 2, size // 4 : size // 2] = 220
    return image


def write_case(folder: Path, slices: int = 2, suffix: str = ".tif", masks: bool = True, size: int = 48) -> Path:
    folder.mkdir(parents=True)
    for number in range(1, slices + 1):
        image = head(number, size)
        for name, values in ((f"{number}", image), (f"{number}_mask", (image == 220) * np.uint8(255))):
            if masks or not name.endswith("_mask"):
                assert cv2.imwrite(str(folder / f"{folder.name}_{name}{suffix}"), values)
    return folder


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def segment(tiny_model: Path) -> Callable[..., int]:
    """`segment("PATH", …)` runs the verb in this process with a tiny model; gives back the exit code."""

    def run(*arguments: str | Path) -> int:
        fixed = ["--model", str(tiny_model), "--device", "cpu", "--precision", "fp32"]
        return metseg.main(["segment", *map(str, arguments), *fixed])

    return run


def command(tiny_model: Path, *arguments: str | Path) -> list[str]:
    fixed = ["--model", str(tiny_model), "--device", "cpu", "--precision", "fp32"]
    return [sys.executable, "-m", "metseg", "segment", *map(str, arguments), *fixed]


def test_files_and_folders_of_tiff_and_png_become_masks_and_tables(
    tmp_path: Path, segment: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "in" / "A", slices=3)
    write_case(tmp_path / "in" / "B", suffix=".png", masks=False)
    lone = tmp_path / "lone.tif"
    tifffile.imwrite(lone, head(7, 33))
    assert segment(tmp_path / "in", lone, "--out", tmp_path / "out") == 0
    shapes = {
        str(path.relative_to(tmp_path / "out")): cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape
        for path in (tmp_path / "out").rglob("*_mask.*")
    }
    assert shapes == {
        **{f"A/A_{number}_mask.tif": (48, 48) for number in (1, 2, 3)},
        **{f"B/B_{number}_mask.png": (48, 48) for number in (1, 2)},
        "lone/lone_mask.tif": (33, 33),
    }
    table = capsys.readouterr().out
    summary = load(tmp_path / "out" / "summary.json")
    dices = {case["name"]: case["dice"] for case in summary["cases"]}
    assert (dices["B"], dices["lone"]) == (None, None)
    row = next(line.split() for line in table.splitlines() if line.startswith("A "))
    assert (row[1], row[-1]) == ("3", f"{dices['A']:.3f}")
    assert "two empty masks" in table
    assert "Research use only" in table
    assert str(tmp_path / "out") in table


def test_the_summary_and_manifests_have_their_fields(tmp_path: Path, segment: Callable[..., int]) -> None:
    write_case(tmp_path / "A")
    assert segment(tmp_path / "A", "--out", tmp_path / "out", "--tta", "--min-lesion", "2", "--threshold", "0.4") == 0
    summary = load(tmp_path / "out" / "summary.json")
    assert set(summary) >= {"cases", "failures", "totals", "dice_rule", "research_use_only"}
    assert set(summary["cases"][0]) >= {
        "name", "slices", "lesions", "voxels", "area_mm2", "volume_ml", "dice", "warnings"
    }  # fmt: skip
    settings = load(tmp_path / "out" / "manifest.json")["settings"]
    assert (settings["tta"], settings["min_lesion"], settings["threshold"]) == (True, 2, 0.4)
    assert load(tmp_path / "out" / "A" / "manifest.json")["settings"] == settings


def test_a_broken_file_beside_good_ones_is_named_and_gives_exit_code_3(
    tmp_path: Path, segment: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "in" / "A")
    write_case(tmp_path / "in" / "C")
    (tmp_path / "in" / "broken.tif").write_bytes(b"II*\0\xff\xff\xff\xff")
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 3
    captured = capsys.readouterr()
    assert "Failed: broken: " in captured.err
    assert "Traceback" not in captured.err
    assert sorted(path.parent.name for path in (tmp_path / "out").glob("*/manifest.json")) == ["A", "C"]
    assert [failed["name"] for failed in load(tmp_path / "out" / "summary.json")["failures"]] == ["broken"]


def test_when_all_failed_the_exit_code_is_3_too(tmp_path: Path, segment: Callable[..., int]) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "empty").mkdir()
    assert segment(tmp_path / "a.png", tmp_path / "empty", "--out", tmp_path / "out") == 3
    assert len(load(tmp_path / "out" / "summary.json")["failures"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["A"],
        ["--out", "out"],
        ["missing", "--out", "out"],
        ["", "--out", "../out"],
        ["A", "--out", ""],
        ["A", "--out=", "A"],
        ["A", "--out", "A/out"],
        ["A", "--out", "A"],
        ["A/A_1.tif", "--out", "A"],
        ["A", "--out", "out", "--threshold", "nan"],
        ["A", "--out", "out", "--threshold", "1e999"],
        ["A", "--out", "out", "--min-lesion", "-1"],
        ["A", "--out", "out", "--grid", "round"],
        ["A", "--out", "out", "--model", "no-such-model"],
        ["A", "--out", "out", "--device", "toaster"],
        ["A", "--out", "out", "--device", "cuda:97"],
        ["A", "--out", "out", "--precision", "fp7"],
        ["A", "--out", "out", "--no-such-option"],
    ],
)
def test_wrong_usage_is_said_in_a_sentence_with_exit_code_2_and_writes_nothing(
    tmp_path: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    write_case(tmp_path / "A")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    model = [] if "--model" in arguments else ["--model", str(tiny_model)]
    assert metseg.main(["segment", *arguments, *model]) == 2
    error = capsys.readouterr().err
    assert error.strip()
    assert "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before


def test_each_warning_is_told_once_with_the_cases_it_is_about(
    tmp_path: Path, segment: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, slices in (("A", 3), ("B", 3), ("C", 4)):
        folder = write_case(tmp_path / "in" / name, slices=slices)
        (folder / f"{name}_2_mask.tif").unlink()
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Warning: ")]
    assert [line for line in lines if "missing-masks" in line] == [
        "Warning: 1 of 3 images have no ground-truth mask [missing-masks, 2 cases: A, B]",
        "Warning: 1 of 4 images have no ground-truth mask [missing-masks, 1 case: C]",
    ]
    assert lines[-1] == "Warning: 3 images without a mask: A_2.tif, B_2.tif, C_2.tif"


def test_the_command_says_whose_lesions_of_earlier_runs_the_table_holds(
    tmp_path: Path, segment: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "in" / "A")
    write_case(tmp_path / "in" / "B", slices=4)
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0
    assert "earlier runs" not in capsys.readouterr().out
    write_case(tmp_path / "C", slices=3)
    assert segment(tmp_path / "in" / "A", tmp_path / "C", "--out", tmp_path / "out", "--threshold", "0.3") == 3
    assert "lesions.csv also holds 2 cases of earlier runs: A (failed now), B" in capsys.readouterr().out


def test_the_command_says_which_earlier_case_has_another_name_by_now(
    tmp_path: Path, segment: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for number, patient in enumerate(("P1", "P2")):
        (tmp_path / "in" / patient).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "in" / patient / "flair.tif", head(number))
        assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0
    line = "lesions.csv leaves out 1 case of earlier runs with the images of one of this run: flair (same as P1_flair)"
    assert line in capsys.readouterr().out


def test_a_second_run_overwrites_nothing_unless_told_to(
    tmp_path: Path, segment: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write_case(tmp_path / "A")
    arguments = (tmp_path / "A", "--out", tmp_path / "out")
    assert segment(*arguments) == 0
    assert segment(*arguments) == 0
    assert "from earlier" in capsys.readouterr().out
    assert segment(*arguments, "--threshold", "0.3") == 3
    assert "--overwrite" in capsys.readouterr().err
    assert load(tmp_path / "out" / "A" / "manifest.json")["settings"]["threshold"] == 0.5
    assert segment(*arguments, "--threshold", "0.3", "--overwrite") == 0
    assert load(tmp_path / "out" / "A" / "manifest.json")["settings"]["threshold"] == 0.3


def test_the_results_are_not_taken_for_scans(tmp_path: Path, segment: Callable[..., int]) -> None:
    write_case(tmp_path / "A")
    assert segment(tmp_path / "A", "--out", tmp_path / "out") == 0
    assert segment(tmp_path / "out", "--out", tmp_path / "again") == 3
    assert load(tmp_path / "again" / "summary.json")["cases"] == []


def test_a_coloured_picture_needs_a_channel_and_takes_it(
    tmp_path: Path, segment: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cv2.imwrite(str(tmp_path / "cat.png"), np.stack([head(1), head(2), head(3)], axis=2))
    assert segment(tmp_path / "cat.png", "--out", tmp_path / "out") == 3
    assert "--channel" in capsys.readouterr().err
    assert segment(tmp_path / "cat.png", "--out", tmp_path / "out", "--channel", "1") == 0


def test_something_unforeseen_is_a_sentence_and_a_traceback_only_on_request(
    tmp_path: Path,
    segment: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError("a bug")

    write_case(tmp_path / "A")
    monkeypatch.setattr("core.batch.case.write_mask", fail)
    monkeypatch.delenv("METSEG_DEBUG", raising=False)
    assert segment(tmp_path / "A", "--out", tmp_path / "out") == 3
    error = capsys.readouterr().err
    assert "Failed: A: something unforeseen went wrong (ZeroDivisionError: a bug)" in error
    assert "METSEG_DEBUG=1" in error
    assert "Traceback" not in error
    monkeypatch.setenv("METSEG_DEBUG", "1")
    assert segment(tmp_path / "A", "--out", tmp_path / "out") == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_hostile_file_name_stays_inside_the_results_and_commands_no_terminal(
    tmp_path: Path, segment: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    name = "=1+1 \x1b[31m..\u202e"
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / f"{name}.tif", head(1))
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert "\x1b[31m" not in captured.out + captured.err
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert folder.name.isprintable()
    for line in (tmp_path / "out" / "lesions.csv").read_text(encoding="utf-8").splitlines()[1:]:
        assert line.startswith(("'=", "\"'="))


def test_ctrl_c_keeps_what_was_finished_and_the_next_run_goes_on(
    tmp_path: Path, tiny_model: Path, segment: Callable[..., int]
) -> None:
    cases = 40
    for number in range(cases):
        write_case(tmp_path / "in" / f"case-{number:02}", slices=3, masks=False, size=192)
    process = subprocess.Popen(
        command(tiny_model, tmp_path / "in", "--out", tmp_path / "out"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(f"[1/{cases}] case-00: done")
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "the same command goes on from there" in err
    assert "case-00" in out
    summary = load(tmp_path / "out" / "summary.json")
    finished = summary["totals"]["done"]
    assert 1 <= finished < cases
    assert summary["totals"]["not_reached"] == cases - finished
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []
    assert len(list((tmp_path / "out").glob("*/manifest.json"))) == finished
    assert (tmp_path / "out" / "lesions.csv").exists()

    inputs = sorted((tmp_path / "in").iterdir())[: finished + 1]
    assert segment(*inputs, "--out", tmp_path / "out") == 0
    totals = load(tmp_path / "out" / "summary.json")["totals"]
    assert (totals["kept"], totals["done"]) == (finished, 1)


def test_the_model_for_a_real_patient_gives_masks_on_the_patients_grid(
    tmp_path: Path, lgg_root: Path, segment: Callable[..., int]
) -> None:
    patient = next(path for path in sorted(lgg_root.iterdir()) if path.is_dir())
    assert segment(patient, "--out", tmp_path / "out") == 0
    folder = tmp_path / "out" / patient.name
    images = [path for path in patient.glob("*.tif") if not path.stem.endswith("_mask")]
    for image in images:
        mask = tifffile.imread(folder / f"{image.stem}_mask.tif")
        assert mask.shape == tifffile.imread(image).shape[:2]
        assert set(np.unique(mask)) <= {0, 255}
    result = load(folder / "manifest.json")["result"]
    assert result["slices"] == len(images)
    assert 0 <= result["dice"] <= 1
