"""A segmentation lies where its images do: read back by highdicom, and by SimpleITK, which shares no code with it."""

import io
from dataclasses import replace
from datetime import datetime

import highdicom
import numpy as np
import pydicom
import pytest

from core.errors import OutputError, UnsupportedFormat
from core.io import read_scan_bytes
from core.io.dicom import read
from core.io.dicom.seg import encode_mask, encode_probability, encode_seg, obstacle
from core.io.interface import Origin
from core.io.limits import ReadLimits
from core.scan import Scan

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
PLANES = {
    "axial": np.eye(3),
    "axial, upside down": np.array([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]]),
    "coronal": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "sagittal": np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]]),
    "sagittal, from the right": np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]]),
    "oblique": None,
}


def scan_of(files):
    decoded = read(files, ReadLimits())
    return Scan(
        name="case",
        voxels=decoded.voxels,
        spacing_mm=decoded.spacing_mm,
        affine=decoded.affine,
        slice_positions_mm=decoded.slice_positions_mm,
        sha256="0" * 64,
        notes=decoded.notes,
        format="DICOM",
        header=decoded.header,
    )


@pytest.fixture
def pattern(volume):
    """No mirror image, no turn and no shift of it is itself; every slice has some."""
    mask = np.zeros(volume.shape, bool)
    mask[:, 1, 2] = True
    mask[1, 2:9, 3] = True
    mask[2, 4, 3:8] = True
    mask[3, 7:10, 1:3] = True
    mask[4, 11, 9] = True
    return mask


def places(affine, indices):
    """(N, 3) millimetres of (column, row, slice) indices, sorted."""
    points = np.c_[indices, np.ones(len(indices))] @ np.asarray(affine).T
    return points[np.lexsort(np.round(points[:, :3], 3).T)][:, :3]


def marked(mask):
    return np.argwhere(mask)[:, ::-1]


def seen_by_highdicom(content):
    """RAS millimetres of all that is marked."""
    volume = highdicom.seg.segread(io.BytesIO(content)).get_volume(combine_segments=True)
    return places(TO_RAS @ volume.affine, np.argwhere(volume.array))


def seen_by_simpleitk(content, folder):
    import SimpleITK

    path = folder / "seg.dcm"
    path.write_bytes(content)
    image = SimpleITK.ReadImage(str(path))
    marks = np.argwhere(SimpleITK.GetArrayFromImage(image) > 0)[:, ::-1]
    points = np.array([image.TransformIndexToPhysicalPoint([int(i) for i in index]) for index in marks])
    return places(TO_RAS, points)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("source", ["slices", "enhanced"])
def test_marks_come_back_at_the_same_millimetres(dicom, volume, pattern, plane, source, tmp_path):
    directions = dicom.oblique() if PLANES[plane] is None else PLANES[plane]
    space = dicom.Space(directions=directions, spacing=(3.1, 0.5, 0.8))
    files = (
        dicom.slices(volume, space)[::-1] if source == "slices" else [dicom.enhanced(volume, space, [4, 0, 3, 1, 2])]
    )
    content = encode_seg(pattern, scan_of(files), "model", "1")
    expected = places(space.affine(), marked(pattern))
    np.testing.assert_allclose(seen_by_highdicom(content), expected, atol=1e-4)
    np.testing.assert_allclose(seen_by_simpleitk(content, tmp_path), expected, atol=1e-4)


def test_each_frame_refers_to_the_image_it_was_found_in(dicom, volume, pattern):
    pattern[1] = False
    for files, frames in ((dicom.slices(volume), False), ([dicom.enhanced(volume, order=[4, 0, 3, 1, 2])], True)):
        dataset = pydicom.dcmread(io.BytesIO(encode_seg(pattern, scan_of(files), "model", "1")))
        masks = dataset.pixel_array
        found = {}
        for group, mask in zip(dataset.PerFrameFunctionalGroupsSequence, masks, strict=True):
            reference = group.DerivationImageSequence[0].SourceImageSequence[0]
            uid, frame = reference.ReferencedSOPInstanceUID, reference.get("ReferencedFrameNumber")
            index = [4, 0, 3, 1, 2][int(frame) - 1] if frames else int(uid.split(".")[-1]) - 1
            found[index] = mask.astype(bool)
            assert reference.ReferencedSOPClassUID == (
                "1.2.840.10008.5.1.4.1.1.4.1" if frames else "1.2.840.10008.5.1.4.1.1.4"
            )
        assert set(found) == {0, 2, 3, 4}
        for index, mask in found.items():
            np.testing.assert_array_equal(mask, pattern[index])
        (series,) = dataset.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == "1.2.3.4"
        assert len(series.ReferencedInstanceSequence) == (1 if frames else 5)


