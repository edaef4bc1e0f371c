"""What a slice looks like on the page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.framing import to_aspect, with_letters
from core.overlay import draw_overlay
from web_gradio.findings import OTHERS, Finding

LABELS = (*(str(number) for number in range(1, OTHERS)), "others")
"""What regions are called: the lesions' numbers in the table."""
COLOURS = dict(
    zip(
        LABELS,
        ("#ffb000", "#4cc2ff", "#ff6b8a", "#5fd38d", "#c59bff", "#ff8c42", "#4de1d1", "#f2e14c", "#b8bec4"),
        strict=True,
    )
)
FILL = 0.55

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Annotated = tuple[NDArray[np.uint8], list[tuple[NDArray[np.float32], str]]]


def annotated(finding: Finding, index: int) -> Annotated:
    """A slice (H, W, 3), and for each lesion in it a region (H, W) in [0, 1]; the many small ones are one."""
    view = finding.view
    numbers = view.cut(finding.numbers, index)
    present = np.unique(numbers[numbers > 0]).tolist()
    regions = [(to_aspect(numbers == number, view.aspect) * np.float32(FILL), LABELS[number - 1]) for number in present]
    return with_letters(_slice(finding, index), view.letters), regions


def before_and_after(finding: Finding, index: int) -> Pair:
    """A slice as it was read, and with the mask drawn on it; both (H, W, 3)."""
    image, view = _slice(finding, index), finding.view
    drawn = draw_overlay(image, to_aspect(view.cut(finding.result.mask, index), view.aspect))
    return with_letters(image, view.letters), with_letters(drawn, view.letters)


def _slice(finding: Finding, index: int) -> NDArray[np.uint8]:
    """(H, W) grey, in true proportions."""
    return to_aspect(finding.view.cut(finding.images, index), finding.view.aspect)


def fullest_slice(finding: Finding) -> int:
    """Where most lesion is; the middle where there is none."""
    areas = finding.view.turn(finding.result.mask).sum(axis=(1, 2))
    return int(areas.argmax()) if areas.any() else len(areas) // 2
