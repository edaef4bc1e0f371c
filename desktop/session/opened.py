"""A case in memory, with everything that the picture of any of its slices needs. Made off the window's thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.batch.case import load_case
from core.batch.jobs import Job
from core.errors import InputError, SeriesChoice
from core.framing import fit_mask
from core.io import read_scan
from core.measure.dice import dice
from core.model_card import PreprocessSettings
from core.overlay import draw_overlay
from core.scan import Note, Scan, ScanSource
from core.views import View, first_view, views_of
from desktop.session.display import Range, apply_window, channel_names, model_channel, value_range
from desktop.session.looks import changed_looks
from desktop.session.results import Finding, Result, find, image_id, load_result, result_key, with_channel_notes
from desktop.session.review import Model
from desktop.session.series import check_series

THUMBNAIL_PX = 96
PICTURES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
"""Files of which each holds slices of its own, so that one of them can be looked at alone."""
KEPT_OPEN, KEPT_BYTES = 4, 400 << 20
Choice = tuple[float | None, str | None]


@dataclass(slots=True, eq=False)
class Opened:
    """A case that was read.

    Attributes:
        scan: its images.
        image: what verdicts are bound to, see `image_id`.
        views: the directions in which it is shown, see `views_of`; everything else here lies as stored.
        truth: (S, H, W) bool, or None.
        look: what its files looked like.
        notes: what the reader noticed.
        channel: the one that is shown first: the model's.
        channels: their names.
        settings: how the model prepares slices.
        ranges: of each channel that was asked for; see `range_of`.
        choices: the series that its files hold, where one of several was chosen.
        result: the model's answer, None as long as there is none.
        finding: that at the case's threshold.
        overlap: Dice of the finding with the truth, where both are there.
    """

    scan: Scan
    image: str
    views: tuple[View, ...]
    truth: NDArray[np.bool_] | None
    look: str
    notes: tuple[Note, ...]
    channel: int
    channels: tuple[str, ...]
    settings: PreprocessSettings
    ranges: dict[int, Range]
    choices: tuple[SeriesChoice, ...] = ()
    result: Result | None = None
    finding: Finding | None = None
    overlap: float | None = None

    @property
    def view(self) -> View:
        """The first one."""
        return self.views[0]

    @property
    def nbytes(self) -> int:
        """Memory that it holds, more or less."""
        arrays: list[NDArray[Any] | None] = [self.scan.voxels, self.truth]
        arrays.append(self.finding.mask if self.finding else None)
        arrays.append(self.result.probability if self.result else None)
        return sum(array.nbytes for array in arrays if array is not None)

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
    source: ScanSource,
    model: Model | None,
    choice: Callable[[str, str], Choice],
    precision: str,
    results: Path,
    series: str | None = None,
    choices: Sequence[SeriesChoice] = (),
    look: str = "",
) -> Opened:
    """Read a case, and the model's answer to it where that is kept.

    Args:
        source: the case.
        model: None where there is none.
        choice: the reviewer's own threshold and channel for a case's name and image.
        precision: as for `metseg segment`.
        results: the folder in which answers are kept.
        series: which one, where there are several.
        choices: the series among which that was chosen.
        look: what the files looked like when these series were in them; they are looked for again where it is another.

    Raises:
        AmbiguousSeries: it holds several series, and none, or one that is not there any more, was chosen.
        InputError: it cannot be read.
    """
    if series is not None and changed_looks((source,), {source.name: look}):
        choices = check_series(source, series, choices)
    loaded = load_case(Job(source.name, source), series)
    scan, image = loaded.scan, image_id(loaded.scan, series)
    threshold, channel = choice(source.name, image)
    settings = model.card.preprocessing if model else PreprocessSettings()
    shown = model_channel(scan, settings.channels, channel)
    notes = tuple(dict.fromkeys((*source.notes, *scan.notes, *loaded.notes)))
    names, views = channel_names(scan), views_of(scan)
    opened = Opened(scan, image, views, loaded.truth, loaded.look, notes, shown, names, settings, {}, tuple(choices))
    opened.range_of(shown)
    if model and (result := kept_result(source, opened, model, channel, precision, results)):
        opened.take(result, model.card.threshold if threshold is None else threshold)
    return opened


def make_room(in_memory: OrderedDict[str, Opened], shown: Opened | None) -> None:
    """Forget the cases that were looked at longest ago, down to `KEPT_OPEN` of them and `KEPT_BYTES`.

    The newest stays, and so does the shown one: it is in use, so that to forget it would free nothing, and its mask
    would find it no more.
    """
    for name in list(in_memory)[:-1]:
        if len(in_memory) <= KEPT_OPEN and sum(each.nbytes for each in in_memory.values()) <= KEPT_BYTES:
            return
        if in_memory[name] is not shown:
            del in_memory[name]


def kept_result(
    source: ScanSource, opened: Opened, model: Model, channel: str | None, precision: str, results: Path
) -> Result | None:
    """The model's answer to a case, where it is kept and fits."""
    result = load_result(results, result_key(opened.image, model.card, channel, precision, source.notes))
    if result is None or result.probability.shape != opened.scan.shape:
        return None
    try:
        return with_channel_notes(result, opened.scan, model.card.preprocessing.channels, channel)
    except InputError:
        return None  # it is asked for anew, and the reason told then


def thumbnail(
    source: ScanSource, index: int | None, mask: NDArray[np.bool_] | None, series: str | None = None
) -> NDArray[np.uint8]:
    """A slice of a case's first view as a small picture (h, w, 3), with its part of the mask.

    Where each slice is a picture of its own, only that one is read.

    Args:
        source: the case.
        index: which slice; None is the middle one.
        mask: (S, H, W) as stored, or None.
        series: which one, where there are several.

    Raises:
        InputError: it cannot be read.
    """
    import cv2

    paths = source.paths
    wanted = len(paths) // 2 if index is None else index
    alone = len(paths) > 1 and wanted < len(paths) and (mask is None or len(mask) == len(paths))
    if alone and paths[wanted].suffix.lower() in PICTURES:
        scan = read_scan(ScanSource(source.name, (paths[wanted],)))
        mask = None if mask is None else mask[wanted : wanted + 1]
        place = 0
    else:
        scan = read_scan(source, series=series)
        slices = first_view(scan).shape[0]
        place = slices // 2 if index is None else min(index, slices - 1)
    view = first_view(scan)
    volume = scan.voxels[:, model_channel(scan, ("flair",), None)]
    image = apply_window(view.cut(volume, place), value_range(volume).preset(0))
    height, width = image.shape[0] * view.aspect, image.shape[1]
    scale = THUMBNAIL_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if mask is None or mask.shape != scan.shape:
        return draw_overlay(small, np.zeros(small.shape, np.bool_))
    return draw_overlay(small, fit_mask(view.cut(mask, place), size), opacity=0.5, outline=False)
