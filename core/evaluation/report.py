"""The report: one HTML file with charts and pictures inside, that asks for nothing from anywhere.

All its numbers come from the scores that are written beside it. Each number in a table or tile carries in `data-key`
where it stands there. It shows real scans, so it belongs to the user's own folder and to nobody else's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from core.atomic import write_atomic
from core.evaluation.metrics import COMPARED, METRIC, METRICS, PROTOCOL, Metric
from core.evaluation.pictures import Scored, Shown, show_patients
from core.evaluation.report_charts import (
    dice_chart,
    difference_chart,
    legend,
    reliability_chart,
    strata_chart,
    stratum_sentence,
    training_chart,
    volume_chart,
)
from core.evaluation.report_style import STYLE
from core.evaluation.scores import REPORT, cautions, lesions_sentence, settings_sentence
from core.evaluation.summary import show, show_share
from core.overlay import MASK_COLOUR, TRUTH_COLOUR
from core.system import RESEARCH_ONLY

TILES = (
    "dice", "lesion_sensitivity", "false_positives_per_scan", "hd95_mm", "hd95_px", "surface_dice_mm",
    "surface_dice_px",
)  # fmt: skip
Scores = Mapping[str, Any]


def write_report(out: Path, evaluations: Sequence[Scored], comparison: Mapping[str, Any] | None = None) -> None:
    """Write `report.html`.

    Args:
        out: the folder.
        evaluations: scores and folder of one evaluation, or of those that are compared, over the same patients.
        comparison: what `core.evaluation.compare` found; None for a lone evaluation.

    Raises:
        OutputError: it cannot be written.
    """
    content = report_html([scores for scores, _ in evaluations], show_patients(evaluations), comparison)
    write_atomic(out / REPORT, content.encode())


def report_html(
    evaluations: Sequence[Scores], shown: Sequence[Shown] = (), comparison: Mapping[str, Any] | None = None
) -> str:
    """The page as text; see `write_report`."""
    names = [str(scores["name"]) for scores in evaluations]
    title = f"{' and '.join(names)} on {evaluations[0]['data']['name']}"
    totals = evaluations[0]["totals"]
    warnings = list(dict.fromkeys(_caution(scores, len(names) > 1) for scores in evaluations))
    if comparison is not None and comparison["differences"]:
        warnings.append(f'<p class="caution">{escape(comparison["differences"])}</p>')
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="metseg evaluation">
<title>{escape(title)}</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<p class="badge">{escape(RESEARCH_ONLY)}</p>
<h1>{escape(title)}</h1>
<p class="lead"><b>{totals["patients"]} patients</b>, {totals["slices"]:,} slices, {totals["lesions_true"]:,} lesions.
{escape(_split_sentence(evaluations[0]))}</p>
{"".join(warnings)}
</header>
<main>
{_tiles(evaluations) if comparison is None else _comparison_tiles(evaluations, comparison)}
{_table(evaluations[0]) if comparison is None else _comparison_table(evaluations, comparison)}
{_charts(evaluations, comparison)}
{_pictures(shown, names)}
{_training(evaluations)}
{_patients(evaluations)}
{_protocol()}
{"".join(_about(scores) for scores in evaluations)}
</main>
</body>
</html>
"""


def _caution(scores: Scores, named: bool) -> str:
    who = f"{scores['name']}: " if named else ""
    said = [scores["held_out_means"]] if scores["held_out"] != "yes" else []
    said += cautions(scores)
    return "".join(f'<p class="caution"><strong>{escape(who + sentence)}</strong></p>' for sentence in said)


def _split_sentence(scores: Scores) -> str:
    parts = []
    for name in dict.fromkeys(entry["folds"] for entry in scores["split"]):
        entries = [entry for entry in scores["split"] if entry["folds"] == name]
        numbers = [str(entry["fold"]) for entry in entries if entry["fold"] is not None]
        absent = sum(entry["absent"] for entry in entries)
        if name is None:
            parts.append("every patient of the set")
        else:
            which = f"fold{'s' * (len(numbers) > 1)} {', '.join(numbers)}" if numbers else "all"
            parts.append(f"{which} of {name}" + (f" ({absent} of its patients are not at hand)" if absent else ""))
    told = f" {scores['held_out_means']}" if scores["held_out"] == "yes" else ""
    return f"Scored: {'; '.join(parts)}.{told}"


def _number(key: str, value: float | None, metric: Metric, *, signed: bool = False) -> str:
    return f'<span data-key="{escape(key)}">{show(value, metric, signed=signed)}</span>'


