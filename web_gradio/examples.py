"""Drawn heads to try the page with: no patient's picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.io import encode_tiff
from core.phantom import make_phantom

HEADS = (("Slice", 1, 1), ("Slice", 2, 1), ("Slice", 3, 1), ("Stack of 6", 4, 6))
SIZE = 256


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A drawn head: its file, what it is, and one slice of it (H, W, 3) to show."""

    path: Path
    caption: str
    picture: NDArray[np.uint8]


def draw_examples(folder: Path) -> tuple[Example, ...]:
    """Draw the heads into a folder, as TIFF."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = []
    for caption, seed, slices in HEADS:
        scan, _ = make_phantom(seed, slices, SIZE)
        path = folder / f"drawn-head-{seed}.tif"
        path.write_bytes(encode_tiff(scan.voxels[:, 0]))
        middle = scan.voxels[slices // 2, 0]
        examples.append(Example(path, caption, np.repeat(middle[:, :, None], 3, axis=2)))
    return tuple(examples)
