"""A mask as a DICOM segmentation: where its source lies, with references to it, and nothing else of it.

Source: DICOM PS3.3, A.51 Segmentation IOD.
"""

from __future__ import annotations

import hashlib
import io
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import OutputError
from core.io.dicom.header import DicomHeader, SourceSlice
from core.io.dicom.libraries import load_highdicom
from core.io.dicom.people import identity_of, is_uid, made_up_uid, replaced
from core.io.dicom.stream import parse
from core.io.dicom.tags import integer, text
from core.io.interface import Origin, RawFile
from core.io.limits import ReadLimits
from core.io.names import file_stem
from core.scan import Scan
from core.system import VERSION

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
UTF_8 = "ISO_IR 192"
SERIES_NUMBER = 9000
"""Added to the source's, so that results stand behind the images."""
DEIDENTIFIED = "metseg: patient and study replaced, nothing else of them copied"
_NO_PLACE = "the images do not say where in the patient they lie, so no DICOM SEG can be written; choose another form"


def obstacle(scan: Scan) -> str | None:
    """Why there can be no segmentation for this scan: it must come from DICOM images that say where they lie."""
    header = scan.header
    if not isinstance(header, DicomHeader):
        return "a DICOM SEG can only be written for DICOM images; choose another form"
    if header.orientation is None or header.spacing is None:
        return _NO_PLACE
    if not all(is_uid(entry.sop) and is_uid(entry.sop_class) for entry in header.slices):
        return "the images have no UIDs to refer to, so no DICOM SEG can be written; choose another form"
    return None


def encode_mask(mask: NDArray[np.bool_], scan: Scan, origin: Origin) -> tuple[RawFile, ...]:
    """`STEM_mask.dcm`, a binary segmentation with one segment, Lesion."""
    content = encode_seg(mask, scan, origin.model, origin.version, deidentify=origin.deidentify)
    return (RawFile(f"{file_stem(scan)}_mask.dcm", content),)


def encode_probability(probability: NDArray[np.float32], scan: Scan, origin: Origin) -> tuple[RawFile, ...]:
    """`STEM_probability.dcm`, a fractional segmentation: probabilities in steps of 1/255."""
    content = encode_seg(probability, scan, origin.model, origin.version, deidentify=origin.deidentify)
    return (RawFile(f"{file_stem(scan)}_probability.dcm", content),)


def encode_seg(
    mask: NDArray[np.bool_] | NDArray[np.float32],
    scan: Scan,
    model_name: str,
    model_version: str,
    deidentify: bool = False,
    made: datetime | None = None,
) -> bytes:
    """Write a segmentation into memory.

    Slices without lesion are left out, unless none has any. Each frame has the position of the image it refers to, so
    that gaps stay gaps.

    Args:
        mask: (slices, height, width) on the scan's grid: bool, or probabilities in [0, 1].
        scan: read from DICOM; see `obstacle`.
        model_name: what found it.
        model_version: of the model.
        deidentify: put another patient and study in place of the source's. References to the images, and the frame of
            reference, stay: these are numbers of machines, and without them nobody could lay the mask on its images.
        made: when; with it, equal masks of equal scans give equal bytes, UIDs included. None is now, with new UIDs.

    Raises:
        ValueError: mask is not on the scan's grid.
        OutputError: `obstacle` says why.
    """
    if mask.shape != scan.shape:
        raise ValueError(f"{mask.shape} is not the scan's grid {scan.shape}")
    if reason := obstacle(scan):
        raise OutputError(reason, source=scan.name)
    header = scan.header
    assert isinstance(header, DicomHeader)  # noqa: S101
    source = parse(header.first, ReadLimits()).dataset
    series = text(source, "SeriesInstanceUID")
    seed = f"{series} {scan.sha256}"
    identity = identity_of(source, seed)
    if deidentify:
        identity = replaced(identity)
    own = series if is_uid(series) else made_up_uid("series", seed)
    images = _images(header, identity, own, source, mask.shape[1:], scan.spacing_mm[0])
    uids = _uids(f"{seed} {model_name} {model_version} {deidentify}", mask) if made else None
    dataset = _segmentation(mask, images, model_name, model_version, (integer(source, "SeriesNumber") or 0), uids, made)
    _refer(dataset, {image.SOPInstanceUID: entry for image, entry in zip(images, header.slices, strict=True)})
    if deidentify:
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = DEIDENTIFIED
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def _images(
    header: DicomHeader,
    identity: dict[str, str],
    series: str,
    source: Any,
    shape: tuple[int, ...],
    step: float | None,
) -> list[Any]:
    """The source as highdicom wants it: a plain image for each slice, with nothing in it but what may be copied.

    Each is numbered as a file of its own; `_refer` puts the true references in the place of these numbers.
    """
    from pydicom.dataset import Dataset

    assert header.spacing is not None  # noqa: S101 - see `obstacle`
    frame_of_reference = text(source, "FrameOfReferenceUID")
    images = []
    for number, entry in enumerate(header.slices, 1):
        image = Dataset()
        for keyword, entry_text in identity.items():
            setattr(image, keyword, entry_text)
        image.SOPClassUID = MR_IMAGE
        image.SOPInstanceUID = f"2.25.{number}"
        image.SeriesInstanceUID = series
        image.FrameOfReferenceUID = (
            frame_of_reference if is_uid(frame_of_reference) else made_up_uid("frame of reference", series)
        )
        image.Modality = "MR"
        image.LossyImageCompression = "01" if text(source, "LossyImageCompression") == "01" else "00"
        image.Rows, image.Columns = shape
        image.ImagePositionPatient = _decimals(entry.position or ())
        image.ImageOrientationPatient = _decimals(header.orientation or ())
        image.PixelSpacing = _decimals(header.spacing)
        image.SliceThickness = _decimals((header.thickness or step or 1.0,))[0]
        images.append(image)
    return images


