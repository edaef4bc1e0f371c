"""What the `metseg` command prints when it is done: tables and pages. Nothing here computes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.batch.jobs import Plan
    from core.batch.run import Report
    from core.batch.tables import Outcome
    from core.demo import DemoResult
    from core.errors import AmbiguousSeries
    from core.evaluation.folds import Folds
    from core.io.describe import FileInfo
    from training.experiment import Experiment

PLAIN_WIDTH = 120
MOST_NAMES = 5


def clean(text: object) -> str:
    """Text of other origin (file names, messages) without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))


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
    """The table of a run, what to be wary of, what failed, and where the results are."""
    from core.batch.results import RESEARCH_ONLY
    from core.batch.tables import dice_totals
    from core.errors import MetsegError

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
    """All lesions together: millilitres or square millimetres where they are known, else what was counted."""
    if result["volume_ml"] is not None:
        return f"{result['volume_ml']:,.2f} ml"
    if result["area_mm2"] is not None:
        return f"{result['area_mm2']:,.0f} mm²"
    return f"{result['voxels']:,} {'px' if result['slices'] == 1 else 'voxels'}"


def _print_warnings(report: Report, plan: Plan) -> None:
    from core.io import missing_masks

    messages: dict[str, str] = {}
    cases: dict[str, int] = {}
    for outcome in report.outcomes:
        for warning in outcome.manifest["result"]["warnings"] if outcome.manifest else ():
            messages.setdefault(warning["code"], warning["message"])
            cases[warning["code"]] = cases.get(warning["code"], 0) + 1
    for code, message in messages.items():
        print(f"Warning: {clean(message)} [{code}, {counted(cases[code], 'case')}]")
    for note in report.notes:
        print(f"Warning: {clean(note.message)} [{note.code}]")
    # A half-outlined case is a mistake in the data, so its files are named; a set without masks is not.
    unpaired = [path for job in plan.jobs if any(job.source.mask_paths) for path in missing_masks(job.source)]
    if unpaired:
        print(f"Warning: {counted(len(unpaired), 'image')} without a mask: {_some(path.name for path in unpaired)}")


