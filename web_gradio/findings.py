"""From uploaded files to what was found in them; another threshold afterwards costs no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.batch.jobs import unique_names
from core.errors import MetsegError, TooLarge, UsageError
from core.inference.case import Case
from core.inference.predictor import Predictor
from core.io import read_scan
from core.measure.lesions import number_lesions
from core.preprocess.channels import select_channels
from core.preprocess.intensity import to_uint8
from core.scan import Scan, Segmentation
from web_gradio.settings import Settings

OTHERS = 9
"""Stands for all lesions beyond the largest ones, which have a colour each."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a visitor asks for; see `Predictor.segment`."""

    threshold: float | None = None
    tta: bool = False
    min_lesion: int = 0
    channel: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """A file that was segmented.

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
    """A file that could not be segmented, and why, in a sentence without names."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Step:
    """How far it is: in which of the files, counted from 1, and how many of that file's slices are done."""

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
    path: Path, name: str, predictor: Predictor, wanted: Wanted, settings: Settings, file: int = 1, files: int = 1
) -> Iterator[Step | Finding]:
    """Segment one file, step by step, so that whoever asked can leave in between; the last step is what was found.

    Raises:
        MetsegError: as `read_scan` and `Predictor.segment` say.
    """
    yield Step(file, files, 0, 0)
    scan = read_scan(path, settings.read_limits)
    channel: int | str | None = (wanted.channel or "").strip() or None
    if isinstance(channel, str) and channel.isascii() and channel.isdigit():
        channel = int(channel)
    case = predictor.begin(scan, wanted.threshold, tta=wanted.tta, min_lesion=wanted.min_lesion, channel=channel)
    while not case.complete:
        yield Step(file, files, case.done, case.slices)
        predictor.advance([case])
    card = predictor.card.preprocessing
    voxels, _ = select_channels(scan, card.channels, channel)
    images, _, _ = to_uint8(voxels[:, :1], card.percentiles)
    result = predictor.finish(case)
    yield Finding(name, predictor, case, images[:, 0], result, number_colours(result.mask, scan.contiguous))


def find_in_files(
    paths: Sequence[Path], predictor: Predictor, wanted: Wanted, settings: Settings
) -> Iterator[Step | Outcome]:
    """Segment files one after another; one that fails costs the others nothing.

    Raises:
        UsageError: none, or too many.
    """
    if not paths:
        raise UsageError("there is no file; add one or more first")
    if len(paths) > settings.files:
        raise UsageError(f"{len(paths)} files are more than the {settings.files} taken in one go; send them in parts")
    names, held = unique_names(path.stem for path in paths), 0
    for number, (path, name) in enumerate(zip(paths, names, strict=True), 1):
        try:
            for step in find_in_file(path, name, predictor, wanted, settings, number, len(paths)):
                if isinstance(step, Finding):
                    held += step.bytes
                    if held > settings.memory_bytes // 2 and number > 1:
                        raise TooLarge("all files together are too much for one go; send this one by itself")
                yield step
        except Exception as error:
            report_unforeseen(error)
            yield Failure(name, sentence_of(error))


def report_unforeseen(error: Exception) -> None:
    """Tell the log of a fault of ours; what people meet by themselves doesn't belong there."""
    if not isinstance(error, MetsegError | MemoryError):
        import logging

        logging.getLogger("metseg.gradio").error("something unforeseen went wrong", exc_info=error)


def number_colours(mask: NDArray[np.bool_], contiguous: bool) -> NDArray[np.uint8]:
    """Each voxel's lesion by its label, `OTHERS` for all further ones, 0 for none."""
    return np.minimum(number_lesions(mask, contiguous), OTHERS).astype(np.uint8)
