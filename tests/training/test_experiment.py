"""A queue of runs: read, worked off, resumed, shared out."""

import dataclasses
import json
import shutil
import tomllib
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import tifffile
import torch

from core.errors import BrokenFile, DeviceLost, InputError, NothingFound, OutputError, UsageError
from core.evaluation.divide import divide_folder
from core.evaluation.folds import save_folds
from core.evaluation.patients import patient_of
from core.evaluation.scores import read_scores
from core.evaluation.slices import read_slices
from core.model_store import load_card
from training.augment import AugmentSettings
from training.experiment import Experiment, changed, claimed, read_experiment, run_experiment
from training.options import Stage, TrainOptions

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

FILE = """
name = "losses"
networks = ["attention-unet"]
folds = [0]

[base]
folds = ""
inner = 0.25
filters = [4, 6]
batch = 4
precision = "fp32"
threads = 1
"preprocessing.size" = 64
stages = [{ epochs = 1, shrink = 2, window = 32, peak = 1e-2 }]

[changes.dice-ce]
[changes.focal-tversky]
loss = "focal-tversky"
"augmentation.offset" = 0.1
"""


@pytest.fixture
def read(discs, tmp_path):
    def read(text=FILE, data=discs):
        (tmp_path / "experiment.toml").write_text(text)
        return read_experiment(
            tmp_path / "experiment.toml", data, tmp_path / "runs", tmp_path / "results", tmp_path / "cache"
        )

    return read


def test_a_file_becomes_runs_for_each_change_network_and_fold(read):
    runs = read(FILE.replace("folds = [0]", "folds = [0, 3]")).runs
    assert [run.name for run in runs] == [
        "dice-ce-attention-unet-f0",
        "focal-tversky-attention-unet-f0",
        "dice-ce-attention-unet-f3",
        "focal-tversky-attention-unet-f3",
    ]
    options = runs[1].options
    assert options.loss == "focal-tversky"
    assert options.augmentation == AugmentSettings(offset=0.1)
    assert options.stages == (Stage(1, 2, 32, 1e-2),)
    assert options.filters == (4, 6)
    assert runs[3].options.fold == 3


def test_runs_leave_scores_that_can_be_compared_and_are_not_run_twice(read):
    experiment = read()
    begun = []
    assert run_experiment(experiment, begin=lambda run: begun.append(run.name)) == 2
    assert len(begun) == 2
    for run in experiment.runs:
        scores = read_scores(run.result)
        watched = json.loads((run.options.out / "manifest.json").read_text())["run"]["split"]["watch"]
        assert sorted(row["patient"] for row in scores["patients"]) == watched
        assert scores["held_out"] == "yes"
        assert scores["run"]["recipe"]["loss"] == run.options.loss
        (split,) = scores["split"]
        assert (split["folds"], split["fold"]) == (f"the inner part of {run.options.data.name}, fold 0", None)
        assert split["rule"].startswith(f"inner part of {run.options.data.name}, fold 0: 5 folds by patient")
    assert run_experiment(experiment) == 0


def test_a_scored_fold_is_called_as_its_fold_file_calls_it_and_patients_are_told_by_its_rule(read, discs, tmp_path):
    file = tmp_path / "folds.json"
    folds = dataclasses.replace(divide_folder(discs, patients=r"TCGA_.._(\d+)_"), name="numbers")
    save_folds(folds, file)
    text = FILE.replace('folds = ""\ninner = 0.25', f"folds = {json.dumps(str(file))}\ninner = 0.0")
    text = text.replace("folds = [0]", "folds = [1]").replace("networks", 'score = "fold"\nnetworks')
    text = text.replace('precision = "fp32"', 'device = "cpu"\nprecision = "bf16"')
    run = read(text[: text.index("[changes")]).runs[0]
    run_experiment(Experiment("numbers", "fold", (run,)))
    scores = read_scores(run.result)
    assert scores["split"] == [{"folds": "numbers", "fold": 1, "rule": folds.rule, "absent": 0}]
    assert tuple(row["patient"] for row in scores["patients"]) == folds.test(1)
    assert scores["held_out"] == "yes"
    assert (scores["settings"]["device"], scores["settings"]["precision"]) == ("cpu", "bf16")
    page = (run.options.out / "evaluation" / "report.html").read_text()
    assert "Scored: fold 1 of numbers." in page


