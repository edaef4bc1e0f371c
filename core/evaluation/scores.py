"""The result of an evaluation as files: `scores.json`, which says everything, and the tables made from it.

`scores.json` holds each patient's measures, so all figures, tables and comparisons can be made again from it alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.atomic import write_atomic, write_json
from core.csv_text import csv_text
from core.errors import BrokenFile, NothingFound
from core.evaluation.bootstrap import LEVEL, RESAMPLES, SEED
from core.evaluation.cases import left_out
from core.evaluation.metrics import BINS, METRIC, METRICS, PROTOCOL, TOLERANCE
from core.evaluation.scoring import with_empty_outlines
from core.evaluation.summary import show, show_range, summarise
from core.measure.dice import EMPTY_RULE
from core.system import RESEARCH_ONLY, VERSION

SCORES = "scores.json"
PATIENTS = "patients.csv"
TABLE = "table.md"
REPORT = "report.html"
COMPARISON = "comparison.json"
KIND, COMPARISON_KIND = "metseg-evaluation", "metseg-comparison"
HELD_OUT = {
    "yes": "No scored patient is among those whom the model learnt from.",
    "no": "NOT HELD OUT: the model learnt from patients who are scored here, so these figures flatter it.",
    "unknown": "It is not known whether these patients are new: the model's card does not name them as held out, and "
    "comparing contents with all that it learnt from was not possible, or does not tell.",
}
NEEDED = {"name", "models", "data", "split", "held_out", "settings", "content_check", "training", "limits", "patients"}
"""What a reader of scores relies on, beside what is computed anew."""
SIZE_LIMIT = 256 << 20
FEW, SOME = 5, 30
"""Below so many patients, resampling them gives intervals that are plainly too narrow, and that are a little so."""
LESION_COUNTS = ("lesions_true", "lesions_found", "lesions_predicted", "lesions_false")
COUNTS = ("true_voxels", "found_voxels", "true_ml", "found_ml", *LESION_COUNTS)
ORIGIN = ("fold", "weights_sha256")
COLUMNS = ("patient", "site", "held_out", *ORIGIN, "slices", "slices_with_lesion", *COUNTS, "slices_measured")


def build_scores(about: Mapping[str, Any], patients: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Everything an evaluation says, as JSON-ready values.

    Args:
        about: `name`, `models`, `data`, `split`, `held_out` (a key of `HELD_OUT`), `settings` and what else is known.
        patients: rows of `core.evaluation.scoring.score_patient`.
    """
    rows = sorted(patients, key=lambda row: str(row["patient"]))
    return {
        "kind": KIND,
        "metseg": VERSION,
        "research_use_only": RESEARCH_ONLY,
        **about,
        "held_out_means": HELD_OUT[about["held_out"]],
        "protocol": {
            "words": list(PROTOCOL),
            "dice_rule": EMPTY_RULE,
            "surface_tolerance": TOLERANCE,
            "calibration_bins": BINS,
            "bootstrap": {"resamples": RESAMPLES, "seed": SEED, "level": LEVEL},
        },
        **summarise(rows),
        "patients": [dict(row) for row in rows],
    }


