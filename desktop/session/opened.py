"""A case in memory, with everything that the picture of any of its slices needs. Made off the window's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.batch.case import load_case
from core.batch.jobs import Job
from core.io import read_scan
from core.measure.dice import dice
from core.overlay import draw_overlay
from core.scan import Note, Scan, ScanSource
from desktop.session.display import Range, apply_window, channel_names, model_channel, value_range
from desktop.session.results import Finding, Result, find, load_result, result_key
from desktop.session.review import Model

THUMBNAIL_PX = 96
Choice = tuple[float | None, str | None]


@dataclass(slots=True, eq=False)
class Opened:
    """A case that was read.

    Attributes:
        scan: its images.
        truth: (S, H, W) bool, or None.
        look: what its files looked like.
        notes: what the reader noticed.
        channel: the one that is shown first: the model's.
        channels: their names.
        ranges: of each channel that was asked for; see `range_of`.
        result: the model's answer, None as long as there is none.
        finding: that at the case's threshold.
        overlap: Dice of the finding with the truth, where both are there.
    """

    scan: Scan
    truth: NDArray[np.bool_] | None
    look: str
    notes: tuple[Note, ...]
    channel: int
    channels: tuple[str, ...]
    ranges: dict[int, Range]
    result: Result | None = None
    finding: Finding | None = None
    overlap: float | None = None

    def volume(self, channel: int) -> NDArray[Any]:
        """(S, H, W) of a channel, as stored."""
        volume: NDArray[Any] = self.scan.voxels[:, channel]
        return volume

    def range_of(self, channel: int) -> Range:
        """What a channel's values span."""
        if channel not in self.ranges:
            self.ranges[channel] = value_range(self.volume(channel))
        return self.ranges[channel]

    def take(self, result: Result, threshold: float) -> None:
        """Take a model's answer, and cut it at a threshold."""
        self.result = result
        self.finding = find(result, threshold, self.scan)
        self.overlap = None if self.truth is None else dice(self.finding.mask, self.truth)

    def drop(self) -> None:
        """Forget the model's answer."""
        self.result = self.finding = self.overlap = None


def open_case(
    source: ScanSource, model: Model | None, choice: Callable[[str], Choice], precision: str, results: Path
) -> Opened:
    """Read a case, and the model's answer to it where that is kept.

    Raises:
        InputError: it cannot be read.
    """
    loaded = load_case(Job(source.name, source))
    scan = loaded.scan
    threshold, channel = choice(scan.sha256)
    inputs = model.card.preprocessing.channels if model else ("flair",)
    shown = model_channel(scan, inputs, channel)
    notes = tuple(dict.fromkeys((*source.notes, *scan.notes, *loaded.notes)))
    opened = Opened(scan, loaded.truth, loaded.look, notes, shown, channel_names(scan), {})
    opened.range_of(shown)
    if model and (result := kept_result(scan, model, channel, precision, results)):
        opened.take(result, model.card.threshold if threshold is None else threshold)
    return opened


def kept_result(scan: Scan, model: Model, channel: str | None, precision: str, results: Path) -> Result | None:
    """The model's answer to a scan, where it is kept and fits."""
    result = load_result(results, result_key(scan.sha256, model.card, channel, precision))
    return result if result and result.probability.shape == scan.shape else None


def thumbnail(source: ScanSource, index: int | None, mask: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """A slice of a case as a small picture (h, w, 3), with its part of the mask; `index` None is the middle one.

    Where each slice has a file of its own, only that one is read.

    Raises:
        InputError: it cannot be read.
    """
    import cv2

    paths = source.paths
    wanted = len(paths) // 2 if index is None else index
    if len(paths) > 1 and wanted < len(paths) and (mask is None or len(mask) == len(paths)):
        scan, place = read_scan(ScanSource(source.name, (paths[wanted],))), 0
    else:
        scan = read_scan(source)
        place = scan.shape[0] // 2 if index is None else min(index, scan.shape[0] - 1)
    volume = scan.voxels[:, model_channel(scan, ("flair",), None)]
    image = apply_window(volume[place], value_range(volume).preset(0))
    height, width = image.shape
    scale = THUMBNAIL_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if mask is None or mask.shape[1:] != image.shape:
        return draw_overlay(small, np.zeros(small.shape, np.bool_))
    part = cv2.resize(mask[wanted if wanted < len(mask) else 0].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return draw_overlay(small, np.asarray(part > 0.3, np.bool_), opacity=0.5, outline=False)
