"""The verbs of research: folds, train, experiment, evaluate, compare, leak, calibrate, table."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import metseg_console as console
import metseg_progress as progress
from metseg_options import (
    FAILED,
    STOPPED,
    Channel,
    DeviceName,
    EachImage,
    GridName,
    Labelled,
    MinLesion,
    Mirrored,
    Overwrite,
    Patients,
    PrecisionName,
    Threshold,
    Values,
)

if TYPE_CHECKING:
    from training.experiment import Experiment


def train(
    data: Labelled,
    network: Annotated[str, typer.Option(help="nested-unet or attention-unet.")],
    out: Annotated[Path, typer.Option(help="Folder for the run; the model will be in its folder model.")],
    folds: Annotated[
        str | None, typer.Option(help="How patients are divided: lgg (the default), lgg-sites, a fold file, or new.")
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Number of the fold that is held out; 0 unless told.")] = None,
    inner: Annotated[
        float | None,
        typer.Option(help="Share of the other patients that is only validated on; 0.15, with --all 0, unless told."),
    ] = None,
    patients: Patients = None,
    each_image: EachImage = False,
    channel: Channel = None,
    everyone: Annotated[bool, typer.Option("--all", help="Learn from all patients and hold none out.")] = False,
    epochs: Annotated[
        str | None,
        typer.Option(
            help="At half resolution, then of each cycle at full resolution; 36,8,8 (attention-unet) or 24,6,6 unless "
            "told."
        ),
    ] = None,
    filters: Annotated[str | None, typer.Option(help="Features of each level; 16,32,64,128,256 unless told.")] = None,
    clahe: Annotated[
        bool | None,
        typer.Option(
            "--clahe/--no-clahe",
            help="Whether slices go through CLAHE; unless told they do for attention-unet, and not for nested-unet.",
        ),
    ] = None,
    loss: Annotated[str | None, typer.Option(help="dice-ce (the default) or focal-tversky.")] = None,
    batch: Annotated[int | None, typer.Option(help="Slices in a step; 8 unless told.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all random numbers; 0 unless told.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the processor; else PyTorch decides.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16 or fp16.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder for the prepared pairs; .cache/pairs unless told.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew where OUT holds an unfinished run.")] = False,
) -> None:
    """Train a network; a stopped run goes on where it was."""
    _need_training_packages()
    from dataclasses import replace

    from training.options import CLAHE, FULL, HALF, NO_CLAHE, TrainOptions
    from training.train import train as run_training

    given: Values = {"batch": batch, "seed": seed, "threads": threads, "device": device, "cache": cache, "loss": loss}
    given |= {"precision": precision, "fold": fold, "folds": folds, "patients": patients, "channel": channel}
    given |= {"inner": inner, "each_image": each_image or None}
    given = {name: value for name, value in given.items() if value is not None}
    if folds == "new":
        given["folds"] = None
    if everyone and (fold is not None or folds is not None):
        raise typer.BadParameter(
            "it holds nobody out; leave out --fold and --folds, and say with --patients how names tell patients",
            param_hint="--all",
        )
    if everyone:
        given["fold"] = None
        given.setdefault("inner", 0.0)
    if filters is not None:
        given["filters"] = _numbers(filters, "--filters")
    if clahe is not None:
        given["preprocessing"] = CLAHE if clahe else NO_CLAHE
    if epochs is not None:
        first, *others = _numbers(epochs, "--epochs")
        given["stages"] = (replace(HALF, epochs=first), *(replace(FULL, epochs=count) for count in others))
    options = TrainOptions(data=data, out=out, network=network, resume=not restart, **given)
    try:
        with progress.TrainProgress() as show:
            result = run_training(
                options, report=show.epoch, moving=show.moving, reading=show.reading, tell=console.complain
            )
    except KeyboardInterrupt:
        same = "the same command without --restart" if restart else "the same command"
        console.complain(f"Stopped; {same} goes on from the last epoch that was finished.")
        raise typer.Exit(STOPPED) from None
    print(
        f"The model is in {console.clean(result.model)}; try: metseg segment PATH --model "
        f"{console.quoted(result.model)} --out DIR"
    )


def _numbers(text: str, option: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isascii() and part.strip().isdigit() and int(part) > 0 for part in parts):
        raise typer.BadParameter("give whole numbers from 1, with commas between", param_hint=option)
    return tuple(int(part) for part in parts)


def folds(
    data: Labelled,
    out: Annotated[Path, typer.Option(help="The fold file to write, a .json.")],
    count: Annotated[int, typer.Option(min=2, help="How many folds.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the draw among equals.")] = 0,
    patients: Patients = None,
    each_image: EachImage = False,
    channel: Channel = None,
    overwrite: Overwrite = False,
) -> None:
    """Divide patients into folds for training and testing."""
    from core.errors import OutputError
    from core.evaluation.divide import divide_folder
    from core.evaluation.folds import save_folds

    _check_new(out, overwrite)
    with progress.CountProgress("reading case") as show:
        divided = divide_folder(
            data, count=count, seed=seed, patients=patients, each_image=each_image, channel=channel, progress=show,
            tell=console.complain,
        )  # fmt: skip
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        save_folds(divided, out)
    except OSError as error:
        raise OutputError("the file cannot be written; choose another --out", source=str(out)) from error
    console.print_folds(divided, out)


def evaluate(
    model: Annotated[str, typer.Argument(help="A shipped model's name, or a model folder.")],
    data: Labelled,
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
    make_request(model, **chosen, device=device, precision=precision)  # checks them all
    given: Values = {"folds": folds, "fold": fold, "patients": patients, "each_image": each_image, "learnt": learnt}
    settings = Settings(**chosen, device=device, precision=precision)
    with progress.StageProgress() as show, progress.StopOnInterrupt() as stop:
        scores = run_evaluation(
            model, data, out, **given, allow_learnt=allow_learnt, settings=settings, overwrite=overwrite,
            progress=show, cancelled=stop.asked,
        )  # fmt: skip
    console.print_scores(scores, out)
    if scores["left_out"]:
        raise typer.Exit(FAILED)


def compare(
    evaluations: Annotated[list[Path], typer.Argument(metavar="A B...", help="Folders of metseg evaluate, or scores.")],
    out: Annotated[Path, typer.Option(help="Folder for the table and the report.")],
    name: Annotated[list[str] | None, typer.Option(help="What to call each, in order; else their own names.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Hold evaluations of the same patients against each other."""
    from core.evaluation.compare import compare as run_comparison
    from core.evaluation.compare import comparison_markdown

    comparison = run_comparison(evaluations, out, names=name or (), overwrite=overwrite)
    for line in comparison_markdown(comparison).splitlines():
        print(console.clean(line))
    print(f"Results: {console.clean(out)} (report.html, table.md, comparison.json)")


