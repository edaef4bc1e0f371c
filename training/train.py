"""From a folder of pairs to a model folder."""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from core.errors import BrokenFile, DeviceLost, DeviceOutOfMemory, NothingFound, UsageError
from core.evaluation.cases import keep_apart
from core.evaluation.divide import divide_folder
from core.evaluation.folds import Folds, load_folds, save_folds
from core.evaluation.patients import PatientRule, parse_rule
from core.evaluation.split import RULE
from core.inference.devices import full_float32
from core.model_card import ModelCard, NetworkSettings, WeightsFile
from core.model_store import save_model
from training.division import Division, divide
from training.epoch_log import LOGS, EpochLog, last_figures
from training.lightning_module import SegmentationTask
from training.machine import Machine, choose_machine
from training.options import TrainOptions
from training.pairs import Pairs, load_pairs
from training.report import Moving, Report
from training.run_folder import (
    FOLDS,
    LAST,
    MODEL,
    alone_in,
    begin_anew,
    claim,
    earlier_run,
    goes_on,
    made_with,
)

LIMITS = (
    "Research use only; not a medical device.",
    "How good it is, its card does not say: score it with `metseg evaluate` on patients whom it did not learn from.",
    "Its weights are under the terms of the data that they were learnt from.",
)
"""Of every model until somebody knows better."""


@dataclasses.dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run left behind: the model's folder, and the figures of its last epoch."""

    model: Path
    figures: dict[str, float]


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
        reading: called with (cases done, cases) while the set is read for the first time, or to divide it anew.
        tell: told in a sentence what the user should know about the set.
        callbacks: Lightning's, for progress bars and the like.

    Returns:
        the model folder `out/model`, holding the weights that are kept. `out/folds.json` says who was held out.

    Raises:
        NothingFound: no pairs, or no slice with lesion to learn from.
        InputError: the fold file knows no patient of the set, or the loss is not finite any more.
        BrokenFile: the checkpoint that the run would go on from is damaged.
        OutputError: `out` holds a run of other options or no run at all, another training works in it, or the disk is
            full or read-only.
        UsageError: the size of the grid does not suit the network, there is no such device or precision, or `out` and
            the set lie in each other.
        DeviceUnavailable: this machine has no such device.
        DeviceOutOfMemory: a batch is too large for it.
        DeviceLost: it failed while it computed.
        KeyboardInterrupt: somebody pressed Ctrl+C; the run can go on.
    """
    keep_apart(options.data, options.out)
    machine = choose_machine(options.device, options.precision)
    if options.threads:
        torch.set_num_threads(options.threads)
    earlier_run(options.out)  # a folder of something else is refused before anything is read
    folds = _folds(options, reading)
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
        tell=tell,
    )
    division = divide(pairs, options, folds)
    if division.left_out and tell:
        tell(f"{len(division.left_out)} of this set's patients are not in the fold file and are left out")
    if division.absent and tell:
        tell(f"{len(division.absent)} of the patients to learn from are in the fold file and not in this set")
    with alone_in(options.out):
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
        begin_anew(options.out)
    claim(options, machine, pairs, division)
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
    last = str(options.out / LAST) if goes_on(options) else None
    trainer = _trainer(options, machine, callbacks, bool(division.watch))
    try:
        with warnings.catch_warnings(), full_float32(), _interruptible(trainer):
            # Lightning advises worker processes; the batches are slices of a mapped array and need none.
            warnings.filterwarnings("ignore", module="lightning")
            trainer.fit(task, ckpt_path=last, weights_only=True)
    except torch.OutOfMemoryError as error:
        raise DeviceOutOfMemory("the device's memory does not hold a batch; choose a smaller --batch") from error
    except torch.AcceleratorError as error:
        raise DeviceLost("the device failed and computes nothing more; the same command goes on") from error
    finally:
        task.source = None  # trainer and task hold each other, and the set may lie in the device's memory
    figures = last_figures(options.out)
    folder = options.out / MODEL
    save_model(folder, _card(options, machine, pairs, division, rule, figures), task.kept.module)
    return TrainResult(folder, figures)


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


def _folds(options: TrainOptions, reading: Callable[[int, int], None] | None) -> Folds | None:
    """The folds that the options name; those of an earlier part of the run, or new ones, where they name none."""
    if options.fold is None:
        return None
    if options.folds:
        return load_folds(options.folds)
    if goes_on(options) and (options.out / FOLDS).is_file():
        return load_folds(options.out / FOLDS)
    return divide_folder(
        options.data,
        patients=options.patients,
        each_image=options.each_image,
        channel=options.channel,
        may_share=options.may_share,
        progress=reading,
    )


OF_OURS = {"state_dict", "optimizer_states", "loops"}
"""Parts of a checkpoint without which a run cannot go on."""


class _AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it, so that a kill leaves the one before it whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        whole = io.BytesIO()  # into a file itself PyTorch does not say what the disk said
        torch.save(checkpoint, whole)
        part = Path(f"{path}.part")
        try:
            with part.open("wb") as file:
                file.write(whole.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)  # a full disk would stay full
            raise

    def load_checkpoint(self, path: str | Path, *how: Any, **more: Any) -> dict[str, Any]:
        try:
            found: dict[str, Any] = super().load_checkpoint(path, *how, **more)
            if not found.keys() >= OF_OURS:
                raise KeyError("a checkpoint of another program")
            return found
        except Exception as error:  # whatever PyTorch makes of what is damaged
            raise BrokenFile(
                "this checkpoint is damaged; delete it, or begin anew with --restart", source=str(path)
            ) from error


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
            "made_with": made_with(machine),
        },
        recipe=options.recipe,
        metrics={"last_epoch": figures},
        limits=LIMITS,
    )
