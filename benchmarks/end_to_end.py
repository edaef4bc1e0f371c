"""From a path to masks on disk, on a synthetic head."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rows import Row, not_measured
from benchmarks.subjects import SIDE, Subject, missing_device
from benchmarks.timing import Effort, measure
from core.inference.predictor import Predictor
from core.io import find_scans, read_scan, write_mask
from core.model_card import ModelCard, NetworkSettings, PreprocessSettings, WeightsFile
from core.model_store import find_model, save_model
from core.phantom import write_phantom_case


@dataclass(frozen=True, slots=True, eq=False)
class PathToMask:
    """A predictor, a case on disk and a place for its masks."""

    predictor: Predictor
    case: Path
    out: Path

    def run(self) -> dict[str, float]:
        """Find, read, segment, write; seconds of each stage of the segmentation."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        (source,) = find_scans(self.case)
        scan = read_scan(source)
        segmentation = self.predictor.segment(scan)
        write_mask(segmentation.mask, scan, self.out)
        seconds: dict[str, float] = segmentation.manifest["seconds"]
        return seconds


@contextmanager
def path_to_mask(
    subject: Subject, device: str, precision: str = "auto", *, slices: int, side: int = SIDE
) -> Iterator[PathToMask]:
    """Make a case, and a model folder where the subject is no shipped model; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="metseg-bench-") as name:
        folder = Path(name)
        case = write_phantom_case(0, folder / "cases", slices, side)
        predictor = Predictor(_model_folder(subject, folder / "model"), device, precision)
        yield PathToMask(predictor, case, folder / "masks")


def end_to_end_row(
    subject: Subject, device: str, effort: Effort, *, precision: str = "auto", slices: int = 8, side: int = SIDE
) -> Row:
    """Time per slice from path to mask, and the stages in which it went."""
    if why := missing_device(device):
        return not_measured("end to end", subject.name, device, why)
    with path_to_mask(subject, device, precision, slices=slices, side=side) as work:
        timing = measure(work.run, device, effort).per(slices)
        stages = ", ".join(f"{name} {seconds / slices * 1000:.1f}" for name, seconds in work.run().items())
        chosen = work.predictor.precision
    note = f"{slices} slices from TIFF to TIFF; ms per slice in {stages}"
    return Row("end to end", subject.name, device, chosen, size=(side, side), timing=timing, note=note)


def _model_folder(subject: Subject, folder: Path) -> Path:
    if subject.model is not None:
        return find_model(subject.model)
    card = ModelCard(
        name="fresh",
        version="0",
        summary="fresh weights, for timing only",
        network=NetworkSettings(subject.network, 1, subject.filters),
        preprocessing=PreprocessSettings(),
        weights=WeightsFile("", ""),
    )
    save_model(folder, card, subject.build())
    return folder
