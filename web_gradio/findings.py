"""From uploaded files to what was found in them; another threshold afterwards costs no network."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.batch.jobs import unique_names
from core.errors import AmbiguousSeries, MetsegError, SeriesChoice, TooLarge, UsageError, kind_and_place
from core.inference.case import Case
from core.inference.predictor import Predictor
from core.io import check_form, read_scan
from core.measure.lesions import number_lesions
from core.preprocess.channels import select_channels
from core.preprocess.intensity import to_uint8_by
from core.scan import Scan, ScanSource, Segmentation
from core.views import View, first_view
from web_gradio.settings import Settings
from web_gradio.sources import sources_of
from web_gradio.wanted import Wanted

OTHERS = 9
"""Stands for all lesions beyond the largest ones, which have a colour each."""
LEFT_OUT = "by its name it is a mask or a result and no scan, so it was left out; rename it, or send it by itself"


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """A case that was segmented.

    Attributes:
        name: the case's, unique within one go.
        predictor: with which model.
        case: what the network said of it.
        images: (slices, height, width) uint8, to draw on.
        result: what that means at the chosen threshold.
        numbers: (slices, height, width) uint8: each voxel's lesion by its label, `OTHERS` for all further ones.
    """

    name: str
    predictor: Predictor
    case: Case
    images: NDArray[np.uint8]
    result: Segmentation
    numbers: NDArray[np.uint8]

    @property
    def scan(self) -> Scan:
        """What was read."""
        return self.case.scan

    @property
    def view(self) -> View:
        """How its slices are looked at: as the model sees them."""
        return first_view(self.scan)

    @property
    def bytes(self) -> int:
        """The memory that its arrays take."""
        arrays = (self.scan.voxels, self.case.prepared.images, self.images, self.result.probability)
        return 2 * self.result.mask.nbytes + sum(array.nbytes for array in arrays)

    def at(self, threshold: float, min_lesion: int) -> Finding:
        """The same with another threshold, as if it had been asked for at first.

        Raises:
            UsageError: threshold or min_lesion make no sense.
        """
        if not 0 <= threshold <= 1:
            raise UsageError("the threshold must lie in 0 to 1")
        if min_lesion < 0:
            raise UsageError("the minimum lesion must not be negative")
        case = replace(self.case, settings=replace(self.case.settings, threshold=threshold, min_lesion=min_lesion))
        result = self.predictor.finish(case)
        return replace(self, case=case, result=result, numbers=number_colours(result.mask, self.scan.contiguous))


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that could not be segmented, and why, in a sentence without names; and what there is to choose from."""

    name: str
    sentence: str
    choices: tuple[SeriesChoice, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """How far it is: in which of the cases, counted from 1, and how many of its slices are done."""

    file: int
    files: int
    done: int
    slices: int


Outcome = Finding | Failure


def sentence_of(error: Exception) -> str:
    """What a visitor is told: never a path, a name or a traceback."""
    if isinstance(error, MetsegError):
        return error.detail
    if isinstance(error, MemoryError):
        return "there is not enough memory for it; make it smaller or try again later"
    return "something unforeseen went wrong with it; whoever runs this page finds more in the log"


def find_in_file(
    source: ScanSource,
    name: str,
    predictor: Predictor,
    wanted: Wanted,
    settings: Settings,
    file: int = 1,
    files: int = 1,
) -> Iterator[Step | Finding]:
    """Segment one case, step by step, so that whoever asked can leave in between; the last step is what was found.

    Raises:
        MetsegError: as `read_scan` and `Predictor.segment` say.
    """
    yield Step(file, files, 0, 0)
    scan = _read(source, wanted.series, settings)
    case = predictor.begin(scan, wanted.threshold, tta=wanted.tta, min_lesion=wanted.min_lesion, channel=wanted.channel)
    while not case.complete:
        yield Step(file, files, case.done, case.slices)
        predictor.advance([case])
    card = predictor.card.preprocessing
    voxels, _ = select_channels(scan, card.channels, wanted.channel)
    images = np.stack([to_uint8_by(image, case.prepared.ranges[0]) for image in voxels[:, 0]])
    result = predictor.finish(case)
    yield Finding(name, predictor, case, images, result, number_colours(result.mask, scan.contiguous))


def _read(source: ScanSource, series: str | None, settings: Settings) -> Scan:
    """A case; the visitor's choice of a series counts where there is one to choose."""
    try:
        scan = read_scan(source, settings.read_limits)
    except AmbiguousSeries as error:
        if series not in {choice.key for choice in error.choices}:
            raise
        scan = read_scan(source, settings.read_limits, series)
    check_form(scan, "auto")  # now, for a mask that cannot be written would keep all others from being taken home
    return scan


def find_in_files(
    paths: Sequence[Path], predictor: Predictor, wanted: Wanted, settings: Settings
) -> Iterator[Step | Outcome]:
    """Segment files one case after another; one that fails costs the others nothing. What was left out is told last.

    Raises:
        UsageError: none, or too many.
    """
    if not paths:
        raise UsageError("there is no file; add one or more first")
    sorted_out = sources_of(paths, settings)
    sources, held = sorted_out.cases, 0
    if len(sources) > settings.files:
        raise UsageError(f"{len(sources)} cases are more than the {settings.files} taken in one go; send them in parts")
    names = unique_names((*(source.name for source in sources), *sorted_out.left_out))
    for number, (source, name) in enumerate(zip(sources, names, strict=False), 1):
        try:
            for step in find_in_file(source, name, predictor, wanted, settings, number, len(sources)):
                if isinstance(step, Finding):
                    held += step.bytes
                    if held > settings.memory_bytes // 2 and number > 1:
                        raise TooLarge("all files together are too much for one go; send this one by itself")
                yield step
        except Exception as error:
            report_unforeseen(error)
            yield Failure(name, sentence_of(error), error.choices if isinstance(error, AmbiguousSeries) else ())
    yield from (Failure(name, LEFT_OUT) for name in names[len(sources) :])


def report_unforeseen(error: Exception) -> None:
    """Tell the log of a fault of ours; what people meet by themselves doesn't belong there."""
    if not isinstance(error, MetsegError | MemoryError):
        logging.getLogger("metseg.gradio").error("something unforeseen went wrong: %s", kind_and_place(error))


def number_colours(mask: NDArray[np.bool_], contiguous: bool) -> NDArray[np.uint8]:
    """Each voxel's lesion by its label, `OTHERS` for all further ones, 0 for none."""
    return np.minimum(number_lesions(mask, contiguous), OTHERS).astype(np.uint8)
