"""From brightness to a picture: coil sensitivity, the scanner's blur, Rician noise, a field of view, grey levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.phantom.anatomy import View
from core.phantom.fields import Floats, SmoothField, blur, smooth_field
from core.phantom.measured import NOISE_LEVEL, NOISE_SPREAD, TISSUE_LEVEL, TISSUE_LEVEL_SPREAD


@dataclass(frozen=True, slots=True)
class Scanner:
    """How one stack was taken.

    Attributes:
        tissue_level: grey level of the tissue's median.
        noise_level: standard deviation of the noise on each of the two signals, in grey levels.
        blur_px, grain_px: sigma of the picture's blur and of the noise's, pixels.
        rim_mm: half the field of view, beyond which the picture holds exact zeros; inf for none.
        bias: the coil sensitivity's random part.
        tilt: its slope along x and y, per mm.
    """

    tissue_level: float
    noise_level: float
    blur_px: float
    grain_px: float
    rim_mm: float
    bias: SmoothField
    tilt: tuple[float, float]


def make_scanner(random: np.random.Generator, half_view_mm: float) -> Scanner:
    """Draw one scanner's settings."""
    level = TISSUE_LEVEL * float(np.exp(TISSUE_LEVEL_SPREAD * random.standard_normal()))
    return Scanner(
        tissue_level=float(np.clip(level, 36.0, 75.0)),
        noise_level=NOISE_LEVEL * float(np.exp(NOISE_SPREAD * random.standard_normal())),
        blur_px=float(random.uniform(0.6, 0.95)),
        grain_px=float(random.uniform(0.45, 0.75)),
        rim_mm=half_view_mm * float(random.uniform(0.95, 0.99)) if random.random() < 0.6 else float("inf"),
        bias=smooth_field(random, (90.0, 70.0, 70.0), (400.0, 420.0, 420.0)),
        tilt=(float(random.normal(0.0, 4e-4)), float(random.normal(0.0, 6e-4))),
    )


def expose(scanner: Scanner, level: Floats, view: View, random: np.random.Generator) -> NDArray[np.uint8]:
    """Take a picture.

    Args:
        scanner: its settings.
        level: (height, width) brightness relative to the tissue.
        view: where the pixels lie.
        random: the slice's noise.

    Returns:
        (height, width) uint8.
    """
    # Surface coils see what is near them better.
    near = 0.06 * ((view.x / 75.0) ** 2 + (view.y / 93.0) ** 2 - 0.5)
    gain = (
        1.0
        + 0.06 * scanner.bias.grid(view.z, view.rows, view.columns)
        + scanner.tilt[0] * view.x
        + scanner.tilt[1] * view.y
        + near
    )
    signal = blur(level * gain, scanner.blur_px) * scanner.tissue_level
    first, second = (blur(random.standard_normal(level.shape), scanner.grain_px) for _ in range(2))
    # Blurred white noise of sigma s px keeps 1 / (2 s √π) of its standard deviation.
    loudness = scanner.noise_level * 2.0 * scanner.grain_px * np.sqrt(np.pi)
    picture = np.hypot(signal + loudness * first, loudness * second)
    if np.isfinite(scanner.rim_mm):
        # The corrected field of a gradient coil is a barrel; outside it nothing was taken.
        rows, columns = np.abs(view.rows)[:, None], np.abs(view.columns)[None, :]
        inside = np.maximum(rows, columns) * (1.0 + 0.03 * rows * columns / scanner.rim_mm**2) < scanner.rim_mm
        picture = np.where(inside, picture, 0.0)
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)
