"""DICOM files made up for tests: single slices, series, Enhanced twins; and the shared head, where it is at hand."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

from core.io.interface import RawFile

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"


@dataclass(frozen=True)
class Space:
    """Where a made-up stack lies; `origin` and `directions` (rows, columns, normal) are DICOM's, in LPS."""

    spacing: tuple[float, float, float] = (2.0, 0.5, 0.8)
    directions: np.ndarray = None
    origin: tuple[float, float, float] = (-31.5, 12.25, 40.0)

    @property
    def axes(self) -> np.ndarray:
        return np.eye(3) if self.directions is None else self.directions

    def position(self, index: float) -> list[float]:
        return [float(f"{value:.10g}") for value in np.asarray(self.origin) + index * self.spacing[0] * self.axes[2]]

    def affine(self) -> np.ndarray:
        """(column, row, slice) to RAS, written down without the code that is tested."""
        lps = np.eye(4)
        lps[:3, 0] = self.axes[0] * self.spacing[2]
        lps[:3, 1] = self.axes[1] * self.spacing[1]
        lps[:3, 2] = self.axes[2] * self.spacing[0]
        lps[:3, 3] = self.origin
        return np.diag([-1, -1, 1, 1]) @ lps


def oblique() -> np.ndarray:
    """Three directions, upright on each other, none along an axis."""
    a, b, c = 0.3, -0.5, 0.8
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return (about_x @ about_y @ about_z).T


def save(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    stream = io.BytesIO()
    file = FileDataset(stream, dataset, file_meta=dataset.file_meta, preamble=bytes(128))
    if syntax == ExplicitVRBigEndian:  # pydicom writes it only when told so
        pydicom.dcmwrite(stream, file, implicit_vr=False, little_endian=False, force_encoding=True)
    else:
        pydicom.dcmwrite(stream, file, enforce_file_format=True)
    return stream.getvalue()


def image(pixels: np.ndarray, **tags: Any) -> Dataset:
    """A dataset with pixels (rows, columns), or (frames, rows, columns); a tag that is None is left out."""
    dataset = Dataset()
    values: dict[str, Any] = {
        "SOPClassUID": MR_IMAGE,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": "1.2.3.1",
        "SeriesInstanceUID": "1.2.3.4",
        "FrameOfReferenceUID": "1.2.3.9",
        "Modality": "MR",
        "PatientName": "Test^Person",
        "PatientID": "17",
        "PatientBirthDate": "19700101",
        "PatientSex": "F",
        "StudyDate": "20200102",
        "StudyTime": "101112",
        "StudyID": "S1",
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "",
        "SeriesNumber": 3,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "BitsAllocated": 8 * pixels.itemsize,
        "BitsStored": 8 * pixels.itemsize,
        "HighBit": 8 * pixels.itemsize - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        **tags,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.PixelData = pixels.tobytes() + bytes(pixels.nbytes % 2)
    return dataset


def slices(
    volume: np.ndarray,
    space: Space | None = None,
    *,
    keep: Sequence[int] | None = None,
    change: Callable[[Dataset, int], None] | None = None,
    root: str = "1.2.3.4",
    **tags: Any,
) -> list[RawFile]:
    """(S, H, W) as files of a slice each, in order; their UIDs begin with `root`, and `change` may do what it likes."""
    space = Space() if space is None else space
    files = []
    for index in range(len(volume)) if keep is None else keep:
        where = {
            "ImagePositionPatient": space.position(index),
            "ImageOrientationPatient": [float(f"{value:.10g}") for value in (*space.axes[0], *space.axes[1])],
            "PixelSpacing": [space.spacing[1], space.spacing[2]],
            "SliceThickness": space.spacing[0],
            "InstanceNumber": index + 1,
            "SOPInstanceUID": f"{root}.{index + 1}",
        }
        dataset = image(volume[index], **{**where, **tags})
        if change:
            change(dataset, index)
        files.append(RawFile(f"slice{index:03}.dcm", save(dataset)))
    return files


def enhanced(
    volume: np.ndarray,
    space: Space | None = None,
    order: Sequence[int] | None = None,
    positions: Sequence[list[float]] | None = None,
    **tags: Any,
) -> RawFile:
    """(S, H, W) as one Enhanced image, its frames in the given order, at the space's places or at those given."""
    space = Space() if space is None else space
    positions = [space.position(index) for index in range(len(volume))] if positions is None else positions
    order = range(len(volume)) if order is None else order

    def item(**values: Any) -> Dataset:
        made = Dataset()
        for keyword, value in values.items():
            setattr(made, keyword, value)
        return made

    orientation = [float(f"{value:.10g}") for value in (*space.axes[0], *space.axes[1])]
    measures = item(PixelSpacing=[space.spacing[1], space.spacing[2]], SliceThickness=space.spacing[0])
    shared = item(
        PixelMeasuresSequence=[measures],
        PlaneOrientationSequence=[item(ImageOrientationPatient=orientation)],
        PixelValueTransformationSequence=[item(RescaleIntercept=0, RescaleSlope=1, RescaleType="US")],
    )
    frames = [
        item(PlanePositionSequence=[item(ImagePositionPatient=positions[index])], FrameContentSequence=[item()])
        for index in order
    ]
    dataset = image(
        volume[list(order)],
        **{
            "SOPClassUID": ENHANCED_MR,
            "SOPInstanceUID": "1.2.3.5.1",
            "NumberOfFrames": len(frames),
            "SharedFunctionalGroupsSequence": [shared],
            "PerFrameFunctionalGroupsSequence": frames,
            **tags,
        },
    )
    return RawFile("enhanced.dcm", save(dataset))


@dataclass(frozen=True)
class Makers:
    """What test files cannot import from here."""

    Space = Space
    oblique = staticmethod(oblique)
    save = staticmethod(save)
    image = staticmethod(image)
    slices = staticmethod(slices)
    enhanced = staticmethod(enhanced)


@pytest.fixture(scope="session")
def dicom() -> type[Makers]:
    """The functions of this file."""
    return Makers


@pytest.fixture(scope="session")
def volume() -> np.ndarray:
    """(5, 12, 10) int16 without any symmetry."""
    return np.random.default_rng(7).integers(0, 3000, (5, 12, 10)).astype(np.int16)


@pytest.fixture(scope="session")
def head(data_root: Path) -> list[RawFile]:
    """24 neighbouring slices of the shared T1w head."""
    packed = data_root / "dicom-t1w-series" / "t1w.zip"
    if not packed.is_file():
        pytest.skip("the T1w series isn't in the folder of real data: dicom-t1w-series/t1w.zip")
    with zipfile.ZipFile(packed) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".dcm"))[180:204]
        return [RawFile(name, archive.read(name)) for name in names]
