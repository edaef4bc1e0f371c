"""Holds evaluations of the same patients against each other: paired differences, a table, a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.atomic import make_folder, write_atomic, write_json
from core.errors import InputError, UsageError
from core.evaluation.bootstrap import LEVEL, RESAMPLES, SEED
from core.evaluation.metrics import COMPARED, METRIC
from core.evaluation.out import check_out
from core.evaluation.pictures import Scored
from core.evaluation.scores import COMPARISON, COMPARISON_KIND, TABLE, cautions, read_scores, table_name
from core.evaluation.summary import compare_patients, show, show_range, show_share, summarise
from core.system import RESEARCH_ONLY, VERSION

SHOWN = ("name", "models", "data", "held_out", "held_out_means", "left_out", "settings", "figures", "totals", "strata")


def compare(
    folders: Sequence[str | Path], out: Path, *, names: Sequence[str] = (), overwrite: bool = False
) -> dict[str, Any]:
    """Compare two or more evaluations, and write `comparison.json`, `table.md` and `report.html`.

    All figures are over the patients whom all evaluations have; each evaluation is held against the first.

    Args:
        folders: of evaluations, or their `scores.json`; pictures need the folders and the scans where they were.
        out: a folder of its own.
        names: what to call them; else the names in the scores, numbered where two are the same.
        overwrite: replace an earlier comparison.

    Returns:
        what stands in `comparison.json`.

    Raises:
        UsageError: fewer than two, or not as many names.
        NothingFound, BrokenFile: an evaluation cannot be read.
        InputError: no patient is in all of them, or they do not agree about a patient's truth.
        OutputError: `out` cannot be used.
    """
    if len(folders) < 2:
        raise UsageError("a comparison needs two evaluations; name two or more")
    if names and len(names) != len(folders):
        raise UsageError(f"there are {len(folders)} evaluations and {len(names)} names; give as many")
    check_out(out, COMPARISON, overwrite)
    read = [read_scores(folder) for folder in folders]
    chosen = list(names) or _unique([str(scores["name"]) for scores in read])
    evaluations = common_patients([{**scores, "name": name} for scores, name in zip(read, chosen, strict=True)])
    comparison = build_comparison(evaluations)
    from core.evaluation.report import write_report  # draws; not needed by whoever only compares

    places = [path if path.is_dir() else path.parent for path in map(Path, folders)]
    shown: list[Scored] = list(zip(evaluations, places, strict=True))
    make_folder(out)
    write_json(out / COMPARISON, comparison)
    write_atomic(out / TABLE, comparison_markdown(comparison).encode())
    write_report(out, shown, comparison)
    return comparison


def common_patients(evaluations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same evaluations over the patients whom all of them have, figures computed anew.

    A measure that one evaluation lacks for a patient is left out for this patient in all, so that every mean and every
    difference of a measure is over the same patients.

    Raises:
        InputError: there is no such patient, or the evaluations do not agree about one's truth.
    """
    sets = [{row["patient"] for row in scores["patients"]} for scores in evaluations]
    common = sets[0].intersection(*sets[1:])
    if not common:
        raise InputError("no patient is in all of these evaluations; compare models scored on the same patients")
    tables = [{row["patient"]: row for row in scores["patients"] if row["patient"] in common} for scores in evaluations]
    differing = sorted(patient for patient in common if len({_truth(table[patient]) for table in tables}) > 1)
    if differing:
        raise InputError(
            f"the evaluations do not agree about the truth of {len(differing)} of {len(common)} patients, in slices or "
            "voxels of lesion; score the models on the same scans and masks",
            source=differing[0],
        )
    keys = (*(metric.key for metric in COMPARED), "true_ml", "found_ml")
    lacking = {
        patient: {key: None for key in keys if any(table[patient][key] is None for table in tables)}
        for patient in common
    }
    kept = []
    for scores, table in zip(evaluations, tables, strict=True):
        rows = [{**row, **lacking[patient]} for patient, row in table.items()]
        kept.append({**scores, **summarise(rows), "patients": rows})
    return kept


