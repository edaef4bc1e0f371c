"""The log of a run: a line of `logs/metrics.csv` for each epoch, kept when the run goes on after a stop."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from core.errors import InputError, NothingFound
from training.options import TrainOptions
from training.report import Moving, Report

LOGS = "logs"
FILE = Path(LOGS, "metrics.csv")
COLUMNS = ("epoch", "seconds", "learning_rate", "loss", "inner_dice", "inner_dice_median")


class EpochLog(Callback):
    """Writes each epoch's figures and hands them on; ends a run that diverged, before its checkpoint is written.

    An epoch that was interrupted left no line; one that is run again after a lost checkpoint leaves a second line, and
    the last one counts.
    """

    def __init__(self, options: TrainOptions, report: Report | None, moving: Moving | None) -> None:
        self.path = options.out / FILE
        self.options = options
        self.report, self.moving = report, moving
        self.epochs = sum(stage.epochs for stage in options.course)
        self.started = self.epoch_started = time.monotonic()
        self.rate = 0.0

    def on_train_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        self.started = self.epoch_started = time.monotonic()

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]  # afterwards it is the next step's

    def on_train_batch_end(self, trainer: pl.Trainer, _: pl.LightningModule, *step: Any) -> None:
        if self.moving:
            part = (step[-1] + 1) / trainer.num_training_batches
            self.moving(self.options.share_done(trainer.current_epoch + part), trainer.current_epoch + 1, self.epochs)

    def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        if not math.isfinite(float(trainer.callback_metrics["loss"])):
            raise InputError(
                f"the loss is not finite any more in epoch {trainer.current_epoch + 1}; begin anew with --restart and "
                "--precision fp32, or with a lower peak of the stages",
                source=str(self.options.out),
            )
        now = time.monotonic()
        watched = (trainer.current_epoch + 1) % (trainer.check_val_every_n_epoch or 1) == 0
        # Lightning goes on telling what was watched in an earlier epoch.
        figures = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if watched or not name.startswith("inner")
        }
        row = {
            "epoch": trainer.current_epoch,
            "seconds": round(now - self.epoch_started, 1),
            "learning_rate": self.rate,
            **{name: round(value, 6) for name, value in figures.items() if name in COLUMNS},
        }
        self.epoch_started = now
        if trainer.logger:
            trainer.logger.log_metrics({"learning_rate": self.rate}, trainer.global_step)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.is_file()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)
        if self.report:
            self.report(now - self.started, trainer.current_epoch + 1, self.epochs, figures)


def minutes_of(out: Path) -> float:
    """How long a run's epochs took, over all its parts."""
    return round(sum(float(row["seconds"]) for row in _epochs(out).values()) / 60, 2)


def last_figures(out: Path) -> dict[str, float]:
    """What the log says of a run's last epoch: its loss, and what was watched."""
    epochs = _epochs(out)
    row = epochs[max(epochs, key=int)]
    return {name: float(row[name]) for name in COLUMNS[3:] if row[name]}


def _epochs(out: Path) -> dict[str, dict[str, str]]:
    """The last line of each epoch, by its number."""
    try:
        with (out / FILE).open(encoding="utf-8", newline="") as file:
            return {row["epoch"]: row for row in csv.DictReader(file)}
    except FileNotFoundError as error:
        raise NothingFound(
            "the log of this run is not there any more; put it back, or begin anew with --restart",
            source=str(out / FILE),
        ) from error
