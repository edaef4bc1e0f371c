"""Results as files to take home, the same as `metseg segment` writes them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.batch.results import LESIONS
from core.batch.sheet import scan_sheet
from core.batch.tables import lesions_csv
from core.io import Origin, encode_png, write_mask
from core.measure.totals import sum_up
from core.preprocess.channels import select_channels
from core.system import RESEARCH_ONLY, VERSION
from web_gradio.findings import Failure, Finding, Outcome


@dataclass(frozen=True, slots=True)
class Downloads:
    """Files of the case on view, and of all."""

    mask: Path
    overlay: Path
    table: Path
    report: Path
    everything: Path


def write_downloads(outcomes: Sequence[Outcome], chosen: Finding, folder: Path) -> Downloads:
    """Write the files of every case below a folder, and all of them into a zip.

    Raises:
        OutputError: they cannot be written.
    """
    written: list[Path] = []
    found = [outcome for outcome in outcomes if isinstance(outcome, Finding)]
    of_chosen: tuple[Path, Path] | None = None
    for finding in found:
        masks, overlay = write_case(finding, folder / finding.name)
        written += [*masks, overlay]
        if finding.name == chosen.name:
            of_chosen = _mask_of(finding, masks), overlay
    if of_chosen is None:
        raise ValueError("the case on view is none of the results")
    table, report, everything = folder / LESIONS, folder / "report.json", folder / "metseg.zip"
    with table.open("w", encoding="utf-8", newline="") as file:
        file.write(lesions_csv(_manifest(finding) for finding in found))
    report.write_text(json.dumps(report_of(outcomes), indent=2, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    with zipfile.ZipFile(everything, "w", zipfile.ZIP_STORED) as archive:  # masks and pictures are compressed already
        for path in (*written, table, report):
            archive.write(path, path.relative_to(folder).as_posix())
    return Downloads(*of_chosen, table, report, everything)


def write_case(finding: Finding, folder: Path) -> tuple[tuple[Path, ...], Path]:
    """Write a case's mask, in one form or two, and its overlay into a folder of its own; their paths.

    The folder above must be there: one that was removed with its results does not come back.
    """
    folder.mkdir(exist_ok=True)
    masks = write_masks(finding, folder)
    overlay = folder / f"{finding.name}_overlay.png"
    case, card = finding.case, finding.predictor.card
    voxels, _ = select_channels(finding.scan, card.preprocessing.channels, case.settings.channel)
    sheet = scan_sheet(finding.scan, voxels[:, 0], case.prepared.ranges[0], finding.result.mask)
    overlay.write_bytes(encode_png(sheet))
    return masks, overlay


def write_masks(finding: Finding, folder: Path) -> tuple[Path, ...]:
    """Write a mask in the form that fits what was uploaded; the first is the one that people want."""
    card = finding.predictor.card
    origin = Origin(card.name, card.version, finding.result.manifest)
    return write_mask(finding.result.mask, finding.scan, folder, origin=origin)


def _mask_of(finding: Finding, masks: Sequence[Path]) -> Path:
    """The one file to take home: slices that came as a file each have a mask each, which go into a zip."""
    if len(masks) == 1 or finding.scan.header is not None:
        return masks[0]
    together = masks[0].with_name(f"{finding.name}_masks.zip")
    with zipfile.ZipFile(together, "w", zipfile.ZIP_STORED) as archive:
        for path in masks:
            archive.write(path, path.name)
    return together


def report_of(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything that is known of the results, JSON-ready."""
    return {
        "metseg": VERSION,
        "research_use_only": RESEARCH_ONLY,
        "cases": [_case(outcome) for outcome in outcomes],
    }


def totals(finding: Finding) -> dict[str, Any]:
    """How much was found; area and volume only where the scan says how large a voxel is."""
    return {"lesions": len(finding.result.lesions), **asdict(sum_up(finding.result.mask, finding.scan))}


def _case(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Failure):
        return {"name": outcome.name, "error": outcome.sentence}
    slices, height, width = outcome.scan.shape
    result = outcome.result
    return {
        "name": outcome.name,
        "slices": slices,
        "height": height,
        "width": width,
        "totals": totals(outcome),
        "lesions": [asdict(lesion) for lesion in result.lesions],
        "warnings": [asdict(note) for note in dict.fromkeys(result.warnings)],
        "manifest": dict(result.manifest),
    }


def _manifest(finding: Finding) -> dict[str, Any]:
    """As much of a case's manifest as the table of lesions asks for."""
    return {
        "name": finding.name,
        "result": {"lesions": [asdict(lesion) for lesion in finding.result.lesions]},
        "model": {"name": finding.predictor.card.name},
        "settings": {"threshold": finding.case.settings.threshold},
    }