def _segmentation(
    mask: NDArray[Any],
    images: list[Any],
    model_name: str,
    model_version: str,
    series_number: int,
    uids: tuple[str, str, str] | None,
    made: datetime | None,
) -> Any:
    highdicom = load_highdicom()
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code
    from pydicom.uid import generate_uid

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=f"metseg {model_name}"[:64],
        family=codes.cid7162.ArtificialIntelligence,
        version=model_version[:64] or "unknown",
        source="metseg",
    )
    lesion = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label="Lesion",
        segmented_property_category=Code("49755003", "SCT", "Morphologically Abnormal Structure"),
        segmented_property_type=Code("52988006", "SCT", "Lesion"),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        anatomic_regions=[Code("12738006", "SCT", "Brain")],
    )
    series, instance, dimensions = uids or [generate_uid(prefix=None) for _ in range(3)]
    when = {"content_date": made.date(), "content_time": made.time()} if made else {}
    dataset = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=mask,
        segmentation_type="BINARY" if mask.dtype == np.bool_ else "FRACTIONAL",
        segment_descriptions=[lesion],
        series_instance_uid=series,
        series_number=SERIES_NUMBER + max(series_number, 0) % SERIES_NUMBER,
        sop_instance_uid=instance,
        instance_number=1,
        manufacturer="metseg",
        manufacturer_model_name=f"metseg {model_name}"[:64],
        software_versions=VERSION,
        device_serial_number="none",
        series_description="metseg lesions, research use only",
        content_label="LESION",
        content_description="Lesions found by metseg; research use only",
        specific_character_set=UTF_8,
        **when,
    )
    if made:
        dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.ContentDate, dataset.ContentTime
    for holder in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        holder.DimensionOrganizationUID = dimensions
    # highdicom tells of the scanner here, where it knows it; nothing of the source is to be told.
    if "ContributingEquipmentSequence" in dataset:
        del dataset.ContributingEquipmentSequence
    return dataset


def _refer(dataset: Any, slices: dict[str, SourceSlice]) -> None:
    """Put the true references in the place of `_images`' numbers, wherever in a dataset they stand."""
    for element in dataset:
        if element.VR != "SQ":
            continue
        seen: set[tuple[str, object]] = set()
        kept = []
        for item in element.value:
            if "ReferencedSOPInstanceUID" not in item:
                _refer(item, slices)
                kept.append(item)
                continue
            # One item may stand in several lists.
            if entry := slices.get(item.ReferencedSOPInstanceUID):
                item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = entry.sop_class, entry.sop
                # A list of a series' files names each once; what speaks of a picture names its frame too.
                if entry.frame is not None and "PurposeOfReferenceCodeSequence" in item:
                    item.ReferencedFrameNumber = entry.frame
            key = (item.ReferencedSOPInstanceUID, item.get("ReferencedFrameNumber"))
            if key not in seen:
                seen.add(key)
                kept.append(item)
        element.value = kept


def _uids(seed: str, mask: NDArray[Any]) -> tuple[str, str, str]:
    seed += hashlib.sha256(mask.tobytes()).hexdigest()
    return made_up_uid("seg series", seed), made_up_uid("seg", seed), made_up_uid("seg dimensions", seed)


def _decimals(numbers: tuple[float, ...]) -> list[Any]:
    """Numbers as DICOM's decimal strings, which hold 16 characters."""
    from pydicom.valuerep import DSfloat

    return [DSfloat(number, auto_format=True) for number in numbers]
