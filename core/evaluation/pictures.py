"""Best, median and worst patients as pictures: the slice, its truth, and what each model found."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import MetsegError
from core.evaluation.cases import find_cases
from core.evaluation.head import find_head
from core.evaluation.patients import PatientRule
from core.io import encode_png, read_mask, read_scan
from core.io.names import result_stem
from core.overlay import draw_overlay
from core.preprocess.channels import select_channels
from core.preprocess.intensity import to_uint8
from core.scan import Scan, ScanSource

Scored = tuple[Mapping[str, Any], Path]
"""An evaluation's scores and its folder."""

PLACES = ("Best", "Median", "Worst")
MARGIN = 6
MANIFEST = "manifest.json"
MANIFEST_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class Shown:
    """A patient as the report shows it.

    Attributes:
        place: one of `PLACES`.
        patient: the name.
        slice_number, slices: which slice, counted from 1, of how many.
        figures: caption and PNG (base64) of each picture; none where the patient could not be drawn.
    """

    place: str
    patient: str
    slice_number: int
    slices: int
    figures: tuple[tuple[str, str], ...]


def choose_patients(evaluations: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Best, median and worst patient by the mean of the models' Dice, among those that all have.

    Returns:
        (place, patient), fewer than three where there are fewer patients.
    """
    tables = [{row["patient"]: row["dice"] for row in scores["patients"]} for scores in evaluations]
    common = set(tables[0]).intersection(*tables[1:])
    ordered = sorted(common, key=lambda patient: (-sum(table[patient] for table in tables), patient))
    if len(ordered) < len(PLACES):
        return tuple((PLACES[0], patient) for patient in ordered[:1])
    return tuple(zip(PLACES, (ordered[0], ordered[len(ordered) // 2], ordered[-1]), strict=True))


def show_patients(evaluations: Sequence[Scored]) -> tuple[Shown, ...]:
    """Draw the chosen patients, as far as scans and masks are still where they were; who is not drawn has no figures.

    Args:
        evaluations: scores and folder of each; the first one's folder tells where the scans are.
    """
    local = [read_manifest(folder) for _, folder in evaluations]
    if any(manifest is None for manifest in local):
        return ()
    manifests = [manifest for manifest in local if manifest is not None]
    first = manifests[0]
    try:
        rule = PatientRule.from_json(first["patients"])
        labelled = find_cases(first["data"], rule, first["channel"])
    except (MetsegError, OSError, ValueError, TypeError, KeyError):
        return ()
    channel = None if labelled.channel_chosen else first["channel"]
    sources = {case.source.name: case.source for case in labelled.cases}
    folders = [folder for _, folder in evaluations]
    shown = []
    for place, patient in choose_patients([scores for scores, _ in evaluations]):
        rows = [next(row for row in scores["patients"] if row["patient"] == patient) for scores, _ in evaluations]
        names = [str(scores["name"]) for scores, _ in evaluations]
        captions = [f"{name} {row['dice']:.3f}" for name, row in zip(names, rows, strict=True)]
        try:
            drawn = [
                _draw(sources[case], channel, first["inputs"], folders, [m["masks"][case] for m in manifests], captions)
                for case in rows[0]["cases"]
            ]
        except (MetsegError, OSError, KeyError, ValueError):  # moved, changed or deleted since
            shown.append(Shown(place, patient, 0, 0, ()))
            continue
        _, number, slices, figures = max(drawn, key=lambda entry: entry[0])
        shown.append(Shown(place, patient, number, slices, figures))
    return tuple(shown)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What an evaluation's folder says about this machine: where scans and masks are; None where it says nothing."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MANIFEST_LIMIT:
            return None
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    needed = {"data", "patients", "channel", "inputs", "masks"}
    return values if isinstance(values, dict) and needed <= set(values) else None


def _draw(
    source: ScanSource,
    channel: int | str | None,
    inputs: Sequence[str],
    folders: Sequence[Path],
    places: Sequence[str],
    captions: Sequence[str],
) -> tuple[int, int, int, tuple[tuple[str, str], ...]]:
    """The slice with most lesion (found, where there is no true one): how much, its number, all slices, pictures."""
    scan, truth = read_scan(source), read_mask(source)
    masks = []
    for folder, place in zip(folders, places, strict=True):
        files = tuple(_mask_file(folder / place, path) for path in source.paths)
        masks.append(read_mask(ScanSource(source.name, source.paths, files)))
    counted = truth if truth.any() else np.any(masks, axis=0)
    amount = counted.sum(axis=(1, 2))
    index = int(amount.argmax())
    volume = seen_picture(scan, inputs, channel)
    picture = brighten(volume, index)
    box = _around(find_head(volume)[index] | truth[index], picture.shape)
    nothing = np.zeros_like(truth[index])
    figures = [
        ("Image", draw_overlay(picture, nothing)),
        ("Truth", draw_overlay(picture, nothing, truth=truth[index])),
        *(
            (caption, draw_overlay(picture, mask[index], truth=truth[index]))
            for caption, mask in zip(captions, masks, strict=True)
        ),
    ]
    encoded = tuple((caption, base64_png(drawn[box])) for caption, drawn in figures)
    return int(amount[index]), index + 1, len(truth), encoded


def seen_picture(scan: Scan, inputs: Sequence[str], channel: int | str | None) -> NDArray[np.uint8]:
    """(S, H, W) uint8: the channel that shows the head best to a person, as the model gets it before CLAHE."""
    voxels, _ = select_channels(scan, tuple(inputs), channel)
    index = next((place for place, name in enumerate(inputs) if name.lower() == "flair"), 0)
    return to_uint8(voxels[:, index : index + 1])[0][:, 0]


def brighten(volume: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    """A slice (H, W) with its volume's brightest hundredth at white; slices are dark as scanners store them."""
    white = max(float(np.percentile(volume, 99)), 1.0)
    return np.asarray(np.clip(np.rint(volume[index] * (255.0 / white)), 0, 255), np.uint8)


def base64_png(picture: NDArray[np.uint8]) -> str:
    """(H, W, 3) uint8 RGB as a PNG in base64."""
    return base64.b64encode(encode_png(picture)).decode("ascii")


def _mask_file(folder: Path, image: Path) -> Path:
    """The mask that `write_mask` wrote for an image file."""
    stem = result_stem(image.name)
    return next(iter(sorted(folder.glob(f"{_escape(stem)}_mask.*"))), folder / f"{stem}_mask.tif")


def _escape(stem: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in stem)


def _around(region: NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """A square around a region, so that all pictures are of one shape; the whole picture where there is no region."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not len(rows):
        return slice(0, shape[0]), slice(0, shape[1])
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 + 2 * MARGIN
    starts = []
    for ends, size in (((rows[0], rows[-1]), shape[0]), ((columns[0], columns[-1]), shape[1])):
        start = int(ends[0] + ends[1] + 1 - side) // 2
        starts.append(max(0, min(start, size - int(side))))
    return slice(starts[0], starts[0] + int(side)), slice(starts[1], starts[1] + int(side))
