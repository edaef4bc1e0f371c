"""What of a DICOM series is kept beside its voxels, so that a segmentation can say where it belongs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SourceSlice:
    """The picture that a slice of a scan was.

    Attributes:
        sop_class, sop: UIDs of its file's kind and of its file.
        frame: from 1 within a file of several, else None.
        position: of its first pixel in millimetres (left, posterior, superior), or None.
    """

    sop_class: str
    sop: str
    frame: int | None
    position: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class DicomHeader:
    """What writing a segmentation needs of its source.

    Attributes:
        first: the bytes of the first file before its pixels: whose scan it is stands there, and nowhere else.
        slices: in the scan's order.
        orientation: direction of rows and of columns, or None where a slice does not say where it lies.
        spacing: between rows and between columns in millimetres, or None.
        thickness: of a slice in millimetres, or None.
    """

    first: bytes
    slices: tuple[SourceSlice, ...]
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    thickness: float | None

    def __repr__(self) -> str:
        return f"DicomHeader({len(self.slices)} slices)"  # never the bytes: a log may print this