def leak(
    leaking: Annotated[Path, typer.Argument(help="Evaluation of slices whose neighbours were learnt from.")],
    honest: Annotated[list[Path], typer.Argument(metavar="HONEST...", help="Evaluations, fold by fold, by patient.")],
    out: Annotated[Path, typer.Option(help="JSON file for the result.")],
    overwrite: Overwrite = False,
) -> None:
    """Say how much a split by slice flatters, over the slices that both splits scored."""
    from core.evaluation.slices import measure_leak

    _check_new(out, overwrite)
    console.print_leak(measure_leak(honest, leaking, out))


def calibrate(
    folds: Annotated[list[Path], typer.Argument(metavar="SCORES...", help="A recipe's folds, one scores.json each.")],
    out: Annotated[Path, typer.Option(help="JSON file for the result.")],
    overwrite: Overwrite = False,
) -> None:
    """Fit the temperature that makes a recipe's probabilities mean what they say."""
    from core.evaluation.calibration import calibrate as run_calibration

    _check_new(out, overwrite)
    console.print_calibration(run_calibration(folds, out))


def table(
    scores: Annotated[list[Path], typer.Argument(metavar="SCORES...", help="scores.json files, or folders with one.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the tables and the report; else they are printed.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it; else what their names share.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make tables again from scores; those of several folds are joined."""
    from core.evaluation.join import redo_tables
    from core.evaluation.scores import table_markdown

    whole = redo_tables(scores, out, name=name, overwrite=overwrite)
    for line in table_markdown(whole).splitlines():
        print(console.clean(line))
    if out is not None:
        print(f"Results: {console.clean(out)} (report.html, table.md, patients.csv, scores.json)")


def experiment(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="Names the runs; see docs/training.md.")],
    data: Annotated[Path, typer.Option(help="Folder of images with their masks.")],
    results: Annotated[Path, typer.Option(help="Folder for each run's scores.")] = Path("docs/results"),
    runs: Annotated[Path, typer.Option(help="Folder for checkpoints and models.")] = Path(".runs"),
    cache: Annotated[Path, typer.Option(help="Folder for the prepared pairs.")] = Path(".cache/pairs"),
) -> None:
    """Work off a queue of trainings; call it again to go on."""
    _need_training_packages()
    from training.experiment import read_experiment, run_experiment

    queue = read_experiment(file, data, runs, results, cache)
    open_runs = [run for run in queue.runs if not run.done]
    console.complain(f"{queue.name}: {len(queue.runs)} runs, {len(open_runs)} of them to do")
    try:
        with progress.TrainProgress() as show:
            run_experiment(queue, begin=show.begin, report=show.epoch, moving=show.moving, end=show.end, fail=show.fail)
    except KeyboardInterrupt:
        console.complain("Stopped; the same command goes on from the last epoch that was finished.")
        raise typer.Exit(STOPPED) from None
    console.print_experiment(queue)
    if queue.score == "fold":
        _print_joined(queue)
    for run in queue.runs:
        if run.outdated:
            console.complain(
                f"{run.name}: made with other options than the file's now; to run it again, delete its result and "
                f"{console.quoted(run.options.out)}"
            )
    if show.failed:
        raise typer.Exit(FAILED)


def _print_joined(queue: Experiment) -> None:
    """The Dice over all folds that are done of each change and network, and differences over the same patients."""
    from core.errors import InputError
    from core.evaluation.compare import build_comparison, common_patients
    from core.evaluation.join import join_scores
    from core.evaluation.scores import read_scores
    from core.evaluation.summary import show_share

    parts: dict[str, list[Values]] = {}
    for run in queue.runs:
        if run.done and not run.outdated:
            parts.setdefault(run.name.rpartition("-f")[0], []).append(read_scores(run.result))
    rows, differences = [], []
    firsts: dict[frozenset[str], Values] = {}
    for name, folds_done in parts.items():
        if len(folds_done) < 2:
            continue
        try:
            scores = join_scores(folds_done, name)
            dice = scores["figures"]["dice"]
            counts = str(len(folds_done)), str(dice["n"])
            rows.append((name, *counts, *_dice_cells(dice, "mean"), f"{dice['median']:.3f}"))
            first = firsts.setdefault(frozenset(row["patient"] for row in scores["patients"]), scores)
            if first is not scores:
                (pair,) = build_comparison(common_patients([first, scores]))["pairs"]
                dice = pair["paired"]["dice"]
                cells = *_dice_cells(dice, "difference"), show_share(dice["share_above_zero"])
                differences.append((f"{name} − {first['name']}", str(dice["n"]), *cells))
        except InputError as error:
            console.complain(f"{name}: {error}")
    if rows:
        print()
        titles = ("all folds that are done", "folds", "patients", "Dice", "95 % interval", "median")
        console.print_table(titles, rows)
    if differences:
        print()
        titles = ("difference, patient by patient", "patients", "Dice", "95 % interval", "resamples above 0")
        console.print_table(titles, differences)


def _dice_cells(value: Values, key: str) -> tuple[str, str]:
    from core.evaluation.metrics import METRIC
    from core.evaluation.summary import show, show_range

    signed = key == "difference"
    return show(value[key], METRIC["dice"], signed=signed), show_range(value, METRIC["dice"], signed=signed)


def _check_new(out: Path, overwrite: bool) -> None:
    from core.errors import OutputError

    if out.exists() and not overwrite:
        raise OutputError("this file is there already; use --overwrite or another --out", source=str(out))


def _need_training_packages() -> None:
    if importlib.util.find_spec("lightning") is None:
        from core.errors import UsageError

        raise UsageError(
            "training needs packages that are not installed; run in metseg's folder: pip install '.[train]'"
        )
