"""The frames of a DICOM image: where each lies, what its values mean, what tells it apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import BrokenFile
from core.io.dicom.tags import first, items, number, numbers, texts

Mapping = tuple[float, float]
# What tells frames at one place apart, in the order in which it is tried; each with where Enhanced images keep it.
_TRAITS = (
    ("ImageType", "", ""),
    ("EchoTime", "MREchoSequence", "EffectiveEchoTime"),
    ("DiffusionBValue", "MRDiffusionSequence", "DiffusionBValue"),
    ("TemporalPositionIdentifier", "FrameContentSequence", "TemporalPositionIndex"),
    ("AcquisitionNumber", "FrameContentSequence", "FrameAcquisitionNumber"),
    ("TriggerTime", "CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    ("InversionTime", "MRTimingAndRelatedParametersSequence", "InversionTime"),
    ("FlipAngle", "MRTimingAndRelatedParametersSequence", "FlipAngle"),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a file.

    Attributes:
        number: from 0 within its file.
        position: of the first pixel's centre, in millimetres of the patient (left, posterior, superior), or None.
        orientation: direction of rows, then of columns, or None.
        spacing: between rows and between columns in millimetres, or None.
        thickness: of the slice, or else the stated distance between slices, in millimetres; or None.
        rescale: slope and intercept from stored values to the modality's.
        real_world: slope and intercept from stored values to physical ones, or None.
        traits: what may tell it apart from another at the same place.
    """

    number: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    thickness: float | None
    rescale: Mapping
    real_world: Mapping | None
    traits: tuple[tuple[str, ...], ...]


def read_frames(dataset: Any, count: int) -> tuple[Frame, ...]:
    """The frames of a file's header.

    Raises:
        BrokenFile: it describes another number of frames than `count`.
    """
    per_frame = items(dataset, "PerFrameFunctionalGroupsSequence")
    shared = first(dataset, "SharedFunctionalGroupsSequence")
    if not per_frame and shared is None:
        # Several frames with one position between them are not at one place; of such, none is known.
        alone = count == 1
        return tuple(_plain_frame(dataset, number, placed=alone) for number in range(count))
    if len(per_frame) not in (0, count):
        raise BrokenFile("the DICOM file describes another number of frames than it states; export it again")
    groups = per_frame or [None] * count
    return tuple(_grouped_frame(dataset, number, (own, shared)) for number, own in enumerate(groups))


def _plain_frame(dataset: Any, index: int, *, placed: bool) -> Frame:
    return Frame(
        number=index,
        position=numbers(dataset, "ImagePositionPatient", 3) if placed else None,
        orientation=numbers(dataset, "ImageOrientationPatient", 6) if placed else None,
        spacing=numbers(dataset, "PixelSpacing", 2),
        thickness=_thickness(dataset),
        rescale=_rescale(dataset),
        real_world=_real_world(dataset),
        traits=tuple(texts(dataset, keyword) for keyword, _, _ in _TRAITS),
    )


def _grouped_frame(dataset: Any, index: int, groups: tuple[Any, Any]) -> Frame:
    """A frame of an Enhanced image; what its own functional groups do not hold, the shared ones do."""

    def group(keyword: str) -> Any:
        found = (first(place, keyword) for place in groups if place is not None)
        return next((item for item in found if item is not None), {})

    measures = group("PixelMeasuresSequence")
    kind = group("MRImageFrameTypeSequence") or group("CTImageFrameTypeSequence")
    traits = [texts(kind, "FrameType") or texts(dataset, "ImageType")]
    traits += [texts(group(sequence), keyword) for _, sequence, keyword in _TRAITS[1:]]
    values = group("PixelValueTransformationSequence")
    mapped: Any = next(
        (place for place in groups if place is not None and items(place, "RealWorldValueMappingSequence")), {}
    )
    return Frame(
        number=index,
        position=numbers(group("PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=numbers(group("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        spacing=numbers(measures, "PixelSpacing", 2),
        thickness=_thickness(measures),
        rescale=_rescale(values),
        real_world=_real_world(mapped),
        traits=tuple(traits),
    )


def _thickness(dataset: Any) -> float | None:
    # The distance between slices may be negative: it tells their order, too.
    stated = number(dataset, "SliceThickness") or number(dataset, "SpacingBetweenSlices")
    return abs(stated) if stated else None


def _rescale(dataset: Any) -> Mapping:
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    # A slope of 0 would make all values one; writers mean by it that there is none.
    return (slope or 1.0, intercept or 0.0)


def _real_world(dataset: Any) -> Mapping | None:
    """The first linear mapping to physical values; one by a table is left to the rescaling."""
    for item in items(dataset, "RealWorldValueMappingSequence"):
        slope, intercept = number(item, "RealWorldValueSlope"), number(item, "RealWorldValueIntercept")
        if slope and intercept is not None:
            return slope, intercept
    return None
