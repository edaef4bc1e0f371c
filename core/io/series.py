"""Chooses one of several series or volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from core.errors import AmbiguousSeries, SeriesChoice

MOST_LISTED = 12
T = TypeVar("T")


def choose(found: Sequence[tuple[SeriesChoice, T]], wanted: str | None) -> T:
    """The series that was asked for, or the only one.

    Args:
        found: what there is; at least one, the keys unique.
        wanted: a key; None where nobody chose.

    Raises:
        AmbiguousSeries: there are several and nobody chose, or there is none of that key.
    """
    if wanted is None and len(found) == 1:
        return found[0][1]
    for choice, value in found:
        if choice.key == wanted:
            return value
    choices = [choice for choice, _ in found]
    listing = "; ".join(f"{choice.key}: {choice.description}" for choice in choices[:MOST_LISTED])
    if len(choices) > MOST_LISTED:
        listing += f"; and {len(choices) - MOST_LISTED} more"
    problem = f"{len(choices)} series were found" if wanted is None else "there is no such series"
    raise AmbiguousSeries(f"{problem}; choose one: {listing}", choices)
