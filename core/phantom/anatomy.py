"""A head without lesions: where scalp, bone, fluid, grey and white matter lie in a slice, and how bright each is.

The head's own frame is in millimetres: `x` to the picture's right, `y` towards the nose, `z` towards the vertex, with
z = 0 at the level of the frontal horns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.phantom.fields import Floats, SmoothField, smooth_field, step
from core.phantom.furrows import furrows, midline, sylvian
from core.phantom.ventricles import ventricles

# How bright, relative to the tissue's median.
BONE, MARROW, FLUID = 0.2, 0.85, 0.2
WHITE, GREY, DEEP_GREY, SKIN, MUSCLE = 0.96, 1.18, 1.1, 1.2, 0.75

HEAD_TOP_MM = 98.0
_ANGLES = np.linspace(-np.pi, np.pi, 721)


@dataclass(frozen=True, slots=True)
class View:
    """Where the pixels of one slice lie, in millimetres.

    Attributes:
        x, y: (height, width), in the head's frame.
        z: the slice's height in the head's frame.
        rows, columns: (height,) and (width,), in the picture's own frame; textures are drawn in it, which is quick.
        pixel_mm: between neighbouring pixels.
    """

    x: Floats
    y: Floats
    z: float
    rows: Floats
    columns: Floats
    pixel_mm: float


@dataclass(frozen=True, slots=True)
class Head:
    """One head's build: everything that differs between heads.

    Attributes:
        half_length, half_width: of the largest slice, mm.
        scalp, bone, fluid: mean thickness of the layers, mm.
        fat: brightness of the scalp's fat relative to the tissue's median.
        calibre: scale of the ventricles, of the one with x > 0 first.
        atrophy: how much wider than usual the furrows are, mm.
        outline, layers: random functions of (z, angle).
        outer, inner: of (z, angle, depth) and (z, y, x), whose zero lines are the furrows.
        fine, middle, coarse: textures in the picture's frame.
    """

    half_length: float
    half_width: float
    scalp: float
    bone: float
    fluid: float
    fat: float
    calibre: tuple[float, float]
    atrophy: float
    outline: SmoothField
    layers: SmoothField
    outer: SmoothField
    inner: SmoothField
    fine: SmoothField
    middle: SmoothField
    coarse: SmoothField


@dataclass(frozen=True, slots=True)
class Slice:
    """What lies where in one slice, all (height, width).

    Attributes:
        level: brightness relative to the tissue's median, without lesions, bias or noise.
        depth: mm below the brain's surface, negative outside the brain.
        cortex: 0 to 1, how much grey matter.
        ventricle: mm from the ventricles' wall, negative within.
    """

    level: Floats
    depth: Floats
    cortex: Floats
    ventricle: Floats


def make_head(random: np.random.Generator) -> Head:
    """Draw one head's build."""
    tall, wide, turn = 200.0, 400.0, 2 * np.pi
    calibre = float(random.uniform(0.55, 1.35))
    return Head(
        half_length=float(random.normal(93.5, 4.5)),
        half_width=float(random.normal(75.0, 4.0)),
        scalp=float(random.uniform(4.0, 6.5)),
        bone=float(random.uniform(3.2, 5.5)),
        fluid=float(random.uniform(0.4, 1.8)),
        fat=float(np.clip(2.1 * np.exp(0.2 * random.standard_normal()), 1.5, 3.2)),
        calibre=(calibre * float(random.uniform(0.85, 1.15)), calibre * float(random.uniform(0.85, 1.15))),
        atrophy=float(random.uniform(-0.15, 0.3)),
        outline=smooth_field(random, (60.0, 0.8, wide), (tall, turn, wide)),
        layers=smooth_field(random, (25.0, 0.25, wide), (tall, turn, wide)),
        outer=smooth_field(random, (17.0, 0.1, 14.0), (tall, turn, wide)),
        inner=smooth_field(random, (17.0, 8.0, 13.0), (tall, wide, wide)),
        fine=smooth_field(random, (5.0, 3.2, 3.2), (tall, wide, wide)),
        middle=smooth_field(random, (12.0, 11.0, 11.0), (tall, wide, wide)),
        coarse=smooth_field(random, (30.0, 28.0, 28.0), (tall, wide, wide)),
    )


def layers(head: Head, x: Floats, y: Floats, z: float) -> tuple[Floats, Floats, Floats]:
    """Millimetres below the skin, below the scalp, and below the brain's surface; negative outside; shapes of x."""
    shrink = np.sqrt(max(1.0 - (max(z, 0.0) / HEAD_TOP_MM) ** 2, 0.05))
    nought = np.zeros_like(_ANGLES)
    across, ahead = np.cos(_ANGLES), np.sin(_ANGLES)
    # Narrower towards the forehead, with a flat-sided temple: an egg rather than an ellipse.
    width = head.half_width * (1.0 - 0.07 * ahead - 0.02 * np.cos(4 * _ANGLES))
    rim = shrink / np.hypot(across / width, ahead / head.half_length) + 1.8 * head.outline.at(z, _ANGLES, nought)
    uneven = head.layers.at(z, _ANGLES, nought)
    scalp = head.scalp * (1.0 + 0.14 * uneven + 0.3 * np.maximum(-ahead, 0.0) ** 4)
    bone = head.bone * (1.0 - 0.14 * uneven + 0.3 * np.abs(ahead) ** 3)
    fluid = head.fluid * np.maximum(1.0 + 0.5 * head.layers.at(z + 80.0, _ANGLES, nought), 0.2)
    # Distance along the radius, not the shortest one: in a shape this round they differ by a few per cent.
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    edges = (rim, rim - scalp, rim - scalp - bone - fluid)
    skin, inner, brain = (np.interp(angle, _ANGLES, edge) - radius for edge in edges)
    return skin, inner, brain


