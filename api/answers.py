"""A segmentation as what goes over the wire: JSON, a picture, NIfTI, DICOM, or all of it in a zip."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from api.negotiation import DICOM, FORMS, JSON, NIFTI, PNG, TIFF, ZIP, View
from api.schemas import FoundLesion, MaskOut, ModelUsed, Prediction, Shape, Totals, Warned
from core.batch.sheet import scan_sheet
from core.io import Origin, encode_mask, encode_png, encode_probability, encode_tiff, mask_values
from core.measure.totals import sum_up
from core.model_card import ModelCard
from core.overlay import draw_overlay
from core.preprocess.channels import select_channels
from core.preprocess.intensity import IntensityRange, to_uint8_by
from core.scan import Note, Scan, Segmentation
from core.system import RESEARCH_ONLY

MaskForm = Literal["png", "rle", "none"]
SUFFIXES = {PNG: "png", TIFF: "tif", NIFTI: "nii.gz", DICOM: "dcm"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client wants to get.

    Attributes:
        media: the answer's media type.
        view: what an image shows.
        mask: how JSON holds the mask.
        request_id: stands in JSON.
        channel: the user's choice of a channel, for the picture under an overlay.
        deidentify: whether a DICOM SEG leaves out whose scan it is.
    """

    media: str
    view: View
    mask: MaskForm
    request_id: str
    channel: str | None = None
    deidentify: bool = False


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
    origin = Origin(card.name, card.version, found.manifest, wanted.deidentify)
    if wanted.media == ZIP:
        content, suffix = _zip(wanted, scan, found, card, origin), "zip"
    elif wanted.media in FORMS:
        content, suffix = _volume(wanted, scan, found, origin), SUFFIXES[wanted.media]
    else:
        content, suffix = _picture(wanted, scan, found, card), SUFFIXES[wanted.media]
    return Answer(content, headers | {"Content-Disposition": f'attachment; filename="{wanted.view}.{suffix}"'})


def _picture(wanted: Wanted, scan: Scan, found: Segmentation, card: ModelCard) -> bytes:
    images: NDArray[Any]
    if wanted.view == "probability":
        images = found.probability
    elif wanted.view == "overlay":
        voxels, _ = select_channels(scan, card.preprocessing.channels, wanted.channel)
        grey = _grey(voxels[:, 0], found)
        images = np.stack([draw_overlay(image, part) for image, part in zip(grey, found.mask, strict=True)])
    else:
        images = mask_values(found.mask)
    return encode_png(images[0]) if wanted.media == PNG else encode_tiff(images)


def _volume(wanted: Wanted, scan: Scan, found: Segmentation, origin: Origin) -> bytes:
    form = FORMS[wanted.media]
    if wanted.view == "probability":
        return encode_probability(found.probability, scan, form, origin)[0].content
    return encode_mask(found.mask, scan, form, origin)[0].content


def _zip(wanted: Wanted, scan: Scan, found: Segmentation, card: ModelCard, origin: Origin) -> bytes:
    """Mask and probability in the form that fits the upload, the slices with findings as a picture, and the JSON."""
    told = replace(wanted, mask="none")
    voxels, _ = select_channels(scan, card.preprocessing.channels, wanted.channel)
    sheet = scan_sheet(scan, voxels[:, 0], _intensity(found), found.mask)
    files = {file.name: file.content for file in encode_mask(found.mask, scan, "auto", origin)}
    files |= {file.name: file.content for file in encode_probability(found.probability, scan, "auto", origin)}
    files |= {
        "overlay.png": encode_png(sheet),
        "result.json": _json(told, scan, found, card, tuple(dict.fromkeys(found.warnings))),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # all but the JSON is compressed already
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of runs in C order, background first; 0 where the first voxel is lesion."""
    flat = mask.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ends = np.concatenate(([0], changes, [flat.size]))
    lengths: list[int] = np.diff(ends).tolist()
    return [0, *lengths] if flat[0] else lengths


def _grey(voxels: NDArray[Any], found: Segmentation) -> NDArray[np.uint8]:
    """(slices, height, width): a channel at the range in which the model saw it."""
    return np.stack([to_uint8_by(image, _intensity(found)) for image in voxels])


def _intensity(found: Segmentation) -> IntensityRange:
    return IntensityRange(**found.manifest["intensity"][0])


def _json(wanted: Wanted, scan: Scan, found: Segmentation, card: ModelCard, warnings: Sequence[Note]) -> bytes:
    slices, height, width = scan.shape
    return (
        Prediction(
            research_use_only=RESEARCH_ONLY,
            request_id=wanted.request_id,
            model=ModelUsed(name=card.name, version=card.version),
            shape=Shape(slices=slices, height=height, width=width),
            spacing_mm=scan.spacing_mm,
            affine=None if scan.affine is None else scan.affine.tolist(),
            format=scan.format,
            sequence=scan.sequence,
            threshold=found.manifest["settings"]["threshold"],
            totals=Totals(lesions=len(found.lesions), **asdict(sum_up(found.mask, scan))),
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
