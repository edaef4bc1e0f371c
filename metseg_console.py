"""What the `metseg` command prints when it is done: tables and pages. Nothing here computes."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.batch.jobs import Plan
    from core.batch.run import Report
    from core.batch.tables import Outcome
    from core.demo import DemoResult
    from core.evaluation.folds import Folds
    from training.experiment import Experiment

PLAIN_WIDTH = 120
MOST_NAMES = 5


def clean(text: object) -> str:
    """Text of other origin (file names, messages) without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def quoted(path: object) -> str:
    """A path as one types it into a shell."""
    return shlex.quote(clean(path))


def show_traceback(error: BaseException | None = None) -> None:
    """Where an error came from, the one being handled unless told otherwise, for whoever asked by METSEG_DEBUG=1."""
    if os.environ.get("METSEG_DEBUG"):
        import traceback

        traceback.print_exception(error or sys.exception())


def complain(text: object) -> None:
    """One line on stderr."""
    print(clean(text), file=sys.stderr)


def sentence_of(outcome: Outcome) -> str:
    """Why a case failed."""
    from core.batch.tables import failure
    from core.errors import AmbiguousSeries, ChannelNeeded

    told = failure(outcome)
    for kind, option in ((ChannelNeeded, "--channel"), (AmbiguousSeries, "--series")):
        if isinstance(outcome.error, kind):
            told["message"] += f" (with {option})"
    # A file of the case may be to blame; the case itself is named by whoever shows this.
    culprit = Path(told["source"]).name if told["source"] else ""
    return told["message"] if culprit in ("", outcome.name) else f"{culprit}: {told['message']}"


def counted(number: int, noun: str) -> str:
    """Two lesions, one lesion."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def print_report(report: Report, plan: Plan, out: Path) -> None:
    """The table of a run, what to be wary of, what failed, what else the tables hold, and where the results are."""
    from core.batch.tables import dice_totals
    from core.errors import MetsegError
    from core.system import RESEARCH_ONLY

    good = [outcome for outcome in report.outcomes if outcome.manifest]
    if good:
        _print_cases(good)
    if totals := dice_totals(good):
        over = counted(totals["cases"], "case")
        print(f"Dice: mean {totals['mean']:.3f}, median {totals['median']:.3f} over {over}. {totals['rule']}")
    _print_warnings(report, plan)
    for outcome in report.failed:
        complain(f"Failed: {outcome.name}: {sentence_of(outcome)}")
    if any(not isinstance(outcome.error, MetsegError) for outcome in report.failed):
        complain("What was unforeseen is a fault of metseg: METSEG_DEBUG=1 shows where, please report it.")
    if report.stopped:
        left = counted(len(report.unreached), "case")
        complain(f"Stopped with {left} to go; what was finished is kept, and the same command goes on from there.")
    _print_earlier(report)
    print(f"Results: {clean(out)} (a folder for each case, lesions.csv, summary.json)")
    print(RESEARCH_ONLY)


def _print_cases(good: Sequence[Outcome]) -> None:
    rows = []
    for outcome in good:
        result = outcome.manifest["result"] if outcome.manifest else {}
        dice = "" if result["dice"] is None else f"{result['dice']:.3f}"
        kept = "from earlier" if outcome.status == "kept" else ""
        rows.append((outcome.name, str(result["slices"]), str(len(result["lesions"])), size_of(result), dice, kept))
    # The last column is left out where it would be empty.
    shown = 6 if any(row[-1] for row in rows) else 5
    print_table(("case", "slices", "lesions", "size", "Dice", "")[:shown], [row[:shown] for row in rows])


def size_of(result: Mapping[str, Any]) -> str:
    """All lesions together, of a case's manifest."""
    from core.measure.totals import Totals

    totals = Totals(result["voxels"], result["area_mm2"], result["volume_ml"])
    return totals.text(lone=result["slices"] == 1)


