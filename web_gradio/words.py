"""What the page says of results: text and tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from core.errors import sentence
from core.measure.totals import size_of, size_text, sum_up
from core.scan import Lesion
from core.system import RESEARCH_ONLY
from core.views import View
from web_gradio.findings import Failure, Finding, Outcome, Step
from web_gradio.share import SHARED

FILE_COLUMNS = ("file", "slices", "lesions", "size", "note")
LESION_COLUMNS = ("no.", "slices", "diameter", "size", "peak", "mean")
MOST_LESIONS = 200
Rows = list[list[str]]


def counted(number: int, noun: str) -> str:
    """Two lesions, one lesion."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _size(finding: Finding) -> str:
    """All lesions together."""
    return sum_up(finding.result.mask, finding.scan).text(lone=finding.scan.shape[0] == 1)


def file_rows(outcomes: Sequence[Outcome]) -> Rows:
    """A row for each file, as `FILE_COLUMNS`."""
    rows = []
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            rows.append([outcome.name, "–", "–", "–", outcome.sentence])
        else:
            slices, lesions = str(outcome.view.shape[0]), str(len(outcome.result.lesions))
            notes = counted(len(set(outcome.result.warnings)), "warning") if outcome.result.warnings else ""
            rows.append([outcome.name, slices, lesions, _size(outcome), notes])
    return rows


def lesion_rows(finding: Finding) -> Rows:
    """A row for each lesion, as `LESION_COLUMNS`; the largest of them where there are very many."""
    return [_lesion_row(lesion, finding.view) for lesion in finding.result.lesions[:MOST_LESIONS]]


def _lesion_row(lesion: Lesion, view: View) -> list[str]:
    slices = view.shape[0]
    first, last = (index + 1 for index in view.box(lesion.box)[0])
    known_mm = lesion.longest_diameter_mm
    diameter = f"{known_mm:.1f} mm" if known_mm is not None else f"{lesion.longest_diameter_px:.1f} px"
    large = size_text(*size_of(lesion.voxels, lesion.area_mm2, lesion.volume_ml, slices == 1))
    likely = [
        f"{value:.2f}" if value is not None else "–" for value in (lesion.peak_probability, lesion.mean_probability)
    ]
    return [str(lesion.label), str(first) if first == last else f"{first}–{last}", diameter, large, *likely]


def headline(finding: Finding) -> str:
    """HTML: what was found, in which file, by which model, and what to be wary of."""
    slices, height, width = finding.view.shape
    lesions = finding.result.lesions
    found = counted(len(lesions), "lesion") if lesions else "No lesion found"
    facts = [f"{width} × {height} px", counted(slices, "slice")]
    facts += [finding.scan.sequence] if finding.scan.sequence else []
    facts.append(f"{escape(finding.predictor.card.name)} at {finding.case.settings.threshold:g}")
    if lesions:
        facts.insert(0, f"{_size(finding)} in all")
    more = len(lesions) - MOST_LESIONS
    notes = [note.message for note in dict.fromkeys(finding.result.warnings)]
    if more > 0:
        notes.append(f"The table shows the {MOST_LESIONS} largest of {len(lesions):,} lesions; the CSV file has all.")
    warnings = "".join(f"<li>{escape(sentence(note))}</li>" for note in notes)
    return (
        f'<div class="headline" role="status"><p class="found">{found}</p><p class="name">{escape(finding.name)}</p>'
        f'<p class="facts">{" · ".join(facts)}</p>{f"<ul>{warnings}</ul>" if warnings else ""}</div>'
    )


def progress(step: Step) -> str:
    """HTML: how far it is."""
    what = f"File {step.file} of {step.files}" if step.files > 1 else "Segmenting"
    where = f", slice {step.done + 1} of {step.slices}" if step.slices > 1 else ""
    part = (step.file - 1 + (step.done / step.slices if step.slices else 0)) / step.files
    bar = f'<progress value="{part:.3f}" max="1"></progress>' if part else "<progress></progress>"
    return f'<div class="working" role="status"><p>{what}{where} …</p>{bar}</div>'


def trouble(text: str) -> str:
    """HTML: what went wrong, as a sentence."""
    return f'<div class="trouble" role="alert"><p>{escape(sentence(text))}</p></div>'


EMPTY = (
    '<div class="empty"><p>What is found will be shown here.</p>'
    "<p>Add a scan (a slice, a stack, or slices named SCAN_1, SCAN_2, …), or take a drawn head, and press "
    "<b>Find lesions</b>.</p></div>"
)
WAITING = '<div class="working" role="status"><p>Waiting for its turn …</p><progress></progress></div>'
FULL = "too many others are waiting; try again in a few minutes"
HEADER = (
    '<header class="top"><h1>metseg</h1><p>Finds lesions in brain MRI.</p>'
    f'<p class="caution">{escape(RESEARCH_ONLY)}</p></header>'
)


def about(limits: Sequence[str]) -> str:
    """HTML: what a model's card says that a visitor must read."""
    lines = "".join(f"<li>{escape(line)}</li>" for line in limits)
    return f'<ul class="limits">{lines or "<li>Its card does not say.</li>"}</ul>'


def footer(keep_seconds: int, *, share: bool) -> str:
    """HTML: where files go and when they are gone."""
    minutes = max(1, round(keep_seconds / 60))
    where = f"; by a share link {SHARED}" if share else " and nowhere else"
    return (
        f'<footer class="where">Files go to the computer that runs this page{where}. They are '
        f"removed {counted(minutes, 'minute')} after they came, and when the page is stopped.</footer>"
    )
