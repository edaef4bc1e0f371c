"""The folder of a run: whose it is, and whether a run may go on in it."""

from __future__ import annotations

import dataclasses
import json
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from core.atomic import cannot_write, make_folder, write_json
from core.errors import OutputError
from core.system import VERSION
from training.disk import writable
from training.division import Division
from training.epoch_log import LOGS
from training.machine import Machine
from training.options import TrainOptions
from training.pairs import Pairs

MANIFEST = "manifest.json"
FOLDS = "folds.json"
LAST = "last.ckpt"
MODEL = "model"
LOCK = "training.lock"
BESIDE_THE_POINT = ("data", "folds", "patients", "out", "cache", "threads", "device", "resume")
"""Options that a run may be resumed with others of; whom it learns from is compared itself, not how that was told."""


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Keeps other trainings out of a folder; the system takes the lock away when its process ends, however it ends.

    Raises:
        OutputError: another training works in it, or nothing can be written there, now or later.
    """
    make_folder(out)
    with writable(out):
        try:
            lock = FileLock(out / LOCK).acquire(timeout=0)
        except Timeout as error:
            raise OutputError(
                "another training works in this folder; wait for it, or take another --out", source=str(out)
            ) from error
        with lock:
            yield


def earlier_run(out: Path) -> dict[str, Any] | None:
    """What a folder's manifest says of the run in it; None where there is no manifest.

    Raises:
        OutputError: the manifest is not a training's, or the folder cannot be looked into.
    """
    try:
        run = json.loads((out / MANIFEST).read_text(encoding="utf-8"))["run"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise cannot_write(error, out) from error
    except (ValueError, KeyError, TypeError):
        run = None
    if not isinstance(run, dict) or "network" not in run:
        raise OutputError(f"its {MANIFEST} is of something else than a training; choose another --out", source=str(out))
    return run


def goes_on(options: TrainOptions) -> bool:
    """Whether there is a finished epoch to go on from; what a run left that has none counts for nothing."""
    return options.resume and (options.out / LAST).is_file()


def begin_anew(out: Path) -> None:
    """Take away what an earlier run left: a run that is stopped soon must not go on from another's checkpoint.

    Raises:
        OutputError: see `earlier_run`.
    """
    if earlier_run(out) is None:
        return
    for name in (LOGS, MODEL):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in (LAST, FOLDS, MANIFEST):  # the manifest last: without it nothing would be taken away the next time
        (out / name).unlink(missing_ok=True)


def claim(options: TrainOptions, machine: Machine, pairs: Pairs, division: Division) -> None:
    """Write the run's manifest, or check that the one that is there is of the same run.

    Raises:
        OutputError: it is of another run, or see `earlier_run`.
    """
    ours = _plain(options)
    for name in BESIDE_THE_POINT:
        del ours[name]
    ours["precision"] = machine.precision  # half of a course in another one would be another course
    ours["course"] = [dataclasses.asdict(stage) for stage in options.course]
    ours["set"] = pairs.fingerprint
    ours["split"] = {name: list(getattr(division, name)) for name in ("learn", "watch", "held")}
    ours["split"]["rule"] = division.rule
    theirs = earlier_run(options.out)
    if theirs and goes_on(options):
        theirs = _filled(theirs, _plain(_defaults(options)))  # what an older version did not know was not asked for
        if theirs["precision"] == "auto":
            theirs["precision"] = machine.precision  # an older version did not say what it came to
        if theirs.get("set") == pairs.key:
            theirs["set"] = ours["set"]  # an older version told a set by its files' names and times
        changed = sorted(key for key in ours if theirs.get(key) != ours[key])
        if changed:
            raise OutputError(
                f"this folder holds a run of other options ({', '.join(changed)}); take another --out",
                source=str(options.out),
            )
    write_json(options.out / MANIFEST, {"run": ours, "made_with": made_with(machine)}, indent=2)


def made_with(machine: Machine) -> dict[str, str]:
    """The versions of what computes, and where it does; of a GPU its name and the CUDA that PyTorch was built with."""
    packages = ("torch", "lightning", "numpy", "opencv-python-headless")
    gpu = {}
    if machine.device.type == "cuda":
        gpu = {"gpu": torch.cuda.get_device_name(machine.device), "cuda": str(torch.version.cuda)}
    return {
        "metseg": VERSION,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "device": machine.device.type,
        "precision": machine.precision,
        **gpu,
    }


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(value), default=str))


def _defaults(options: TrainOptions) -> TrainOptions:
    return TrainOptions(options.data, options.out, options.network)


def _filled(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """A manifest's values, with the defaults of those that it lacks."""
    filled = {name: value for name, value in defaults.items() if name not in BESIDE_THE_POINT} | values
    for name, default in defaults.items():
        if isinstance(default, dict) and isinstance(values.get(name), dict):
            filled[name] = {**default, **values[name]}
    return filled
