"""Scores slice by slice, and what they are for: how much a split by slice flatters.

A model that learnt from a patient's other slices is held against one that never saw the patient, on slices that neither
learnt from.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.atomic import write_atomic, write_json
from core.csv_text import csv_text
from core.errors import BrokenFile, InputError, NothingFound
from core.evaluation.bootstrap import LEVEL, RESAMPLES, SEED, paired_difference
from core.evaluation.figures import rounded
from core.evaluation.recipe import check_alike
from core.evaluation.scores import read_scores
from core.evaluation.scoring import CaseScores
from core.system import RESEARCH_ONLY, VERSION

SLICES = "slices.csv"
COLUMNS = ("patient", "slice", "true", "found", "both")
KIND = "metseg-leak"


@dataclass(frozen=True, slots=True)
class SliceCounts:
    """Voxels of one slice: of the truth, of the mask, of both; and the slice's name and patient."""

    patient: str
    slice: str
    true: int
    found: int
    both: int


def count_slices(patient: str, case: CaseScores, names: Sequence[str]) -> list[SliceCounts]:
    """A case's slices; `names` as in `Scan.slice_names`."""
    return [
        SliceCounts(patient, name, *map(int, counts)) for name, counts in zip(names, case.slice_counts, strict=True)
    ]


def write_slices(slices: Iterable[SliceCounts], folder: Path) -> None:
    """Write `slices.csv`."""
    write_atomic(folder / SLICES, csv_text(COLUMNS, map(asdict, slices)).encode())


def read_slices(folder: Path) -> dict[str, SliceCounts]:
    """An evaluation's slices by their names.

    Raises:
        NothingFound: the folder has no `slices.csv`.
        BrokenFile: it cannot be used.
        InputError: two slices have one name.
    """
    try:
        rows = list(csv.DictReader((folder / SLICES).read_text(encoding="utf-8").splitlines()))
        slices = [
            SliceCounts(row["patient"], row["slice"], int(row["true"]), int(row["found"]), int(row["both"]))
            for row in rows
        ]
    except OSError as error:
        raise NothingFound(
            f"there is no {SLICES}; make it with `metseg evaluate`, and name the folder", source=str(folder)
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenFile("these are no scores of slices; make them with `metseg evaluate`", source=SLICES) from error
    named = {each.slice: each for each in slices}
    if len(named) < len(slices):
        raise InputError("two slices of this evaluation have one name, so they cannot be told apart", source=SLICES)
    return named


def measure_leak(honest: Sequence[Path], leaking: Path, out: Path) -> dict[str, Any]:
    """Hold a split by slice against a split by patient, on the slices that both scored, and write the result.

    Args:
        honest: folders of evaluations whose patients were not learnt from; folds of one recipe, of disjoint slices.
        leaking: folder of an evaluation of single slices whose neighbours were learnt from.
        out: JSON file for the result.

    Returns:
        what stands in the file: by measure its two means over patients and their difference, leaking minus honest, with
        an interval over patients. Only slices of patients with lesion in the common slices count.

    Raises:
        NothingFound, BrokenFile: an evaluation has no scores, or none of slices.
        InputError: an honest one's patients are not held out, a slice stands in two of them, they and the leaking one
            have none with lesion in common, do not agree about its truth, or are not of one recipe and its settings.
        OutputError: the file cannot be written.
    """
    apart: dict[str, SliceCounts] = {}
    parts = [read_scores(leaking)]
    for folder in honest:
        parts.append(read_scores(folder))
        if parts[-1]["held_out"] != "yes":
            raise InputError(
                "the model may have learnt from these patients; name evaluations of held-out patients after the first",
                source=str(folder),
            )
        part = read_slices(folder)
        if apart.keys() & part.keys():
            raise InputError("a slice stands in two of these evaluations; name each fold once", source=str(folder))
        apart |= part
    check_alike(parts, str(leaking))
    mixed = read_slices(leaking)
    by_patient: dict[str, list[tuple[SliceCounts, SliceCounts]]] = defaultdict(list)
    for name in sorted(apart.keys() & mixed.keys()):
        if apart[name].true != mixed[name].true:
            raise InputError("the evaluations do not agree about the truth of a slice; score the same set", source=name)
        by_patient[apart[name].patient].append((apart[name], mixed[name]))
    kept = {patient: pairs for patient, pairs in by_patient.items() if any(one.true for one, _ in pairs)}
    if not kept:
        raise InputError("the evaluations have no slice with lesion in common; score the same set", source=str(leaking))
    result: dict[str, Any] = {
        "kind": KIND,
        "metseg": VERSION,
        "research_use_only": RESEARCH_ONLY,
        "patients": len(kept),
        "patients_without_lesion_there": len(by_patient) - len(kept),
        "slices": sum(map(len, kept.values())),
        "slices_with_lesion": sum(bool(one.true) for pairs in kept.values() for one, _ in pairs),
        "bootstrap": {"over": "patients", "resamples": RESAMPLES, "seed": SEED, "level": LEVEL},
        "measures": {
            "dice": _paired([[_pooled(side) for side in zip(*pairs, strict=True)] for pairs in kept.values()]),
            "tumour_slice_dice": _paired(
                [[_tumour_slices(side) for side in zip(*pairs, strict=True)] for pairs in kept.values()]
            ),
        },
    }
    write_json(out, result)
    return result


def _pooled(slices: Sequence[SliceCounts]) -> float:
    """Dice of a patient's slices as one volume; the truth is not empty."""
    return 2 * sum(each.both for each in slices) / sum(each.true + each.found for each in slices)


def _tumour_slices(slices: Sequence[SliceCounts]) -> float:
    """Mean Dice of a patient's slices with lesion."""
    return float(np.mean([2 * each.both / (each.true + each.found) for each in slices if each.true]))


def _paired(values: Sequence[Sequence[float]]) -> dict[str, float | None]:
    honest, leaking = zip(*values, strict=True)
    difference = paired_difference(honest, leaking)
    figures = {
        "by_patient": float(np.mean(honest)),
        "by_slice": float(np.mean(leaking)),
        "difference": difference.mean,
        "low": difference.low,
        "high": difference.high,
    }
    return {key: rounded(value) for key, value in figures.items()}