def _print_warnings(report: Report, plan: Plan) -> None:
    from core.io import missing_masks

    # One code may stand for several sentences, which name a sequence or a number.
    cases: dict[tuple[str, str], list[str]] = {}
    for outcome in report.outcomes:
        for warning in outcome.manifest["result"]["warnings"] if outcome.manifest else ():
            cases.setdefault((warning["code"], warning["message"]), []).append(outcome.name)
    for (code, message), names in cases.items():
        print(f"Warning: {clean(message)} [{code}, {counted(len(names), 'case')}: {_some(names)}]")
    for note in report.notes:
        print(f"Warning: {clean(note.message)} [{note.code}]")
    # A half-outlined case is a mistake in the data, so its files are named; a set without masks is not.
    unpaired = [path for job in plan.jobs if any(job.source.mask_paths) for path in missing_masks(job.source)]
    if unpaired:
        print(f"Warning: {counted(len(unpaired), 'image')} without a mask: {_some(path.name for path in unpaired)}")


def _print_earlier(report: Report) -> None:
    """Whose lesions stand in the table beside this run's, and whose no longer do."""
    failed = {outcome.name for outcome in report.failed}
    other = [
        f"{outcome.name} (failed now)" if outcome.name in failed else outcome.name
        for outcome in report.earlier
        if outcome.same_input is None
    ]
    renamed = [f"{outcome.name} (same as {outcome.same_input})" for outcome in report.earlier if outcome.same_input]
    if other:
        print(f"lesions.csv also holds {counted(len(other), 'case')} of earlier runs: {_some(other)}")
    if renamed:
        told = counted(len(renamed), "case")
        print(f"lesions.csv leaves out {told} of earlier runs with the images of one of this run: {_some(renamed)}")


