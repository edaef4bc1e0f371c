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

import metseg_card as card_page
import metseg_console as console
import metseg_faces as faces
import metseg_info as information
import metseg_progress as progress
import metseg_research as research
from metseg_options import (
    FAILED,
    STOPPED,
    WRONG_USAGE,
    As,
    AsJson,
    Channel,
    Deidentify,
    DeviceName,
    GridName,
    MinLesion,
    Mirrored,
    Model,
    Overwrite,
    PrecisionName,
    Probability,
    Series,
    Threshold,
    Values,
)

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
    words = sys.argv[1:] if arguments is None else arguments
    if any(not word or (word.startswith("--") and word.endswith("=")) for word in words):
        # A script's "$FOLDER" that was never set: as a path it would mean all of the working folder.
        console.complain("metseg: an argument is empty; fill it or leave it out")
        return WRONG_USAGE
    from core.errors import Cancelled, DeviceUnavailable, MetsegError, ModelNotFound, UsageError, unforeseen

    try:
        app(args=arguments, prog_name="metseg")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Cancelled as error:
        console.complain(f"metseg: {error}")
        return STOPPED
    except MetsegError as error:
        console.show_traceback()
        console.complain(f"metseg: {error}")
        return WRONG_USAGE if isinstance(error, UsageError | ModelNotFound | DeviceUnavailable) else FAILED
    except Exception as error:
        console.show_traceback()
        console.complain(f"metseg: {unforeseen(error)}; METSEG_DEBUG=1 shows where, please report it")
        return 1
    return 0


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
    series: Series = None,
    form: As = "auto",
    probability: Probability = False,
    deidentify: Deidentify = False,
    overwrite: Overwrite = False,
) -> None:
    """Find lesions in scans; write masks, pictures and tables."""
    from core.batch.jobs import plan_jobs
    from core.batch.request import make_request
    from core.batch.run import run_batch
    from core.errors import MetsegError

    chosen: Values = {"threshold": threshold, "tta": tta, "min_lesion": min_lesion, "grid": grid, "channel": channel}
    written: Values = {"form": form, "probability": probability, "deidentify": deidentify}
    request = make_request(model, device=device, precision=precision, series=series, **chosen, **written)
    plan = plan_jobs(paths, out)
    with progress.RunProgress(len(plan.jobs)) as show, progress.StopOnInterrupt() as stop:
        report = run_batch(plan, request, out, overwrite=overwrite, on_event=show, cancelled=stop.asked)
    console.print_report(report, plan, out)
    for outcome in report.failed:
        if not isinstance(outcome.error, MetsegError):
            console.show_traceback(outcome.error)
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
    about: Annotated[
        str | None, typer.Argument(metavar="[MODEL|FILE]", help="Show this model's card, or what this file is.")
    ] = None,
    as_json: AsJson = False,
    check: Annotated[bool, typer.Option("--check", help="Ask torch too, and load every model.")] = False,
    series: Series = None,
) -> None:
    """Show version, models and devices; or a model's card; or what a file or a folder with a scan is."""
    from core.errors import ModelNotFound
    from core.model_store import find_model, load_card

    if check and about is not None:
        raise typer.BadParameter("it loads every model; name none, and no file", param_hint="--check")
    if series is not None and about is None:
        raise typer.BadParameter("name the file or folder that holds it", param_hint="--series")
    if about is not None:
        try:
            folder = find_model(about)
        except ModelNotFound:
            if not os.path.exists(about):  # noqa: PTH110 - a path that may not be looked at is none
                raise
            _show_scan(about, series, as_json)
            return
        card = load_card(folder).to_json()
        if as_json:
            _print_json({"folder": str(folder), **card})
        else:
            card_page.print_card(card, folder)
        return
    known = information.gather_info(check)
    if as_json:
        _print_json(known)
    else:
        information.print_info(known)
    if check and any(entry["problem"] for part in ("devices", "models") for entry in known["check"][part]):
        raise typer.Exit(FAILED)


def _show_scan(path: str, series: str | None, as_json: bool) -> None:
    from core.errors import AmbiguousSeries
    from core.io.describe import describe_scan

    try:
        told = describe_scan(path, series=series)
    except AmbiguousSeries as several:
        if series is not None:
            raise
        if as_json:
            choices = [{"key": choice.key, "description": choice.description} for choice in several.choices]
            _print_json({"name": Path(path).name, "code": several.code, "series": choices})
        else:
            information.print_series(path, several)
        return
    if as_json:
        _print_json(told.to_json())
    else:
        information.print_scan(told)


for verb in (
    *(
        research.folds,
        research.train,
        research.experiment,
        research.evaluate,
        research.compare,
        research.leak,
        research.calibrate,
        research.table,
    ),
    *(faces.serve, faces.web, faces.review, faces.gradio),
):
    app.command()(verb)


def _print_json(values: Any) -> None:
    print(json.dumps(values, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())
