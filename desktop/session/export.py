"""What a review hands over: the masks, two tables, and a report that is one file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.atomic import cannot_write, write_atomic, write_json, write_text
from core.batch.jobs import refuse_overlap, unique_names
from core.batch.tables import lesions_csv
from core.csv_text import csv_text
from core.errors import Cancelled, InputError, MetsegError, OutputError
from core.io import Origin, RawFile, encode_mask, read_mask, read_scan
from core.measure.dice import dice
from core.measure.lesions import lesions_in
from core.preprocess.channels import CHANNEL_NOTES, select_channels
from core.scan import Lesion, Scan, ScanSource
from core.system import RESEARCH_ONLY, VERSION
from core.views import first_view
from desktop.session.report import Page, picture_of, write_page
from desktop.session.results import PackedMask, Result, image_id, load_result, mask_hash, unpack_mask
from desktop.session.verdicts import Event

MASKS, VERDICTS, LESIONS, RECORD, REPORT = "masks", "verdicts.csv", "lesions.csv", "review.json", "report.html"
VERDICT_COLUMNS = (
    "case", "state", "reason", "note", "when", "who", "lesions", "voxels", "volume_ml", "dice", "model", "threshold",
    "mask_sha256", "image_sha256", "warnings", "problem",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer as it was asked for: where it is kept, see `load_result`, the model's inputs and the channel."""

    folder: Path
    key: str
    inputs: tuple[str, ...]
    channel: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A case as it is handed over: taken from the review at one moment, so that a thread can work on it.

    Attributes:
        label: what the report calls it; the name, or its number where names are hidden.
        series: the one that is reviewed, and the others that the files hold; (None,) where there is only one.
        event: the verdict that holds, or None.
        image: what it was given on, see `image_id`; without a verdict, what the files held when they were read last.
        mask: the mask that the verdict was given on, packed, for of all cases they are many; None where there is none.
        write: whether the mask is written, as of an accepted case.
        answer: where the answer may still be that the mask was cut from; None where its model is gone.
        warnings: codes of what the model noticed, joined by a space.
    """

    source: ScanSource
    series: tuple[str | None, ...]
    label: str
    state: str
    note: str
    event: Event | None
    image: str | None
    mask: PackedMask | None
    model: str
    threshold: float | None
    mask_sha256: str
    write: bool
    answer: Answer | None = None
    warnings: str = ""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the folder, how many cases' masks, and the cases with a problem."""

    folder: Path
    masks: int
    problems: tuple[str, ...]


