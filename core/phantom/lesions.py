"""Lesions: bright, soft-edged, irregular, some with fingers that follow the white matter; and how they press on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core.phantom.anatomy import Head, Slice, View, layers
from core.phantom.fields import Floats, SmoothField, smooth_field, step

MOST_LESIONS = 4
_GAP_MM = 9.0


@dataclass(frozen=True, slots=True)
class LesionShape:
    """One lesion.

    Attributes:
        centre: (x, y, z) in the head's frame, mm.
        radius: before its roughness, mm.
        stretch: (x, y, z) scale of its axes.
        rough, fine: how much the coarse and the fine irregularity move its wall, as parts of the radius.
        cortex_mm: how far grey matter pushes its wall back; large values leave fingers in the white matter.
        brightness: relative to the tissue's median.
        core: brightness of its core relative to the rest; 1 for none.
        edge_mm: softness of its wall.
        coarse, small: the random shapes behind `rough` and `fine`, and its inner texture.
    """

    centre: tuple[float, float, float]
    radius: float
    stretch: tuple[float, float, float]
    rough: float
    fine: float
    cortex_mm: float
    brightness: float
    core: float
    edge_mm: float
    coarse: SmoothField
    small: SmoothField


def make_lesions(random: np.random.Generator, head: Head, heights: Floats) -> tuple[LesionShape, ...]:
    """Draw one to four lesions in a head's brain, apart from each other, each centred on one of the slices.

    Args:
        random: where they come from.
        head: whose brain.
        heights: (slices,) z of the stack's slices, mm.
    """
    wanted = int(random.choice(MOST_LESIONS, p=(0.4, 0.25, 0.2, 0.15))) + 1
    lesions: list[LesionShape] = []
    for number in range(wanted):
        # The first is as large as measured; further ones are small, as satellites and metastases are.
        middle, spread, least, most = (26.0, 0.35, 10.0, 36.0) if number == 0 else (7.0, 0.35, 3.5, 13.0)
        radius = float(np.clip(middle * np.exp(spread * random.standard_normal()), least, most))
        centre = _place(random, head, heights, radius, lesions)
        if centre is not None:
            lesions.append(_make_lesion(random, centre, radius))
    return tuple(lesions)


def _place(
    random: np.random.Generator, head: Head, heights: Floats, radius: float, others: list[LesionShape]
) -> tuple[float, float, float] | None:
    # The first is never refused: there is always at least one.
    for _ in range(40):
        z = float(heights[random.integers(heights.size)])
        angle = random.uniform(-np.pi, np.pi)
        distance = random.uniform(0.3, 0.85) * head.half_width
        x, y = distance * np.cos(angle), 1.2 * distance * np.sin(angle)
        depth = float(layers(head, np.array([x]), np.array([y]), z)[2][0])
        apart = all(
            np.linalg.norm(np.subtract(other.centre, (x, y, z))) > 1.25 * (other.radius + radius) + _GAP_MM
            for other in others
        )
        if apart and depth > 4.0 + 0.45 * radius and abs(x) > 5.0 + 0.4 * radius:
            return float(x), float(y), z
    return None if others else (30.0, 0.0, float(heights[heights.size // 2]))


def _make_lesion(random: np.random.Generator, centre: tuple[float, float, float], radius: float) -> LesionShape:
    fingers = random.random() < 0.45
    stretch = np.exp(0.18 * random.standard_normal(3))
    large = radius > 12.0
    coarse = max(0.75 * radius, 4.0)
    extent = (16 * coarse, 16 * coarse, 16 * coarse)
    small = float(np.clip(0.28 * radius, 2.5, 5.0))
    return LesionShape(
        centre=centre,
        radius=radius,
        stretch=(float(stretch[0]), float(stretch[1]), float(0.8 * stretch[2])),
        rough=float(random.uniform(0.28, 0.42) if fingers else random.uniform(0.18, 0.34)),
        fine=float(random.uniform(0.14, 0.24) if fingers else random.uniform(0.08, 0.16)),
        cortex_mm=float(random.uniform(6.0, 12.0) if fingers else random.uniform(2.0, 7.0)),
        brightness=float(np.clip(1.58 * np.exp(0.22 * random.standard_normal()), 1.2, 2.3)),
        core=float(random.uniform(0.45, 0.8)) if large and random.random() < 0.3 else 1.0,
        edge_mm=float(random.uniform(0.5, 1.3)),
        coarse=smooth_field(random, (coarse, coarse, coarse), extent),
        small=smooth_field(random, (small, small, small), (16 * small, 16 * small, 16 * small)),
    )


def press(lesions: tuple[LesionShape, ...], view: View) -> View:
    """Where the tissue at each place was before the lesions pushed it aside."""
    x, y = view.x, view.y
    for lesion in lesions:
        dx, dy, dz = view.x - lesion.centre[0], view.y - lesion.centre[1], view.z - lesion.centre[2]
        near = 0.28 * np.exp(-(dx * dx + dy * dy + dz * dz) / (1.5 * lesion.radius) ** 2)
        x, y = x - near * dx, y - near * dy
    return replace(view, x=x, y=y)


def wall(lesion: LesionShape, anatomy: Slice, view: View) -> Floats:
    """About how many millimetres each pixel lies within a lesion's wall; negative outside it and outside the brain."""
    dx, dy, dz = view.x - lesion.centre[0], view.y - lesion.centre[1], view.z - lesion.centre[2]
    a, b, c = lesion.stretch
    distance = np.sqrt((dx / a) ** 2 + (dy / b) ** 2 + (dz / c) ** 2)
    # Roughness fades towards the centre, so that a lesion has no holes and seldom an islet.
    rim = np.minimum(distance / lesion.radius, 1.0)
    rough = lesion.rough * lesion.coarse.grid(dz, view.rows, view.columns)
    fine = lesion.fine * lesion.small.grid(dz, view.rows, view.columns)
    within = lesion.radius * (1.0 + rim * (rough + fine)) - distance - lesion.cortex_mm * rim * anatomy.cortex
    return np.minimum(np.minimum(within, anatomy.depth - 0.8), anatomy.ventricle - 0.3)


