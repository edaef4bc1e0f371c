"""The demo's page: one HTML file with its pictures inside, that asks for nothing from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.atomic import cannot_write, write_text
from core.demo_style import STYLE
from core.errors import OutputError
from core.evaluation.pictures import base64_png, brighten
from core.measure.dice import EMPTY_RULE
from core.measure.lesions import find_lesions
from core.overlay import MASK_COLOUR, TRUTH_COLOUR, draw_overlay
from core.scan import Scan
from core.system import RESEARCH_ONLY

if TYPE_CHECKING:
    from core.demo import DemoModel, DemoResult

MARK = '<meta name="generator" content="metseg demo">'


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One case as the page shows it.

    Attributes:
        scan: its pictures, voxels (slices, 1, H, W) uint8.
        truth: (slices, H, W) bool.
        found: the masks by the model's name, each like `truth`.
        index: the slice with most lesion, which is the one that is shown.
        lesions: how many the truth has.
    """

    scan: Scan
    truth: NDArray[np.bool_]
    found: dict[str, NDArray[np.bool_]]
    index: int
    lesions: int


def check_page(path: Path) -> None:
    """See that a page may be written there.

    Raises:
        OutputError: a file is there that the demo did not write.
    """
    try:
        strange = path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise cannot_write(error, path) from error
    if strange:
        raise OutputError("the demo did not write this file; choose another folder", source=str(path))


def write_page(result: DemoResult) -> None:
    """Write the page of a demo.

    Raises:
        OutputError: it cannot be written.
        InputError: a case or a mask cannot be read back.
    """
    cases = [_load(folder, result.models) for folder in result.cases]
    title = "metseg demo: lesions found in synthetic brain slices"
    content = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{MARK}
<title>{title}</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<p class="badge">{escape(RESEARCH_ONLY)}</p>
<h1>Lesions found in synthetic brain slices</h1>
<p class="lead">{_lead(result, cases)}</p>
<p class="caution"><strong>These are synthetic pictures.</strong> They were drawn from random numbers, so the true mask
of each lesion is known exactly. No model learnt from them, and the Dice on this page says little about how well a model
does on real scans; <code>metseg info MODEL</code> tells what was measured there.</p>
</header>
<main>
{_table(result, cases)}
{_legend()}
{"".join(_case(case, result.models) for case in cases)}
{_next(result)}
</main>
</body>
</html>
"""
    write_text(result.page, content)


def _load(folder: Path, models: tuple[DemoModel, ...]) -> Shown:
    from core.io import find_scans, read_mask, read_scan
    from core.scan import ScanSource

    (source,) = find_scans(folder)
    scan, truth = read_scan(source), read_mask(source)
    found = {}
    for model in models:
        masks = tuple(model.folder / source.name / f"{path.stem}_mask.tif" for path in source.paths)
        found[model.name] = read_mask(ScanSource(source.name, source.paths, masks))
    _, lesions = find_lesions(truth)
    return Shown(scan, truth, found, int(truth.sum(axis=(1, 2)).argmax()), len(lesions))


def _lead(result: DemoResult, cases: list[Shown]) -> str:
    slices = sum(case.scan.shape[0] for case in cases)
    models = " and ".join(f"<b>{escape(model.name)}</b>" for model in result.models)
    return (
        f"{_count(len(cases), 'case')} of {_count(slices // len(cases), 'slice')} each, "
        f"segmented on this machine by {models}."
    )


def _table(result: DemoResult, cases: list[Shown]) -> str:
    heads = "".join(f'<th scope="col">{escape(model.name)}</th>' for model in result.models)
    rows = []
    for case in cases:
        name = case.scan.name
        cells = "".join(f"<td>{model.dice[name]:.3f}</td>" for model in result.models)
        rows.append(
            f'<tr><th scope="row"><a href="#{escape(name)}">{escape(name)}</a></th><td>{case.lesions}</td>{cells}</tr>'
        )
    means = "".join(f"<td>{model.mean_dice:.3f}</td>" for model in result.models)
    times = "".join(f"<td>{model.milliseconds_per_slice:.0f} ms</td>" for model in result.models)
    return f"""<section>
<h2>Dice per case</h2>
<div class="scroll"><table>
<thead><tr><th scope="col">Case</th><th scope="col">Lesions</th>{heads}</tr></thead>
<tbody>{"".join(rows)}</tbody>
<tfoot><tr><th scope="row">Mean</th><td></td>{means}</tr>
<tr class="quiet"><th scope="row">Time per slice</th><td></td>{times}</tr></tfoot>
</table></div>
<p class="small">Over the whole case; 1 is perfect, 0 is no overlap. {escape(EMPTY_RULE)} Time per slice is the
middle case's, reading and writing included.</p>
</section>"""


def _legend() -> str:
    found, truth = (f"rgb{colour}" for colour in (MASK_COLOUR, TRUTH_COLOUR))
    return (
        f'<p class="legend"><span><i style="background:{found}"></i>found by the model</span>'
        f'<span><i class="ring" style="border-color:{truth}"></i>outline of the true lesion</span></p>'
    )


def _case(case: Shown, models: tuple[DemoModel, ...]) -> str:
    name, index = case.scan.name, case.index
    picture = brighten(case.scan.voxels[:, 0], index)
    truth = case.truth[index]
    nothing = np.zeros_like(truth)
    figures = [
        _figure(draw_overlay(picture, nothing), "Slice", f"Slice {index + 1} of {name}"),
        _figure(draw_overlay(picture, nothing, truth=truth), "Truth", f"True lesion outlined in {name}"),
    ]
    for model in models:
        drawn = draw_overlay(picture, case.found[model.name][index], truth=truth)
        caption = f"<span>{escape(model.name)}</span> <b>{model.dice[name]:.3f}</b>"
        figures.append(_figure(drawn, caption, f"What {model.name} found in {name}"))
    found = ", ".join(f"{model.lesions[name]} by {escape(model.name)}" for model in models)
    return f"""<section class="case" id="{escape(name)}">
<h2>{escape(name)}</h2>
<p class="small">Slice {index + 1} of {case.scan.shape[0]}, the one with most lesion, brightened for the screen.
Lesions in the whole case, counted as connected pieces: {case.lesions} true; found {found}.</p>
<div class="pictures">{"".join(figures)}</div>
</section>"""


def _figure(picture: NDArray[np.uint8], caption: str, described: str) -> str:
    height, width, _ = picture.shape
    source = f"data:image/png;base64,{base64_png(picture)}"
    return (
        f'<figure><img src="{source}" width="{width}" height="{height}" alt="{escape(described)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _next(result: DemoResult) -> str:
    return f"""<section>
<h2>Your own scans</h2>
<p>Put the slices of each patient into a folder of its own, and segment them all:</p>
<pre><code>metseg segment FOLDER --out RESULTS</code></pre>
<p>RESULTS then holds a mask for every slice, a picture of each case, <code>lesions.csv</code> and
<code>summary.json</code>. Where a mask lies beside an image, as <code>X_mask.tif</code> beside <code>X.tif</code>, the
Dice is stated too. <code>metseg info</code> lists the models and what they learnt from.</p>
<p class="small">This page's cases are in <code>{escape(result.cases_folder.name)}</code> beside it, and the masks in
<code>{escape(result.models[0].folder.parent.name)}</code>.</p>
</section>"""


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
