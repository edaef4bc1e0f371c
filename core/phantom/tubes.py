"""Distance from a tube along a line of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.phantom.fields import Floats


def tube(x: Floats, y: Floats, points: Sequence[tuple[float, float]], radii: Sequence[float]) -> Floats:
    """Distance from the wall of a tube whose radius goes linearly from point to point; negative within; mm."""
    nearest = np.full(x.shape, np.inf)
    for (x0, y0), (x1, y1), r0, r1 in zip(points, points[1:], radii, radii[1:], strict=False):
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0.0, 1.0)
        distance = np.sqrt((x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2) - (r0 + along * (r1 - r0))
        nearest = np.minimum(nearest, distance)
    return nearest
