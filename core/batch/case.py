"""One case: from its files to its results folder, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.atomic import cannot_write, write_atomic, write_json
from core.batch.jobs import Job
from core.batch.request import Request
from core.batch.results import CASE_KIND, MANIFEST, hash_files
from core.batch.resume import check_replaceable, hash_truth, look_of
from core.errors import BrokenFile, InputError, OutputError
from core.io import Origin, check_form, encode_png, masks_of_ours, read_mask, read_scan, write_mask, write_probability
from core.measure.dice import EMPTY_RULE, dice
from core.measure.totals import sum_up
from core.scan import Note, Scan, Segmentation
from core.system import RESEARCH_ONLY, VERSION

if TYPE_CHECKING:
    from core.inference.predictor import Predictor


NO_DICE = "no Dice, for the masks beside the images cannot be used"


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A case in memory.

    Attributes:
        job: the case.
        scan: its images.
        truth: (slices, height, width) bool, or None.
        look: its files before they were read, see `look_of`.
        truth_sha256: over the masks, or None.
        notes: what was noticed beyond the scan's own notes.
        seconds: reading took.
    """

    job: Job
    scan: Scan
    truth: NDArray[np.bool_] | None
    look: str
    truth_sha256: str | None
    notes: tuple[Note, ...]
    seconds: float


def load_case(job: Job, series: str | None = None) -> Loaded:
    """Read a case's images, and its truth where every image has one.

    Truth that cannot be used costs the Dice, not the case. Where the files hold several series, `series` says which.

    Raises:
        InputError: the images cannot be read.
    """
    begun = time.perf_counter()
    try:
        look = look_of(job.source)
    except OSError as error:
        raise BrokenFile("a file of this case cannot be read any more; check the disk", source=job.name) from error
    scan = read_scan(job.source, series=series)
    truth, truth_sha256 = None, None
    notes: list[Note] = []
    if job.source.has_truth:
        try:
            truth, truth_sha256 = read_mask(job.source, series=series), hash_truth(job.source)
            if own := masks_of_ours(job.source):
                notes.append(Note("own-masks", f"metseg wrote {own} of these masks, so a Dice with them says little"))
            if truth.shape != scan.shape:
                truth = None
                notes.append(Note("truth-unusable", f"{NO_DICE}: their size differs"))
        except (InputError, OSError) as error:
            reason = error.detail if isinstance(error, InputError) else "they cannot be read"
            notes.append(Note("truth-unusable", f"{NO_DICE}: {reason}"))
    return Loaded(job, scan, truth, look, truth_sha256, tuple(notes), time.perf_counter() - begun)


