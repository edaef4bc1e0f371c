"""The front door: the `metseg` command, and the names that other people's code imports.

    from metseg import Predictor, find_scans, read_scan

Each verb is one room of the house. A room is imported only when its verb runs, and a name only when it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import metseg_console as console
import metseg_progress as progress

if TYPE_CHECKING:
    from core.errors import MetsegError
    from core.inference.predictor import Predictor
    from core.io import find_scans, read_mask, read_scan, write_mask
    from core.measure.dice import dice
    from core.networks import build_network
    from core.preprocess.clahe import clahe
    from core.scan import Lesion, Scan, ScanSource, Segmentation

__all__ = [
    "Lesion",
    "MetsegError",
    "Predictor",
    "Scan",
    "ScanSource",
    "Segmentation",
    "build_network",
    "clahe",
    "dice",
    "find_scans",
    "read_mask",
    "read_scan",
    "write_mask",
]
_HOMES = {
    "core.errors": ("MetsegError",),
    "core.inference.predictor": ("Predictor",),
    "core.io": ("find_scans", "read_mask", "read_scan", "write_mask"),
    "core.measure.dice": ("dice",),
    "core.networks": ("build_network",),
    "core.preprocess.clahe": ("clahe",),
    "core.scan": ("Lesion", "Scan", "ScanSource", "Segmentation"),
}

FAILED, WRONG_USAGE, STOPPED = 3, 2, 130
Values = dict[str, Any]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            if problem := foreign_core():
                raise ImportError(problem)
            value = getattr(importlib.import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def foreign_core() -> str | None:
    """One sentence if the `core` that Python finds is not the one beside this file."""
    own = Path(__file__).resolve().parent / "core"
    found = importlib.util.find_spec("core")
    places = [Path(place).resolve() for place in (found.submodule_search_locations if found else None) or ()]
    if places == [own]:
        return None
    other = places[0] if places else "nowhere"
    return (
        f"metseg needs its own package core ({own}) but Python finds another ({other}); run metseg from another "
        "folder, or install it into an environment of its own"
    )


app = typer.Typer(
    name="metseg",
    help="Finds lesions in brain MRI, on this machine. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # the plain help needs a third of the time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[str | None, typer.Option(help="A shipped model's name, or a model folder; else the default model.")]
DeviceName = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
PrecisionName = Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")]
Threshold = Annotated[
    float | None, typer.Option(help="Probability from which a voxel is lesion; else the model's own.")
]
Mirrored = Annotated[bool, typer.Option("--tta", help="Average with the mirrored image, at twice the time.")]
MinLesion = Annotated[int, typer.Option(help="Drop lesions of fewer voxels.")]
GridName = Annotated[str | None, typer.Option(help="auto, fit, stretch or native; else the model's own.")]
Channel = Annotated[str | None, typer.Option(help="The channel to take, by index from 0 or by name.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results of metseg.")]
Patients = Annotated[
    str | None, typer.Option(help="How names tell patients: a regular expression with one group, or a CSV file.")
]
EachImage = Annotated[bool, typer.Option("--each-image", help="Every image is of another patient.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: as on a command line, without the program's name; None takes the process's own.

    Returns:
        the exit code: 0 all well, 1 something unforeseen, 2 wrong usage, 3 some inputs failed, 130 stopped.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a character that a terminal cannot show must not end a run
            stream.reconfigure(errors="replace")
    if problem := foreign_core():
        console.complain(problem)
        return 1
    from core.errors import Cancelled, DeviceUnavailable, MetsegError, ModelNotFound, UsageError

    try:
        app(args=arguments, prog_name="metseg")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Cancelled as error:
        console.complain(f"metseg: {error}")
        return STOPPED
    except MetsegError as error:
        _show_traceback()
        console.complain(f"metseg: {error}")
        return WRONG_USAGE if isinstance(error, UsageError | ModelNotFound | DeviceUnavailable) else FAILED
    except Exception as error:
        _show_traceback()
        first_line = str(error).partition("\n")[0]
        console.complain(
            f"metseg: something unforeseen went wrong ({type(error).__name__}: {first_line}); "
            "METSEG_DEBUG=1 shows where, please report it"
        )
        return 1
    return 0


def _show_traceback(error: BaseException | None = None) -> None:
    if os.environ.get("METSEG_DEBUG"):
        import traceback

        traceback.print_exception(error or sys.exception())


@app.command()
def segment(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders of scans.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; it may not lie inside an input.")],
    model: Model = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    threshold: Threshold = None,
    tta: Mirrored = False,
    min_lesion: MinLesion = 0,
    grid: GridName = None,
    channel: Channel = None,
    overwrite: Overwrite = False,
) -> None:
    """Find lesions in scans; write masks, pictures and tables."""
    from core.batch.jobs import plan_jobs
    from core.batch.request import make_request
    from core.batch.run import run_batch
    from core.errors import MetsegError

    chosen: Values = {"threshold": threshold, "tta": tta, "min_lesion": min_lesion, "grid": grid, "channel": channel}
    request = make_request(model, device=device, precision=precision, **chosen)
    plan = plan_jobs(paths, out)
    with progress.RunProgress(len(plan.jobs)) as show, progress.StopOnInterrupt() as stop:
        report = run_batch(plan, request, out, overwrite=overwrite, on_event=show, cancelled=stop.asked)
    console.print_report(report, plan, out)
    for outcome in report.failed:
        if not isinstance(outcome.error, MetsegError):
            _show_traceback(outcome.error)
    if report.stopped:
        raise typer.Exit(STOPPED)
    if report.failed:
        raise typer.Exit(FAILED)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the cases, the results and the page.")] = Path("demo-output"),
    model: Annotated[list[str] | None, typer.Option(help="Shipped names or folders; else every shipped model.")] = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
) -> None:
    """Segment made-up slices with every model; write a page."""
    from core.demo import run_demo

    with progress.StepProgress() as show, progress.StopOnInterrupt() as stop:
        chosen: Values = {"models": model or None, "device": device, "precision": precision}
        result = run_demo(out, show, **chosen, cancelled=stop.asked)
    console.print_demo(result)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder of images with their masks.")],
    network: Annotated[str, typer.Option(help="nested-unet or attention-unet.")],
    out: Annotated[Path, typer.Option(help="Folder for the run; the model will be in its folder model.")],
    folds: Annotated[str | None, typer.Option(help="A shipped fold file's name, a path, or new.")] = None,
    fold: Annotated[int | None, typer.Option(help="The fold of patients that is held out.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Learn from all patients and hold none out.")] = False,
    epochs: Annotated[str | None, typer.Option(help="At half and at full resolution, as 20,12.")] = None,
    filters: Annotated[str | None, typer.Option(help="Features of each level, as 16,32,64,128,256.")] = None,
    batch: Annotated[int | None, typer.Option(help="Slices in a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything that is drawn.")] = None,
    threads: Annotated[int | None, typer.Option(help="Of the processor; else torch decides.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder for the prepared pairs.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew where OUT holds an unfinished run.")] = False,
) -> None:
    """Train a network; a stopped run goes on where it was."""
    if importlib.util.find_spec("lightning") is None:
        from core.errors import UsageError

        raise UsageError("training needs packages that are not installed; run: pip install 'metseg[train]'")
    import logging
    from dataclasses import replace

    from core.networks import NETWORK_NAMES
    from training.options import STAGES, TrainOptions
    from training.train import train as run_training

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    if network not in NETWORK_NAMES:
        raise typer.BadParameter(f"choose one of {', '.join(NETWORK_NAMES)}", param_hint="--network")
    given: Values = {"batch": batch, "seed": seed, "threads": threads, "device": device, "cache": cache}
    given |= {"precision": precision, "fold": fold, "folds": folds}
    given = {name: value for name, value in given.items() if value is not None}
    if folds == "new":
        given["folds"] = None
    if everyone:
        given["fold"] = None
    if filters is not None:
        given["filters"] = _numbers(filters, "--filters")
    if epochs is not None:
        counts, stages = _numbers(epochs, "--epochs"), STAGES[network]
        if len(counts) != len(stages):
            raise typer.BadParameter(f"give {len(stages)} numbers with commas between", param_hint="--epochs")
        given["stages"] = tuple(replace(stage, epochs=count) for stage, count in zip(stages, counts, strict=True))
    options = TrainOptions(data=data, out=out, network=network, resume=not restart, **given)
    try:
        with progress.TrainProgress() as show:
            result = run_training(options, report=show.epoch, reading=show.reading)
    except KeyboardInterrupt:
        console.complain("Stopped; the same command goes on from the last epoch that was finished.")
        raise typer.Exit(STOPPED) from None
    print(f"The model is in {console.clean(result.model)}; try: metseg segment PATH --model {result.model} --out DIR")


def _numbers(text: str, option: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() and int(part) > 0 for part in parts):
        raise typer.BadParameter("give whole numbers from 1, with commas between", param_hint=option)
    return tuple(int(part) for part in parts)


@app.command()
def folds(
    data: Annotated[Path, typer.Argument(help="Folder of images with their masks.")],
    out: Annotated[Path, typer.Option(help="The fold file to write, a .json.")],
    count: Annotated[int, typer.Option(min=2, help="How many folds.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the draw among equals.")] = 0,
    patients: Patients = None,
    each_image: EachImage = False,
    channel: Annotated[str | None, typer.Option(help="Of nnU-Net's files, by number or by name.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Divide patients into folds for training and testing."""
    from core.errors import OutputError
    from core.evaluation.divide import divide_folder
    from core.evaluation.folds import save_folds

    if out.exists() and not overwrite:
        raise OutputError("this file is there already; use --overwrite or another --out", source=str(out))
    with progress.CountProgress("reading case") as show:
        divided = divide_folder(
            data, count=count, seed=seed, patients=patients, each_image=each_image, channel=channel, progress=show
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        save_folds(divided, out)
    except OSError as error:
        raise OutputError("the file cannot be written; choose another --out", source=str(out)) from error
    console.print_folds(divided, out)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A shipped model's name, or a model folder.")],
    data: Annotated[Path, typer.Argument(help="Folder of images with their masks.")],
    out: Annotated[Path, typer.Option(help="Folder for the scores, the report and the masks.")],
    folds: Annotated[str | None, typer.Option(help="A shipped fold file's name, or a path.")] = None,
    fold: Annotated[int | None, typer.Option(help="Score this fold's patients; else all.")] = None,
    patients: Patients = None,
    each_image: EachImage = False,
    learnt: Annotated[Path | None, typer.Option(help="Folder of what the model learnt from, to compare with.")] = None,
    allow_learnt: Annotated[bool, typer.Option("--allow-learnt", help="Score whom it learnt from, marked.")] = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    threshold: Threshold = None,
    tta: Mirrored = False,
    min_lesion: MinLesion = 0,
    grid: GridName = None,
    channel: Channel = None,
    overwrite: Overwrite = False,
) -> None:
    """Score a model on labelled scans; write tables and a report."""
    from core.batch.request import make_request
    from core.evaluation.evaluate import Settings
    from core.evaluation.evaluate import evaluate as run_evaluation

    chosen: Values = {"threshold": threshold, "tta": tta, "min_lesion": min_lesion, "grid": grid, "channel": channel}
    make_request(model, **chosen)  # checks them all
    given: Values = {"folds": folds, "fold": fold, "patients": patients, "each_image": each_image, "learnt": learnt}
    settings = Settings(**chosen, device=device, precision=precision)
    with progress.StageProgress() as show, progress.StopOnInterrupt() as stop:
        scores = run_evaluation(
            model, data, out, **given, allow_learnt=allow_learnt, settings=settings, overwrite=overwrite,
            progress=show, cancelled=stop.asked,
        )  # fmt: skip
    console.print_scores(scores, out)


