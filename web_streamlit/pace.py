"""How long a segmentation will take, judged by those before it."""

from __future__ import annotations

import math
import threading

from core.errors import InputError
from core.model_card import ModelCard
from core.preprocess.grid import plan_grid
from core.scan import Scan
from core.views import first_view

RECENT = 0.5
"""The weight of the latest measurement."""


class Pace:
    """Seconds per pixel on a network's grid, by model and option; shared by all pages of a process, and no more.

    It holds numbers alone, nothing of what anybody uploaded.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[tuple[str, bool], float] = {}

    def learn(self, model: str, tta: bool, work: float, seconds: float) -> None:
        """Take in that so much work took so long."""
        measured = seconds / max(work, 1.0)
        with self._lock:
            before = self._seconds.get((model, tta), measured)
            self._seconds[model, tta] = before + RECENT * (measured - before)

    def guess(self, model: str, tta: bool, work: float) -> float | None:
        """Seconds that so much work will take; None where nothing is known."""
        with self._lock:
            known = self._seconds.get((model, tta))
        return None if known is None else known * work


def work_of(scan: Scan, card: ModelCard, slices: int | None = None) -> float:
    """Pixels on the network's grid."""
    view = first_view(scan)
    count, height, width = view.shape
    try:
        target = plan_grid((height, width), view.spacing_mm[1:], card.preprocessing).target
    except InputError:
        target = (height, width)
    return float((count if slices is None else slices) * math.prod(target))
