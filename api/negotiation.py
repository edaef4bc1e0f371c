"""Which of the kinds of answer a request takes, by its Accept header."""

from __future__ import annotations

from typing import Literal

from api.problems import Problem
from core.errors import OutputError
from core.io.write import Form, writer_of
from core.scan import Scan

JSON, PNG, TIFF = "application/json", "image/png", "image/tiff"
NIFTI, DICOM, ZIP = "application/x-nifti", "application/dicom", "application/zip"
View = Literal["mask", "overlay", "probability"]
OFFERS: dict[View, tuple[str, ...]] = {
    "mask": (JSON, PNG, TIFF, NIFTI, DICOM, ZIP),
    "overlay": (PNG, TIFF),
    "probability": (TIFF, NIFTI),
}
"""For each view what it can be had as, the preferred one first."""
FORMS: dict[str, Form] = {NIFTI: "nifti", DICOM: "seg"}
"""What can only be had where the upload says enough about where it lies."""


def negotiate(accept: str, view: View, scan: Scan | None = None) -> str:
    """The media type of the answer.

    Args:
        accept: the header's value, "" where there was none.
        view: what to show.
        scan: the upload; None while nobody has read it. A stack has no PNG, and a picture no NIfTI.

    Raises:
        Problem: 406, there is none that the client takes.
    """
    obstacles = {offer: reason for offer in OFFERS[view] if scan is not None and (reason := _obstacle(offer, scan))}
    offers = [offer for offer in OFFERS[view] if offer not in obstacles]
    ranked = [(quality(accept, offer), -rank, offer) for rank, offer in enumerate(offers)]
    best, _, chosen = max(ranked)
    if best > 0:
        return chosen
    wanted = {reason: None for offer, reason in obstacles.items() if quality(accept, offer) > 0}
    why = f"; {'; '.join(wanted)}" if wanted else ""
    raise Problem(406, "not-acceptable", f"the {view} can be had as {' or '.join(offers)}{why}")


def _obstacle(offer: str, scan: Scan) -> str | None:
    if offer == PNG:
        return "a PNG holds one slice, and this is a stack" if scan.shape[0] > 1 else None
    try:
        return writer_of(FORMS[offer]).obstacle(scan) if offer in FORMS else None
    except OutputError as error:
        return error.detail


def quality(accept: str, offer: str) -> float:
    """How much a client wants a media type, from 0 to 1: the weight of the most specific range that it falls in."""
    if not accept.strip():
        return 1.0
    best, weight = -1, 0.0
    for entry in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in entry.split(";"))
        major = offer.partition("/")[0]
        specific = {"*/*": 0, f"{major}/*": 1, offer: 2}.get(kind, -1)
        if specific > best:
            best, weight = specific, _weight(parameters)
    return weight


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            digits = value.strip()
            if len(digits) <= 5 and digits.replace(".", "", 1).isascii() and digits.replace(".", "", 1).isdigit():
                return min(float(digits), 1.0)
            return 0.0
    return 1.0
