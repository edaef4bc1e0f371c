"""One picture per case: the slices in which something was found, with the findings drawn on them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.framing import fit_mask, to_aspect, with_letters
from core.overlay import draw_overlay
from core.preprocess.intensity import IntensityRange, to_uint8_by
from core.scan import Scan
from core.views import first_view

MOST_SLICES = 30
EMPTY_SLICES = 6
COLUMNS = 6
TILE_PX = 256
LONE_PX = 1024
LABEL_PX = 18
GAP_PX = 2


def scan_sheet(
    scan: Scan,
    values: NDArray[Any],
    intensity: IntensityRange,
    mask: NDArray[np.bool_],
    truth: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Draw a case's overlay: a lone slice as it is, a volume as a sheet of its slices with findings.

    All as the model saw it, in true proportions, with letters where they are known. Only the slices that are drawn are
    brought to 8 bit. Each bears its number, from 1, as the pages and the reviewer count slices.

    Args:
        scan: what was read.
        values: (slices, height, width), the channel of it to show.
        intensity: which of its values are black and white.
        mask: (slices, height, width) on the scan's grid.
        truth: the same shape, or None.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    view = first_view(scan)
    voxels, found = view.turn(values), view.turn(mask)
    true = None if truth is None else view.turn(truth)

    def tile(index: int, longest: int) -> NDArray[np.uint8]:
        image = to_aspect(to_uint8_by(np.ascontiguousarray(voxels[index]), intensity), view.aspect)
        marks = to_aspect(np.ascontiguousarray(found[index]), view.aspect)
        lines = None if true is None else to_aspect(np.ascontiguousarray(true[index]), view.aspect)
        return with_letters(_tile(image, marks, lines, longest), view.letters)

    if len(voxels) == 1:
        return tile(0, LONE_PX)
    return _sheet(_labelled(tile(index, TILE_PX), str(index + 1)) for index in choose_slices(found, true))


def _sheet(drawn: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Tiles of one size in rows."""
    tiles = list(drawn)
    height, width, _ = tiles[0].shape
    columns = min(COLUMNS, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    sheet = np.zeros((rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 3), np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // columns * (height + GAP_PX), place % columns * (width + GAP_PX)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def choose_slices(mask: NDArray[np.bool_], truth: NDArray[np.bool_] | None = None) -> list[int]:
    """Slices worth looking at: those with lesion in the mask or in truth, else a few that are evenly spread.

    Where more than `MOST_SLICES` hold lesion, they are thinned evenly.
    """
    areas = mask.sum(axis=(1, 2)) + (0 if truth is None else truth.sum(axis=(1, 2)))
    found = np.flatnonzero(areas)
    if not found.size:
        # Centres of equal parts of the volume: its first and last slices seldom show brain.
        parts = min(EMPTY_SLICES, len(mask))
        return [int((part + 0.5) * len(mask) / parts) for part in range(parts)]
    if found.size > MOST_SLICES:
        found = found[np.linspace(0, found.size - 1, MOST_SLICES).round().astype(int)]
    return [int(index) for index in found]


def _tile(
    image: NDArray[np.uint8], found: NDArray[np.bool_], true: NDArray[np.bool_] | None, longest: int
) -> NDArray[np.uint8]:
    """One slice (h, w, 3), its longer side at most `longest`; shrunk before drawing, so that outlines stay visible."""
    import cv2

    height, width = image.shape
    if (scale := longest / max(height, width)) < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        found, true = fit_mask(found, size), None if true is None else fit_mask(true, size)
    return draw_overlay(np.ascontiguousarray(image), found, truth=true)


def _labelled(tile: NDArray[np.uint8], label: str) -> NDArray[np.uint8]:
    import cv2

    strip = np.zeros((LABEL_PX, tile.shape[1], 3), np.uint8)
    cv2.putText(strip, label, (3, LABEL_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (220, 220, 220), 1, cv2.LINE_AA)
    labelled: NDArray[np.uint8] = np.concatenate([strip, tile])
    return labelled
