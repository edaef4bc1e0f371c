"""From a folder of pairs to a model folder."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import platform
import shutil
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from filelock import FileLock, Timeout
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from core.atomic import make_folder, write_json
from core.errors import InputError, NothingFound, OutputError, UsageError
from core.evaluation.divide import divide_folder
from core.evaluation.folds import Folds, inner_part, load_folds, save_folds
from core.evaluation.patients import PatientRule, parse_rule
from core.evaluation.split import RULE
from core.inference.devices import full_float32
from core.model_card import ModelCard, NetworkSettings, WeightsFile
from core.model_store import save_model
from core.system import VERSION
from training.epoch_log import LOGS, EpochLog, last_figures
from training.lightning_module import SegmentationTask
from training.machine import Machine, choose_machine
from training.options import TrainOptions
from training.pairs import Pairs, load_pairs
from training.report import Moving, Report

LIMITS = (
    "Research use only; not a medical device.",
    "How good it is, its card does not say: score it with `metseg evaluate` on patients whom it did not learn from.",
    "Its weights are under the terms of the data that they were learnt from.",
)
"""Of every model until somebody knows better."""
MANIFEST = "manifest.json"
FOLDS = "folds.json"
LAST = "last.ckpt"
LOCK = "training.lock"
BESIDE_THE_POINT = ("data", "out", "cache", "threads", "device", "resume")
"""Options that a run may be resumed with others of."""
MODEL = "model"


@dataclasses.dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run left behind: the model's folder, and the figures of its last epoch."""

    model: Path
    figures: dict[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Division:
    """Who is who in a run.

    Attributes:
        learn: patients who are learnt from.
        watch: the inner part, only watched.
        held: the fold that is never looked at.
        left_out: patients of the set whom the fold file does not know.
        rule: how they were divided, in words.
    """

    learn: tuple[str, ...]
    watch: tuple[str, ...]
    held: tuple[str, ...]
    left_out: tuple[str, ...]
    rule: str


def train(
    options: TrainOptions,
    *,
    report: Report | None = None,
    moving: Moving | None = None,
    reading: Callable[[int, int], None] | None = None,
    tell: Callable[[str], None] | None = None,
    callbacks: Sequence[Callback] = (),
) -> TrainResult:
    """Run a training from its start, or from the last finished epoch of the same run.

    Args:
        options: everything the run depends on.
        report: called at each epoch's end.
        moving: called after every step.
        reading: called with (cases done, cases) while the set is read for the first time.
        tell: told in a sentence what the user should know about the set.
        callbacks: Lightning's, for progress bars and the like.

    Returns:
        the model folder `out/model`, holding the weights that are kept. `out/folds.json` says who was held out.

    Raises:
        NothingFound: no pairs, or no slice with lesion to learn from.
        InputError: the fold file knows no patient of the set.
        OutputError: `out` holds a run of other options, or another training works in it.
        UsageError: the size of the grid does not suit the network, or there is no such device or precision.
        DeviceUnavailable: this machine has no such device.
        KeyboardInterrupt: somebody pressed Ctrl+C; the run can go on.
    """
    machine = choose_machine(options.device, options.precision)
    if options.threads:
        torch.set_num_threads(options.threads)
    folds = _folds(options)
    said = options.patients is not None or options.each_image
    rule = folds.patients if folds and not said else parse_rule(options.patients, options.each_image)
    pairs = load_pairs(
        options.data,
        options.preprocessing,
        options.cache,
        rule=rule,
        channel=options.channel,
        may_share=options.may_share,
        progress=reading,
    )
    division = divide(pairs, options, folds)
    if division.left_out and tell:
        tell(f"{len(division.left_out)} of this set's patients are not in the fold file and are left out")
    with _alone_in(options.out):
        return _run(options, machine, pairs, folds, rule, division, [EpochLog(options, report, moving), *callbacks])


def _run(
    options: TrainOptions,
    machine: Machine,
    pairs: Pairs,
    folds: Folds | None,
    rule: PatientRule,
    division: Division,
    callbacks: Sequence[Callback],
) -> TrainResult:
    if not options.resume:
        _begin_anew(options.out)
    _claim(options, machine, pairs, division)
    if folds:
        save_folds(dataclasses.replace(folds, patients=rule), options.out / FOLDS)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # what it tells, the report tells
    pl.seed_everything(options.seed, verbose=False)
    task = SegmentationTask(options, pairs, division.learn, division.watch)
    multiple = int(task.network.stride) * max(stage.shrink for stage in options.course)
    if options.preprocessing.size % multiple:
        raise UsageError(f"the size must be a multiple of {multiple} for this network and its stages")
    if not len(task.lesions):
        raise NothingFound("the training patients have no lesion to learn from", source=str(options.data))
    last = options.out / LAST
    trainer = _trainer(options, machine, callbacks, bool(division.watch))
    with warnings.catch_warnings(), full_float32(), _interruptible(trainer):
        # Lightning advises worker processes; the batches are slices of a mapped array and need none.
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(task, ckpt_path=str(last) if options.resume and last.is_file() else None, weights_only=True)
    figures = last_figures(options.out)
    folder = options.out / MODEL
    save_model(folder, _card(options, machine, pairs, division, rule, figures), task.kept.module)
    return TrainResult(folder, figures)


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Keeps other trainings out of a folder; the system takes the lock away when its process ends, however it ends."""
    make_folder(out)
    try:
        claim = FileLock(out / LOCK).acquire(timeout=0)
    except Timeout as error:
        raise OutputError(
            "another training works in this folder; wait for it, or take another --out", source=str(out)
        ) from error
    with claim:
        yield


@contextmanager
def _interruptible(trainer: pl.Trainer) -> Iterator[None]:
    """Ctrl+C is what it is everywhere else; Lightning makes an exit of it, and has it ignored from then on."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)


def divide(pairs: Pairs, options: TrainOptions, folds: Folds | None) -> Division:
    """Who is learnt from, who is watched, who is held out and who is left out; without folds everybody is learnt from.

    Raises:
        InputError: there is no such fold, or none of the set's patients is in the folds.
    """
    everyone = tuple(sorted(set(pairs.patients.tolist())))
    if folds is None or options.fold is None:
        learn, held, left_out, rule = everyone, (), (), "every patient is learnt from"
    else:
        known = {patient for fold in folds.folds for patient in fold}
        left_out = tuple(patient for patient in everyone if patient not in known)
        if len(left_out) == len(everyone):
            raise InputError(
                "none of this set's patients is in the fold file; make one with `metseg folds`, or divide the set anew "
                "with --folds new",
                source=str(options.data),
            )
        learn = tuple(patient for patient in folds.train(options.fold) if patient in everyone)
        held, rule = folds.test(options.fold), f"{folds.name}, fold {options.fold}: {folds.rule}"
    watch = inner_part(learn, options.inner, options.seed)
    return Division(tuple(patient for patient in learn if patient not in watch), watch, held, left_out, rule)


def _folds(options: TrainOptions) -> Folds | None:
    """The folds that the options name; those of an earlier part of the run, or new ones, where they name none."""
    if options.fold is None:
        return None
    if options.folds:
        return load_folds(options.folds)
    if options.resume and (options.out / FOLDS).is_file():
        return load_folds(options.out / FOLDS)
    return divide_folder(
        options.data,
        patients=options.patients,
        each_image=options.each_image,
        channel=options.channel,
        may_share=options.may_share,
    )


def _begin_anew(out: Path) -> None:
    """Take away what an earlier run left: a run that is stopped soon must not go on from another's checkpoint."""
    if not (out / MANIFEST).is_file():
        return
    for name in (LOGS, MODEL):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in (LAST, FOLDS, MANIFEST):  # the manifest last: without it nothing would be taken away the next time
        (out / name).unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(value), default=str))


