"""From a folder of pairs to a model folder."""

from __future__ import annotations

import dataclasses
import json
import logging
import platform
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from core.errors import InputError, NothingFound, OutputError, UsageError
from core.evaluation.folds import Folds, Patient, inner_part, load_folds, make_folds
from core.evaluation.patients import parse_rule, site_of
from core.io import write_json
from core.model_card import ModelCard, NetworkSettings, WeightsFile
from core.model_store import save_model
from training.epoch_log import EpochLog
from training.lightning_module import SegmentationTask
from training.options import TrainOptions
from training.pairs import Pairs, load_pairs
from training.report import Report

MANIFEST = "manifest.json"
LAST = "last.ckpt"


@dataclasses.dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run left behind: the model's folder, and the figures of its last epoch."""

    model: Path
    figures: dict[str, float]


def train(
    options: TrainOptions,
    *,
    report: Report | None = None,
    reading: Callable[[int, int], None] | None = None,
    callbacks: Sequence[Callback] = (),
) -> TrainResult:
    """Run a training from its start, or from the last finished epoch of the same run.

    Args:
        options: everything the run depends on.
        report: called at each epoch's end.
        reading: called with (cases done, cases) while the set is read for the first time.
        callbacks: Lightning's, for progress bars and the like.

    Returns:
        the model folder `out/model`, holding the moving average of the weights.

    Raises:
        NothingFound: no pairs, or no slice with lesion to learn from.
        InputError: the fold file does not know a patient of the set.
        OutputError: `out` holds a run of other options.
        UsageError: the size of the grid does not suit the network.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    folds = load_folds(options.folds) if options.folds and options.fold is not None else None
    said = options.patients is not None or options.each_image
    rule = folds.patients if folds and not said else parse_rule(options.patients, options.each_image)
    pairs = load_pairs(
        options.data, options.preprocessing, options.cache, rule=rule, channel=options.channel, progress=reading
    )
    learn, watch, held, split = divide(pairs, options, folds)
    _claim(options, pairs, {"learn": learn, "watch": watch, "held": held, "rule": split})
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # what it tells, the report tells
    pl.seed_everything(options.seed, verbose=False)
    task = SegmentationTask(options, pairs, learn, watch)
    multiple = int(task.network.stride) * max(stage.shrink for stage in options.course)
    if options.preprocessing.size % multiple:
        raise UsageError(f"the size must be a multiple of {multiple} for this network and its stages")
    if not len(task.lesions):
        raise NothingFound("the training patients have no lesion to learn from", source=str(options.data))
    last = options.out / LAST
    trainer = _trainer(options, report, callbacks, bool(watch))
    with warnings.catch_warnings():
        # Lightning advises worker processes; the batches are slices of a mapped array and need none.
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(task, ckpt_path=str(last) if options.resume and last.is_file() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    folder = options.out / "model"
    save_model(folder, _card(options, learn, watch, held, split, figures), task.average.module)
    return TrainResult(folder, figures)


def divide(
    pairs: Pairs, options: TrainOptions, folds: Folds | None = None
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]:
    """Who is learnt from, who is watched, who is held out, and by which rule; without folds the set is divided anew."""
    everyone = tuple(sorted(set(pairs.patients.tolist())))
    if options.fold is None:
        learn, held, rule = everyone, (), "every patient is learnt from"
    else:
        folds = folds or fresh_folds(pairs, options.data.name)
        known = {patient for fold in folds.folds for patient in fold}
        strangers = [patient for patient in everyone if patient not in known]
        if strangers:
            raise InputError(
                f"{len(strangers)} patients of this set are not in the fold file; make one with `metseg folds`, "
                "or divide the set anew with --folds new",
                source=str(options.data),
            )
        present = set(everyone)
        learn = tuple(patient for patient in folds.train(options.fold) if patient in present)
        held, rule = folds.test(options.fold), f"{folds.name}, fold {options.fold}: {folds.rule}"
    watch = inner_part(learn, options.inner, options.seed)
    return tuple(patient for patient in learn if patient not in watch), watch, held, rule


def fresh_folds(pairs: Pairs, name: str) -> Folds:
    """Folds of a set that brought none."""
    sizes = pairs.truths.reshape(len(pairs.truths), -1).sum(axis=1, dtype=np.int64)
    return make_folds(
        [
            Patient(patient, site_of(patient), int(sizes[pairs.of([patient])].sum()))
            for patient in sorted(set(pairs.patients.tolist()))
        ],
        name,
    )


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(value), default=str))


def _claim(options: TrainOptions, pairs: Pairs, split: dict[str, Any]) -> None:
    """Write the run's manifest, or check that the one that is there is of the same run."""
    ours = _plain(options)
    for beside_the_point in ("data", "out", "cache", "threads", "resume"):
        del ours[beside_the_point]
    ours["course"] = [dataclasses.asdict(stage) for stage in options.course]
    ours["set"] = pairs.key
    ours["split"] = {name: list(value) if isinstance(value, tuple) else value for name, value in split.items()}
    path = options.out / MANIFEST
    if (options.out / LAST).is_file() and path.is_file():
        theirs = json.loads(path.read_text(encoding="utf-8"))["run"]
        if options.resume and theirs != ours:
            changed = sorted(key for key in ours if theirs.get(key) != ours[key])
            raise OutputError(
                f"this folder holds a run of other options ({', '.join(changed)}); take another --out",
                source=str(options.out),
            )
    options.out.mkdir(parents=True, exist_ok=True)
    versions = {name: version(name) for name in ("torch", "lightning", "numpy", "opencv-python-headless")}
    manifest = {"run": ours, "versions": {"python": platform.python_version(), **versions}}
    write_json(path, manifest, indent=2)


