"""Whose a run's folder is, what a run goes on from, and what is said where it cannot."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from lightning.pytorch.callbacks import Callback

from core.errors import BrokenFile, InputError, MetsegError, NothingFound, OutputError
from core.evaluation.folds import load_folds, save_folds
from training.disk import writable
from training.machine import Machine
from training.options import Stage, TrainOptions
from training.pairs import load_pairs
from training.run_folder import made_with
from training.train import train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def options(discs: Path, small_preprocessing, tmp_path: Path) -> TrainOptions:
    return TrainOptions(
        data=discs, out=tmp_path / "run", network="attention-unet", filters=(2, 3), folds=None, inner=0.0,
        stages=(Stage(1, 2, 32, 1e-2), Stage(1, 2, 32, 1e-2)), batch=4, precision="fp32", device="cpu", threads=1,
        cache=tmp_path / "cache", preprocessing=small_preprocessing,
    )  # fmt: skip


class Stop(Callback):
    """Somebody presses Ctrl+C as an epoch begins, the first being 0."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, _):
        if trainer.current_epoch == self.epoch:
            raise KeyboardInterrupt


def stop(options: TrainOptions, epoch: int) -> None:
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(options, callbacks=[Stop(epoch)])


def epochs_of(options: TrainOptions) -> list[int]:
    """The epochs that a training still had to do."""
    epochs: list[int] = []
    train(options, report=lambda seconds, done, total, figures: epochs.append(done))
    return epochs


def test_the_folds_of_a_run_that_finished_no_epoch_are_made_anew(options: TrainOptions, tmp_path: Path) -> None:
    data = tmp_path / "set"
    shutil.copytree(options.data, data)
    latecomer = sorted(data.iterdir())[0]
    shutil.move(latecomer, tmp_path / "later")
    run = replace(options, data=data)
    stop(run, 0)
    assert len(sum(load_folds(run.out / "folds.json").folds, ())) == 9
    shutil.move(tmp_path / "later", latecomer)
    told: list[str] = []
    train(replace(run, patients=r"TCGA_.._(\d+)_"), tell=told.append)
    assert told == []
    assert sorted(sum(load_folds(run.out / "folds.json").folds, ())) == [str(number) for number in range(4000, 4010)]


def test_reading_the_scans_to_divide_them_is_shown(options: TrainOptions) -> None:
    seen: list[tuple[int, int]] = []
    train(options, reading=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 10) for done in range(1, 11)] * 2


def test_a_run_goes_on_with_a_copy_of_its_set_and_of_its_fold_file(options: TrainOptions, tmp_path: Path) -> None:
    stop(options, 1)
    shutil.copytree(options.data, tmp_path / "set", copy_function=shutil.copy)  # with new times
    shutil.copy(options.out / "folds.json", tmp_path / "mine.json")
    moved = replace(options, data=tmp_path / "set", folds=tmp_path / "mine.json", patients=r"(TCGA_.._\d+)_")
    assert epochs_of(moved) == [2]
    folds = load_folds(tmp_path / "mine.json")
    save_folds(replace(folds, folds=(*folds.folds[1:], folds.folds[0])), tmp_path / "turned.json")
    with pytest.raises(OutputError, match=r"other options \(split\)"):
        train(replace(moved, folds=tmp_path / "turned.json"))
    mask = sorted((tmp_path / "set").rglob("*_3_mask.tif"))[0]
    tifffile.imwrite(mask, np.flipud(tifffile.imread(mask)))
    with pytest.raises(OutputError, match=r"other options \(set\)"):
        train(moved)


def test_a_run_of_an_older_version_that_told_its_set_by_times_goes_on(options: TrainOptions) -> None:
    stop(options, 1)
    path = options.out / "manifest.json"
    manifest = json.loads(path.read_text())
    new = manifest["run"]["set"]
    manifest["run"] |= {"set": load_pairs(options.data, options.preprocessing, options.cache).key, "folds": "x.json"}
    path.write_text(json.dumps(manifest))
    assert epochs_of(options) == [2]
    assert json.loads(path.read_text())["run"]["set"] == new
    manifest["run"]["set"] = "of other files"
    path.write_text(json.dumps(manifest))
    with pytest.raises(OutputError, match=r"other options \(set\)"):
        train(options)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("manifest", ['{"kind": "metseg-evaluation", "masks": {}}', "[]", "half of"])
def test_a_folder_of_something_else_is_refused_and_stays_as_it_is(
    options: TrainOptions, resume: bool, manifest: str
) -> None:
    for name in ("logs/kept", "model/kept", "last.ckpt", "manifest.json"):
        (options.out / name).parent.mkdir(parents=True, exist_ok=True)
        (options.out / name).write_text(manifest)
    before = sorted(options.out.rglob("*"))
    with pytest.raises(OutputError, match="something else than a training; choose another --out"):
        train(replace(options, resume=resume))
    assert sorted(options.out.rglob("*")) == before
    assert (options.out / "manifest.json").read_text() == manifest


def test_a_run_that_diverges_ends_with_a_sentence_and_keeps_its_last_good_checkpoint(options: TrainOptions) -> None:
    wild = replace(options, stages=(Stage(1, 2, 32, 1e-2), Stage(2, 2, 32, 1e38)))
    epochs: list[int] = []
    with pytest.raises(InputError, match="not finite any more in epoch 2"):
        train(wild, report=lambda seconds, done, total, figures: epochs.append(done))
    assert epochs == [1]
    assert not (wild.out / "model").exists()
    assert "nan" not in (wild.out / "logs" / "metrics.csv").read_text()
    with pytest.raises(InputError, match="not finite any more in epoch 2"):
        train(wild)  # from the checkpoint of epoch 1


@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_damaged_checkpoint_is_said(options: TrainOptions, part: float) -> None:
    stop(options, 1)
    last = options.out / "last.ckpt"
    whole = last.read_bytes()
    last.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(BrokenFile, match="begin anew with --restart"):
        train(options)
    assert epochs_of(replace(options, resume=False)) == [1, 2]


def test_a_checkpoint_of_another_program_is_said(options: TrainOptions) -> None:
    stop(options, 1)
    torch.save({"weights": torch.zeros(3)}, options.out / "last.ckpt")
    with pytest.raises(BrokenFile, match="begin anew with --restart"):
        train(options)


def test_a_finished_run_without_its_log_is_said(options: TrainOptions) -> None:
    train(options)
    shutil.rmtree(options.out / "logs")
    with pytest.raises(NothingFound, match="log of this run"):
        train(options)


def test_a_run_folder_that_cannot_be_written_is_said(options: TrainOptions) -> None:
    (options.out / "training.lock").mkdir(parents=True)
    with pytest.raises(OutputError, match="cannot be written"):
        train(options)


def test_a_reader_that_went_away_is_no_disk_that_is_full(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), writable(tmp_path):
        raise BrokenPipeError(32, "Broken pipe")
    with pytest.raises(MetsegError, match="no space left"), writable(tmp_path):
        raise OSError(28, "No space left on device")


def test_a_gpu_is_named_in_what_a_model_was_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a card in slot {device.index}")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    made = made_with(Machine(torch.device("cuda", 1), "bf16"))
    assert (made["device"], made["gpu"], made["cuda"]) == ("cuda", "a card in slot 1", "13.0")
    assert not {"gpu", "cuda"} & made_with(Machine(torch.device("cpu"), "fp32")).keys()