def test_a_result_of_other_folds_under_the_same_name_is_noticed(read, discs, tmp_path):
    file = tmp_path / "folds.json"
    folds = divide_folder(discs)
    save_folds(folds, file)
    text = FILE.replace('folds = ""\ninner = 0.25', f"folds = {json.dumps(str(file))}\ninner = 0.0")
    text = text.replace("networks", 'score = "fold"\nnetworks').replace("folds = [0]", "folds = [1]")
    run = read(text[: text.index("[changes")]).runs[0]
    run_experiment(Experiment("turned", "fold", (run,)))
    assert not run.outdated
    for others in (folds.folds[::-1], folds.folds[:1]):
        save_folds(dataclasses.replace(folds, folds=others), file)
        assert run.outdated


def test_a_lost_device_ends_the_queue_lest_the_others_go_on_without_it(read, monkeypatch):
    failed = []

    def fit(*_, **__):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(pl.Trainer, "fit", fit)
    with pytest.raises(DeviceLost, match="the same command goes on"):
        run_experiment(read(), fail=lambda run, error: failed.append(run.name))
    assert failed == []


def test_a_run_that_another_process_works_on_is_left_to_it(read):
    run = read().runs[0]
    with claimed(run) as mine:
        assert mine
        with claimed(run) as theirs:
            assert not theirs
    with claimed(run) as again:
        assert again


@pytest.mark.parametrize(
    ("before", "after", "kind", "words"),
    [
        ('loss = "', 'lass = "', UsageError, "cannot change 'lass'"),
        ("augmentation.offset", "augmentation.ofset", UsageError, "cannot change 'ofset'"),
        ('networks = ["attention-unet"]', 'networks = ["unet"]', UsageError, "there are: nested-unet"),
        ("folds = [0]", "folds = [", BrokenFile, "cannot be used"),
        ("inner = 0.25", "inner = 0.0", UsageError, "in dice-ce-attention-unet-f0 nobody is there to score"),
        ('name = "losses"', "", BrokenFile, "cannot be used"),
        ('name = "losses"', 'name = "losses"\nscore = "test"', UsageError, "inner or fold"),
        (
            'loss = "focal-tversky"',
            'loss = "tversky"',
            UsageError,
            "in focal-tversky-attention-unet-f0 the loss must be",
        ),
        ("inner = 0.25", "inner = 2.0", UsageError, "below 1"),
        ("filters = [4, 6]", "filters = 5", UsageError, "filters"),
        ("epochs = 1, shrink = 2,", "epochs = 1,", UsageError, "of the wrong kind"),
        ("window = 32", "window = 33", UsageError, "in dice-ce-attention-unet-f0 a stage's window must be a multiple"),
        ("[changes.dice-ce]", "[changes]\nplain = 3", UsageError, "a name in brackets for each change"),
        ("inner = 0.25", "inner.share = 0.25", UsageError, "no fields of its own"),
        ("folds = [0]", "folds = [0]\nthreads = 1", UsageError, "has no 'threads'; what a run is told stands under"),
        ("threads = 1", "fold = 1", UsageError, "cannot change 'fold'"),
        ("folds = [0]", "folds = [0.7]", UsageError, "whole numbers from 0, each once"),
        ("folds = [0]", "folds = [true]", UsageError, "whole numbers from 0, each once"),
        ("folds = [0]", "folds = [1, 1]", UsageError, "whole numbers from 0, each once"),
        ("folds = [0]", "folds = []", UsageError, "whole numbers from 0, each once"),
        (
            '[0]\n\n[base]\nfolds = ""',
            '[7]\n\n[base]\nfolds = "lgg"',
            UsageError,
            "there is no fold 7; the folds are 0 to 4",
        ),
        ('["attention-unet"]', "[]", UsageError, "networks must be named"),
    ],
)
def test_what_cannot_be_meant_is_refused(read, before, after, kind, words):
    with pytest.raises(kind, match=words):
        read(FILE.replace(before, after, 1))


def test_a_field_of_a_field_may_be_named_as_toml_has_it(read):
    quoted, plain = (
        read(FILE.replace('"preprocessing.size"', name)) for name in ('"preprocessing.size"', "preprocessing.size")
    )
    assert [run.options for run in plain.runs] == [run.options for run in quoted.runs]
    assert plain.runs[0].options.preprocessing.size == 64


def test_runs_do_not_lie_inside_the_set(read, tmp_path):
    with pytest.raises(UsageError, match="choose other --runs"):
        read(data=tmp_path)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(NothingFound, match="no such experiment file"):
        read_experiment(tmp_path / "none.toml", tmp_path, tmp_path, tmp_path, tmp_path)


def test_folders_are_not_an_experiments_to_choose(tmp_path):
    options = TrainOptions(tmp_path, tmp_path, "nested-unet")
    with pytest.raises(UsageError, match="cannot change 'out'"):
        changed(options, {"out": "/"})