def _claim(options: TrainOptions, machine: Machine, pairs: Pairs, division: Division) -> None:
    """Write the run's manifest, or check that the one that is there is of the same run."""
    ours = _plain(options)
    for name in BESIDE_THE_POINT:
        del ours[name]
    ours["precision"] = machine.precision  # half of a course in another one would be another course
    ours["course"] = [dataclasses.asdict(stage) for stage in options.course]
    ours["set"] = pairs.key
    ours["split"] = {name: list(getattr(division, name)) for name in ("learn", "watch", "held")}
    ours["split"]["rule"] = division.rule
    path = options.out / MANIFEST
    if (options.out / LAST).is_file() and path.is_file():
        # What an older version did not know yet was not asked for.
        theirs = _filled(json.loads(path.read_text(encoding="utf-8"))["run"], _plain(_defaults(options)))
        if theirs["precision"] == "auto":
            theirs["precision"] = machine.precision  # an older version did not say what it came to
        changed = sorted(key for key in ours if theirs.get(key) != ours[key])
        if options.resume and changed:
            raise OutputError(
                f"this folder holds a run of other options ({', '.join(changed)}); take another --out",
                source=str(options.out),
            )
    options.out.mkdir(parents=True, exist_ok=True)
    write_json(path, {"run": ours, "made_with": _made_with(machine)}, indent=2)


