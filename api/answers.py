"""A segmentation as what goes over the wire: JSON, PNG or TIFF."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from api.negotiation import JSON, PNG, View
from api.schemas import FoundLesion, MaskOut, ModelUsed, Prediction, Shape, Totals, Warned
from core.batch.results import RESEARCH_ONLY
from core.io import encode_png, encode_tiff, mask_values
from core.model_card import ModelCard
from core.overlay import draw_overlay
from core.preprocess.channels import select_channels
from core.preprocess.intensity import to_uint8
from core.scan import Note, Scan, Segmentation

MaskForm = Literal["png", "rle", "none"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client wants to get.

    Attributes:
        media: the answer's media type.
        view: what an image shows.
        mask: how JSON holds the mask.
        channel: the user's choice of a channel, for the picture under an overlay.
        request_id: stands in JSON.
    """

    media: str
    view: View
    mask: MaskForm
    channel: str | None
    request_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A body and the headers that tell of the result where the body cannot."""

    content: bytes
    headers: dict[str, str]


def make_answer(wanted: Wanted, scan: Scan, found: Segmentation, card: ModelCard) -> Answer:
    """Encode a result; takes its time, so it belongs in a worker thread."""
    warnings = tuple(dict.fromkeys(found.warnings))
    headers = {
        "Vary": "Accept",
        "X-Metseg-Model": card.name.encode("ascii", errors="replace").decode(),
        "X-Metseg-Lesions": str(len(found.lesions)),
        "X-Metseg-Warnings": ", ".join(note.code for note in warnings),
    }
    if wanted.media == JSON:
        return Answer(_json(wanted, scan, found, card, warnings), headers)
    images: NDArray[Any]
    if wanted.view == "probability":
        images = found.probability
    elif wanted.view == "overlay":
        images = _overlays(scan, found.mask, card, wanted.channel)
    else:
        images = mask_values(found.mask)
    content = encode_png(images[0]) if wanted.media == PNG else encode_tiff(images)
    suffix = "png" if wanted.media == PNG else "tif"
    return Answer(content, headers | {"Content-Disposition": f'attachment; filename="{wanted.view}.{suffix}"'})


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of runs in C order, background first; 0 where the first voxel is lesion."""
    flat = mask.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate(([0], changes, [flat.size]))
    lengths: list[int] = np.diff(ends).tolist()
    return [0, *lengths] if flat[0] else lengths


def _overlays(scan: Scan, mask: NDArray[np.bool_], card: ModelCard, channel: str | None) -> NDArray[np.uint8]:
    """(slices, height, width, 3)."""
    voxels, _ = select_channels(scan, card.preprocessing.channels, channel)
    images, _, _ = to_uint8(voxels[:, :1], card.preprocessing.percentiles)
    return np.stack([draw_overlay(image[0], part) for image, part in zip(images, mask, strict=True)])


def _json(wanted: Wanted, scan: Scan, found: Segmentation, card: ModelCard, warnings: Sequence[Note]) -> bytes:
    slices, height, width = scan.shape
    return (
        Prediction(
            research_use_only=RESEARCH_ONLY,
            request_id=wanted.request_id,
            model=ModelUsed(name=card.name, version=card.version),
            shape=Shape(slices=slices, height=height, width=width),
            spacing_mm=scan.spacing_mm,
            threshold=found.manifest["settings"]["threshold"],
            totals=_totals(scan, found),
            lesions=[FoundLesion.model_validate(asdict(lesion)) for lesion in found.lesions],
            warnings=[Warned(code=note.code, message=note.message) for note in warnings],
            mask=_mask(found.mask, wanted.mask),
            manifest=dict(found.manifest),
        )
        .model_dump_json()
        .encode()
    )


def _mask(mask: NDArray[np.bool_], form: MaskForm) -> MaskOut | None:
    if form == "none":
        return None
    if form == "rle":
        return MaskOut(encoding="rle", rle=run_lengths(mask))
    return MaskOut(encoding="png", png=[base64.b64encode(encode_png(part)).decode() for part in mask_values(mask)])


def _totals(scan: Scan, found: Segmentation) -> Totals:
    voxels = int(np.count_nonzero(found.mask))
    between, row, column = scan.spacing_mm
    pixel_mm2 = row * column if row is not None and column is not None else None
    even = between is not None and scan.slice_positions_mm is None
    return Totals(
        lesions=len(found.lesions),
        voxels=voxels,
        area_mm2=voxels * pixel_mm2 if pixel_mm2 is not None and scan.shape[0] == 1 else None,
        volume_ml=voxels * pixel_mm2 * between / 1000 if pixel_mm2 is not None and between and even else None,
    )
