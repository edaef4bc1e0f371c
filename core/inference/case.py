"""A scan on its way through the network, slice by slice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.inference.manifest import Stopwatch
from core.inference.tiling import Tile
from core.preprocess.prepare import Prepared
from core.scan import Scan
from core.unfamiliar.reference import Verdict


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked of one segmentation; see `Predictor.segment`."""

    threshold: float
    tta: bool
    min_lesion: int
    channel: int | str | None


@dataclass(slots=True, eq=False)
class Case:
    """A scan that a predictor has begun.

    Attributes:
        scan: what was read.
        prepared: the slices of its plane on the network's grid, before CLAHE.
        tiles: how each slice is cut into windows.
        settings: what was asked.
        verdict: how familiar its slices look to the model; None where that cannot be said.
        done: slices that have their answer.
        probability: (slices, height, width) float32 on the scan's grid, filled for the first `done` slices of the
            plane; None before the first. Neighbouring slices and the temperature are in it once all are there.
        watch: seconds spent on it.
        fallbacks: how often something had to be done otherwise in a batch that it was part of.
    """

    scan: Scan
    prepared: Prepared
    tiles: tuple[Tile, ...]
    settings: Settings
    verdict: Verdict | None = None
    done: int = 0
    probability: NDArray[np.float32] | None = None
    watch: Stopwatch = field(default_factory=lambda: Stopwatch("prepare", "clahe", "network", "restore"))
    fallbacks: Counter[str] = field(default_factory=Counter)

    @property
    def slices(self) -> int:
        """How many it has."""
        return len(self.prepared.images)

    @property
    def complete(self) -> bool:
        """Whether every slice has its answer."""
        return self.done == self.slices

    @property
    def group(self) -> tuple[tuple[int, ...], bool]:
        """What slices must have in common to be computed in one batch: their shape, and whether mirrored too."""
        return self.prepared.images.shape[1:], self.settings.tta

    @property
    def levels(self) -> NDArray[np.float32]:
        """(C, 2): of each channel the grey level that the network sees as 0, and how many make 1."""
        return np.array([(found.centre, found.spread) for found in self.prepared.ranges], np.float32)

    def take(self, most: int) -> NDArray[np.uint8]:
        """(n, C, h, w): up to `most` of the slices that have no answer yet."""
        return self.prepared.images[self.done : self.done + most]

    def put(self, answer: NDArray[np.float32]) -> None:
        """Keep the (n, H, W) answer to the next n slices of the plane."""
        if self.probability is None:
            self.probability = np.empty(self.scan.shape, np.float32)
        # A view, so that what is written into the plane's slices lies at once where the scan has them.
        self.prepared.plane.to_plane(self.probability)[self.done : self.done + len(answer)] = answer
        self.done += len(answer)
