"""What a slice looks like on the page."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    """A slice (H, W, 3) with one region (H, W) in [0, 1] for each lesion in it, the many small ones as one."""
    numbers = finding.numbers[index]
    present = np.unique(numbers[numbers > 0]).tolist()
    regions = [((numbers == number) * np.float32(FILL), LABELS[number - 1]) for number in present]
    return coloured(finding.images[index]), regions


def before_and_after(finding: Finding, index: int) -> Pair:
    """A slice as it was read, and with the mask drawn on it; both (H, W, 3)."""
    image = np.ascontiguousarray(finding.images[index])
    return coloured(image), draw_overlay(image, finding.result.mask[index])


def coloured(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) grey as (H, W, 3)."""
    return np.repeat(image[:, :, None], 3, axis=2)


def fullest_slice(finding: Finding) -> int:
    """Where most lesion is; the middle where there is none."""
    areas = finding.result.mask.sum(axis=(1, 2))
    return int(areas.argmax()) if areas.any() else len(areas) // 2