def segment_case(
    loaded: Loaded,
    predictor: Predictor,
    request: Request,
    out: Path,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Segment a case and write its results folder.

    Returns:
        the manifest, as it stands in the folder.

    Raises:
        Cancelled: somebody asked to stop; nothing is left behind.
        OutputError: the folder cannot be written.
        MetsegError: as `Predictor.segment` says.
    """
    check_form(loaded.scan, request.form)
    found = predictor.segment(
        loaded.scan,
        request.threshold,
        tta=request.tta,
        min_lesion=request.min_lesion,
        channel=request.channel,
        grid=request.grid,
        progress=progress,
        cancelled=cancelled,
    )
    return _publish(loaded, found, request, out, overwrite)


def _publish(loaded: Loaded, found: Segmentation, request: Request, out: Path, overwrite: bool) -> dict[str, Any]:
    """Write everything into a folder beside, its manifest last, then give that folder the case's name."""
    name = loaded.job.name
    final, part, old = out / name, out / f".{name}.part", out / f".{name}.old"
    try:
        for stale in (part, old):
            if stale.exists():
                shutil.rmtree(stale)
        part.mkdir(parents=True)
        begun = time.perf_counter()
        paths = (*_write_results(loaded, found, request, part), _write_overlay(loaded, found, request, part))
        written = time.perf_counter() - begun
        files = [{"name": path.name, "sha256": hash_files([path])} for path in paths]
        manifest = _manifest(loaded, found, request, files, written)
        write_json(part / MANIFEST, manifest)
        if overwrite and final.exists():
            check_replaceable(loaded.job, out)  # somebody may have put a file of theirs there since
            final.rename(old)
        part.rename(final)
    except OSError as error:
        raise cannot_write(error, final) from error
    except OutputError as error:
        raise OutputError(error.detail, source=name) from error
    finally:
        with contextlib.suppress(OSError):
            if old.exists() and not final.exists():  # interrupted between the two names
                old.rename(final)
        for stale in (part, old):
            with contextlib.suppress(OSError):
                shutil.rmtree(stale)
    return manifest


def _write_results(loaded: Loaded, found: Segmentation, request: Request, folder: Path) -> tuple[Path, ...]:
    card = request.card
    origin = Origin(card.name, card.version, found.manifest, request.deidentify)
    paths = write_mask(found.mask, loaded.scan, folder, request.form, origin)
    if request.probability:
        paths += write_probability(found.probability, loaded.scan, folder, request.form, origin)
    return paths


def _write_overlay(loaded: Loaded, found: Segmentation, request: Request, folder: Path) -> Path:
    from core.batch.sheet import scan_sheet
    from core.preprocess.channels import select_channels
    from core.preprocess.intensity import IntensityRange

    scan = loaded.scan
    voxels, _ = select_channels(scan, request.card.preprocessing.channels, request.channel)
    intensity = IntensityRange(**found.manifest["intensity"][0])
    sheet = scan_sheet(scan, voxels[:, 0], intensity, found.mask, loaded.truth)
    path = folder / f"{loaded.job.name}_overlay.png"
    write_atomic(path, encode_png(sheet))
    return path


def _manifest(
    loaded: Loaded, found: Segmentation, request: Request, files: list[dict[str, str]], write_seconds: float
) -> dict[str, Any]:
    stages = {"read": loaded.seconds, **_stages(found.manifest), "write": write_seconds}
    source, scan = loaded.job.source, loaded.scan
    slices = scan.shape[0]
    return {
        "kind": CASE_KIND,
        "metseg": VERSION,
        "research_use_only": RESEARCH_ONLY,
        "name": loaded.job.name,
        "input": {
            # A reader may sort a case's files; the hash that tells inputs apart keeps the order they were found in.
            "sha256": scan.sha256 if scan.paths == source.paths else hash_files(source.paths),
            "truth_sha256": loaded.truth_sha256,
            "look": loaded.look,
            "files": len(source.paths),
        },
        "model": request.model(),
        "settings": request.settings(),
        "result": _result(loaded, found),
        "seconds": {stage: round(seconds, 4) for stage, seconds in stages.items()},
        "milliseconds_per_slice": {stage: round(1000 * seconds / slices, 2) for stage, seconds in stages.items()},
        "prediction": dict(found.manifest),
        "files": files,
    }


def _stages(manifest: Mapping[str, Any]) -> dict[str, float]:
    """The predictor's seconds per stage, without a total that would count them twice."""
    seconds = manifest.get("seconds", {})
    return {str(stage): float(value) for stage, value in seconds.items() if stage != "total"}


def _result(loaded: Loaded, found: Segmentation) -> dict[str, Any]:
    """What the tables say of a case. Millimetres only where the scan knows them."""
    scan = loaded.scan
    slices, height, width = scan.shape
    return {
        "slices": slices,
        "height": height,
        "width": width,
        **asdict(sum_up(found.mask, scan)),
        "dice": None if loaded.truth is None else dice(found.mask, loaded.truth),
        "dice_rule": None if loaded.truth is None else EMPTY_RULE,
        "lesions": [asdict(lesion) for lesion in found.lesions],
        "warnings": [asdict(note) for note in _without_repeats(found.warnings, scan.notes, loaded)],
    }


def _without_repeats(warnings: tuple[Note, ...], read: tuple[Note, ...], loaded: Loaded) -> list[Note]:
    return list(dict.fromkeys((*loaded.job.source.notes, *read, *warnings, *loaded.notes)))