def _trainer(options: TrainOptions, report: Report | None, callbacks: Sequence[Callback], watched: bool) -> pl.Trainer:
    epochs = sum(stage.epochs for stage in options.course)
    precision = options.precision
    if precision == "auto":
        precision = "bf16-mixed" if _bf16_helps() else "32-true"
    # Without a measure to go by, the one checkpoint kept is the latest; Lightning replaces it atomically.
    checkpoint = ModelCheckpoint(
        options.out,
        filename=Path(LAST).stem,
        save_top_k=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    return pl.Trainer(
        max_epochs=epochs,
        accelerator=options.device,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        logger=TensorBoardLogger(options.out, name="", version="logs"),
        callbacks=[checkpoint, EpochLog(options.out, report, epochs), *callbacks],
        reload_dataloaders_every_n_epochs=1,
        check_val_every_n_epoch=4,
        limit_val_batches=None if watched else 0,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        gradient_clip_val=1.0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _bf16_helps() -> bool:
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    capability = torch.cpu.get_capabilities()
    return bool(capability.get("avx512_bf16") or capability.get("amx_bf16"))


def _card(
    options: TrainOptions,
    learn: tuple[str, ...],
    watch: tuple[str, ...],
    held: tuple[str, ...],
    rule: str,
    figures: dict[str, float],
) -> ModelCard:
    preprocessing = dataclasses.replace(options.preprocessing, shrink=options.course[-1].shrink)
    return ModelCard(
        name=options.network,
        version="1",
        summary=f"{options.network} with {options.filters[0]} to {options.filters[-1]} filters, "
        f"{', '.join(options.preprocessing.channels)}"
        + (f", 1/{preprocessing.shrink} of the grid" if preprocessing.shrink > 1 else ""),
        network=NetworkSettings(options.network, len(options.preprocessing.channels), options.filters),
        preprocessing=preprocessing,
        weights=WeightsFile("", ""),
        data={"patients": list(learn), "watched": list(watch), "held_out": list(held), "split": rule},
        recipe={
            "stages": [dataclasses.asdict(stage) for stage in options.course],
            "loss": options.loss,
            "batch": options.batch,
            "empties": options.empties,
            "average": options.average,
            "augmentation": dataclasses.asdict(options.augmentation),
            "seed": options.seed,
        },
        metrics={"last_epoch": figures},
    )
