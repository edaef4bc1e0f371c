"""How a segmentation was made, as JSON-ready values without a name or path in them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from core.system import VERSION

SCHEMA = 1


class Stopwatch:
    """Seconds per stage, added up over the times a stage was entered."""

    def __init__(self, *stages: str) -> None:
        self._seconds = dict.fromkeys(stages, 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Book the time inside the block on `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.book(name, time.perf_counter() - start)

    def book(self, name: str, seconds: float) -> None:
        """Add time that was measured elsewhere."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def add(self, other: Stopwatch, share: float) -> None:
        """Add a part of what another one measured."""
        for name, seconds in other._seconds.items():
            self.book(name, seconds * share)

    def seconds(self) -> dict[str, float]:
        """To the tenth of a millisecond, in the order in which the stages were named."""
        return {name: round(value, 4) for name, value in self._seconds.items()}


def versions() -> dict[str, str]:
    """Of what computes: metseg and the libraries whose numbers end up in a mask."""
    import cv2
    import numpy as np
    import torch

    return {"metseg": VERSION, "torch": torch.__version__, "opencv": cv2.__version__, "numpy": np.__version__}


def jsonable(value: Any) -> Any:
    """Tuples as lists and NumPy's numbers as Python's, at any depth."""
    if isinstance(value, dict):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    return value.item() if hasattr(value, "item") else value
