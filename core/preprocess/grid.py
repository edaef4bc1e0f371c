"""Plans the network's grid for a scan, brings images onto it, and brings probabilities back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError, TooLarge
from core.model_card import GridMode, PreprocessSettings

LONGEST_SIDE = 2048
"""Pixels on the network's grid beyond which a spacing must be wrong: of the shipped models, almost two metres."""
MOST_PIXELS = 2**28
"""Of all slices on the network's grid together; as many as are read of a file."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How slices lie on the network's grid.

    Attributes:
        source: (height, width) of the scan's slices.
        target: (height, width) on the network's grid, before padding.
        mode: "spacing", "fit", "stretch" or "native": what was done, never "auto".
    """

    source: tuple[int, int]
    target: tuple[int, int]
    mode: str


def plan_grid(
    shape: tuple[int, int],
    spacing_yx: tuple[float | None, float | None],
    settings: PreprocessSettings,
    mode: GridMode | None = None,
) -> Grid:
    """Decide the size on the network's grid.

    "auto" goes by spacing (size · spacing / reference millimetres per pixel) where both are known and is "fit"
    otherwise; "fit" brings the longer side to `settings.size`, keeping the aspect, which is the one in millimetres
    where the spacing is known; "stretch" makes a square of `settings.size`; "native" changes nothing.

    Args:
        shape: (height, width) of the slices in pixels.
        spacing_yx: millimetres between rows and between columns, None where unknown.
        settings: the model's.
        mode: the user's wish; None takes the settings'.

    Returns:
        the plan; each target side has at least one pixel.

    Raises:
        InputError: by its spacing the picture would become absurdly large.
        ValueError: an unknown mode or an empty shape.
    """
    mode = settings.grid if mode is None else mode
    height, width = shape
    if height < 1 or width < 1:
        raise ValueError(f"slices must not be empty, not {shape}")
    known = _known(spacing_yx)
    if mode == "native":
        return Grid(shape, shape, "native")
    if mode == "stretch":
        return Grid(shape, (settings.size, settings.size), "stretch")
    if mode not in ("auto", "fit"):
        raise ValueError(f"unknown grid mode {mode!r}")
    if mode == "auto" and known is not None and settings.reference_mm is not None:
        scales = (known[0] / settings.reference_mm, known[1] / settings.reference_mm)
        if not max(height * scales[0], width * scales[1]) <= LONGEST_SIDE:
            raise InputError(
                "by its pixel spacing this scan would be larger than any head; correct the spacing, "
                "or choose the grid fit"
            )
        used = "spacing"
    else:
        # Only the pixels' shape counts here.
        row_mm, column_mm = (mm / max(known) for mm in known) if known else (1.0, 1.0)
        longer = max(height * row_mm, width * column_mm)
        scales = (row_mm / longer * settings.size, column_mm / longer * settings.size)
        used = "fit"
    return Grid(shape, (_pixels(height * scales[0]), _pixels(width * scales[1])), used)


def check_grid(grid: Grid, slices: int) -> None:
    """Hold what slices would become against a ceiling, before any memory is taken; one that adds nothing may stay.

    Raises:
        TooLarge: they would be too many pixels.
    """
    pixels = slices * math.prod(grid.target)
    if pixels > max(MOST_PIXELS, slices * math.prod(grid.source)):
        raise TooLarge(
            f"on the model's grid its {slices:,} slices would have {pixels:,} pixels, more than the {MOST_PIXELS:,} "
            "that are computed; split the scan, or correct its spacing"
        )


def to_grid(images: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
    """Bring slices onto the network's grid.

    Args:
        images: (N, C, H, W) uint8, with (H, W) the grid's source.
        grid: the plan.

    Returns:
        (N, C, h, w) uint8 with (h, w) the grid's target; the very array given where both are equal.
    """
    _check(images.shape[2:], grid.source)
    if grid.source == grid.target:
        return images
    count, channels = images.shape[:2]
    out = np.empty((count, channels, *grid.target), np.uint8)
    for index in np.ndindex(count, channels):
        out[index] = _resize(images[index], grid.target)
    return out


def from_grid(probability: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """Bring probabilities from the network's grid back to the scan's.

    Args:
        probability: (N, h, w) float32 in [0, 1], with (h, w) the grid's target.
        grid: the plan by which the images were brought there.

    Returns:
        (N, H, W) float32 in [0, 1] with (H, W) the grid's source; the very array given where both are equal.
    """
    _check(probability.shape[1:], grid.target)
    if grid.source == grid.target:
        return probability
    return _resized(probability, grid.source)


def enlarge(probability: NDArray[np.float32], shrink: int) -> NDArray[np.float32]:
    """Bring what a network said of every `shrink` × `shrink` pixels' mean back to the pixels, bilinearly.

    Args:
        probability: (N, h, w) float32 in [0, 1].
        shrink: pixels along one axis.

    Returns:
        (N, h · shrink, w · shrink) float32 in [0, 1]; the very array given where `shrink` is 1.
    """
    if shrink == 1:
        return probability
    return _resized(probability, (probability.shape[1] * shrink, probability.shape[2] * shrink))


def _known(spacing_yx: tuple[float | None, float | None]) -> tuple[float, float] | None:
    row_mm, column_mm = spacing_yx
    if row_mm is None or column_mm is None:
        return None
    if not (math.isfinite(row_mm) and math.isfinite(column_mm) and row_mm > 0 and column_mm > 0):
        return None
    return float(row_mm), float(column_mm)


def _pixels(size: float) -> int:
    return max(1, round(size))


def _check(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    if shape != expected:
        raise ValueError(f"images of {shape} do not lie on a grid of {expected}")


def _resized(probability: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    out = np.empty((len(probability), *size), np.float32)
    for index, image in enumerate(probability):
        out[index] = _resize(image, size)
    # Interpolation weights may sum to a little over one.
    return np.clip(out, 0.0, 1.0, out=out)


def _resize(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resize (H, W), averaging along an axis that shrinks and interpolating along one that grows.

    Both of OpenCV's methods place pixel centres at half-integers, so nothing shifts.
    """
    import cv2

    height, width = image.shape
    shrunk = (min(height, size[0]), min(width, size[1]))
    if shrunk != (height, width):
        image = cv2.resize(image, shrunk[::-1], interpolation=cv2.INTER_AREA)
    if shrunk != size:
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    return image