def _some(names: Iterable[str]) -> str:
    shown = [clean(name) for name in names]
    more = len(shown) - MOST_NAMES
    return ", ".join(shown[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def print_demo(result: DemoResult) -> None:
    """Each case's Dice with each model, where the page is, and how to go on."""
    from core.measure.dice import EMPTY_RULE
    from core.system import RESEARCH_ONLY

    models = result.models
    rows = [(case.name, *(f"{model.dice[case.name]:.3f}" for model in models)) for case in result.cases]
    means = ("mean", *(f"{model.mean_dice:.3f}" for model in models))
    times = ("ms a slice", *(f"{model.milliseconds_per_slice:.0f}" for model in models))
    print_table(("Dice", *(model.name for model in models)), [*rows, means, times])
    print(EMPTY_RULE)
    print("The slices are drawn by a program. They show that all works, not how well the models do on patients.")
    print(f"Pictures: {clean(result.page)}")
    print(f"Go on: metseg segment {clean(result.cases_folder)} --out DIR, or name a folder of your own scans instead.")
    print(RESEARCH_ONLY)


def print_folds(folds: Folds, out: Path) -> None:
    """Who is in which fold."""
    for index, patients in enumerate(folds.folds):
        print(f"fold {index}: {counted(len(patients), 'patient')}: {_some(patients)}")
    print(f"{clean(folds.rule)}")
    print(f"Folds: {clean(out)}; try: metseg train DATA --network NAME --folds {quoted(out)} --fold 0 --out DIR")


def print_scores(scores: Mapping[str, Any], out: Path) -> None:
    """The table of an evaluation, and where the rest is."""
    from core.evaluation.scores import table_markdown

    for line in table_markdown(scores).splitlines():
        print(clean(line))
    print(f"Results: {clean(out)} (report.html, table.md, patients.csv, scores.json, masks)")


def print_experiment(experiment: Experiment) -> None:
    """Each run's Dice, or that it is not done."""
    from core.evaluation.metrics import METRIC
    from core.evaluation.scores import read_scores
    from core.evaluation.summary import show, show_range

    rows, metric = [], METRIC["dice"]
    for run in experiment.runs:
        if not run.done:
            rows.append((run.name, "not done", "", ""))
            continue
        dice = read_scores(run.result)["figures"]["dice"]
        rows.append((run.name, show(dice["mean"], metric), show_range(dice, metric), show(dice["median"], metric)))
    print_table(("run", "Dice", "95 % interval", "median"), rows)
    print("Compare some of them: metseg compare RESULT.json RESULT.json --out DIR")


def print_leak(result: Mapping[str, Any]) -> None:
    """How much a split by slice flatters."""
    from core.evaluation.metrics import METRIC
    from core.evaluation.summary import show, show_range

    print(f"{counted(result['slices'], 'slice')} of {counted(result['patients'], 'patient')} that both splits scored")
    names = {"dice": "Dice of a patient's slices", "tumour_slice_dice": "Dice of a slice with lesion"}
    rows = [
        (
            names[key],
            show(values["by_patient"], METRIC[key]),
            show(values["by_slice"], METRIC[key]),
            f"{show(values['difference'], METRIC[key], signed=True)} ({show_range(values, METRIC[key], signed=True)})",
        )
        for key, values in result["measures"].items()
    ]
    print_table(("mean over patients", "split by patient", "split by slice", "difference (95 % interval)"), rows)


def print_calibration(result: Mapping[str, Any]) -> None:
    """A recipe's temperature, and what it is worth on patients it was not fitted to."""
    print(f"Temperature {result['temperature']:.3f}, fitted to {counted(result['patients'], 'patient')}")
    print_table(
        ("inside the head", "as it is", "by the other folds' temperature", "difference (95 % interval)"),
        [
            (
                words, f"{found['before']['mean']:.4f}", f"{found['after']['mean']:.4f}",
                _signed_interval(found["difference"]),
            )
            for words, found in (
                ("calibration error", result["calibration_error"]),
                ("the same, of voxels called lesion", result["calibration_error_in_masks"]),
                ("cross-entropy", result["cross_entropy"]),
            )
            if found
        ],
    )  # fmt: skip


def _signed_interval(found: Mapping[str, float | None]) -> str:
    if found["low"] is None:
        return f"{found['mean']:+.4f}"
    return "{mean:+.4f} ({low:+.4f} to {high:+.4f})".format(**found)


def print_bench(machine: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """This machine's table."""
    for device in machine["devices"]:
        print(f"{device['kind']}: {clean(device['name'])}")
    print(f"torch {machine['versions']['torch']}, {counted(machine['torch_threads'], 'thread')}", end="")
    print(f", load average {machine['load_average']}" if machine["load_average"] is not None else "")
    print("Milliseconds a picture: median, and quartiles in brackets.")
    notes = list(dict.fromkeys(row["note"] for row in rows if row["note"]))
    for subject in dict.fromkeys(row["subject"] for row in rows):
        cells = []
        for row in rows:
            if row["subject"] == subject:
                batch = f"batch {row['batch']}" if row["batch"] is not None else None
                how = " ".join(part for part in (row["device"], row["precision"], row["size"], batch) if part)
                ratio = f"{row['ratio']:.2f} × {row['ratio_to']}" if row["ratio"] is not None else ""
                mark = f" [{notes.index(row['note']) + 1}]" if row["note"] else ""
                cells.append((row["what"] + mark, how, milliseconds(row), ratio))
        print()
        print_table((subject, "on", "ms", "compared"), cells, right=("ms",))
    if notes:
        print()
    for number, note in enumerate(notes, 1):
        print(f"[{number}] {clean(note)}")


def milliseconds(row: Mapping[str, Any]) -> str:
    """A measurement of `benchmarks`: median and quartiles, or that there is none."""
    return str(row["status"]) if row["ms"] is None else f"{row['ms']:g} ({row['ms_low']:g}–{row['ms_high']:g})"


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] | None = None) -> None:
    """A table on stdout; columns named in `right` (all but the first, if None) are flush right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, title in enumerate(titles):
        flush = index > 0 if right is None else title in right
        table.add_column(Text(clean(title)), justify="right" if flush else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    console.print(table)