def _range(key: str, value: Mapping[str, Any], metric: Metric, *, signed: bool = False) -> str:
    if value["low"] is None:  # of one patient
        return "–"
    low = _number(f"{key}.low", value["low"], metric, signed=signed)
    return f"{low} to {_number(f'{key}.high', value['high'], metric, signed=signed)}"


def _share(key: str, value: Mapping[str, Any]) -> str:
    return f'<span data-key="{escape(key)}.share_above_zero">{show_share(value["share_above_zero"])}</span>'


def _tile(what: str, figure: str, under: str, style: str = "") -> str:
    return (
        f'<div class="tile {style}"><p class="what">{escape(what)}</p><p class="figure">{figure}</p>'
        f'<p class="range">{under}</p></div>'
    )


def _tiles(evaluations: Sequence[Scores]) -> str:
    figures = evaluations[0]["figures"]
    tiles = []
    for key in TILES:
        if value := figures.get(key):
            metric = METRIC[key]
            unit = f" {metric.unit}" if metric.unit in ("mm", "px") else ""
            mean = _number(f"figures.{key}.mean", value["mean"], metric) + unit
            style = "first" if key == "dice" else ""
            tiles.append(_tile(f"{metric.label}, mean", mean, _range(f"figures.{key}", value, metric), style))
        if key == "dice" and value:
            median = _number("figures.dice.median", value["median"], METRIC[key])
            tiles.append(_tile("Dice, median patient", median, f"{value['n']} patients"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _comparison_tiles(evaluations: Sequence[Scores], comparison: Mapping[str, Any]) -> str:
    dice, tiles = METRIC["dice"], []
    for number, scores in enumerate(evaluations):
        key, value = f"evaluations.{number}.figures.dice", scores["figures"]["dice"]
        under = f"{_range(key, value, dice)}, median {_number(f'{key}.median', value['median'], dice)}"
        mean = _number(f"{key}.mean", value["mean"], dice)
        tiles.append(_tile(f"Dice, {scores['name']}", mean, under, "first" if number == 0 else f"t{number % 4}"))
    for number, pair in enumerate(comparison["pairs"]):
        key, value = f"pairs.{number}.paired.dice", pair["paired"]["dice"]
        under = f"{_range(key, value, dice, signed=True)}; {_share(key, value)} of resamples above 0"
        difference = _number(f"{key}.difference", value["difference"], dice, signed=True)
        tiles.append(_tile(f"{pair['second']} minus {pair['first']}, paired", difference, under))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _label(metric: Metric) -> str:
    return escape(f"{metric.label}, {metric.unit}" if metric.unit else metric.label)


def _row(metric: Metric, cells: Sequence[str], heads: Sequence[str] = ()) -> str:
    """A measure's row; with heads, each cell can name its column where the table is stacked."""
    style = ' class="headline"' if metric.key == "dice" else ""
    named = [f' data-head="{escape(head)}"' for head in heads] or [""] * len(cells)
    line = "".join(f"<td{name}>{cell}</td>" for name, cell in zip(named, cells, strict=True))
    return f'<tr{style}><th scope="row">{_label(metric)}</th>{line}</tr>'


def _heads(names: Sequence[str]) -> str:
    return "".join(f'<th scope="col">{escape(name)}</th>' for name in names)


def _table(scores: Scores) -> str:
    rows = []
    for metric in METRICS:
        if value := scores["figures"].get(metric.key):
            key = f"figures.{metric.key}"
            mean, median = (_number(f"{key}.{part}", value[part], metric) for part in ("mean", "median"))
            counts = [f'<span data-key="{key}.{part}">{value[part]}</span>' for part in ("n", "undefined")]
            rows.append(_row(metric, [mean, _range(key, value, metric), median, *counts]))
    heads = _heads(["Measure", "Mean", "95 % interval", "Median", "Patients", "Not defined"])
    return f"""<section><h2>All measures</h2>
<p class="small">Means over patients. {escape(lesions_sentence(scores["totals"]))}</p>
<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>
{_operating_table(scores)}</section>"""


def _operating_table(scores: Scores) -> str:
    sensitivity, false = METRIC["lesion_sensitivity"], METRIC["false_positives_per_scan"]
    rows = []
    for number, point in enumerate(scores["operating"]):
        key, found = f"operating.{number}", point["lesion_sensitivity"]
        cells = [
            _number(f"{key}.false_positives_per_scan", point["false_positives_per_scan"], false),
            f'<span data-key="{key}.min_lesion">{point["min_lesion"]}</span>',
            _number(f"{key}.lesion_sensitivity.mean", found["mean"], sensitivity),
            _range(f"{key}.lesion_sensitivity", found, sensitivity),
        ]
        line = "".join(f"<td>{cell}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">At most {point["budget"]:g} false lesions per scan</th>{line}</tr>')
    if not rows:
        return ""
    heads = _heads(["Without lesions smaller than a size", "False", "Voxels", "Lesions found", "95 % interval"])
    return f"""<p class="small">What dropping small finds does; the size is read off these same patients.</p>
<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>"""


def _comparison_table(evaluations: Sequence[Scores], comparison: Mapping[str, Any]) -> str:
    heads = ["Measure", "Patients", *(scores["name"] for scores in evaluations)]
    heads += [title for pair in comparison["pairs"] for title in (f"{pair['second']} − {pair['first']}", "Above 0")]
    rows = []
    for metric in COMPARED:
        if metric.key not in evaluations[0]["figures"]:
            continue
        count = f"evaluations.0.figures.{metric.key}.n"
        cells = [f'<span data-key="{count}">{evaluations[0]["figures"][metric.key]["n"]}</span>']
        for number, scores in enumerate(evaluations):
            key, value = f"evaluations.{number}.figures.{metric.key}", scores["figures"][metric.key]
            spread = f'<span class="range">({_range(key, value, metric)})</span>'
            cells.append(f"{_number(f'{key}.mean', value['mean'], metric)} {spread}")
        for number, pair in enumerate(comparison["pairs"]):
            key, value = f"pairs.{number}.paired.{metric.key}", pair["paired"][metric.key]
            difference = _number(f"{key}.difference", value["difference"], metric, signed=True)
            cells.append(f'{difference} <span class="range">({_range(key, value, metric, signed=True)})</span>')
            cells.append(_share(key, value))
        rows.append(_row(metric, cells, heads[1:]))
    return f"""<section><h2>All measures</h2>
<p class="small">Means over the same {evaluations[0]["totals"]["patients"]} patients, with their 95 % intervals;
differences are taken patient by patient. A measure that is not defined for a patient in one evaluation is left out for
this patient in all. Above 0: the share of bootstrap resamples in which the difference is.</p>
<div class="scroll"><table class="stacked"><thead><tr>{_heads(heads)}</tr></thead>
<tbody>{"".join(rows)}</tbody></table></div></section>"""


def _chart(title: str, words: str, chart: str, key: str = "") -> str:
    if not chart:
        return ""
    return f'<figure class="chart"><h3>{escape(title)}</h3><p class="small">{escape(words)}</p>{key}{chart}</figure>'


def _charts(evaluations: Sequence[Scores], comparison: Mapping[str, Any] | None) -> str:
    key = legend([str(scores["name"]) for scores in evaluations])
    charts = [
        _chart("Dice per patient", "One mark a patient; the lines are the means.", dice_chart(evaluations), key),
        _chart(
            "Volume: found and true",
            "Bland and Altman: the line is the bias; 95 % of differences are expected between the broken lines, which "
            "are too wide for small volumes and too narrow for large ones where these differ more.",
            volume_chart(evaluations),
            key,
        ),
        _chart(
            "Reliability inside the head",
            "On the diagonal, probabilities mean what they say. Grey: voxels in each bin, on a logarithmic scale.",
            reliability_chart(evaluations),
            key,
        ),
    ]
    spans = "; ".join(stratum_sentence(stratum) for stratum in evaluations[0]["strata"]["lesion volume"])
    strata = strata_chart(evaluations, "lesion volume") + strata_chart(evaluations, "site")
    words = "The number of patients stands in brackets." + (f" Of the true volume: {spans}." if spans else "")
    charts.append(_chart("By lesion volume and site", words, strata, key))
    for number, pair in enumerate(comparison["pairs"] if comparison else (), start=1):
        title = f"{pair['second']} minus {pair['first']}"
        words = "Paired differences; right of the broken line the first named is better."
        charts.append(_chart(title, words, difference_chart(pair["paired"], number)))
    return f'<section><h2>Charts</h2><div class="charts">{"".join(charts)}</div></section>'


def _pictures(shown: Sequence[Shown], names: Sequence[str]) -> str:
    if not shown:
        return ""
    found, truth = (f"rgb{colour}" for colour in (MASK_COLOUR, TRUTH_COLOUR))
    blocks = []
    for one in shown:
        figures = "".join(
            f'<figure class="picture"><img src="data:image/png;base64,{content}" '
            f'alt="{escape(f"{caption}, {one.patient}")}"><figcaption>{escape(caption)}</figcaption></figure>'
            for caption, content in one.figures
        )
        which = f"Slice {one.slice_number} of {one.slices}, the one with most lesion."
        said = which if figures else "Not drawn: the scan or its masks are not where they were."
        blocks.append(
            f'<div class="patient"><h3>{one.place}: {escape(one.patient)}</h3><p class="small">{said}</p>'
            f'<div class="pictures">{figures}</div></div>'
        )
    by = " by the mean of the models' Dice" if len(names) > 1 else ""
    return f"""<section><h2>Best, median and worst patient{by}</h2>
<p class="legend"><span><i style="background:{found}"></i>found by the model</span>
<span><i class="ring" style="border-color:{truth}"></i>outline of the truth</span></p>
{"".join(blocks)}</section>"""


def _training(evaluations: Sequence[Scores]) -> str:
    curves = list(dict.fromkeys(curve for scores in evaluations for curve in scores["training"] or {}))
    key = legend([str(scores["name"]) for scores in evaluations])
    charts = "".join(
        _chart(curve.capitalize(), _means_sentence(curve, evaluations), training_chart(curve, evaluations), key)
        for curve in curves
    )
    if not charts:
        return ""
    return f'<section><h2>Course of the training</h2><div class="charts">{charts}</div></section>'


def _means_sentence(curve: str, evaluations: Sequence[Scores]) -> str:
    """Whose curve is a mean, see `core.evaluation.join.mean_curves`; empty where every curve is of one training."""
    counts = {
        str(scores["name"]): len({model["weights_sha256"] for model in scores["models"]})
        for scores in evaluations
        if curve in (scores["training"] or {})
    }
    told = [f"{name}: mean of {count} trainings" for name, count in counts.items() if count > 1]
    return f"{'; '.join(told)}, at the epochs that all of them have." if told else ""


def _patients(evaluations: Sequence[Scores]) -> str:
    first = evaluations[0]
    tables = [{row["patient"]: row for row in scores["patients"]} for scores in evaluations]
    extra = [
        key
        for key in ("lesion_sensitivity", "false_positives_per_scan", "hd95_mm", "hd95_px")
        if key in first["figures"]
    ]
    extra = extra if len(evaluations) == 1 else []
    heads = ["Patient", "Slices", "True lesions", *(f"Dice, {scores['name']}" for scores in evaluations)]
    heads += [METRIC[key].label for key in extra]
    rows = []
    for row in sorted(first["patients"], key=lambda row: (-row["dice"], row["patient"])):
        cells = [str(row["slices"]), str(row["lesions_true"])]
        cells += [f"{table[row['patient']]['dice']:.3f}" for table in tables]
        cells += [show(row[key], METRIC[key]) for key in extra]
        rows.append(f'<tr><th scope="row">{escape(row["patient"])}</th>{"".join(f"<td>{c}</td>" for c in cells)}</tr>')
    return f"""<section><h2>Every patient</h2><details><summary>{len(rows)} patients, from best to worst</summary>
<div class="scroll"><table><thead><tr>{_heads(heads)}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>
</details></section>"""


def _protocol() -> str:
    return (
        f"<section><h2>How it was measured</h2><ul>{''.join(f'<li>{escape(s)}</li>' for s in PROTOCOL)}</ul></section>"
    )


def _about(scores: Scores) -> str:
    entries = []
    for model in scores["models"]:
        entries.append(("Model", f"{model['name']} {model['version']}: {model['summary']}"))
        entries.append(("Weights", f"SHA-256 {model['weights_sha256']}"))
        if model["licence"]:
            entries.append(("Licence of the weights", model["licence"]))
    entries.append(("Settings", settings_sentence(scores["settings"])))
    entries += [("Split", rule) for rule in dict.fromkeys(str(entry["rule"]) for entry in scores["split"])]
    for check in scores["content_check"]:
        count = check["learnt_patients_at_hand"]
        words = f"scored slices held against those of {count} patients learnt from, none is the same"
        if check["shared"]:
            words = "scored slices are among those learnt from, under another name"
        entries.append(("Contents", words if count else "no scans that the model learnt from were at hand to compare"))
    entries.append(("Made with", f"metseg {scores['metseg']}"))
    told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in entries)
    limits = "".join(f"<li>{escape(sentence)}</li>" for sentence in scores["limits"])
    limits = f"<h3>Limits of the model</h3><ul>{limits}</ul>" if limits else ""
    return f"<section><h2>About {escape(scores['name'])}</h2><dl>{told}</dl>{limits}</section>"
