"""An evaluation's charts: Dice per patient, volumes, reliability, strata, differences, the course of training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from core.evaluation.charts import Bar, Point, intervals, mark, padded, scatter
from core.evaluation.metrics import METRIC
from core.evaluation.summary import show, show_range

Scores = Mapping[str, Any]
DIFFERENCES = (
    "dice", "tumour_slice_dice", "all_slice_dice", "lesion_sensitivity", "surface_dice_mm", "surface_dice_px",
)  # fmt: skip


def legend(names: Sequence[str]) -> str:
    """Which symbol is whose; nothing for a lone series."""
    if len(names) < 2:
        return ""
    entries = "".join(
        f'<span><svg viewBox="0 0 14 14" aria-hidden="true">{mark(number, 7, 7, size=5)}</svg>{escape(name)}</span>'
        for number, name in enumerate(names)
    )
    return f'<p class="legend">{entries}</p>'


def dice_chart(evaluations: Sequence[Scores]) -> str:
    """Each patient's Dice, from the first model's best to its worst."""
    ordered = sorted(evaluations[0]["patients"], key=lambda row: (-row["dice"], row["patient"]))
    series = []
    for scores in evaluations:
        dice = {row["patient"]: row["dice"] for row in scores["patients"]}
        series.append(
            [
                Point(rank, dice[row["patient"]], f"{row['patient']}, {scores['name']}: {dice[row['patient']]:.3f}")
                for rank, row in enumerate(ordered, start=1)
            ]
        )
    means = []
    for number, scores in enumerate(evaluations):
        mean = scores["figures"]["dice"]["mean"]
        means.append((mean, f"bias s{number}", f"mean {mean:.3f}" if len(evaluations) == 1 else ""))
    return scatter(
        series,
        title="Dice of each patient, from best to worst",
        x_label="patients, from best to worst",
        y_label="Dice of the whole volume",
        x_range=(0, len(ordered) + 1),
        y_range=(0, 1),
        lines=means,
        x_ticks=False,
        links=True,
    )


def volume_chart(evaluations: Sequence[Scores]) -> str:
    """Bland and Altman's picture of found against true volume."""
    unit = str(evaluations[0]["agreement"]["unit"])
    series, lines, heights, widths = [], [], [0.0], [0.0]
    for number, scores in enumerate(evaluations):
        points = []
        for row in scores["patients"]:
            true, found = row[f"true_{unit}"], row[f"found_{unit}"]
            points.append(
                Point((true + found) / 2, found - true, f"{row['patient']}: {found:,.5g} of {true:,.5g} {unit}")
            )
        series.append(points)
        agreement = scores["agreement"]
        lines.append((agreement["bias"], f"bias s{number}", "bias" if len(evaluations) == 1 else ""))
        limits = [agreement[key] for key in ("low", "high") if agreement[key] is not None]
        lines += [(limit, f"bias limit s{number}", "") for limit in limits]
        heights += [point.y for point in points] + limits
        widths += [point.x for point in points]
    return scatter(
        series,
        title="Found minus true volume against their mean",
        x_label=f"mean of found and true volume, {unit}",
        y_label=f"found minus true, {unit}",
        x_range=(0, max(widths) * 1.05 or 1.0),
        y_range=padded(heights),
        lines=lines,
    )


def reliability_chart(evaluations: Sequence[Scores]) -> str:
    """Share of lesion against stated probability; how many voxels, behind it, for the first model."""
    series = []
    for scores in evaluations:
        bins = scores["reliability"]
        found = zip(bins["probability"], bins["lesion"], bins["voxels"], strict=True)
        series.append(
            [
                Point(p, y, f"{n:,} voxels, stated {p:.3f}, lesion {y:.3f}")
                for p, y, n in found
                if p is not None and y is not None
            ]
        )
    first = evaluations[0]["reliability"]
    most = math.log10(max(sum(first["voxels"]), 10))
    columns = [
        (start, end, math.log10(max(count, 1)) / most)
        for start, end, count in zip(first["edges"], first["edges"][1:], first["voxels"], strict=False)
    ]
    return scatter(
        series,
        title="Share of lesion against stated probability inside the head",
        x_label="stated probability",
        y_label="share that is lesion",
        x_range=(0, 1),
        y_range=(0, 1),
        diagonal=True,
        joined=True,
        columns=columns,
    )


def strata_chart(evaluations: Sequence[Scores], kind: str) -> str:
    """Mean Dice with its interval in each stratum, or an empty text where there are none."""
    bars, ends = [], []
    for scores in evaluations:  # one scale for all kinds
        ends += [_bounds(stratum["dice"], "mean")[0] for strata in scores["strata"].values() for stratum in strata]
    for index, stratum in enumerate(evaluations[0]["strata"][kind]):
        for number, scores in enumerate(evaluations):
            dice = scores["strata"][kind][index]["dice"]
            label = f"{stratum['name']} ({dice['n']})"
            title = f"{scores['name']}: {dice['mean']:.3f}, {show_range(dice, METRIC['dice'])}"
            bars.append(Bar(label, number, dice["mean"], *_bounds(dice, "mean"), title))
    if not bars:
        return ""
    low = max(0.0, min(ends) - 0.03)
    return intervals(bars, title=f"Dice by {kind}", x_label="mean Dice and 95 % interval", x_range=(low, 1.0))


def _bounds(value: Mapping[str, Any], middle: str) -> tuple[float, float]:
    """The ends of a line through a mean; one patient's has no length."""
    return (value[middle], value[middle]) if value["low"] is None else (value["low"], value["high"])


def difference_chart(paired: Mapping[str, Any], series: int) -> str:
    """Paired differences of the measures that lie between 0 and 1."""
    bars = [
        Bar(METRIC[key].label, series, value["difference"], *_bounds(value, "difference"))
        for key in DIFFERENCES
        if (value := paired.get(key))
    ]
    ends = [0.0, *(bar.low for bar in bars), *(bar.high for bar in bars)]
    return intervals(
        bars, title="Paired differences", x_label="difference and 95 % interval", x_range=padded(ends), zero=True
    )


def training_chart(curve: str, evaluations: Sequence[Scores]) -> str:
    """One curve of the trainings; empty where no log was beside a model."""
    series = [
        [
            Point(epoch, value, f"epoch {epoch:g}: {value:.4f}")
            for epoch, value in (scores["training"] or {}).get(curve, [])
        ]
        for scores in evaluations
    ]
    values = [point.y for points in series for point in points]
    if len(values) < 2:
        return ""
    last = max(point.x for points in series for point in points)
    return scatter(
        series, title=f"{curve} while training", x_label="epoch", y_label=curve, x_range=(0, last + 0.5),
        y_range=padded([0.0, *values]), joined=True,
    )  # fmt: skip


def stratum_sentence(stratum: Mapping[str, Any]) -> str:
    """What a third of the patients spans."""
    metric = METRIC["volume_bias_ml" if stratum["unit"] == "ml" else "volume_bias_voxels"]
    return f"{stratum['name']} {show(stratum['from'], metric)} to {show(stratum['to'], metric)} {stratum['unit']}"
