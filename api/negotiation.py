"""Which of the kinds of answer a request takes, by its Accept header."""

from __future__ import annotations

from typing import Literal

from api.problems import Problem

JSON, PNG, TIFF = "application/json", "image/png", "image/tiff"
View = Literal["mask", "overlay", "probability"]
OFFERS: dict[View, tuple[str, ...]] = {"mask": (JSON, PNG, TIFF), "overlay": (PNG, TIFF), "probability": (TIFF,)}
"""For each view what it can be had as, the preferred one first."""


def negotiate(accept: str, view: View, slices: int | None = None) -> str:
    """The media type of the answer.

    Args:
        accept: the header's value, "" where there was none.
        view: what to show.
        slices: of the upload; None while nobody knows. A stack has no PNG.

    Raises:
        Problem: 406, there is none that the client takes.
    """
    offers = [offer for offer in OFFERS[view] if offer != PNG or slices in (None, 1)]
    ranked = [(quality(accept, offer), -rank, offer) for rank, offer in enumerate(offers)]
    best, _, chosen = max(ranked)
    if best <= 0:
        what = f"the {view} of a stack" if slices and slices > 1 else f"the {view}"
        raise Problem(406, "not-acceptable", f"{what} can be had as {' or '.join(offers)}; ask for that")
    return chosen


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
