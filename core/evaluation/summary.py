"""From the measures of patients to the figures of a set: means, intervals, strata, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.evaluation.bootstrap import paired_difference
from core.evaluation.figures import DECIMALS, figure, rounded
from core.evaluation.metrics import BINS, COMPARED, METRICS, Metric
from core.evaluation.operating import operating_points

Row = Mapping[str, Any]
ADDED = (
    "slices", "slices_with_lesion", "lesions_true", "lesions_found", "lesions_predicted", "lesions_false",
    "slices_measured", "slices_without_distance",
)  # fmt: skip
THIRDS = ("smallest third", "middle third", "largest third")


def summarise(patients: Sequence[Row]) -> dict[str, Any]:
    """All figures of a set, from its patients' rows as `score_patient` gives them.

    Returns:
        `figures` by metric; `totals`; `reliability`; `agreement` of volumes; `operating` points; `strata` by site and
        by lesion volume. JSON-ready.
    """
    figures = {metric.key: figure([row[metric.key] for row in patients]) for metric in METRICS}
    return {
        "figures": {key: value for key, value in figures.items() if value["n"]},
        "totals": _totals(patients),
        "reliability": _reliability(patients),
        "agreement": _agreement(patients),
        "operating": operating_points(patients),
        "strata": {"site": _by_site(patients), "lesion volume": _by_volume(patients)},
    }


def compare_patients(first: Sequence[Row], second: Sequence[Row]) -> dict[str, Any]:
    """Paired differences, second minus first, over the patients that both have.

    Returns:
        by metric: `n`, the two means over these patients, `difference` with its interval `low` and `high`, and
        `share_above_zero` of the resamples; these three are None where `n` is 1.
    """
    left, right = ({row["patient"]: row for row in rows} for rows in (first, second))
    both = [patient for patient in left if patient in right]
    paired: dict[str, Any] = {}
    for metric in COMPARED:
        pairs = [(left[patient][metric.key], right[patient][metric.key]) for patient in both]
        known = [(a, b) for a, b in pairs if a is not None and b is not None]
        if known:
            one, other = zip(*known, strict=True)
            result = paired_difference(one, other)
            paired[metric.key] = {
                "n": len(known),
                "first": round(float(np.mean(one)), DECIMALS),
                "second": round(float(np.mean(other)), DECIMALS),
                "difference": round(result.mean, DECIMALS),
                "low": rounded(result.low),
                "high": rounded(result.high),
                "share_above_zero": rounded(result.share_above_zero),
            }
    return paired


def show(value: float | None, metric: Metric, *, signed: bool = False) -> str:
    """A measure as tables state it."""
    if value is None:
        return "–"
    text = f"{value:{'+' if signed else ''},.{metric.digits}f}"
    # What rounds to nothing has no sign.
    return text.lstrip("+-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def show_range(value: Mapping[str, Any], metric: Metric, *, signed: bool = False) -> str:
    """An interval as tables state it."""
    if value["low"] is None:
        return "–"
    return f"{show(value['low'], metric, signed=signed)} to {show(value['high'], metric, signed=signed)}"


def show_share(share: float | None) -> str:
    """A share of the resamples as tables state it."""
    return "–" if share is None else f"{share:.1%}"


def _totals(patients: Sequence[Row]) -> dict[str, int]:
    totals = {key: sum(row[key] for row in patients) for key in ADDED}
    return {"patients": len(patients), "cases": sum(len(row["cases"]) for row in patients), **totals}


def _reliability(patients: Sequence[Row]) -> dict[str, Any]:
    """All patients' voxels together, bin by bin; means are None in an empty bin."""
    voxels, probability, lesion = (
        np.sum([row["reliability"][key] for row in patients], axis=0) for key in ("voxels", "probability", "lesion")
    )
    counts = voxels.tolist()
    return {
        "edges": [round(float(edge), 3) for edge in np.linspace(0, 1, BINS + 1)],
        "voxels": counts,
        "probability": [_ratio(a, n) for a, n in zip(probability.tolist(), counts, strict=True)],
        "lesion": [_ratio(a, n) for a, n in zip(lesion.tolist(), counts, strict=True)],
    }


def _agreement(patients: Sequence[Row]) -> dict[str, Any]:
    """Bias of the volumes and the limits between which 95 % of differences are expected; None for one patient.

    Source: Bland and Altman 1986, Statistical Methods for Assessing Agreement, The Lancet 327.
    """
    unit = _volume_unit(patients)
    differences = [row[f"found_{unit}"] - row[f"true_{unit}"] for row in patients]
    bias = float(np.mean(differences))
    spread = 1.96 * float(np.std(differences, ddof=1)) if len(differences) > 1 else None
    low, high = (None, None) if spread is None else (bias - spread, bias + spread)
    values = {"bias": bias, "low": low, "high": high}
    return {"unit": unit, **{key: rounded(value) for key, value in values.items()}}


def _volume_unit(patients: Sequence[Row]) -> str:
    return "ml" if all(row["true_ml"] is not None for row in patients) else "voxels"


def _ratio(part: float, whole: int) -> float | None:
    return round(part / whole, DECIMALS) if whole else None


def _by_site(patients: Sequence[Row]) -> list[dict[str, Any]]:
    sites = sorted({row["site"] for row in patients} - {""})
    return [_stratum(site, [row for row in patients if row["site"] == site]) for site in sites]


def _by_volume(patients: Sequence[Row]) -> list[dict[str, Any]]:
    """Thirds of the patients by how much lesion they have."""
    if len(patients) < 2 * len(THIRDS):
        return []
    unit = _volume_unit(patients)
    key = f"true_{unit}"
    ordered = sorted(patients, key=lambda row: (row[key], row["patient"]))
    cuts = [round(len(ordered) * part / len(THIRDS)) for part in range(len(THIRDS) + 1)]
    strata = []
    for name, start, end in zip(THIRDS, cuts, cuts[1:], strict=False):
        group = ordered[start:end]
        strata.append({**_stratum(name, group), "from": group[0][key], "to": group[-1][key], "unit": unit})
    return strata


def _stratum(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    return {"name": name, "dice": figure([row["dice"] for row in rows])}