def draw_slice(head: Head, view: View, pressed: View) -> Slice:
    """Draw one slice of a head.

    Args:
        head: its build.
        view: where its pixels lie.
        pressed: the same, but where a lesion pushes tissue aside, where that tissue comes from.
    """
    z = view.z
    skin, scalp, depth = layers(head, view.x, view.y, z)
    fine, middle, coarse = (field.grid(z, view.rows, view.columns) for field in (head.fine, head.middle, head.coarse))
    x, y = pressed.x + 1.3 * middle, pressed.y + 1.3 * head.middle.grid(z + 70.0, view.rows, view.columns)

    width = 0.35 * head.middle.grid(z + 40.0, view.rows, view.columns) + head.atrophy
    sulcus = furrows(
        head.outer.at(z, np.arctan2(y, x), depth), depth, 14.0 + 6.0 * coarse + 0.12 * z, width, view.pixel_mm
    )
    sulcus = np.minimum(sulcus, sylvian(x + 2.0 * coarse, y, z, width))
    medial = midline(head.inner, x, y, z, width, view.pixel_mm)
    ventricle = ventricles(x + 2.0 * coarse, y + 4.0 * coarse, z, head.calibre) + 0.7 * middle

    cortex = step(3.2 + 0.5 * middle - np.minimum(np.minimum(depth, sulcus), medial), 0.8)
    tissue = WHITE + (DEEP_GREY - WHITE) * _deep_grey(x, y, z)
    tissue = tissue + (GREY - tissue) * cortex
    # A thin bright lining of the ventricles, most of all at the horns, is normal on FLAIR.
    tissue = tissue + 0.22 * np.exp(-((ventricle / 2.5) ** 2)) * step(np.abs(y) - 12.0, 10.0)
    tissue = tissue * (1.0 + 0.022 * fine + 0.035 * middle + 0.035 * coarse)

    solid = step(sulcus, 0.4) * step(medial, 0.4) * step(ventricle, 0.9)
    level = FLUID * (1.0 + 0.3 * middle) * (1.0 - solid) + tissue * solid
    surface = step(depth, 0.5)
    shell = _shell(head, view, (skin, scalp), (fine, middle, coarse))
    return Slice(level * surface + shell * (1.0 - surface), depth, cortex * surface, ventricle)


def _shell(head: Head, view: View, below: tuple[Floats, Floats], textures: tuple[Floats, Floats, Floats]) -> Floats:
    """Brightness of what lies outside the brain: air, skin, fat and temporal muscle, bone with marrow, fluid."""
    skin, scalp = below
    fine, middle, coarse = textures
    temple = step(30.0 - np.abs(view.y), 5.0) * float(step(np.array(14.0 - view.z), 6.0))
    soft = head.fat * (1.0 + 0.1 * fine + 0.1 * middle + 0.16 * coarse)
    soft = soft + (MUSCLE - soft) * temple * step(scalp + 0.45 * head.scalp, 0.5)
    # Vessels and strands: small dark spots.
    soft = soft * (1.0 - 0.6 * step(fine - 1.7, 0.15))
    soft = SKIN + (soft - SKIN) * step(skin - 1.3, 0.5)
    inner = scalp - head.bone
    marrow = step(scalp - 1.5, 0.4) * step(-inner - 1.4, 0.4) * step(0.5 * coarse + 0.5 * middle + 0.3, 0.4)
    bone = BONE + (MARROW - BONE) * marrow
    hard = bone + (FLUID - bone) * step(inner, 0.5)
    return (soft + (hard - soft) * step(scalp, 0.5)) * step(skin, 0.5)


def _deep_grey(x: Floats, y: Floats, z: float) -> Floats:
    """How much of the basal ganglia and the thalamus, 0 to 1."""
    aside = np.abs(x)
    total = np.zeros_like(x)
    for centre_x, centre_y, half_x, half_y, centre_z in (
        (11.5, 15.0, 4.0, 8.0, 4.0),
        (26.0, 4.0, 5.5, 14.0, 0.0),
        (9.5, -10.0, 7.5, 11.0, 0.0),
    ):
        inside = 1.0 - np.hypot((aside - centre_x) / half_x, (y - centre_y) / half_y) - (abs(z - centre_z) / 18.0) ** 2
        total = np.maximum(total, step(inside, 0.15))
    return total
