"""The lateral and third ventricles."""

from __future__ import annotations

import numpy as np

from core.phantom.fields import Floats, step
from core.phantom.tubes import tube


def ventricles(x: Floats, y: Floats, z: float, calibre: tuple[float, float]) -> Floats:
    """Millimetres from the ventricles' wall, negative within.

    Args:
        x: (height, width) in the head's frame, mm.
        y: the same.
        z: the slice's height, mm.
        calibre: of the one with x > 0 and of the other; 1 for usual ones.
    """
    low = float(1.0 - step(np.array(z - 9.0), 4.0))
    top = float(step(np.array(30.0 - z), 4.0))
    high = 1.0 - low
    # From the frontal horn over the body to the atrium; lower down the body is hidden behind the thalamus.
    points = (
        (14.0 - 2.0 * low, 31.0 - 3.0 * high),
        (6.0 + 4.0 * high, 18.0),
        (7.0 + 5.0 * high, -4.0),
        (17.0, -24.0),
        (25.0, -37.0 + 6.0 * high),
    )
    radii = (0.4, 3.0, 3.6 - 4.1 * low, 3.6, 3.2 * low - 0.4)
    # One tube for both sides; its wall is moved where that side's ventricle is narrower or wider.
    size = np.where(x > 0.0, calibre[0], calibre[1])
    lateral = tube(np.abs(x), y, points, radii) + 3.0 * (1.0 - size) + 15.0 * (1.0 - top)
    third = tube(np.abs(x), y, ((0.0, 7.0), (0.0, -14.0)), (1.3 * calibre[0], 0.9 * calibre[0])) + 15.0 * high
    return np.minimum(lateral, third)
