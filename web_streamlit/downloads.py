"""What can be taken away: masks as `metseg segment` writes them, overlay, JSON, tables, and all of it as a zip."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.batch.sheet import scan_sheet
from core.batch.tables import lesions_csv
from core.csv_text import csv_text
from core.errors import OutputError
from core.io import Origin, encode_mask, encode_png
from core.measure.dice import EMPTY_RULE, dice
from core.preprocess.channels import select_channels
from core.scan import Note
from core.system import RESEARCH_ONLY, VERSION
from core.unfamiliar.judge import UNFAMILIAR
from web_streamlit.cases import Case
from web_streamlit.findings import Finding, Images, totals
from web_streamlit.runs import Found

Mask = NDArray[np.bool_]
TOLD = {
    UNFAMILIAR: "By its look this is not what the model learnt from; do not rely on what it finds.",
}
"""What only the server notices, in words."""
BATCH_COLUMNS = (
    "case", "model", "slices", "lesions", "voxels", "area_mm2", "volume_ml", "dice", "agreement", "threshold",
    "seconds", "problem", "warnings",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A case as a model sees it at a threshold, with everything there is to say about it.

    Attributes:
        truth: ground truth, or None.
        other: the other model's name and mask where two were asked, else None.
        min_lesion: in voxels; smaller lesions were dropped.
    """

    case: Case
    found: Found
    finding: Finding
    images: Images
    truth: Mask | None
    other: tuple[str, Mask] | None
    min_lesion: int

    @property
    def name(self) -> str:
        """The case's name, fit for a file."""
        name = self.case.scan.name
        return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[:80] or "scan"

    @property
    def warnings(self) -> tuple[Note, ...]:
        """What to know before trusting it; of what only the server noticed there is the code."""
        notes = self.images.notes
        known = {note.code for note in notes}
        others = (
            Note(code, TOLD.get(code, f"The server notes: {code}."))
            for code in self.found.answer.warnings
            if code not in known
        )
        return (*notes, *others)

    @property
    def dice(self) -> float | None:
        """Against ground truth."""
        return None if self.truth is None else dice(self.finding.mask, self.truth)

    @property
    def agreement(self) -> float | None:
        """Dice between the two models."""
        return None if self.other is None else dice(self.finding.mask, self.other[1])


def mask_files(result: Result) -> dict[str, bytes]:
    """The mask as files, named and encoded as the command does it: one for each file of the case.

    Raises:
        OutputError: it cannot be written as files.
    """
    card = result.found.task.card
    origin = Origin(card.name, card.version)
    return {file.name: file.content for file in encode_mask(result.finding.mask, result.case.scan, origin=origin)}


def no_mask(error: OutputError) -> str:
    """Why there is no mask to take away, for a person."""
    return f"There is no mask to take away: {error.detail}."


def zip_masks(masks: Mapping[str, bytes]) -> bytes:
    """Nothing but the masks, side by side."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # they are compressed already
        for name, content in masks.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def overlay_file(result: Result) -> bytes:
    """A PNG of the slices with findings."""
    prepared, scan = result.images.prepared, result.case.scan
    voxels, _ = select_channels(scan, result.found.task.card.preprocessing.channels, result.found.task.options.channel)
    return encode_png(scan_sheet(scan, voxels[:, 0], prepared.ranges[0], result.finding.mask, result.truth))


def record(result: Result) -> dict[str, Any]:
    """A result as JSON-ready values."""
    scan, card, options = result.case.scan, result.found.task.card, result.found.task.options
    return {
        "kind": "metseg-web-result",
        "metseg": VERSION,
        "research_use_only": RESEARCH_ONLY,
        "name": scan.name,
        "input": {"sha256": scan.sha256, "shape": scan.voxels.shape, "spacing_mm": scan.spacing_mm},
        "model": {
            "name": card.name,
            "version": card.version,
            "weights_sha256": card.weights.sha256,
            "network": card.network.name,
            "neighbours": card.neighbours,
            "temperature": card.temperature,
        },
        "settings": {
            "threshold": result.finding.threshold,
            "min_lesion": result.min_lesion,
            "tta": options.tta,
            "channel": options.channel,
            "clip_limit": card.preprocessing.clip_limit,
            "tile_px": card.preprocessing.tile_px,
            "shrink": card.preprocessing.shrink,
            "standardise": card.preprocessing.standardise,
        },
        "plane": asdict(result.images.prepared.plane),
        "grid": asdict(result.images.prepared.grid),
        "intensity": [asdict(entry) for entry in result.images.prepared.ranges],
        "server": dict(result.found.machine),
        "seconds": {"request": round(result.found.seconds, 3)},
        "result": {
            "slices": scan.shape[0],
            **{key: value for key, value in totals(result.finding, scan).items() if key != "lesions"},
            "lesions": [asdict(lesion) for lesion in result.finding.lesions],
            "dice": result.dice,
            "dice_rule": EMPTY_RULE,
            "agreement": None if result.other is None else {"with": result.other[0], "dice": result.agreement},
            "warnings": [asdict(note) for note in result.warnings],
        },
    }


def record_file(result: Result) -> bytes:
    """The same as a file."""
    return (json.dumps(record(result), indent=2, ensure_ascii=False) + "\n").encode("utf-8", errors="replace")


def batch_row(result: Result) -> dict[str, Any]:
    """A result as a row of the table of all."""
    scan = result.case.scan
    return {
        "case": scan.name,
        "model": result.found.task.card.name,
        "slices": scan.shape[0],
        **totals(result.finding, scan),
        "dice": result.dice,
        "agreement": result.agreement,
        "threshold": result.finding.threshold,
        "seconds": result.found.seconds,
        "problem": None,
        "warnings": " ".join(dict.fromkeys(note.code for note in result.warnings)) or None,
    }


def batch_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Rows for a spreadsheet; what is not known stays empty, and no text is taken for a formula."""
    return csv_text(BATCH_COLUMNS, rows).encode("utf-8", errors="replace")


def zip_file(results: Sequence[Result], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Everything about some results: a folder for each case and model, and the tables over all.

    Where a mask cannot be written, the rest is there all the same, and the table of cases says why.
    """
    buffer = io.BytesIO()
    folders: set[str] = set()
    problems: dict[tuple[Any, Any], str] = {}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for result in results:
            folder = f"{result.name}/{result.found.task.card.name}"
            while folder.casefold() in folders:
                folder += "-2"
            folders.add(folder.casefold())
            try:
                masks = mask_files(result)
            except OutputError as error:
                masks = {}
                problems[result.case.scan.name, result.found.task.card.name] = no_mask(error)
            for name, content in masks.items():
                archive.writestr(f"{folder}/{name}", content)
            archive.writestr(f"{folder}/{result.name}_overlay.png", overlay_file(result))
            archive.writestr(f"{folder}/{result.name}_probability.tif", result.found.answer.tiff)
            archive.writestr(f"{folder}/result.json", record_file(result))
        told = [{**row, "problem": problems.get((row["case"], row.get("model")), row.get("problem"))} for row in rows]
        archive.writestr("cases.csv", batch_csv(told))
        archive.writestr("lesions.csv", lesions_csv(record(result) for result in results).encode(errors="replace"))
        archive.writestr("README.txt", f"Made by metseg {VERSION}. {RESEARCH_ONLY}\n{EMPTY_RULE}\n")
    return buffer.getvalue()
