"""The verbs other than `segment` and `info` reach their rooms with what was asked, and show what comes back."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import metseg
from core.demo import run_demo
from core.evaluation.folds import load_folds


def test_the_demo_shows_each_cases_dice_and_where_the_page_is(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.demo.run_demo", partial(run_demo, seeds=(1, 2), slices=1, size=64))
    arguments = ["demo", "--out", str(tmp_path / "demo"), "--model", str(tiny_model), "--precision", "fp32"]
    assert metseg.main([*arguments, "--device", "cpu"]) == 0
    page = capsys.readouterr().out
    dices = {}
    for path in (tmp_path / "demo").rglob("manifest.json"):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if "result" in manifest:
            dices[manifest["name"]] = manifest["result"]["dice"]
    assert len(dices) == 2
    table = {words[0]: words[1] for words in map(str.split, page.splitlines()) if len(words) == 2}
    assert {name: table[name] for name in dices} == {name: f"{dice:.3f}" for name, dice in dices.items()}
    assert table["mean"] == f"{sum(dices.values()) / len(dices):.3f}"
    assert "two empty masks" in page
    assert "drawn by a program" in page
    assert str(tmp_path / "demo" / "index.html") in page
    assert (tmp_path / "demo" / "index.html").is_file()


def test_a_demo_without_a_model_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.model_store.SHIPPED", tmp_path / "none")
    assert metseg.main(["demo", "--out", str(tmp_path / "demo")]) == 2
    assert "no model came with this installation" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


MACHINE = {
    "devices": [{"kind": "cpu", "name": "Some CPU"}],
    "versions": {"torch": "2.13.0"},
    "torch_threads": 2,
    "load_average": 0.25,
}
ROW = {
    "subject": "network", "what": "nested-unet", "device": "cpu", "precision": "fp32", "batch": 4, "size": "256×256",
    "status": "measured", "ms": 12.5, "ms_low": 12.0, "ms_high": 13.25, "rounds": 9, "ratio": 0.5, "ratio_to": "other",
    "note": "",
}  # fmt: skip
MISSING = {**ROW, "status": "not measured", "ms": None, "ms_low": None, "ms_high": None, "ratio": None, "note": "why"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `metseg bench` asks to have measured; the answer is made up."""
    from benchmarks.table import BenchReport

    calls: list[Any] = []

    def measure(quick: bool, devices: Any, *, progress: Any) -> BenchReport:
        calls.append((quick, tuple(devices)))
        for row in (ROW, MISSING):
            progress(row)
        return BenchReport(MACHINE, (ROW, MISSING))

    monkeypatch.setattr("benchmarks.table.run_bench", measure)
    return calls


