"""Puts a phantom together: one head, its lesions, one scanner, a stack of slices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.phantom.anatomy import Head, View, draw_slice, make_head
from core.phantom.fields import Floats
from core.phantom.lesions import LesionShape, keep_one, make_lesions, paint, press, wall
from core.phantom.picture import expose, make_scanner
from core.scan import Note, Scan

FIELD_OF_VIEW_MM = 230.4
SLICE_GAP_MM = 5.0
_LOWEST_MM = -4.0
_TALLEST_MM = 62.0
_SMALLEST_PX = 32


def make_phantom(seed: int, slices: int = 8, size: int = 256) -> tuple[Scan, NDArray[np.bool_]]:
    """Make a stack of FLAIR-like slices of a head that never was, with one to four lesions and their exact mask.

    The same arguments give the same picture: NumPy's PCG64 generator and arithmetic in float64, nothing else. Noise
    alone is not what it shows: outlines, furrows, ventricles and lesions go on from slice to slice.

    Args:
        seed: 0 or more; another seed, another head.
        slices: how many, from the frontal horns upwards, 5 mm apart (closer where they would leave the head).
        size: height and width in pixels; the field of view is always 230.4 mm.

    Returns:
        the scan, voxels (slices, 1, size, size) uint8, spacing known, no affine; and the mask
        (slices, size, size) bool: where at least half of the lesion's brightness has been added.

    Raises:
        ValueError: fewer than one slice, a size below 32 or a negative seed.
    """
    if slices < 1 or size < _SMALLEST_PX or seed < 0:
        raise ValueError(f"slices must be >= 1, size >= {_SMALLEST_PX}, seed >= 0; not {slices}, {size}, {seed}")
    random = np.random.Generator(np.random.PCG64(seed))
    pixel = FIELD_OF_VIEW_MM / size
    gap = min(SLICE_GAP_MM, _TALLEST_MM / slices)
    heights = _heights(random, slices, gap)
    head = make_head(random)
    scanner = make_scanner(random, FIELD_OF_VIEW_MM / 2)
    shift = float(random.normal(0.0, 4.0)), float(random.normal(0.0, 4.0))
    turn = float(random.normal(0.0, 0.06))
    lesions = make_lesions(random, head, heights)

    whole = [_view(size, pixel, shift, turn, z) for z in heights.tolist()]
    box = _around(head, whole[0])
    views = [_cut(view, box) for view in whole]
    drawn = [draw_slice(head, view, press(lesions, view)) for view in views]
    levels = [np.zeros((size, size)) for _ in views]
    for level, anatomy in zip(levels, drawn, strict=True):
        level[box] = anatomy.level
    mask = np.zeros((slices, size, size), np.bool_)
    for lesion in lesions:
        near = [index for index, z in enumerate(heights.tolist()) if _reaches(lesion, z)]
        walls = keep_one(np.stack([wall(lesion, drawn[index], views[index]) for index in near]), lesion.edge_mm)
        for index, within in zip(near, walls, strict=True):
            levels[index][box] = paint(lesion, levels[index][box], within, views[index])
            mask[index][box] |= within >= 0.0
    pictures = [expose(scanner, level, view, random) for level, view in zip(levels, whole, strict=True)]

    name = f"PHANTOM_{seed:04d}"
    scan = Scan(
        name=name,
        voxels=np.stack(pictures)[:, None],
        spacing_mm=(gap, pixel, pixel),
        channels=("flair",),
        sequence="FLAIR",
        slice_names=tuple(f"{name}_{number}" for number in range(1, slices + 1)),
        notes=(Note("phantom", "this is a synthetic picture, not a scan of a person"),),
    )
    return scan, mask


def _heights(random: np.random.Generator, slices: int, gap: float) -> Floats:
    """Heights of the slices, z in mm; the stack begins anywhere that keeps its last slice well below the vertex."""
    room = max(_TALLEST_MM - gap * slices, 0.0)
    return np.asarray(_LOWEST_MM + random.uniform(0.0, 0.6) * room + gap * np.arange(slices))


def _view(size: int, pixel: float, shift: tuple[float, float], turn: float, z: float) -> View:
    """Where each pixel centre lies when the head is `shift` mm off the middle and turned by `turn` radians."""
    line = (np.arange(size, dtype=np.float64) - (size - 1) / 2) * pixel
    x, y = line[None, :] - shift[0], -line[:, None] - shift[1]
    cosine, sine = np.cos(turn), np.sin(turn)
    return View(cosine * x + sine * y, cosine * y - sine * x, z, -line, line, pixel)


def _around(head: Head, view: View) -> tuple[slice, slice]:
    """The rows and columns that hold the head: outside them there is only air, and nothing to draw."""
    inside = np.hypot(view.x / (head.half_width + 10.0), view.y / (head.half_length + 10.0)) < 1.0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _cut(view: View, box: tuple[slice, slice]) -> View:
    rows, columns = box
    return View(view.x[box], view.y[box], view.z, view.rows[rows], view.columns[columns], view.pixel_mm)


def _reaches(lesion: LesionShape, z: float) -> bool:
    return abs(z - lesion.centre[2]) < 2.0 * lesion.radius * lesion.stretch[2] + 2.0
