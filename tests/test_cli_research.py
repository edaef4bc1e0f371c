"""The verbs compare and experiment, through the command."""

import dataclasses
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import metseg
from core.evaluation.bootstrap import mean_interval, paired_difference
from core.phantom import make_phantom, write_phantom_case


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


@pytest.mark.parametrize(
    ("more", "words"), [([], "the same command goes"), (["--restart"], "command without --restart")]
)
def test_a_training_that_was_stopped_says_which_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, more: list[str], words: str
) -> None:
    pytest.importorskip("lightning", reason="the extra [train] is not installed")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.train.train", stop)
    call = ["train", str(tmp_path), "--network", "nested-unet", "--out", str(tmp_path / "run"), *more]
    assert metseg.main(call) == 130
    assert words in capsys.readouterr().err


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
    run = Path("runs/quick/plain-nested-unet-f0")
    trained = (run / "last.ckpt").stat().st_mtime_ns, (run / "model/model.safetensors").read_bytes()
    again = ["--results", "again", *places[2:]]
    assert metseg.main(["experiment", str(file), "--data", str(data), *again]) == 0
    assert f"{dice:.3f}" in capsys.readouterr().out
    # Scored again, not trained again.
    assert ((run / "last.ckpt").stat().st_mtime_ns, (run / "model/model.safetensors").read_bytes()) == trained
    shutil.rmtree("runs")
    assert metseg.main(["experiment", str(file), "--data", str(data), *places]) == 0
    assert "0 of them to do" in capsys.readouterr().err


def write_result(place: Path, patients: range, shift: int, seed: int = 0, **changes: int) -> list[float]:
    """Scores of one run of the queue, of lesions that are found so many pixels beside where they are; their Dice."""
    from core.evaluation.scores import build_scores
    from core.evaluation.scoring import score_case, score_patient
    from training.options import TrainOptions

    options = TrainOptions(Path(), Path(), "nested-unet", seed=seed)
    model = {"network": options.network, "filters": options.filters, "neighbours": options.neighbours}
    rows = []
    for patient in patients:
        _, truth = make_phantom(patient, slices=2, size=64)
        found = np.roll(truth, shift, axis=2)
        case = score_case(
            f"p{patient:02}", truth, found, found.astype("f4"), truth | True, spacing_mm=(None, None, None)
        )
        rows.append({**score_patient(f"p{patient:02}", [case]), **changes})
    about = {
        "name": place.stem, "models": [{**model, "weights_sha256": place.stem}],
        "data": {"name": "set"}, "split": [{"folds": "x", "fold": 0, "rule": "", "absent": 0}], "held_out": "yes",
        "settings": {}, "content_check": [], "training": None, "limits": [],
        "run": {"recipe": options.recipe, "preprocessing": dataclasses.asdict(options.preprocessing)},
    }  # fmt: skip
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(build_scores(about, rows)), encoding="utf-8")
    return [row["dice"] for row in rows]


def write_queue(folder: Path, score: str = "fold") -> list[str]:
    """The command that works off three folds of five changes; no run can be done, for there are no scans."""
    pytest.importorskip("lightning", reason="the extra [train] is not installed")
    (folder / "queue.toml").write_text(
        f'name = "queue"\nscore = "{score}"\nnetworks = ["nested-unet"]\nfolds = [0, 1, 2]\n'
        '[base]\nfolds = ""\n[changes.plain]\n[changes.other]\n[changes.more]\n[changes.lone]\n[changes.older]\n',
        encoding="utf-8",
    )
    return [
        "experiment", str(folder / "queue.toml"), "--data", str(folder / "none"), "--results", str(folder),
        "--runs", str(folder / "runs"), "--cache", str(folder / "cache"),
    ]  # fmt: skip


def test_an_experiment_ends_with_the_figures_over_its_folds_and_their_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, results = write_queue(tmp_path), tmp_path / "queue"
    done = {
        "plain": (range(5), range(5, 9)), "other": (range(5), range(5, 9)),
        "more": (range(5), range(5, 9), range(9, 12)), "lone": (range(5),),
    }  # fmt: skip
    dice = {
        change: np.concatenate(
            [
                write_result(results / f"{change}-nested-unet-f{fold}.json", patients, shift)
                for fold, patients in enumerate(folds)
            ]
        )
        for shift, (change, folds) in enumerate(done.items(), start=1)
    }
    for fold in range(2):
        write_result(results / f"older-nested-unet-f{fold}.json", range(fold * 5, fold * 5 + 5), 1, seed=7)
    assert metseg.main(command) == 3  # the other runs fail for want of scans
    page, said = capsys.readouterr()
    joined = page[page.index("all folds that are done") :]
    assert "older" not in joined
    assert "older-nested-unet-f1: made with other options than the file's now" in said
    for change, folds, patients in (("plain", 2, 9), ("other", 2, 9), ("more", 3, 12)):
        words = next(line.split() for line in joined.splitlines() if line.startswith(f"{change}-nested-unet "))
        low, high = mean_interval(dice[change]).low, mean_interval(dice[change]).high
        mean, median = np.mean(dice[change]), np.median(dice[change])
        told = f"{folds} {patients} {mean:.3f} {low:.3f} to {high:.3f} {median:.3f}"
        assert words[1:] == told.split()
    assert "lone" not in joined
    # Only these two have the same patients.
    (line,) = (line for line in joined.splitlines() if "−" in line.split())
    found = paired_difference(dice["plain"], dice["other"])
    numbers = " ".join(f"{value:+.3f}" for value in (found.mean, found.low, found.high)).replace("-", "−").split()
    assert line.split() == [
        "other-nested-unet", "−", "plain-nested-unet", "9", *numbers[:2], "to", numbers[2], "0.0%",
    ]  # fmt: skip


def test_folds_that_cannot_be_held_together_are_named_and_the_others_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, results = write_queue(tmp_path), tmp_path / "queue"
    for fold, patients in enumerate((range(3), range(3, 6))):
        write_result(results / f"plain-nested-unet-f{fold}.json", patients, 1)
        write_result(results / f"other-nested-unet-f{fold}.json", patients, 2, true_voxels=1)
        write_result(results / f"more-nested-unet-f{fold}.json", range(3), 1)
    assert metseg.main(command) == 3
    captured = capsys.readouterr()
    joined = captured.out[captured.out.index("all folds that are done") :]
    assert [line.split()[0] for line in joined.splitlines()[2:]] == ["plain-nested-unet", "other-nested-unet"]
    assert "other-nested-unet: p00: the evaluations do not agree about the truth" in captured.err
    assert "more-nested-unet: p00: 3 patients stand in more than one of these scores" in captured.err


def test_parts_that_were_watched_while_training_are_not_joined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = write_queue(tmp_path, "inner")
    for fold, patients in enumerate((range(3), range(3, 6))):
        write_result(tmp_path / "queue" / f"plain-nested-unet-f{fold}.json", patients, 1)
    assert metseg.main(command) == 3
    page = capsys.readouterr().out
    assert "plain-nested-unet-f1" in page
    assert "all folds" not in page


def test_the_leak_is_shown_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from core.evaluation.slices import SliceCounts, write_slices

    for name, both in (("honest", 5), ("leaking", 10)):
        write_result(tmp_path / name / "scores.json", range(1), 1)
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