def _defaults(options: TrainOptions) -> TrainOptions:
    return TrainOptions(options.data, options.out, options.network)


def _filled(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """A manifest's values, with the defaults of those that it lacks."""
    filled = {name: value for name, value in defaults.items() if name not in BESIDE_THE_POINT} | values
    for name, default in defaults.items():
        if isinstance(default, dict) and isinstance(values.get(name), dict):
            filled[name] = {**default, **values[name]}
    return filled


def _made_with(machine: Machine) -> dict[str, str]:
    packages = ("torch", "lightning", "numpy", "opencv-python-headless")
    return {
        "metseg": VERSION,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "device": machine.device.type,
        "precision": machine.precision,
    }


class _AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it, so that a kill leaves the one before it whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        part = Path(f"{path}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def _trainer(options: TrainOptions, machine: Machine, callbacks: Sequence[Callback], watched: bool) -> pl.Trainer:
    epochs = sum(stage.epochs for stage in options.course)
    # Without a measure to go by, the one checkpoint kept is the latest.
    checkpoint = ModelCheckpoint(
        options.out,
        filename=Path(LAST).stem,
        save_top_k=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    return pl.Trainer(
        max_epochs=epochs,
        **machine.for_lightning,
        logger=TensorBoardLogger(options.out, name="", version=LOGS),
        plugins=[_AtomicCheckpoints()],
        callbacks=[checkpoint, *callbacks],
        reload_dataloaders_every_n_epochs=1,
        check_val_every_n_epoch=next(every for every in (4, 3, 2, 1) if epochs % every == 0),  # the last one, too
        limit_val_batches=None if watched else 0,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        gradient_clip_val=1.0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _card(
    options: TrainOptions,
    machine: Machine,
    pairs: Pairs,
    division: Division,
    rule: PatientRule,
    figures: dict[str, float],
) -> ModelCard:
    preprocessing = dataclasses.replace(
        options.preprocessing, channels=pairs.channels, shrink=options.course[-1].shrink
    )
    return ModelCard(
        name=options.network,
        version="1",
        summary=f"{options.network} with {options.filters[0]} to {options.filters[-1]} filters, "
        f"{', '.join(preprocessing.channels)}"
        + (f", 1/{preprocessing.shrink} of the grid" if preprocessing.shrink > 1 else ""),
        network=NetworkSettings(options.network, len(preprocessing.channels), options.filters),
        preprocessing=preprocessing,
        weights=WeightsFile("", ""),
        neighbours=options.neighbours,
        data={
            "patients": list(division.learn),
            "watched": list(division.watch),
            "held_out": list(division.held),
            "split": division.rule,
            RULE: rule.to_json(),
            "made_with": _made_with(machine),
        },
        recipe=options.recipe,
        metrics={"last_epoch": figures},
        limits=LIMITS,
    )
