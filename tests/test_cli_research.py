"""The verbs compare and experiment, through the command."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import metseg
from core.phantom import write_phantom_case


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    for seed in (1, 2, 3):
        write_phantom_case(seed, folder, slices=2, size=64)
    return folder


def test_two_evaluations_are_compared_patient_by_patient(
    phantoms: Path, tiny_models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []
    for name, model in tiny_models.items():
        folders.append(str(tmp_path / name))
        arguments = [str(model), str(phantoms), "--out", folders[-1], "--device", "cpu", "--precision", "fp32"]
        assert metseg.main(["evaluate", *arguments]) == 0
    capsys.readouterr()
    assert metseg.main(["compare", *folders, "--out", str(tmp_path / "both"), "--name", "one", "--name", "other"]) == 0
    shown = capsys.readouterr().out
    comparison = json.loads((tmp_path / "both" / "comparison.json").read_text(encoding="utf-8"))
    means = [json.loads((Path(f) / "scores.json").read_text())["figures"]["dice"]["mean"] for f in folders]
    assert comparison["pairs"][0]["paired"]["dice"]["difference"] == pytest.approx(means[1] - means[0], abs=1e-5)
    assert "other" in shown
    assert (tmp_path / "both" / "report.html").is_file()


def test_one_evaluation_is_not_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert metseg.main(["compare", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "two evaluations" in capsys.readouterr().err


def test_an_experiment_is_worked_off_and_shown(
    phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightning", reason="the extra [train] is not installed")
    data = tmp_path / "set"
    draw = np.random.default_rng(0)
    for number in range(5):
        for slice_number in (1, 2):
            case = data / f"p{number}"
            case.mkdir(parents=True, exist_ok=True)
            picture = cv2.resize(draw.integers(0, 255, (8, 8), dtype=np.uint8), (64, 64))
            assert cv2.imwrite(str(case / f"p{number}_{slice_number}.tif"), picture)
            truth = (picture > 128) * np.uint8(255 * (slice_number == 1))
            assert cv2.imwrite(str(case / f"p{number}_{slice_number}_mask.tif"), truth)
    file = tmp_path / "quick.toml"
    file.write_text(
        'name = "quick"\nscore = "fold"\nnetworks = ["nested-unet"]\nfolds = [0]\n'
        '[base]\nfolds = ""\ninner = 0.0\nfilters = [2, 3]\nbatch = 2\nprecision = "fp32"\nthreads = 1\n'
        'stages = [{ epochs = 1, shrink = 2, window = 32, peak = 1e-2 }]\n"preprocessing.size" = 64\n',
        encoding="utf-8",
    )
    places = ["--results", "results", "--runs", "runs", "--cache", "cache"]
    monkeypatch.chdir(tmp_path)
    assert metseg.main(["experiment", str(file), "--data", str(data), *places]) == 0
    captured = capsys.readouterr()
    assert "1 runs, 1 of them to do" in captured.err
    dice = json.loads(Path("results/quick/plain-nested-unet-f0.json").read_text())["figures"]["dice"]["mean"]
    assert f"{dice:.3f}" in captured.out
    shutil.rmtree("runs")
    assert metseg.main(["experiment", str(file), "--data", str(data), *places]) == 0
    assert "0 of them to do" in capsys.readouterr().err


def test_the_leak_is_shown_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from core.evaluation.slices import SliceCounts, write_slices

    for name, both in (("honest", 5), ("leaking", 10)):
        (tmp_path / name).mkdir()
        write_slices([SliceCounts("p", "p_1", 10, 10, both)], tmp_path / name)
    places = [str(tmp_path / name) for name in ("leaking", "honest")]
    assert metseg.main(["leak", *places, "--out", str(tmp_path / "leak.json")]) == 0
    page = capsys.readouterr().out
    assert "1 slice of 1 patient" in page
    assert "+0.500" in page
    assert json.loads((tmp_path / "leak.json").read_text())["measures"]["dice"]["difference"] == 0.5


def test_the_temperature_is_shown_and_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from core.evaluation.scores import build_scores, save_scores
    from core.evaluation.scoring import score_case, score_patient

    for name in ("a", "b"):
        draw = np.random.default_rng(len(name))
        logits = draw.normal(-1, 2, (2, 32, 32))
        truth = draw.random(logits.shape) < 1 / (1 + np.exp(-logits))
        probability = (1 / (1 + np.exp(-2 * logits))).astype(np.float32)
        case = score_case(name, truth, probability >= 0.5, probability, truth | True, spacing_mm=(None, None, None))
        about = {
            "name": name, "models": [{"network": "unet", "filters": [2], "weights_sha256": name}], "split": [],
            "data": {"name": "set"}, "held_out": "yes", "settings": {}, "content_check": [], "training": None,
            "limits": [],
        }  # fmt: skip
        (tmp_path / name).mkdir()
        save_scores(build_scores(about, [score_patient(name, [case])]), tmp_path / name)
    call = ["calibrate", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "calibration.json")]
    assert metseg.main(call) == 0
    found = json.loads((tmp_path / "calibration.json").read_text())
    page = capsys.readouterr().out
    assert f"Temperature {found['temperature']:.3f}, fitted to 2 patients" in page
    assert f"{found['cross_entropy']['after']['mean']:.4f}" in page
    assert metseg.main(call) != 0
    assert "--overwrite" in capsys.readouterr().err
    assert metseg.main([*call, "--overwrite"]) == 0
