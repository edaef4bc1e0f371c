"""The tables over a run: one row per lesion for spreadsheets, one summary for programs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.atomic import write_json, write_text
from core.batch.results import CASE_KIND, LESIONS, SUMMARY, read_manifest
from core.csv_text import csv_text
from core.errors import MetsegError, unforeseen
from core.measure.dice import EMPTY_RULE
from core.scan import Note
from core.system import RESEARCH_ONLY, VERSION

LESION_COLUMNS = (
    "case", "lesion", "voxels", "volume_ml", "area_mm2", "longest_diameter_px", "longest_diameter_mm",
    "first_slice", "last_slice", "centroid_slice", "centroid_row", "centroid_column",
    "peak_probability", "mean_probability", "model", "threshold",
)  # fmt: skip
# Nobody looks at each case of a batch, so what it was warned of stands beside its lesions; last, as some read by place.
BATCH_COLUMNS = (*LESION_COLUMNS, "warnings")


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """How a case ended.

    Attributes:
        name: the case.
        status: "done" in this run, "kept" from an earlier one that asked the same, or "failed"; "earlier" where it is
            no result of this run, but lies in the same folder.
        manifest: the case's; None where it failed.
        error: why it failed; None where it did not.
        same_input: the case of this run that has the images of this earlier one; None where there is none.
    """

    name: str
    status: str
    manifest: Mapping[str, Any] | None = None
    error: Exception | None = None
    same_input: str | None = None


def dice_totals(outcomes: Iterable[Outcome]) -> dict[str, Any] | None:
    """Mean and median over the cases whose Dice is known; None where none is."""
    values = [o.manifest["result"]["dice"] for o in outcomes if o.manifest]
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {
        "cases": len(known),
        "mean": statistics.fmean(known),
        "median": statistics.median(known),
        "rule": EMPTY_RULE,
    }


def failure(outcome: Outcome) -> dict[str, str]:
    """A failed case for the summary: a code for programs and a sentence for people."""
    error = outcome.error
    if isinstance(error, MetsegError):
        return {"name": outcome.name, "code": error.code, "message": error.detail, "source": error.source or ""}
    message = "" if error is None else unforeseen(error)
    return {"name": outcome.name, "code": "unexpected", "message": message, "source": ""}


def earlier_cases(out: Path, outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """The results that other runs left in a results folder, of cases that failed now among them.

    A case is named after its place among others, so one more input may give it another name; its result of the old
    name is then told by `same_input`.
    """
    called = {outcome.name: outcome.manifest for outcome in outcomes}
    left = {
        folder.name: manifest
        for folder in sorted(out.iterdir())
        if not (called.get(folder.name) or folder.name.startswith(".")) and folder.is_dir()
        if (manifest := read_manifest(folder, CASE_KIND))
    }
    # A case that failed now stands in the tables with its earlier result, so its images have a name in this run too.
    told = {name: manifest or left.get(name) for name, manifest in called.items()}
    names = {_input_of(manifest): name for name, manifest in told.items() if manifest}
    return tuple(
        Outcome(name, "earlier", manifest, same_input=None if name in called else names.get(_input_of(manifest)))
        for name, manifest in left.items()
    )


def _input_of(manifest: Mapping[str, Any]) -> str:
    """The images that a case was made from: its files' content, and what of it was taken."""
    settings = manifest["settings"]
    return repr((manifest["input"].get("sha256"), settings.get("series"), settings.get("channel")))


def write_tables(
    out: Path,
    outcomes: Sequence[Outcome],
    earlier: Sequence[Outcome],
    notes: Sequence[Note],
    run: Mapping[str, Any],
    unreached: Sequence[str],
) -> None:
    """Write `summary.json` and `lesions.csv`.

    They tell of this run's cases first, and then of the earlier ones, so that nothing a table once told is lost; the
    totals are of this run alone. Lesions of a case that has another name by now are listed once, under the new one.

    Args:
        out: the results folder.
        outcomes: of the cases reached.
        earlier: as `earlier_cases` finds them.
        notes: of the whole run.
        run: the run's manifest.
        unreached: names of the cases that were not.

    Raises:
        OutputError: they cannot be written.
    """
    good = [outcome for outcome in outcomes if outcome.manifest]
    rows = [*good, *earlier]
    failures = [failure(outcome) for outcome in outcomes if outcome.error is not None]
    summary = {
        "kind": "metseg-summary",
        "metseg": VERSION,
        "research_use_only": RESEARCH_ONLY,
        "run": dict(run),
        "dice_rule": EMPTY_RULE,
        "totals": {
            "cases": len(outcomes) + len(unreached),
            "done": sum(outcome.status == "done" for outcome in outcomes),
            "kept": sum(outcome.status == "kept" for outcome in outcomes),
            "failed": len(failures),
            "not_reached": len(unreached),
            "earlier": len(earlier),
            "slices": sum(o.manifest["result"]["slices"] for o in good if o.manifest),
            "lesions": sum(len(o.manifest["result"]["lesions"]) for o in good if o.manifest),
            "dice": dice_totals(good),
        },
        "cases": [summary_row(outcome) for outcome in rows],
        "failures": failures,
        "not_reached": list(unreached),
        "notes": [{"code": note.code, "message": note.message} for note in notes],
    }
    write_json(out / SUMMARY, summary)
    listed = (outcome.manifest for outcome in rows if outcome.manifest and outcome.same_input is None)
    write_text(out / LESIONS, lesions_csv(listed, BATCH_COLUMNS))


def summary_row(outcome: Outcome) -> dict[str, Any]:
    """A segmented case for the summary."""
    manifest = outcome.manifest or {}
    result = manifest["result"]
    return {
        "name": outcome.name,
        "status": outcome.status,
        "slices": result["slices"],
        "lesions": len(result["lesions"]),
        "voxels": result["voxels"],
        "area_mm2": result["area_mm2"],
        "volume_ml": result["volume_ml"],
        "dice": result["dice"],
        "warnings": result["warnings"],
        # Of the case itself: one of an earlier run was not made as this run's settings say.
        "model": manifest["model"]["name"],
        "threshold": manifest["settings"]["threshold"],
        "metseg": manifest.get("metseg"),
        "seconds": round(sum(manifest["seconds"].values()), 3),
        "same_input": outcome.same_input,
    }


def lesions_csv(manifests: Iterable[Mapping[str, Any]], columns: Sequence[str] = LESION_COLUMNS) -> str:
    """One row per lesion; slices, rows and columns count from 0, unknown values stay empty."""
    return csv_text(columns, _lesion_rows(manifests))


def _lesion_rows(manifests: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, object]]:
    for manifest in manifests:
        codes = dict.fromkeys(warning["code"] for warning in manifest["result"].get("warnings", ()))
        for lesion in manifest["result"]["lesions"]:
            centroid = lesion["centroid"]
            yield lesion | {
                "case": manifest["name"],
                "lesion": lesion["label"],
                "first_slice": lesion["slices"][0],
                "last_slice": lesion["slices"][1],
                "centroid_slice": centroid[0],
                "centroid_row": centroid[1],
                "centroid_column": centroid[2],
                "model": manifest["model"]["name"],
                "threshold": manifest["settings"]["threshold"],
                "warnings": " ".join(codes),
            }