def test_slices_around_a_gap_keep_their_places(dicom, volume, pattern):
    space = dicom.Space(directions=dicom.oblique())
    kept = [0, 1, 3, 4]
    scan = scan_of(dicom.slices(volume, space, keep=kept))
    assert obstacle(scan) is None
    dataset = pydicom.dcmread(io.BytesIO(encode_seg(pattern[kept], scan, "model", "1")))
    found = [group.PlanePositionSequence[0].ImagePositionPatient for group in dataset.PerFrameFunctionalGroupsSequence]
    expected = [space.position(index) for index in kept]
    np.testing.assert_allclose(sorted(map(tuple, found)), sorted(map(tuple, expected)), atol=1e-6)
    assert "SpacingBetweenSlices" not in dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]


def test_it_says_what_it_shows_and_what_found_it(dicom, volume, pattern):
    dataset = pydicom.dcmread(io.BytesIO(encode_seg(pattern, scan_of(dicom.slices(volume)), "attention-unet", "7")))
    (segment,) = dataset.SegmentSequence
    assert segment.SegmentLabel == "Lesion"
    assert [segment.SegmentedPropertyTypeCodeSequence[0].get(k) for k in ("CodeValue", "CodingSchemeDesignator")] == [
        "52988006", "SCT"
    ]  # fmt: skip
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("metseg attention-unet", "7")
    assert dataset.SegmentationType == "BINARY"
    assert dataset.Modality == "SEG"
    assert "research use only" in dataset.SeriesDescription
    assert (dataset.FrameOfReferenceUID, dataset.StudyInstanceUID) == ("1.2.3.9", "1.2.3.1")
    assert dataset.SeriesInstanceUID not in ("1.2.3.4", dataset.StudyInstanceUID)


