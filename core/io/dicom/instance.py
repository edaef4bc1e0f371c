"""What the header of one DICOM file says of its image: a frame or several, each with its place in the patient."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from core.errors import BrokenFile, UnsupportedFormat
from core.io.dicom.frames import Frame, read_frames
from core.io.dicom.stream import BIG_ENDIAN, EXPLICIT, IMPLICIT, Parsed, parse
from core.io.dicom.tags import NEEDED, first, integer, number, text, texts
from core.io.interface import RawFile, naming
from core.io.limits import ReadLimits, Size, check_size

NATIVE = (IMPLICIT, EXPLICIT, BIG_ENDIAN)
EXPANSION = 4096
"""No codec makes more bytes than this of one, not of an empty picture either."""
# Segmentations, label maps, parametric maps, surface and dose hold pixels or voxels, but no picture of a patient.
_NO_PICTURE = {
    "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.5", "1.2.840.10008.5.1.4.1.1.66.7",
    "1.2.840.10008.5.1.4.1.1.30", "1.2.840.10008.5.1.4.1.1.481.2",
}  # fmt: skip
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_SEQUENCE_TAGS = (
    "Modality", "ImageType", "AcquisitionContrast", "SeriesDescription", "ProtocolName",
    "ScanningSequence", "ContrastBolusAgent",
)  # fmt: skip
_SEQUENCE_NUMBERS = ("EchoTime", "RepetitionTime", "InversionTime", "DiffusionBValue")


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One file that holds a picture.

    Attributes:
        file: its bytes and name.
        header: the bytes before its pixels.
        pixels: see `core.io.dicom.stream.Parsed`.
        series, sop_class, sop: the UIDs of its series, its kind, and itself.
        person: a digest of the patient's number, "" where there is none.
        high: place of a pixel's highest bit among those allocated.
        inverted: high values mean dark.
        describing: what `core.sequence` looks at.
    """

    file: RawFile
    syntax: str
    little_endian: bool
    header: bytes
    pixels: memoryview
    series: str
    person: str
    sop_class: str
    sop: str
    series_number: int
    number: int | None
    rows: int
    columns: int
    samples: int
    planar: int
    photometric: str
    inverted: bool
    allocated: int
    stored: int
    high: int
    signed: bool
    frames: tuple[Frame, ...]
    describing: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> Size:
        """What it gives to a scan."""
        return Size(len(self.frames), self.samples, self.rows, self.columns)

    @property
    def frame_bytes(self) -> int:
        """Of one decoded frame."""
        return self.rows * self.columns * self.samples * self.allocated // 8


def read_instance(file: RawFile, limits: ReadLimits) -> Instance | None:
    """Read one file's header.

    Returns:
        None where the file is DICOM, but holds no picture (a report, a directory, a segmentation).

    Raises:
        BrokenFile: it is damaged, or its pixels are fewer than it states.
        UnsupportedFormat: its pixels are of a kind that is not read.
        TooLarge: it is beyond a limit.
    """
    with naming(file.name):
        parsed = parse(file.content, limits, NEEDED)
        dataset = parsed.dataset
        if text(dataset, "SOPClassUID") in _NO_PICTURE or text(dataset, "Modality") == "SEG":
            return None
        if integer(dataset, "Rows") is None and parsed.pixels is None:
            return None
        if parsed.pixels is None:
            raise BrokenFile("the DICOM file has no pixels, or ends before them; copy or export it again")
        if parsed.floating:
            raise UnsupportedFormat("the DICOM file holds floating-point values, a kind that is not read")
        return _instance(file, parsed, parsed.pixels, limits)


def _digest(number: str) -> str:
    """Enough to tell people apart; who they are is nothing that should lie about."""
    return hashlib.sha256(number.encode(errors="replace")).hexdigest() if number else ""