def build_comparison(evaluations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a comparison says, as JSON-ready values: figures of each, and paired differences to the first."""
    first = evaluations[0]
    return {
        "kind": COMPARISON_KIND,
        "metseg": VERSION,
        "research_use_only": RESEARCH_ONLY,
        "data": first["data"],
        "patients": len(first["patients"]),
        "differences": _differences(evaluations),
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED, "level": LEVEL},
        "evaluations": [{key: scores[key] for key in SHOWN if key in scores} for scores in evaluations],
        "pairs": [
            {
                "first": first["name"],
                "second": other["name"],
                "paired": compare_patients(first["patients"], other["patients"]),
            }
            for other in evaluations[1:]
        ],
    }


def comparison_markdown(comparison: Mapping[str, Any]) -> str:
    """The table of a comparison, with what must be known to read it."""
    evaluations, pairs = comparison["evaluations"], comparison["pairs"]
    names = [table_name(scores["name"]) for scores in evaluations]
    heads = ["measure", "patients", *names]
    for pair in pairs:
        heads += [f"{table_name(pair['second'])} − {table_name(pair['first'])}", "resamples above 0"]
    lines = [
        f"# {' and '.join(names)} on {table_name(comparison['data']['name'])}",
        "",
        f"{comparison['patients']} patients, the same for all. Means with 95 % intervals over patients; "
        "differences are paired. A measure that is not defined for a patient in one is left out for it in all.",
        "",
        *(f"{name}: {scores['held_out_means']}" for name, scores in zip(names, evaluations, strict=True)),
        *([table_name(comparison["differences"])] if comparison["differences"] else []),
        "",
        *(
            f"**{name}: {table_name(sentence)}**\n"
            for name, scores in zip(names, evaluations, strict=True)
            for sentence in cautions(scores)
        ),
        f"| {' | '.join(heads)} |",
        f"|---|{'---:|' * (len(heads) - 1)}",
    ]
    for metric in COMPARED:
        if metric.key not in evaluations[0]["figures"]:
            continue
        cells = [f"{metric.label}, {metric.unit}" if metric.unit else metric.label]
        cells.append(str(evaluations[0]["figures"][metric.key]["n"]))
        for scores in evaluations:
            value = scores["figures"][metric.key]
            cells.append(f"{show(value['mean'], metric)} ({show_range(value, metric)})")
        for pair in pairs:
            cells += _paired_cells(pair["paired"][metric.key], metric.key)
        lines.append(f"| {' | '.join(cells)} |")
    medians = [
        f"{name} {show(scores['figures']['dice']['median'], METRIC['dice'])}"
        for name, scores in zip(names, evaluations, strict=True)
    ]
    return "\n".join([*lines, "", f"Median Dice: {', '.join(medians)}.", "", RESEARCH_ONLY, ""])


def _paired_cells(value: Mapping[str, Any], key: str) -> list[str]:
    difference = show(value["difference"], METRIC[key], signed=True)
    return [f"{difference} ({show_range(value, METRIC[key], signed=True)})", show_share(value["share_above_zero"])]


def _truth(row: Mapping[str, Any]) -> tuple[int, int]:
    return row["slices"], row["true_voxels"]


def _differences(evaluations: Sequence[Mapping[str, Any]]) -> str:
    """A sentence that names the sets and settings in which the evaluations differ; empty where there are none."""
    told = []
    for key in dict.fromkeys(key for scores in evaluations for key in ("data", *scores["settings"])):
        values = [scores["data"]["name"] if key == "data" else scores["settings"].get(key) for scores in evaluations]
        if any(value != values[0] for value in values):
            named = (f"{scores['name']} {value}" for scores, value in zip(evaluations, values, strict=True))
            told.append(f"{key.replace('_', ' ')} ({', '.join(named)})")
    return f"Not only the models differ: {'; '.join(told)}." if told else ""


def _unique(names: Sequence[str]) -> list[str]:
    return [
        f"{name} {names[:index].count(name) + 1}" if names.count(name) > 1 else name for index, name in enumerate(names)
    ]