def test_patient_and_study_are_copied_and_nothing_else(dicom, volume, pattern):
    def fill(dataset, index):
        dataset.PatientName, dataset.SpecificCharacterSet = "Müller^Zoë", "ISO_IR 100"
        dataset.PatientComments = dataset.StudyDescription = dataset.AdditionalPatientHistory = "SECRET text"
        dataset.InstitutionName = dataset.StationName = dataset.OperatorsName = "SECRET place"
        dataset.private_block(0x0011, "SECRET maker", create=True).add_new(0x01, "LO", "SECRET private")

    content = encode_seg(pattern, scan_of(dicom.slices(volume, change=fill)), "model", "1")
    dataset = pydicom.dcmread(io.BytesIO(content))
    assert str(dataset.PatientName) == "Müller^Zoë"
    copied = ("PatientID", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber")
    assert [dataset[keyword].value for keyword in copied] == ["17", "19700101", "F", "S1", "A1"]
    assert (dataset.StudyDate, dataset.StudyTime) == ("20200102", "101112")
    assert b"SECRET" not in content
    assert content[:128] == bytes(128)
    assert not [element for element in dataset.iterall() if element.tag.is_private]


def test_another_patient_takes_the_place_of_the_one_that_was(dicom, volume, pattern):
    names = {"PatientName": "SECRET^NAME", "PatientID": "SECRET17", "AccessionNumber": "SECRET", "StudyID": "SECRET"}
    scan = scan_of(dicom.slices(volume, ReferringPhysicianName="SECRET^DOCTOR", PatientBirthDate="19330303", **names))
    content = encode_seg(pattern, scan, "model", "1", deidentify=True)
    dataset, again = (
        pydicom.dcmread(io.BytesIO(each)) for each in (content, encode_seg(pattern, scan, "m", "2", True))
    )
    assert b"SECRET" not in content
    assert b"19330303" not in content
    assert b"1.2.3.1\0" not in content
    assert dataset.PatientIdentityRemoved == "YES"
    assert str(dataset.PatientName).startswith("metseg-")
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID"):
        assert dataset[keyword].value == again[keyword].value
    other = scan_of(dicom.slices(volume, PatientID="18", StudyInstanceUID="1.2.3.2"))
    assert pydicom.dcmread(io.BytesIO(encode_seg(pattern, other, "m", "1", True))).PatientID != dataset.PatientID
    # What the mask belongs to can still be found.
    np.testing.assert_allclose(seen_by_highdicom(content), places(scan.affine, marked(pattern)), atol=1e-4)


def test_damaged_tags_of_the_patient_do_not_stop_it(dicom, volume, pattern):
    tags = {
        "PatientSex": "?",
        "PatientBirthDate": "1 May",
        "StudyDate": "yesterday",
        "StudyTime": "noon",
        "StudyID": None,
    }
    tags |= {"PatientName": None, "PatientID": None, "StudyInstanceUID": None, "FrameOfReferenceUID": None}
    dataset = pydicom.dcmread(io.BytesIO(encode_seg(pattern, scan_of(dicom.slices(volume, **tags)), "model", "1")))
    assert [dataset[k].value for k in ("PatientSex", "PatientBirthDate", "StudyDate", "PatientName")] == [
        "",
        "",
        "",
        "",
    ]
    assert dataset.StudyInstanceUID.startswith("2.25.")
    assert dataset.FrameOfReferenceUID.startswith("2.25.")


def test_an_empty_mask_is_written_with_all_its_frames(dicom, volume):
    content = encode_seg(np.zeros(volume.shape, bool), scan_of(dicom.slices(volume)), "model", "1")
    dataset = pydicom.dcmread(io.BytesIO(content))
    assert dataset.NumberOfFrames == 5
    assert not dataset.pixel_array.any()


def test_at_one_time_equal_masks_make_equal_files(dicom, volume, pattern):
    scan, when = scan_of(dicom.slices(volume)), datetime(2026, 1, 2, 3, 4, 5)
    first = encode_seg(pattern, scan, "model", "1", made=when)
    assert first == encode_seg(pattern, scan, "model", "1", made=when)
    assert first != encode_seg(~pattern, scan, "model", "1", made=when)
    now, later = (pydicom.dcmread(io.BytesIO(encode_seg(pattern, scan, "model", "1"))) for _ in range(2))
    assert now.SOPInstanceUID != later.SOPInstanceUID


def test_as_a_form_of_results_it_is_named_after_the_scan(dicom, volume, pattern):
    scan = scan_of(dicom.slices(volume))
    (mask,) = encode_mask(pattern, scan, Origin("model", "1"))
    (probability,) = encode_probability(pattern * np.float32(0.5), scan, Origin("model", "1"))
    assert (mask.name, probability.name) == ("case_mask.dcm", "case_probability.dcm")
    fractions = pydicom.dcmread(io.BytesIO(probability.content))
    assert fractions.SegmentationType == "FRACTIONAL"
    assert set(np.unique(fractions.pixel_array)) == {0, 128}


def test_scans_that_cannot_have_one_are_refused_with_the_reason(dicom, volume, pattern):
    nowhere = scan_of(dicom.slices(volume, ImagePositionPatient=None))
    picture = replace(nowhere, header=None)
    nameless = scan_of(dicom.slices(volume, change=lambda dataset, index: setattr(dataset, "SOPInstanceUID", "x")))
    for scan, reason in ((nowhere, "do not say where"), (picture, "only be written for DICOM"), (nameless, "no UIDs")):
        assert reason in obstacle(scan)
        with pytest.raises(OutputError, match=reason):
            encode_seg(pattern, scan, "model", "1")
    with pytest.raises(ValueError, match="grid"):
        encode_seg(pattern[:2], scan_of(dicom.slices(volume)), "model", "1")


def test_a_segmentation_is_no_scan(dicom, volume, pattern):
    with pytest.raises(UnsupportedFormat):
        read_scan_bytes(encode_seg(pattern, scan_of(dicom.slices(volume)), "model", "1"), "seg.dcm")


def test_where_the_scan_stands_nothing_prints_the_patient(dicom, volume):
    scan = scan_of(dicom.slices(volume, PatientName="SECRET^NAME"))
    assert "SECRET" in scan.header.first.decode("latin-1")
    assert "SECRET" not in repr(scan.header)


@pytest.mark.parametrize(("stated", "written"), [({}, 1.5), ({"SpacingBetweenSlices": -2.0}, 1.5)])
def test_it_states_the_slices_thickness_and_not_their_distance(dicom, volume, pattern, stated, written):
    def fill(dataset, index):
        dataset.SliceThickness = 1.5
        for keyword, value in stated.items():
            setattr(dataset, keyword, value)

    content = encode_seg(pattern, scan_of(dicom.slices(volume, change=fill)), "model", "1")
    shared = pydicom.dcmread(io.BytesIO(content)).SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].SliceThickness == written


def test_a_thickness_that_is_not_stated_is_the_slices_distance(dicom, volume, pattern):
    def empty(dataset, index):
        dataset.SliceThickness = None

    scan = scan_of(dicom.slices(volume, change=empty))
    shared = pydicom.dcmread(io.BytesIO(encode_seg(pattern, scan, "model", "1"))).SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].SliceThickness == pytest.approx(scan.spacing_mm[0])
    assert scan.spacing_mm[0] != 1
