"""A training run from pairs to a model folder, killed and resumed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from lightning.pytorch.callbacks import Callback

from core.errors import InputError, NothingFound, OutputError, UsageError
from core.evaluation.curves import read_curves
from core.evaluation.divide import divide_folder
from core.evaluation.evaluate import evaluate
from core.evaluation.folds import load_folds, save_folds
from core.io import find_scans, read_mask, read_scan
from core.measure.dice import dice
from core.model_store import load_card, load_network
from training.epoch_log import minutes_of
from training.options import Stage, TrainOptions

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="session")
def options(discs, small_preprocessing, tmp_path_factory) -> TrainOptions:
    folder = tmp_path_factory.mktemp("runs")
    return TrainOptions(
        data=discs,
        out=folder / "whole",
        network="attention-unet",
        filters=(4, 6, 8),
        folds=None,
        fold=0,
        inner=0.2,
        stages=(Stage(3, 2, 32, 1e-2), Stage(2, 1, 48, 5e-3)),
        batch=4,
        average=0.8,
        precision="fp32",
        device="cpu",
        threads=1,
        cache=folder / "cache",
        preprocessing=small_preprocessing,
    )


@pytest.fixture(scope="session")
def whole_run(options):
    from training.train import train

    reports = []
    result = train(options, report=lambda *values: reports.append(values))
    return result, reports


def state_of(folder):
    return {name: value.numpy() for name, value in load_network(folder).state_dict().items()}


def test_a_run_ends_with_a_model_that_finds_what_it_learnt(whole_run, options):
    from core.inference import Predictor

    result, reports = whole_run
    assert [done for _, done, _, _ in reports] == [1, 2, 3, 4, 5]
    assert reports[-1][3]["loss"] < reports[0][3]["loss"]
    held = load_card(result.model).data["held_out"]
    source = next(source for source in find_scans(options.data) if source.name.startswith(held[0]))
    found = Predictor(result.model, "cpu", "fp32").segment(read_scan(source))
    assert dice(found.mask, read_mask(source)) > 0.6


@pytest.mark.parametrize("standardise", [False, True])
def test_what_is_watched_is_what_the_predictor_finds(options, tmp_path, standardise):
    from core.inference import Predictor
    from training.train import train

    coarse = dataclasses.replace(options.preprocessing, standardise=standardise)
    changes = {"stages": (Stage(4, 2, 32, 1e-2),), "preprocessing": coarse, "neighbours": 0.0}
    result = train(dataclasses.replace(options, out=tmp_path, **changes))
    card = load_card(result.model)
    assert (card.preprocessing.shrink, card.preprocessing.standardise) == (2, standardise)
    ready, scores = Predictor(result.model, "cpu", "fp32"), []
    for patient in card.data["watched"]:
        source = next(source for source in find_scans(options.data) if source.name.startswith(patient))
        scores.append(dice(ready.segment(read_scan(source)).mask, read_mask(source)))
    assert result.figures["inner_dice"] == pytest.approx(np.mean(scores), abs=0.01)
    assert np.mean(scores) > 0.2


def test_nobody_is_both_learnt_from_and_held_out(whole_run, options):
    split = json.loads((options.out / "manifest.json").read_text())["run"]["split"]
    learn, watch, held = (set(split[part]) for part in ("learn", "watch", "held"))
    assert len(learn | watch | held) == len(learn) + len(watch) + len(held) == 10
    assert len(held) == len(watch) == 2


def test_the_course_is_logged(whole_run, options):
    curves = read_curves(whole_run[0].model)
    assert [epoch for epoch, _ in curves["loss"]] == [1, 2, 3, 4, 5]
    assert [epoch for epoch, _ in curves["Dice of watched patients"]] == [1, 2, 3, 4, 5]
    assert minutes_of(options.out) > 0
    assert list((options.out / "logs").glob("events.out.tfevents*"))


def test_a_run_killed_in_the_middle_and_resumed_ends_like_one_that_was_not(whole_run, options, tmp_path):
    from training.train import train

    killed = dataclasses.replace(options, out=tmp_path / "killed")
    code = (
        "from pathlib import PosixPath; from core.model_card import PreprocessSettings;"
        "from training.augment import AugmentSettings; from training.options import Stage, TrainOptions;"
        "from training.train import train;"
        f"train({killed!r}, report=lambda seconds, done, total, figures: print('epoch', done, flush=True))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if line.startswith("epoch 3"):
                break
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert not (killed.out / "model").exists()
    epochs = []
    result = train(killed, report=lambda seconds, done, total, figures: epochs.append(done))
    assert 1 < epochs[0] <= 4
    assert epochs[-1] == 5
    assert [epoch for epoch, _ in read_curves(result.model)["loss"]] == [1, 2, 3, 4, 5]
    ours, theirs = state_of(result.model), state_of(whole_run[0].model)
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_folder_with_another_run_is_not_taken_over(whole_run, options):
    from training.train import train

    with pytest.raises(OutputError, match="other options \\(seed"):
        train(dataclasses.replace(options, seed=1))


def test_a_run_inside_of_its_set_is_refused(options, discs):
    from training.train import train

    with pytest.raises(UsageError, match="inside the set"):
        train(dataclasses.replace(options, out=discs / "run"))
    assert not (discs / "run").exists()


def test_a_fold_file_of_another_set_is_refused(whole_run, options, tmp_path):
    from training.train import train

    with pytest.raises(InputError, match="none of this set's patients is in the fold file"):
        train(dataclasses.replace(options, folds="lgg", out=tmp_path / "run"))


QUICK = {"stages": (Stage(1, 2, 32, 1e-2),), "inner": 0.0}


def test_patients_whom_the_fold_file_does_not_know_are_left_out_and_it_is_said(whole_run, options, tmp_path):
    from training.train import train

    known = load_folds(options.out / "folds.json")
    stranger = known.folds[1][0]
    other = dataclasses.replace(
        known, folds=tuple(tuple("absent" if name == stranger else name for name in fold) for fold in known.folds)
    )
    save_folds(other, tmp_path / "other.json")
    told = []
    result = train(
        dataclasses.replace(options, folds=tmp_path / "other.json", out=tmp_path / "run", **QUICK), tell=told.append
    )
    assert told == [
        "1 of this set's patients are not in the fold file and are left out",
        "1 of the patients to learn from are in the fold file and not in this set",
    ]
    data = load_card(result.model).data
    assert stranger not in data["patients"] + data["held_out"]
    assert len(data["patients"] + data["held_out"]) == 9


def test_the_folds_of_a_run_are_those_that_metseg_folds_makes_and_score_it(whole_run, options, tmp_path):
    folds = load_folds(options.out / "folds.json")
    assert folds == divide_folder(options.data)
    scores = evaluate(whole_run[0].model, options.data, tmp_path / "scores", folds=options.out / "folds.json", fold=0)
    assert scores["held_out"] == "yes"
    assert {row["patient"] for row in scores["patients"]} == set(folds.test(0))


def test_the_card_and_the_folds_of_a_run_say_how_names_told_patients(options, tmp_path):
    from training.train import train

    rule = r"TCGA_.._(\d+)_"
    run = dataclasses.replace(options, out=tmp_path / "run", patients=rule, **QUICK)
    result = train(run)
    assert load_card(result.model).data["patient_rule"] == {"pattern": rule}
    assert load_folds(run.out / "folds.json").patients.pattern == rule
    with pytest.raises(InputError, match="learnt from 8 of the 10 patients"):
        evaluate(result.model, options.data, tmp_path / "scores")


def test_a_run_begun_anew_and_stopped_does_not_go_on_from_the_old_one(options, tmp_path):
    from training.train import train

    old = dataclasses.replace(options, out=tmp_path / "run", **QUICK)
    train(dataclasses.replace(old, stages=(Stage(2, 2, 32, 1e-2),)))
    anew = dataclasses.replace(old, seed=1, stages=(Stage(2, 2, 32, 1e-2),))

    class Stop(Callback):
        def on_train_batch_start(self, *_):
            raise KeyboardInterrupt

    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingFound):  # what cannot begin takes nothing away
        train(dataclasses.replace(anew, data=tmp_path / "empty", resume=False))
    assert (old.out / "last.ckpt").is_file()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(dataclasses.replace(anew, resume=False), callbacks=[Stop()])
    epochs = []
    result = train(anew, report=lambda seconds, done, total, figures: epochs.append(done))
    assert epochs == [1, 2]
    assert [epoch for epoch, _ in read_curves(result.model)["loss"]] == [1, 2]


def test_the_last_epoch_is_watched_and_a_finished_run_keeps_its_figures(options, tmp_path):
    from training.train import train

    short = dataclasses.replace(options, out=tmp_path / "run", stages=(Stage(2, 2, 32, 1e-2), Stage(1, 1, 48, 5e-3)))
    figures = train(short).figures
    assert set(figures) == {"loss", "inner_dice", "inner_dice_median"}
    assert train(short).figures == figures
    card = load_card(short.out / "model")
    assert card.metrics["last_epoch"] == figures
    assert any("does not say" in sentence for sentence in card.limits)


def test_the_card_names_the_channel_that_was_learnt_from(options, tmp_path):
    from training.train import train

    result = train(dataclasses.replace(options, out=tmp_path / "run", channel="2", **QUICK))
    assert load_card(result.model).preprocessing.channels == ("post",)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before_it_whole(options, tmp_path):
    from training.train import train

    resource = pytest.importorskip("resource", reason="this system has no limit for the size of files")
    run = dataclasses.replace(options, out=tmp_path / "run", stages=(Stage(3, 2, 32, 1e-2),), inner=0.0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(seconds, done, total, figures):
        if done == 2:  # the disk ends in the middle of the second checkpoint
            resource.setrlimit(resource.RLIMIT_FSIZE, ((run.out / "last.ckpt").stat().st_size // 2, before[1]))

    try:
        with pytest.raises(OutputError, match="cannot be written"):
            train(run, report=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(run.out.glob("*.part"))
    epochs = []
    train(run, report=lambda seconds, done, total, figures: epochs.append(done))
    assert epochs == [2, 3]


def test_two_trainings_do_not_share_a_folder(options, tmp_path):
    from training.train import train

    run = dataclasses.replace(options, out=tmp_path / "run", **QUICK)
    refused = []

    class Another(Callback):
        def on_train_start(self, *_):
            with pytest.raises(OutputError, match="another training works in this folder") as told:
                train(dataclasses.replace(run, seed=3))
            refused.append(told)

    train(run, callbacks=[Another()])
    assert refused
    assert json.loads((run.out / "manifest.json").read_text())["run"]["seed"] == 0
    train(run)  # the folder is free again


def test_a_run_of_an_older_version_that_knew_fewer_options_goes_on(options, tmp_path):
    from training.train import train

    run = dataclasses.replace(options, out=tmp_path / "run", **QUICK)
    train(run)
    manifest = json.loads((run.out / "manifest.json").read_text())
    del manifest["run"]["augmentation"]["gamma"], manifest["run"]["neighbours"]
    (run.out / "manifest.json").write_text(json.dumps(manifest))
    train(run)
    del manifest["run"]["augmentation"]["rotation"]
    (run.out / "manifest.json").write_text(json.dumps(manifest))
    stronger = dataclasses.replace(run, augmentation=dataclasses.replace(run.augmentation, rotation=40.0))
    with pytest.raises(OutputError, match="augmentation"):
        train(stronger)


def test_ctrl_c_stops_a_training_with_a_sentence_and_the_same_command_goes_on(discs, tmp_path):
    places = ["--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")]
    small = ["--filters", "4,6", "--epochs", "500", "--threads", "1", "--folds", "new", "--network", "attention-unet"]
    command = [sys.executable, "-m", "metseg", "train", str(discs), *places, *small]

    def begin_and_stop() -> list[str]:
        """The lines of a run that is stopped in the epoch after the first one that it ends."""
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                lines = [next(line for line in process.stderr if line.startswith("epoch"))]
                next(line for line in process.stderr if line.startswith("epoch"))
                process.send_signal(signal.SIGINT)
                lines += process.communicate(timeout=120)[1].splitlines()
            finally:
                process.kill()
        assert process.returncode == 130, lines
        assert "the same command goes on" in lines[-1]
        return lines

    assert begin_and_stop()[0].startswith("epoch 1/500")
    assert not begin_and_stop()[0].startswith("epoch 1/500")