def test_bench_shows_times_and_what_was_not_measured(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert metseg.main(["bench"]) == 0
    assert asked == [(True, ("cpu", "cuda"))]
    captured = capsys.readouterr()
    measured, missing = (line for line in captured.out.splitlines() if line.startswith("nested-unet"))
    assert "12.5 (12–13.25)" in measured
    assert "0.50 × other" in measured
    assert "not measured" in missing
    assert missing.startswith("nested-unet [1]")
    assert "[1] why" in captured.out
    assert "Some CPU" in captured.out
    assert len(captured.err.splitlines()) == 2


def test_bench_prints_json_for_programs(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert metseg.main(["bench", "--json", "--thorough", "--device", "cuda:1"]) == 0
    assert asked == [(False, ("cuda:1",))]
    assert json.loads(capsys.readouterr().out) == {"machine": MACHINE, "rows": [ROW, MISSING]}


def write_patients(folder: Path) -> Path:
    """Four patients of two slices each, whose pictures have nothing in common."""
    values = np.random.default_rng(0)
    for number in range(4):
        case = folder / f"P{number}"
        case.mkdir(parents=True)
        for slice_number in (1, 2):
            picture = cv2.resize(values.integers(0, 255, (6, 6), dtype=np.uint8), (64, 64))
            stem = f"P{number}_{slice_number}"
            assert cv2.imwrite(str(case / f"{stem}.tif"), picture)
            assert cv2.imwrite(str(case / f"{stem}_mask.tif"), (picture > 150) * np.uint8(255))
    return folder


def test_folds_are_written_with_each_patient_in_one_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_patients(tmp_path / "in")
    out = tmp_path / "made" / "folds.json"
    arguments = ["folds", str(tmp_path / "in"), "--out", str(out), "--count", "2"]
    assert metseg.main(arguments) == 0
    written = load_folds(out).folds
    assert sorted(len(fold) for fold in written) == [2, 2]
    assert sorted(patient for fold in written for patient in fold) == ["P0", "P1", "P2", "P3"]
    page = capsys.readouterr().out
    assert f"fold 0: 2 patients: {', '.join(written[0])}" in page
    before = out.read_bytes()
    assert metseg.main([*arguments, "--seed", "7"]) == 3
    assert "--overwrite" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_evaluate_shows_the_table_of_the_fold_that_was_asked_for(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, folds, out = write_patients(tmp_path / "in"), tmp_path / "folds.json", tmp_path / "out"
    assert metseg.main(["folds", str(data), "--out", str(folds), "--count", "2"]) == 0
    capsys.readouterr()
    arguments = ["evaluate", str(tiny_model), str(data), "--out", str(out), "--device", "cpu", "--precision", "fp32"]
    assert metseg.main([*arguments, "--folds", str(folds), "--fold", "1", "--threshold", "0.4"]) == 0
    scores = json.loads((out / "scores.json").read_text(encoding="utf-8"))
    assert scores["totals"]["patients"] == 2
    assert scores["settings"]["threshold"] == 0.4
    page = capsys.readouterr().out
    assert (out / "table.md").read_text(encoding="utf-8") in page
    assert "report.html" in page
    assert (out / "report.html").is_file()


@pytest.mark.parametrize("wrong", [["--threshold", "2"], ["--grid", "round"], ["--fold", "1"], ["--min-lesion", "-1"]])
def test_evaluate_says_what_is_wrong_before_it_starts(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    data, out = write_patients(tmp_path / "in"), tmp_path / "out"
    assert metseg.main(["evaluate", str(tiny_model), str(data), "--out", str(out), *wrong]) == 2
    assert capsys.readouterr().err.startswith("metseg: ")
    assert not out.exists()


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options that `metseg train` trains with; nothing is trained."""
    train = pytest.importorskip("training.train", reason="the extra [train] is not installed")
    seen: list[Any] = []

    def note(given: Any, *, report: Any, moving: Any, reading: Any, tell: Any) -> Any:
        reading(1, 1)
        moving(0.25, 1, 4)
        tell("2 patients are left out")
        report(2.0, 1, 4, {"loss": 0.5})
        seen.append(given)
        return train.TrainResult(given.out / "model", {})

    monkeypatch.setattr(train, "train", note)
    return seen


def test_train_without_options_uses_the_rooms_own(
    tmp_path: Path, options: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from training.options import TrainOptions

    assert metseg.main(["train", str(tmp_path), "--network", "nested-unet", "--out", str(tmp_path / "run")]) == 0
    assert options == [TrainOptions(data=tmp_path, out=tmp_path / "run", network="nested-unet")]
    captured = capsys.readouterr()
    assert f"--model {tmp_path / 'run' / 'model'}" in captured.out
    assert "epoch 1/4, 2 s: loss 0.5000" in captured.err


def test_train_hands_on_every_option(tmp_path: Path, options: list[Any]) -> None:
    line = (
        f"train {tmp_path} --network attention-unet --out {tmp_path / 'run'} --folds new --fold 3 --epochs 2,1,3 "
        f"--filters 2,3,4,5,6 --batch 5 --seed 9 --threads 1 --device cpu --precision fp32 --cache {tmp_path / 'c'} "
        "--restart"
    )
    assert metseg.main(line.split()) == 0
    (given,) = options
    assert (given.folds, given.fold, given.filters, given.batch, given.seed) == (None, 3, (2, 3, 4, 5, 6), 5, 9)
    assert (given.threads, given.device, given.precision, given.resume) == (1, "cpu", "fp32", False)
    assert [(stage.epochs, stage.shrink) for stage in given.course] == [(2, 2), (1, 1), (3, 1)]
    assert given.cache == tmp_path / "c"
    assert metseg.main([*line.split(), "--all"]) == 2  # it names a fold, too
    everybody = f"train {tmp_path} --network nested-unet --out {tmp_path / 'all'} --all"
    assert metseg.main(everybody.split()) == 0
    assert options[1].fold is None


@pytest.mark.parametrize(
    "wrong", [["--network", "transformer"], ["--epochs", "2,,2"], ["--epochs", "two,1"], ["--filters", "0,1"]]
)
def test_train_says_what_is_wrong_before_it_starts(
    tmp_path: Path, options: list[Any], capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    arguments = ["train", str(tmp_path), "--network", "nested-unet", "--out", str(tmp_path / "run"), *wrong]
    assert metseg.main(arguments) == 2
    assert wrong[0].removeprefix("--") in capsys.readouterr().err
    assert options == []


def test_a_stopped_training_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = pytest.importorskip("training.train", reason="the extra [train] is not installed")

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    assert metseg.main(["train", str(tmp_path), "--network", "nested-unet", "--out", str(tmp_path / "run")]) == 130
    assert "goes on from the last epoch" in capsys.readouterr().err


def test_training_without_its_packages_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = metseg.importlib.util.find_spec
    monkeypatch.setattr(metseg.importlib.util, "find_spec", lambda name: None if name == "lightning" else find(name))
    assert metseg.main(["train", str(tmp_path), "--network", "nested-unet", "--out", str(tmp_path / "run")]) == 2
    assert "pip install '.[train]'" in capsys.readouterr().err