@app.command()
def bench(
    as_json: AsJson = False,
    thorough: Annotated[bool, typer.Option("--thorough", help="Every depth, batch and size; takes long.")] = False,
    device: Annotated[list[str] | None, typer.Option(help="cpu, cuda or cuda:N; else both kinds.")] = None,
) -> None:
    """Measure this machine: networks, CLAHE, tiling, all of it."""
    from benchmarks.table import DEVICES, run_bench

    report = run_bench(not thorough, device or DEVICES, progress=progress.bench_progress)
    if as_json:
        _print_json(report.to_json())
    else:
        console.print_bench(report.machine, report.rows)


@app.command()
def info(
    model: Annotated[str | None, typer.Argument(help="Show this model's card instead.")] = None,
    as_json: AsJson = False,
    check: Annotated[bool, typer.Option("--check", help="Ask torch too, and load every model.")] = False,
) -> None:
    """Show version, models and devices, or a model's card."""
    from core.model_store import find_model, load_card

    if model is not None:
        folder = find_model(model)
        card = load_card(folder).to_json()
        if as_json:
            _print_json({"folder": str(folder), **card})
        else:
            console.print_card(card, folder)
        return
    known = console.gather_info(check)
    if as_json:
        _print_json(known)
    else:
        console.print_info(known)
    if check and any(entry["problem"] for part in ("devices", "models") for entry in known["check"][part]):
        raise typer.Exit(FAILED)


def _print_json(values: Any) -> None:
    print(json.dumps(values, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())