def export_review(
    entries: Sequence[Entry],
    inputs: Sequence[Path],
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    record: str = "",
) -> Exported:
    """Write masks, tables and report into a new or empty folder.

    The masks lie as `metseg segment` writes them, in the form of what was read: `masks/CASE/STEM_mask.tif`, NIfTI for
    NIfTI, a DICOM SEG for DICOM. A case whose mask cannot be written so is told among the problems.

    Raises:
        UsageError: the folder lies among the scans.
        OutputError: it holds something already, or cannot be written to.
        Cancelled: somebody asked to stop.
    """
    refuse_overlap(inputs, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError("this folder holds something already; choose an empty or a new one", source=str(folder))
    except OSError as error:
        raise OutputError("this folder cannot be made; choose another", source=str(folder)) from error
    names = unique_names(entry.source.name for entry in entries)
    rows, lesion_rows, pages, problems, masks = [], [], [], [], 0
    for index, (name, entry) in enumerate(zip(names, entries, strict=True)):
        if cancelled and cancelled():
            raise Cancelled("the export was stopped; what it had written is in its folder")
        lesions: tuple[Lesion, ...] | None = None
        overlap, picture, problem = None, None, ""
        scan: Scan | None = None
        result: Result | None = None
        files: tuple[RawFile, ...] = ()
        if entry.mask is not None or entry.event is not None:
            try:
                scan, series = _judged_images(entry)
                result = load_result(entry.answer.folder, entry.answer.key) if entry.answer else None
                mask = _mask(entry, scan)
                if mask is not None:
                    probability = _probability(entry, mask, result)
                    lesions = lesions_in(mask, probability, scan, first_view(scan).plane.axes)[1]
                    overlap = _overlap(entry, series, mask)
                picture = picture_of(scan, mask)
                if entry.write and mask is not None:
                    files = encode_mask(mask, scan, origin=Origin(entry.model))
            except MetsegError as error:
                problem = error.detail
                problems.append(entry.label)
        if files:
            _write(files, folder / MASKS / name)
            masks += 1
        warnings = " ".join(dict.fromkeys(_warnings(entry, scan, result)))
        rows.append({**_row(name, entry, lesions, overlap, problem), "warnings": warnings})
        lesion_rows.append(_manifest(name, entry, lesions or ()))
        count = None if lesions is None else len(lesions)
        pages.append(
            Page(entry.label, entry.state, entry.event, entry.note, count, overlap, problem, picture, warnings)
        )
        if progress:
            progress(index + 1, len(entries))
    write_text(folder / VERDICTS, csv_text(VERDICT_COLUMNS, rows))
    write_text(folder / LESIONS, lesions_csv(lesion_rows))
    write_json(folder / RECORD, _record(rows, lesion_rows, record))
    write_page(folder / REPORT, pages)
    return Exported(folder, masks, tuple(problems))


def _record(rows: Sequence[dict[str, object]], found: Sequence[dict[str, Any]], record: str) -> dict[str, object]:
    """Verdicts and lesions for programs."""
    cases = [
        {**row, "warnings": str(row["warnings"]).split(), "found": each["result"]["lesions"]}
        for row, each in zip(rows, found, strict=True)
    ]
    about = {"metseg": VERSION, "research_use_only": RESEARCH_ONLY, "record_sha256": record}
    return {"kind": "metseg-review", **about, "cases": cases}


def _write(files: Sequence[RawFile], folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise cannot_write(error, folder) from error
    for file in files:
        write_atomic(folder / file.name, file.content)


def _judged_images(entry: Entry) -> tuple[Scan, str | None]:
    """A case's images, and their series: those that were judged, or, of what could not be read then, any.

    Raises:
        InputError: they cannot be read, or none of the series is the one that was judged.
    """
    problem = InputError("these are not the images that were judged, but other files or another series; judge anew")
    for series in entry.series:
        try:
            scan = read_scan(entry.source, series=series)
        except InputError as error:  # another one may be the judged one, and whole
            problem = error
            continue
        if not entry.image or image_id(scan, series) == entry.image:
            return scan, series
    raise problem


def _mask(entry: Entry, scan: Scan) -> NDArray[np.bool_] | None:
    """A case's mask, unpacked when its turn has come; None where there is none."""
    if entry.mask is None:
        if entry.write:
            raise InputError("the mask that was judged is not in the record any more; judge this case again")
        return None
    try:
        mask = unpack_mask(*entry.mask)
        if mask_hash(mask) != entry.mask_sha256:
            raise ValueError("another mask than the one that was judged")
    except ValueError as error:
        raise InputError("the mask that was judged is damaged in the record; judge this case again") from error
    if mask.shape != scan.shape:
        raise InputError("the mask is of another size than the images")
    return mask


def _probability(entry: Entry, mask: NDArray[np.bool_], result: Result | None) -> NDArray[np.float32] | None:
    """The kept answer, if the mask was cut from it; None where there is none any more, or another was made since."""
    if result is None or entry.threshold is None:
        return None
    cut = result.probability >= np.float32(entry.threshold)
    return result.probability if np.array_equal(cut, mask) else None


def _warnings(entry: Entry, scan: Scan | None, result: Result | None) -> Iterator[str]:
    """Codes of what the reader and the model noticed of a case, and of what its channel's present name says."""
    noticed = [*(note.code for note in (result.warnings if result else ())), *entry.warnings.split()]
    if scan is not None and entry.answer is not None:
        noticed = [code for code in noticed if code not in CHANNEL_NOTES]
        with contextlib.suppress(InputError):
            said = select_channels(scan, entry.answer.inputs, entry.answer.channel)[1]
            noticed += [note.code for note in said]
    yield from (note.code for note in (*entry.source.notes, *(scan.notes if scan else ())))
    yield from noticed


def _overlap(entry: Entry, series: str | None, mask: NDArray[np.bool_]) -> float | None:
    """Dice with the truth beside the images; None where that cannot be used."""
    if not entry.source.has_truth:
        return None
    try:
        truth = read_mask(entry.source, series=series)
    except InputError:
        return None
    return dice(mask, truth) if truth.shape == mask.shape else None


def _row(
    name: str, entry: Entry, lesions: Sequence[Lesion] | None, overlap: float | None, problem: str
) -> dict[str, object]:
    volumes = [lesion.volume_ml for lesion in lesions or ()]
    event = entry.event
    return {
        "case": name,
        "state": entry.state,
        "reason": event.reason if event else "",
        "note": entry.note,
        "when": event.at if event else "",
        "who": event.who if event else "",
        "lesions": None if lesions is None else len(lesions),
        "voxels": None if lesions is None else sum(lesion.voxels for lesion in lesions),
        "volume_ml": sum(v for v in volumes if v is not None) if volumes and None not in volumes else None,
        "dice": overlap,
        "model": entry.model,
        "threshold": entry.threshold,
        "mask_sha256": entry.mask_sha256,
        "image_sha256": entry.image or "",
        "problem": problem,
    }


def _manifest(name: str, entry: Entry, lesions: Sequence[Lesion]) -> dict[str, Any]:
    """A case in the form from which the table of lesions is made."""
    return {
        "name": name,
        "model": {"name": entry.model},
        "settings": {"threshold": entry.threshold},
        "result": {"lesions": [asdict(lesion) for lesion in lesions]},
    }