def keep_one(walls: Floats, edge_mm: float) -> Floats:
    """Drop a lesion's islets, (slices, height, width) as `wall` gives it, so that it is one connected piece."""
    from scipy import ndimage  # type: ignore[import-untyped]

    around = np.ones((3, 3, 3))
    labels, count = ndimage.label(walls >= 0.0, around)
    if count < 2:
        return walls
    main = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    # Their soft edges go with them.
    islets = ndimage.binary_dilation((labels > 0) & ~main, np.ones((1, 3, 3)), iterations=4)
    islets &= ~ndimage.binary_dilation(main, np.ones((1, 3, 3)))
    return np.where(islets | ((labels > 0) & ~main), np.minimum(walls, -4.0 * edge_mm), walls)


def paint(lesion: LesionShape, level: Floats, within: Floats, view: View) -> Floats:
    """The slice's brightness with one lesion painted over; (height, width)."""
    dz = view.z - lesion.centre[2]
    texture = 0.09 * lesion.small.grid(dz + 6 * lesion.small.lengths[0], view.rows, view.columns)
    texture += 0.1 * lesion.coarse.grid(dz + 6 * lesion.coarse.lengths[0], view.rows, view.columns)
    inside = np.clip(within / lesion.radius, 0.0, 1.0)
    bright = lesion.brightness * (1.0 + texture) * (0.92 + 0.16 * inside)
    hollow = step(inside - 0.5 + 0.7 * texture, 0.08)
    # Some of the anatomy still shows through.
    bright = bright * (1.0 + (lesion.core - 1.0) * hollow) * (0.8 + 0.2 * np.minimum(level, 1.2))
    return level + (bright - level) * step(within, lesion.edge_mm)
