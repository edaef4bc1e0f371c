"""From a scan's slices on the network's grid to a verdict and a note."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.preprocess.channels import OTHER_SEQUENCE
from core.preprocess.clahe import equalise
from core.scan import Note
from core.unfamiliar.describe import FEATURES, describe
from core.unfamiliar.reference import Reference, Verdict

UNFAMILIAR = "unfamiliar"
"""Code of the note that a scan does not look like what the model learnt from."""
DOUBTS = frozenset({OTHER_SEQUENCE, UNFAMILIAR})
"""Codes of the notes that say not to rely on a mask."""
MOST_SLICES = 32
"""Slices of a volume that are described, evenly spread."""
MEASURED = (*FEATURES, *(f"clahe_{name}" for name in FEATURES))
"""Each slice is described twice: as it comes, and after CLAHE, which tells sequences apart that are alike before it."""
CLIP_LIMIT, TILE_PX = 2.0, 32
"""Of that CLAHE, whatever the model itself wants to see: the description is the picture's alone."""


def measure(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Describe a scan's slices, or of many an even sample, which depends on their number alone.

    Args:
        images: (S, C, h, w) uint8 on the network's grid, before CLAHE; the first channel is described.

    Returns:
        (min(S, MOST_SLICES), len(MEASURED)); rows with NaN where nothing large enough stands out.
    """
    count = len(images)
    # Centres of equal parts, as the ends of a volume show little.
    parts = min(count, MOST_SLICES)
    chosen = [int((part + 0.5) * count / parts) for part in range(parts)]
    slices = np.ascontiguousarray(images[chosen, 0])
    seen = equalise(slices, CLIP_LIMIT, TILE_PX)
    return np.concatenate([describe(slices), describe(seen)], axis=1)


def judge(reference: Reference | None, images: NDArray[np.uint8]) -> tuple[Verdict | None, tuple[Note, ...]]:
    """Say whether a scan looks like what a model learnt from.

    Args:
        reference: the model's; None says nothing.
        images: (S, C, h, w) uint8 on the network's grid, before CLAHE.

    Returns:
        the verdict, None without reference or contrast; and the note that a person should read.
    """
    if reference is None or images.min() == images.max():
        return None, ()
    verdict = reference.judge(measure(images))
    if verdict.is_strange:
        return verdict, (_STRANGE,)
    return verdict, (_OTHER,) if verdict.is_other else ()


_STRANGE = Note(
    UNFAMILIAR, "this does not look like the pictures that the model learnt from; do not rely on what it finds"
)
_OTHER = Note(
    UNFAMILIAR, "by its look this is another sequence than the model learnt from; do not rely on what it finds"
)
