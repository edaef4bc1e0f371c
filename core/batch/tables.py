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


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """How a case ended.

    Attributes:
        name: the case.
        status: "done" in this run, "kept" from an earlier one that asked the same, or "failed".
        manifest: the case's; None where it failed.
        error: why it failed; None where it did not.
    """

    name: str
    status: str
    manifest: Mapping[str, Any] | None = None
    error: Exception | None = None


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


def write_tables(
    out: Path, outcomes: Sequence[Outcome], notes: Sequence[Note], run: Mapping[str, Any], unreached: Sequence[str]
) -> None:
    """Write `summary.json` and `lesions.csv`.

    They tell of this run's cases first, and then of the results that other runs left in the same folder, of cases that
    failed now among them, so that nothing a table once told is lost; the totals are of this run alone.

    Raises:
        OutputError: they cannot be written.
    """
    earlier = tuple(_earlier(out, {outcome.name for outcome in outcomes if outcome.manifest}))
    rows = [*(o for o in outcomes if o.manifest), *earlier]
    good = [outcome for outcome in outcomes if outcome.manifest]
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
    write_text(out / LESIONS, lesions_csv(outcome.manifest for outcome in rows if outcome.manifest))


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
        "model": manifest["model"]["name"],
        "seconds": round(sum(manifest["seconds"].values()), 3),
    }


def lesions_csv(manifests: Iterable[Mapping[str, Any]]) -> str:
    """One row per lesion; slices, rows and columns count from 0, unknown values stay empty."""
    return csv_text(LESION_COLUMNS, _lesion_rows(manifests))


def _lesion_rows(manifests: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, object]]:
    for manifest in manifests:
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
            }


def _earlier(out: Path, names: set[str]) -> Iterable[Outcome]:
    for folder in sorted(out.iterdir()):
        if folder.name not in names and not folder.name.startswith(".") and folder.is_dir():
            manifest = read_manifest(folder, CASE_KIND)
            if manifest is not None:
                yield Outcome(folder.name, "earlier", manifest)