def _some(names: Iterable[str]) -> str:
    shown = [clean(name) for name in names]
    more = len(shown) - MOST_NAMES
    return ", ".join(shown[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def print_demo(result: DemoResult) -> None:
    """Each case's Dice with each model, where the page is, and how to go on."""
    from core.batch.results import RESEARCH_ONLY
    from core.measure.dice import EMPTY_RULE

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
    print(f"Folds: {clean(out)}; try: metseg train DATA --network NAME --folds {clean(out)} --fold 0 --out DIR")


def print_scores(scores: Mapping[str, Any], out: Path) -> None:
    """The table of an evaluation, and where the rest is."""
    from core.evaluation.scores import table_markdown

    for line in table_markdown(scores).splitlines():
        print(clean(line))
    print(f"Results: {clean(out)} (report.html, table.md, patients.csv, scores.json, masks)")


def print_experiment(experiment: Experiment) -> None:
    """Each run's Dice, or that it is not done."""
    from core.evaluation.scores import read_scores

    rows = []
    for run in experiment.runs:
        if not run.done:
            rows.append((run.name, "not done", "", ""))
            continue
        dice = read_scores(run.result)["figures"]["dice"]
        rows.append(
            (run.name, f"{dice['mean']:.3f}", f"{dice['low']:.3f} to {dice['high']:.3f}", f"{dice['median']:.3f}")
        )
    print_table(("run", "Dice", "95 % interval", "median"), rows)
    print("Compare some of them: metseg compare RESULT.json RESULT.json --out DIR")


def print_leak(result: Mapping[str, Any]) -> None:
    """How much a split by slice flatters."""
    print(f"{counted(result['slices'], 'slice')} of {counted(result['patients'], 'patient')} that neither learnt from")
    names = {"dice": "Dice of a patient's slices", "tumour_slice_dice": "Dice of a slice with lesion"}
    rows = [
        (
            names[key],
            f"{values['by_patient']:.3f}",
            f"{values['by_slice']:.3f}",
            f"{values['difference']:+.3f} ({values['low']:+.3f} to {values['high']:+.3f})",
        )
        for key, values in result["measures"].items()
    ]
    print_table(("mean over patients", "split by patient", "split by slice", "difference (95 % interval)"), rows)


def print_calibration(result: Mapping[str, Any]) -> None:
    """A recipe's temperature, and what it is worth on patients it was not fitted to."""
    error = result["calibration_error"]
    print(f"Temperature {result['temperature']:.3f}, fitted to {counted(result['patients'], 'patient')}")
    print_table(
        ("calibration error inside the head", "mean over patients", "95 % interval"),
        [
            (words, f"{error[key]['mean']:.4f}", f"{error[key]['low']:.4f} to {error[key]['high']:.4f}")
            for words, key in (
                ("as it is", "before"), ("by the other folds' temperature", "after"), ("difference", "difference")
            )
        ],
    )  # fmt: skip


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


def gather_info(check: bool) -> dict[str, Any]:
    """What `metseg info` says, JSON-ready; torch is imported only for the check."""
    import dataclasses
    import platform

    from core.batch.results import RESEARCH_ONLY
    from core.errors import MetsegError
    from core.model_store import SHIPPED, load_card, shipped_models
    from core.system import VERSION, cache_folder, check_torch, list_devices

    models: list[dict[str, Any]] = []
    for index, name in enumerate(shipped_models()):
        entry: dict[str, Any] = {"name": name, "default": index == 0}
        try:
            card = load_card(SHIPPED / name)
            entry |= {"version": card.version, "summary": card.summary, "network": card.network.name}
            entry |= {"sha256": card.weights.sha256, "threshold": card.threshold, "licence": card.licence}
        except MetsegError as error:
            entry["error"] = str(error)
        models.append(entry)
    known: dict[str, Any] = {
        "metseg": VERSION,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "models": models,
        "devices": [dataclasses.asdict(device) for device in list_devices()],
        "folders": {"program": str(Path(__file__).resolve().parent), "models": str(SHIPPED)},
        "research_use_only": RESEARCH_ONLY,
    }
    try:
        known["folders"]["cache"] = str(cache_folder())
    except RuntimeError:  # a user without a home has no cache either
        known["folders"]["cache"] = None
    if check:
        loads = [{"name": model["name"], "problem": _loading_problem(model["name"])} for model in models]
        known["check"] = {**check_torch(), "models": loads}
    return known


def _loading_problem(model: str) -> str | None:
    from core.errors import MetsegError
    from core.model_store import find_model, load_network

    try:
        load_network(find_model(model))
    except MetsegError as error:
        return str(error)
    return None


def print_info(info: Mapping[str, Any]) -> None:
    """The machine and the models as a page."""
    print(f"metseg {info['metseg']}, Python {info['python']}, {clean(info['platform'])}")
    print("\nModels")
    for model in info["models"]:
        mark = " (default)" if model["default"] else ""
        print(f"  {clean(model['name'])}{mark}: {clean(model.get('error') or model['summary'])}")
    if not info["models"]:
        print("  none came with this installation")
    print("\nDevices, as the driver reports them")
    for device in info["devices"]:
        parts = [clean(device["name"])]
        if device["memory_bytes"]:
            parts.append(f"{device['memory_bytes'] / 2**30:.1f} GiB")
        if device["threads"]:
            parts.append(counted(device["threads"], "thread"))
        if device["features"]:
            parts.append(" ".join(device["features"]))
        if device["driver"]:
            parts.append(f"driver {device['driver']}")
        if device["capability"]:
            parts.append(f"compute capability {device['capability']}")
        print(f"  {device['kind']}: {', '.join(parts)}")
    print("\nFolders")
    for name, folder in info["folders"].items():
        print(f"  {name}: {clean(folder)}")
    if check := info.get("check"):
        _print_check(check)
    print(f"\n{info['research_use_only']}")


def _print_check(check: Mapping[str, Any]) -> None:
    print("\nCheck")
    built = f"built for CUDA {check['cuda_built']}" if check["cuda_built"] else "built for the CPU alone"
    print(f"  torch {check['torch']}, {built}, {counted(check['threads'], 'thread')}")
    for device in check["devices"]:
        print(f"  {device['device']} ({clean(device['name'])}): {clean(device['problem'] or 'computes')}")
    for model in check["models"]:
        print(f"  {clean(model['name'])}: {clean(model['problem'] or 'loads, its weights are those of its card')}")


def print_scan(told: FileInfo) -> None:
    """What a file or a case is, as a page."""
    values = told.to_json()
    print(f"{clean(told.name)}: {told.format}, {counted(told.files, 'file')}")
    channels = f" of {counted(values['channels'], 'channel')}" if values["channels"] > 1 else ""
    pixels = f"{values['width']}×{values['height']} pixels"
    lines = [("size", f"{counted(values['slices'], 'slice')}{channels}, {pixels}, {values['dtype']}")]
    between, row, column = (f"{mm:.4g}" if mm else "unknown" for mm in values["spacing_mm"])
    lines.append(("spacing", f"{between} between slices, {row} between rows, {column} between columns, in mm"))
    known = values["orientation"]
    where = f"columns, rows and slices run towards {', '.join(known)}" if known else "unknown: no left or right"
    lines += [("orientation", where), ("sequence", values["sequence"] or "nothing tells"), *told.described.facts]
    for name, value in lines:
        print(f"  {clean(name)}: {clean(value)}")
    for note in told.notes:
        print(f"  Note: {clean(note.message)} [{note.code}]")


def print_series(path: str, several: AmbiguousSeries) -> None:
    """The series that lie in a file or folder, and how one is chosen."""
    print(f"{clean(Path(path).name)}: {len(several.choices)} series to choose from [{several.code}]")
    for choice in several.choices:
        print(f"  {clean(choice.key)}: {clean(choice.description)}")
    print("Say which one with --series.")


def print_card(card: Mapping[str, Any], folder: Path) -> None:
    """A model's card as a page."""
    print(f"{clean(card['name'])} {clean(card['version'])}\n{clean(card['summary'])}")
    for key, value in {**card, "folder": str(folder)}.items():
        if key not in ("name", "version", "summary") and value not in ("", (), [], {}):
            print(f"\n{clean(key)}")
            _print_value(value, "  ")


def _print_value(value: object, indent: str) -> None:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if isinstance(entry, Mapping) or (isinstance(entry, list | tuple) and not _is_plain(entry)):
                print(f"{indent}{clean(key)}")
                _print_value(entry, indent + "  ")
            else:
                print(f"{indent}{clean(key)}: {_inline(entry)}")
    elif isinstance(value, list | tuple):
        for entry in value:
            if isinstance(entry, Mapping):
                print(f"{indent}-")
                _print_value(entry, indent + "  ")
            else:
                print(f"{indent}- {_inline(entry)}")
    else:
        print(f"{indent}{_inline(value)}")


def _is_plain(values: Sequence[object]) -> bool:
    """Whether a list fits on a line: numbers and short words."""
    return all(not isinstance(value, Mapping | list | tuple) and len(str(value)) < 24 for value in values)


def _inline(value: object) -> str:
    return clean(", ".join(map(str, value)) if isinstance(value, list | tuple) else value)