def read_scores(path: str | Path) -> dict[str, Any]:
    """Read a `scores.json`, or the one in an evaluation's folder; its figures are computed anew from its patients.

    Raises:
        NothingFound: there is none.
        BrokenFile: it is something else.
    """
    place = Path(path)
    place = place / SCORES if place.is_dir() else place
    try:
        if place.stat().st_size > SIZE_LIMIT:
            raise BrokenFile("this file is too large for scores; name a scores.json", source=str(path))
        values = json.loads(place.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.get("kind") != KIND:
            raise ValueError("of another kind")
        names = [row["patient"] for row in values["patients"]]
        if values["held_out"] not in HELD_OUT or not names or not values.keys() >= NEEDED:
            raise ValueError("incomplete")
        if len(set(names)) < len(names):
            raise ValueError("a patient counts twice")
        rows = [with_empty_outlines(row) for row in values["patients"]]  # older scores do without
        return {**values, **summarise(rows), "patients": rows}
    except OSError as error:
        raise NothingFound("there is no scores.json; make one with `metseg evaluate`", source=str(path)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenFile("these are no scores; make them with `metseg evaluate`", source=str(path)) from error


def save_scores(scores: Mapping[str, Any], out: Path) -> None:
    """Write `scores.json`, `patients.csv` and `table.md`.

    Raises:
        OutputError: they cannot be written.
    """
    write_json(out / SCORES, scores)
    write_atomic(out / PATIENTS, patients_csv(scores).encode())
    write_atomic(out / TABLE, table_markdown(scores).encode())


def origin(scores: Mapping[str, Any]) -> dict[str, Any]:
    """`fold` and `weights_sha256` of all patients of an evaluation, as far as they have one each."""
    folds = {entry.get("fold") for entry in scores["split"]}
    weights = {model.get("weights_sha256") for model in scores["models"]}
    return {name: found.pop() for name, found in zip(ORIGIN, (folds, weights), strict=True) if len(found) == 1}


def patients_csv(scores: Mapping[str, Any]) -> str:
    """One row per patient, which names the fold and the weights, too; what is not defined stays empty."""
    shown = [key for key in METRIC if key in scores["figures"]]
    columns = (*COLUMNS, "slices_without_distance", *shown)
    common = {**origin(scores), "held_out": scores["held_out"]}
    return csv_text(columns, ({**row, **common} for row in scores["patients"]), digits=None)


def table_markdown(scores: Mapping[str, Any]) -> str:
    """The table of figures, with what must be known to read it."""
    totals = scores["totals"]
    lines = [
        f"# {table_name(scores['name'])} on {table_name(scores['data']['name'])}",
        "",
        f"{_count(totals['patients'], 'patient')}, {_count(totals['slices'], 'slice')}. {scores['held_out_means']}",
        "",
        *(f"**{table_name(sentence)}**\n" for sentence in cautions(scores)),
        "| measure | mean | 95 % interval | median | patients | not defined |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for metric in METRICS:
        if value := scores["figures"].get(metric.key):
            label = f"{metric.label}, {metric.unit}" if metric.unit else metric.label
            interval = show_range(value, metric)
            mean, median = show(value["mean"], metric), show(value["median"], metric)
            lines.append(f"| {label} | {mean} | {interval} | {median} | {value['n']} | {value['undefined']} |")
    lines += [
        "",
        lesions_sentence(totals),
        *_operating_table(scores["operating"]),
        "",
        *(f"- {sentence}" for sentence in PROTOCOL),
    ]
    lines += ["", f"Settings: {settings_sentence(scores['settings'])}", "", RESEARCH_ONLY, ""]
    return "\n".join(lines)


def cautions(scores: Mapping[str, Any]) -> list[str]:
    """Who is not in these figures, and whether they are of too few."""
    said = [f"Left out: {entry['patient']} ({entry['problem']})." for entry in scores.get("left_out", ())]
    if unlabelled := left_out(scores["data"].get("lacking", ())):
        said.append(unlabelled)
    if absent := sum(part["absent"] for part in scores.get("split", ())):
        said.append(f"Not scored: {_count(absent, 'patient')} of the fold file without a labelled case in this set.")
    if own := scores["data"].get("own_masks"):
        said.append(f"{_count(own, 'case')} scored against masks that metseg wrote: this says nothing about the truth.")
    if (patients := scores["totals"]["patients"]) < FEW:
        narrow = ", and intervals over them are too narrow" if patients > 1 else ""
        said.append(f"So few patients ({patients}) tell little{narrow}.")
    elif patients < SOME:
        said.append(f"Over {patients} patients, a 95 % interval holds what it should about nine times in ten.")
    return said


def _operating_table(points: Sequence[Mapping[str, Any]]) -> list[str]:
    if not points:
        return []
    lines = ["", "Without lesions smaller than a size, read off these same patients:", ""]
    lines += [
        "| false lesions per scan | smallest lesion, voxels | lesions found | 95 % interval |",
        "|---|---:|---:|---:|",
    ]
    metric = METRIC["lesion_sensitivity"]
    for point in points:
        found = point["lesion_sensitivity"]
        lines.append(
            f"| at most {point['budget']:g} ({point['false_positives_per_scan']:.2f}) | {point['min_lesion']:,} "
            f"| {show(found['mean'], metric)} | {show_range(found, metric)} |"
        )
    return lines


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def lesions_sentence(totals: Mapping[str, int]) -> str:
    """What was counted over all patients."""
    return (
        f"Of {totals['lesions_true']:,} true lesions, {totals['lesions_found']:,} were found; of "
        f"{totals['lesions_predicted']:,} in the masks, {totals['lesions_false']:,} lie on none. Surface distances "
        f"exist in {totals['slices_measured']:,} slices; in {totals['slices_without_distance']:,} one mask is empty."
    )


def settings_sentence(settings: Mapping[str, Any]) -> str:
    """Settings as words."""
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in settings.items()) + "."


def table_name(text: str) -> str:
    """A name that cannot break a line or a table of Markdown."""
    return "".join("_" if character in "|\n\r<>`[]" else character for character in text)