def _instance(file: RawFile, parsed: Parsed, pixels: memoryview, limits: ReadLimits) -> Instance:
    dataset = parsed.dataset
    rows, columns = integer(dataset, "Rows") or 0, integer(dataset, "Columns") or 0
    samples, photometric = integer(dataset, "SamplesPerPixel") or 1, text(dataset, "PhotometricInterpretation")
    photometric = photometric or "MONOCHROME2"
    allocated = integer(dataset, "BitsAllocated") or 0
    stored = integer(dataset, "BitsStored") or allocated
    high = integer(dataset, "HighBit")
    high = stored - 1 if high is None else high
    count = 1 if (stated := integer(dataset, "NumberOfFrames")) is None else stated
    check_size(Size(count, samples, rows, columns), limits)
    if photometric not in (_MONOCHROME if samples == 1 else _COLOUR if samples == 3 else ()):
        raise UnsupportedFormat("the DICOM file is of an uncommon colour model; export it as grey")
    if allocated not in (8, 16, 32):
        raise UnsupportedFormat("the DICOM file's pixels are not of 8, 16 or 32 bits; export it as 16 bits")
    if not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise BrokenFile("the DICOM file contradicts itself about the bits of a pixel; export it again")
    if parsed.encapsulated == (parsed.syntax in NATIVE):
        raise BrokenFile("the DICOM file contradicts itself about its compression; export it again")
    instance = Instance(
        file=file,
        syntax=parsed.syntax,
        little_endian=parsed.little_endian,
        header=parsed.header,
        pixels=pixels,
        series=text(dataset, "SeriesInstanceUID"),
        person=_digest(text(dataset, "PatientID").strip()),
        sop_class=text(dataset, "SOPClassUID"),
        sop=text(dataset, "SOPInstanceUID"),
        series_number=integer(dataset, "SeriesNumber") or 0,
        number=integer(dataset, "InstanceNumber"),
        rows=rows,
        columns=columns,
        samples=samples,
        planar=integer(dataset, "PlanarConfiguration") or 0,
        photometric=photometric,
        inverted=photometric == "MONOCHROME1" or text(dataset, "PresentationLUTShape") == "INVERSE",
        allocated=allocated,
        stored=stored,
        high=high,
        signed=integer(dataset, "PixelRepresentation") == 1,
        frames=read_frames(dataset, count),
        describing=_describing(dataset),
    )
    if not parsed.encapsulated:
        stated_bytes = instance.frame_bytes * count
        if photometric == "YBR_FULL_422":
            raise UnsupportedFormat("the DICOM file's colours are subsampled; export it as grey")
        if len(pixels) < stated_bytes:
            raise BrokenFile("the DICOM file holds fewer pixels than it states; copy or export it again")
    elif instance.frame_bytes * count > EXPANSION * len(pixels):
        raise BrokenFile("the DICOM file holds fewer pixels than it states; copy or export it again")
    return instance


def _describing(dataset: Any) -> dict[str, Any]:
    """What tells of the sequence, with an Enhanced image's own places for it."""
    told: dict[str, Any] = {keyword: texts(dataset, keyword) for keyword in _SEQUENCE_TAGS}
    told |= {keyword: number(dataset, keyword) for keyword in _SEQUENCE_NUMBERS}
    if text(dataset, "EchoPlanarPulseSequence") == "YES":
        told["ScanningSequence"] = ("EP",)
    places = [first(dataset, "SharedFunctionalGroupsSequence"), first(dataset, "PerFrameFunctionalGroupsSequence")]
    for place in (place for place in places if place is not None):
        timing = first(place, "MRTimingAndRelatedParametersSequence") or {}
        told["RepetitionTime"] = told["RepetitionTime"] or number(timing, "RepetitionTime")
        told["InversionTime"] = told["InversionTime"] or number(timing, "InversionTime")
        told["EchoTime"] = told["EchoTime"] or number(first(place, "MREchoSequence") or {}, "EffectiveEchoTime")
    return {keyword: entry for keyword, entry in told.items() if entry not in ((), None)}
