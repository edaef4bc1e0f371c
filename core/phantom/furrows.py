"""The brain's furrows: zero lines of random fields that run from its surface inwards.

Each function gives the distance in millimetres from the nearest furrow's wall, negative within it.
"""

from __future__ import annotations

import numpy as np

from core.phantom.fields import Floats, SmoothField, step
from core.phantom.tubes import tube


def furrows(field: Floats, depth: Floats, reach: Floats, width: Floats, pixel_mm: float) -> Floats:
    """Furrows along a field's zero lines where these lie less than `reach` deep; all (height, width), mm.

    Args:
        field: long across the surface and short along it, so that its zero lines run inwards.
        depth: below the surface.
        reach: how deep they go.
        width: by how much they are wider than usual.
        pixel_mm: between neighbouring pixels.
    """
    slope_y, slope_x = np.gradient(field, pixel_mm)
    # The distance from a zero line, to first order; the slope's floor keeps flat places from becoming lakes.
    gap = np.abs(field) / np.maximum(np.hypot(slope_y, slope_x), 0.04)
    mouth = 1.1 * np.exp(-np.maximum(depth, 0.0) / 2.5)
    half_width = np.clip(0.3 + width, -0.3, 1.0) + mouth
    return np.asarray(np.hypot(gap, np.maximum(depth - reach, 0.0)) - half_width)


def midline(field: SmoothField, x: Floats, y: Floats, z: float, width: Floats, pixel_mm: float) -> Floats:
    """The fissure between the halves and the furrows that open into it."""
    aside = np.abs(x)
    # The two sides use parts of the field that are far from each other.
    values = field.at(z, y, np.where(x > 0.0, aside, aside + 150.0))
    branches = furrows(values, aside, 10.0 + 9.0 * width, width, pixel_mm)
    fissure = np.minimum(branches, aside - 0.4 - 0.5 * np.maximum(width, 0.0))
    # Corpus callosum and thalami close it at the ventricles' level.
    closed = step(30.0 + 0.2 * z - np.abs(y - 2.0), 2.5) * float(step(np.array(24.0 - z), 3.0))
    return fissure + 40.0 * closed


def sylvian(x: Floats, y: Floats, z: float, width: Floats) -> Floats:
    """The fissure over the insula, on both sides; it closes above the ventricles."""
    points = ((68.0, -6.0), (54.0, 3.0), (42.0, 12.0), (37.0, 4.0), (38.0, -6.0), (44.0, -14.0))
    radii = (1.5, 1.1, 1.3, 0.7, 0.5, -0.2)
    return tube(np.abs(x), y, points, radii) - 0.6 * width + max(z - 6.0, 0.0) * 0.25
