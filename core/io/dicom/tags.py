"""Single values of a header, checked: what is absent, or is no such value, is None."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

NEEDED = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber",
    "PatientID",
    "Modality", "ImageType", "SeriesDescription", "ProtocolName", "ScanningSequence", "AcquisitionContrast",
    "EchoTime", "RepetitionTime", "InversionTime", "DiffusionBValue", "ContrastBolusAgent",
    "TemporalPositionIdentifier", "AcquisitionNumber", "TriggerTime", "FlipAngle", "EchoPlanarPulseSequence",
    "SliceThickness", "SpacingBetweenSlices", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "FrameOfReferenceUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration",
    "PhotometricInterpretation", "PresentationLUTShape", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RealWorldValueMappingSequence",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
"""All tags that reading takes; no other is looked at."""


def value(dataset: Any, keyword: str) -> Any:
    """A tag's value, or None where it is absent, empty, or damaged."""
    try:
        found = dataset.get(keyword)
    # pydicom converts a value when it is asked for, and meets damage with exceptions of a dozen kinds.
    except Exception:
        return None
    return None if found is None or found == "" else found


def text(dataset: Any, keyword: str) -> str:
    """A tag's text without blanks at its ends; "" where there is none. Of several texts the first."""
    found = value(dataset, keyword)
    if isinstance(found, str):
        return found.strip(" \0")
    words = texts(dataset, keyword)
    return words[0] if words else ""


def texts(dataset: Any, keyword: str) -> tuple[str, ...]:
    """The texts of a tag that may hold several."""
    found = value(dataset, keyword)
    if found is None:
        return ()
    several = found if isinstance(found, Sequence) and not isinstance(found, str | bytes) else (found,)
    return tuple(str(entry).strip() for entry in several)


def integer(dataset: Any, keyword: str) -> int | None:
    """A tag's whole number."""
    found = number(dataset, keyword)
    return int(found) if found is not None and found == int(found) else None


def number(dataset: Any, keyword: str) -> float | None:
    """A tag's finite number."""
    found = numbers(dataset, keyword, 1)
    return found[0] if found else None


def numbers(dataset: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    """A tag's finite numbers, if it has exactly so many."""
    found = value(dataset, keyword)
    if found is None:
        return None
    try:
        given = tuple(float(entry) for entry in ((found,) if isinstance(found, int | float | str) else found))
    except (TypeError, ValueError, OverflowError):
        return None
    return given if len(given) == count and all(map(math.isfinite, given)) else None


def items(dataset: Any, keyword: str) -> list[Any]:
    """The items of a sequence; [] where there is none."""
    found = value(dataset, keyword)
    if found is None or isinstance(found, str | bytes | int | float):
        return []
    try:
        return list(found)
    except TypeError:
        return []


def first(dataset: Any, keyword: str) -> Any | None:
    """The first item of a sequence."""
    found = items(dataset, keyword)
    return found[0] if found else None
