"""The report of a review: one HTML file with its pictures inside, which asks nothing of any network."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.atomic import write_text
from core.framing import fit_mask
from core.measure.dice import EMPTY_RULE
from core.overlay import draw_overlay
from core.scan import Scan
from core.system import RESEARCH_ONLY, VERSION
from core.unfamiliar.judge import DOUBTS
from core.views import first_view
from desktop.session.display import apply_window, model_channel, value_range
from desktop.session.results import best_slice
from desktop.session.verdicts import Event, State

PICTURE_PX = 320
JPEG_QUALITY = 88

STYLE = """
:root { color-scheme: light dark; --ground: #f6f7f9; --panel: #fff; --text: #1a212b; --muted: #5b6776; --line: #d9dee6 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0e1116; --panel: #161b22; --text: #d7dee8; --muted: #8b98a9; --line: #262c36 } }
body { margin: 0 auto; padding: 32px 24px; max-width: 1180px; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums }
h1 { font-size: 24px; margin: 0 0 4px } .muted { color: var(--muted) }
.counts { display: flex; gap: 8px; flex-wrap: wrap; margin: 16px 0 24px }
.counts span, .case { background: var(--panel); border: 1px solid var(--line); border-radius: 6px }
.counts span { padding: 4px 12px }
.cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 16px }
.case { overflow: hidden } .case img { display: block; width: 100%; background: #000 }
.case div { padding: 10px 12px } .case h2 { font-size: 15px; margin: 0; overflow-wrap: anywhere }
.state { font-weight: 600 } p { margin: 4px 0 0 }
.accepted { color: #1a7f42 } .rejected { color: #c2333f } .flagged { color: #9a6700 }
@media (prefers-color-scheme: dark) {
  .accepted { color: #3fb96b } .rejected { color: #f2616b } .flagged { color: #ffb000 } }
@media print { body { background: #fff } .case { break-inside: avoid } }
"""
SIGNS = {State.ACCEPTED: "✓", State.REJECTED: "✕", State.FLAGGED: "⚑", State.REOPENED: "↻", State.TODO: "○"}


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A case in the report; `lesions` is None where no mask was measured, `picture` is a JPEG, or None.

    `warnings` are codes, joined by a space.
    """

    label: str
    state: str
    event: Event | None
    note: str
    lesions: int | None
    dice: float | None
    problem: str
    picture: bytes | None
    warnings: str = ""


def picture_of(scan: Scan, mask: NDArray[np.bool_] | None) -> bytes | None:
    """The slice with most lesion and the mask on it, as a small JPEG; None where it cannot be made."""
    import cv2

    view = first_view(scan)
    index = view.shape[0] // 2 if mask is None else best_slice(view.turn(mask))
    volume = scan.voxels[:, model_channel(scan, ("flair",), None)]
    image = apply_window(view.cut(volume, index), value_range(volume).preset(0))
    shown = np.zeros(image.shape, np.bool_) if mask is None else view.cut(mask, index)
    height, width = image.shape[0] * view.aspect, image.shape[1]
    scale = PICTURE_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image = np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)
    picture = draw_overlay(np.ascontiguousarray(image), fit_mask(shown, size), opacity=0.25)
    # With its colours halved, as is usual, a lesion of one pixel would be grey.
    fine = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, *fine])
    return content.tobytes() if done else None


def write_page(path: Path, pages: Sequence[Page]) -> None:
    """Write the report.

    Raises:
        OutputError: it cannot be written.
    """
    states = Counter(page.state for page in pages)
    counts = "".join(f"<span>{SIGNS[s]} {states[s]} {s}</span>" for s in State if states[s])
    cases = "\n".join(_case(page) for page in pages)
    rule = f"<p class=muted>{escape(EMPTY_RULE)}</p>" if any(page.dice is not None for page in pages) else ""
    write_text(
        path,
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>metseg review</title><style>{STYLE}</style></head><body>
<h1>Review of {len(pages)} {"case" if len(pages) == 1 else "cases"}</h1>
<p class=muted>metseg {VERSION}. {escape(RESEARCH_ONLY)}</p>
<div class=counts>{counts}</div>{rule}
<div class=cases>{cases}</div>
</body></html>
""",
    )


def _case(page: Page) -> str:
    image = ""
    if page.picture:
        content = base64.b64encode(page.picture).decode()
        which = "the slice with most lesion" if page.lesions else "the middle slice"
        image = f'<img alt="{which}" src="data:image/jpeg;base64,{content}">'
    facts = [_found(page) if page.picture else "", f"Dice {page.dice:.3f}" if page.dice is not None else ""]
    if page.event:
        facts.append(f"{page.event.about.model} at {page.event.about.threshold:g}" if page.event.about.model else "")
        facts.append(f"{page.event.who}, {page.event.at}")
    reason = f": {escape(page.event.reason)}" if page.event and page.event.reason else ""
    note = f"<p>{escape(page.note)}</p>" if page.note else ""
    problem = f"<p>{escape(page.problem)}</p>" if page.problem else ""
    warnings = _warnings(page.warnings.split())
    return (
        f"<div class=case>{image}<div><h2>{escape(page.label)}</h2>"
        f'<p class="state {page.state.replace(" ", "-")}">{SIGNS[State(page.state)]} {page.state}{reason}</p>'
        f"<p class=muted>{escape(' · '.join(fact for fact in facts if fact))}</p>{warnings}{note}{problem}</div></div>"
    )


def _warnings(codes: Sequence[str]) -> str:
    """A line, coloured and with a sentence where the mask is not to be relied on."""
    if not codes:
        return ""
    doubted = not DOUBTS.isdisjoint(codes)
    kind, advice = ("flagged", ". Do not rely on this mask.") if doubted else ("muted", "")
    return f"<p class={kind}>Warnings: {escape(', '.join(codes))}{advice}</p>"


def _found(page: Page) -> str:
    if page.lesions is None:
        judged = page.event is not None and page.event.about.mask is not None
        return "mask not in the record any more" if judged else "not segmented when judged"
    return "1 lesion" if page.lesions == 1 else f"{page.lesions} lesions"