EXPERIMENTS = sorted((Path(__file__).parents[2] / "docs" / "experiments").glob("*.toml"))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_the_experiments_of_the_docs_can_be_run(file, tmp_path):
    experiment = read_experiment(file, tmp_path / "set", tmp_path / "runs", tmp_path / "results", tmp_path / "cache")
    assert experiment.name == file.stem
    assert experiment.runs


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_the_committed_results_are_of_the_options_that_the_experiments_have(file, tmp_path):
    results = file.parents[1] / "results"
    experiment = read_experiment(file, tmp_path / "set", tmp_path / "runs", results, tmp_path / "cache")
    done = [run for run in experiment.runs if run.done]
    assert bool(done) == (results / file.stem).is_dir()
    assert [run.name for run in done if run.outdated] == []


@pytest.fixture
def neighbours(discs, tmp_path):
    """The set, with slices of a patient as alike as neighbours are."""
    shutil.copytree(discs, tmp_path / "neighbours")
    for case in (tmp_path / "neighbours").iterdir():
        first = tifffile.imread(case / f"{case.name}_2.tif")
        for number in range(1, 7):
            noise = np.random.default_rng(number).integers(0, 3, first.shape, np.uint8)
            tifffile.imwrite(case / f"{case.name}_{number}.tif", first + noise, photometric="rgb")
    return tmp_path / "neighbours"


def test_a_split_by_slice_learns_from_the_patients_whom_it_scores(read, neighbours):
    leaking = tomllib.loads((EXPERIMENTS[0].parent / "leak.toml").read_text(encoding="utf-8"))["base"]
    keys = ("folds", "patients", "each_image", "may_share", "inner")
    told = "".join(f"{key} = {json.dumps(leaking[key])}\n" for key in keys)
    text = FILE.replace('folds = ""\ninner = 0.25\n', told).replace("networks", 'score = "fold"\nnetworks')
    text = text[: text.index("[changes")]
    with pytest.raises(InputError, match="share images"):
        run_experiment(read(text.replace("may_share = true\n", ""), neighbours))
    run = read(text, neighbours).runs[0]
    run_experiment(Experiment("leak", "fold", (run,)))
    assert read_scores(run.result)["held_out"] == "no"
    learnt = load_card(run.options.out / "model").data["patients"]
    scored = read_slices(run.options.out / "evaluation")
    assert not scored.keys() & set(learnt)
    patients = [{patient_of(name.rsplit("_", 1)[0]) for name in names} for names in (scored, learnt)]
    assert patients[0] & patients[1]


def test_a_run_that_cannot_be_done_does_not_stop_the_others_and_an_edited_file_is_noticed(read):
    text = FILE.replace("[changes.dice-ce]", '[changes.misfit]\n"preprocessing.size" = 62\n[changes.dice-ce]')
    text = text[: text.index("[changes.focal")]
    experiment = read(text)
    failed = []
    assert run_experiment(experiment, fail=lambda run, error: failed.append((run.name, error.detail))) == 1
    assert [name for name, _ in failed] == ["misfit-attention-unet-f0"]
    assert [(run.done, run.outdated) for run in experiment.runs] == [(False, False), (True, False)]
    with pytest.raises(UsageError):
        run_experiment(experiment)
    for before, after in (
        ("epochs = 1", "epochs = 2"), ("batch = 4", "batch = 4\nweight_decay = 0.5"), ("inner = 0.25", "inner = 0.5"),
        ('folds = ""', 'folds = "lgg"'), ('name = "losses"', 'name = "losses"\nscore = "fold"'),
    ):  # fmt: skip
        assert [run.outdated for run in read(text.replace(before, after)).runs] == [False, True], after


def test_an_error_that_nobody_foresaw_does_not_stop_the_other_runs_either(read, monkeypatch):
    from core.evaluation import evaluate as judging

    experiment, real, failed = read(), judging.evaluate, []

    def evaluate(*given, name, **options):
        if name.startswith("dice-ce"):
            raise RuntimeError("a bug")
        return real(*given, name=name, **options)

    monkeypatch.setattr(judging, "evaluate", evaluate)
    assert run_experiment(experiment, fail=lambda run, error: failed.append((run.name, str(error)))) == 1
    assert failed == [("dice-ce-attention-unet-f0", "a bug")]
    with pytest.raises(RuntimeError):
        run_experiment(experiment)


def test_runs_that_cannot_be_written_are_said(read):
    run = read().runs[0]
    (run.options.out / "claim.lock").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot be written"), claimed(run):
        pass
