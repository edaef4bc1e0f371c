"""What a visitor or a program asks for, held against what can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import UsageError

ABSENT = (None, "")
LONGEST_NUMBER = 9


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; see `Predictor.segment`, and for the series `read_scan`."""

    threshold: float | None = None
    tta: bool = False
    min_lesion: int = 0
    channel: int | str | None = None
    series: str | None = None


def wanted_of(threshold: Any, tta: Any, min_lesion: Any, channel: Any, series: Any) -> Wanted:
    """What was sent, of whatever kind: numbers may come as text, and None and "" stand for what is not asked for.

    Raises:
        UsageError: something of it cannot be meant.
    """
    if not isinstance(tta, bool | None):
        raise UsageError("tta, to average with the mirrored image, must be true or false")
    return Wanted(_share(threshold), bool(tta), _whole(min_lesion), _channel(channel), _text(series))


def _share(threshold: Any) -> float | None:
    if threshold in ABSENT:
        return None
    try:
        return float(threshold)
    except (TypeError, ValueError, OverflowError):
        raise UsageError("the threshold must be a number in 0 to 1") from None


def _whole(min_lesion: Any) -> int:
    if min_lesion in ABSENT:
        return 0
    try:
        number = int(min_lesion)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or (isinstance(min_lesion, float) and number != min_lesion):
        raise UsageError("the minimum lesion must be a whole number of voxels")
    return number


def _channel(channel: Any) -> int | str | None:
    """Its number from 0, or its name."""
    text = _text(channel)
    number = text is not None and text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
    return int(text) if text is not None and number else text


def _text(value: Any) -> str | None:
    # Not by truth, for 0 is a channel.
    return None if value is None else str(value).strip() or None
