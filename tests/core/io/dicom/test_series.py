"""From files in any order to slices in their places."""

import numpy as np
import pytest

from core.errors import (
    AmbiguousSeries,
    DifferingDuplicates,
    InputError,
    MixedOrientations,
    MixedPatients,
    MixedSizes,
    UnsupportedFormat,
)
from core.io import dicom as format_
from core.io.interface import RawFile
from core.io.limits import ReadLimits
from core.scan import GEOMETRY_MISSING, SLICE_GAP, SLICE_TILT, SLICES_UNEVEN

LIMITS = ReadLimits()


def read(files, series=None):
    return format_.read(files, LIMITS, series)


def codes(decoded):
    return {note.code for note in decoded.notes}


def shuffled(files, seed=0):
    order = np.random.default_rng(seed).permutation(len(files))
    return [RawFile(f"{number:04}", files[index].content) for number, index in enumerate(order)]


def planes():
    """Right-handed pairs of directions along the axes, with each sign: all 24 that a stack can have."""
    axes = [sign * axis for axis in np.eye(3) for sign in (1, -1)]
    return [np.array([row, column, np.cross(row, column)]) for row in axes for column in axes if row @ column == 0]


@pytest.mark.parametrize("directions", planes(), ids=lambda axes: "".join("xyz"[np.argmax(abs(a))] for a in axes))
def test_slices_lie_where_their_header_says(dicom, volume, directions):
    space = dicom.Space(directions=directions)
    decoded = read(dicom.slices(volume, space))
    np.testing.assert_array_equal(decoded.voxels[:, 0], volume)
    np.testing.assert_allclose(decoded.affine, space.affine(), atol=1e-9)
    assert decoded.spacing_mm == pytest.approx(space.spacing)
    assert decoded.slice_positions_mm is None
    assert decoded.notes == ()


def test_an_oblique_stack_has_its_affine(dicom, volume):
    space = dicom.Space(directions=dicom.oblique())
    decoded = read(dicom.slices(volume, space))
    np.testing.assert_allclose(decoded.affine, space.affine(), atol=1e-8)
    assert decoded.notes == ()


def test_neither_names_nor_order_nor_instance_numbers_matter(dicom, volume):
    def lie(dataset, index):
        dataset.InstanceNumber = [4, 1, 5, 2, 3][index]

    space = dicom.Space(directions=dicom.oblique())
    decoded = read(shuffled(dicom.slices(volume, space, change=lie)))
    np.testing.assert_array_equal(decoded.voxels[:, 0], volume)
    np.testing.assert_allclose(decoded.affine, space.affine(), atol=1e-8)


@pytest.mark.parametrize("number", [None, 1])
def test_where_nothing_tells_the_order_names_do_as_people_count(dicom, number):
    volume = np.arange(12, dtype=np.int16)[:, None, None] + np.zeros((4, 5), np.int16)
    files = dicom.slices(volume, InstanceNumber=number, ImagePositionPatient=None)
    named = [RawFile(f"{'zyxwvutsrqpo'[index]}/IM{index}", file.content) for index, file in enumerate(files)]
    decoded = read(named[::-1])
    np.testing.assert_array_equal(decoded.voxels[:, 0, 0, 0], np.arange(12))


def test_the_files_come_back_in_the_order_of_their_slices(dicom, volume):
    files = dicom.slices(volume)
    decoded = read(files[::-1])
    assert [file.name for file in decoded.files] == [file.name for file in files]
    assert decoded.slices_per_file == (1,) * len(volume)


def test_a_description_says_what_reading_gives(dicom, volume):
    files = dicom.slices(volume, SeriesDescription="t2 flair tra")
    described, decoded = format_.describe(files, LIMITS), read(files)
    size = described.size
    assert (size.slices, size.channels, size.height, size.width) == decoded.voxels.shape
    assert described.dtype == decoded.voxels.dtype.name == "int16"
    assert described.sequence == decoded.sequence == "FLAIR"
    np.testing.assert_array_equal(described.affine, decoded.affine)


def test_an_enhanced_image_is_its_single_frame_twin(dicom, volume):
    space = dicom.Space(directions=dicom.oblique())
    twin, decoded = read(dicom.slices(volume, space)), read([dicom.enhanced(volume, space, [3, 0, 4, 1, 2])])
    np.testing.assert_array_equal(decoded.voxels, twin.voxels)
    np.testing.assert_allclose(decoded.affine, twin.affine)
    assert decoded.spacing_mm == pytest.approx(twin.spacing_mm)
    assert decoded.slices_per_file == (5,)


def test_a_slice_that_is_missing_leaves_a_gap(dicom, volume):
    space = dicom.Space()
    decoded = read(dicom.slices(volume, space, keep=[0, 1, 3, 4]))
    assert codes(decoded) == {SLICE_GAP}
    assert decoded.spacing_mm == (None, *space.spacing[1:])
    assert np.diff(decoded.slice_positions_mm) == pytest.approx([2, 4, 2])
    np.testing.assert_array_equal(decoded.voxels[:, 0], volume[[0, 1, 3, 4]])
    # Left and right are still known.
    np.testing.assert_allclose(decoded.affine, space.affine(), atol=1e-9)


def test_of_three_slices_one_gap_is_seen(dicom, volume):
    assert codes(read(dicom.slices(volume, keep=[0, 1, 3]))) == {SLICE_GAP}


def test_uneven_steps_without_a_gap_are_told_apart(dicom, volume):
    def move(dataset, index):
        dataset.ImagePositionPatient[2] += [0, 0.3, 0, 0.3, 0][index]

    decoded = read(dicom.slices(volume, change=move))
    assert codes(decoded) == {SLICES_UNEVEN}
    assert decoded.spacing_mm[0] is None
    assert len(decoded.slice_positions_mm) == 5


def test_rounding_in_the_header_is_no_unevenness(dicom, volume):
    def rounded(dataset, index):
        dataset.ImagePositionPatient = [round(float(value) + 0.004 * (-1) ** index, 3) for value in dataset[0x200032]]

    decoded = read(dicom.slices(volume, change=rounded))
    assert decoded.notes == ()
    assert decoded.spacing_mm[0] == pytest.approx(2, abs=0.01)


def test_a_leaning_stack_is_told(dicom, volume):
    def lean(dataset, index):
        dataset.ImagePositionPatient[1] += 0.4 * index

    decoded = read(dicom.slices(volume, change=lean))
    assert codes(decoded) == {SLICE_TILT}
    assert decoded.spacing_mm[0] is None
    assert decoded.affine is not None


@pytest.mark.parametrize("tag", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_slices_that_do_not_say_where_they_lie_keep_their_numbers_order(dicom, volume, tag):
    decoded = read(shuffled(dicom.slices(volume, **{tag: None})))
    assert codes(decoded) == {GEOMETRY_MISSING}
    assert decoded.affine is None
    assert decoded.spacing_mm == ((None, None, None) if tag == "PixelSpacing" else (None, 0.5, 0.8))
    np.testing.assert_array_equal(decoded.voxels[:, 0], volume)


@pytest.mark.parametrize(
    "orientation", [[1, 0, 0, 1, 0, 0], [0] * 6, [2, 0, 0, 0, 2, 0], [1, 0, 0, 0.3, 1, 0]], ids=str
)
def test_directions_that_cannot_be_are_as_good_as_none(dicom, volume, orientation):
    assert codes(read(dicom.slices(volume, ImageOrientationPatient=orientation))) == {GEOMETRY_MISSING}


def test_a_lone_slice_knows_its_place_but_no_distance(dicom, volume):
    decoded = read(dicom.slices(volume, keep=[2]))
    assert decoded.spacing_mm == (None, 0.5, 0.8)
    assert decoded.affine[2, 2] == 2.0  # its thickness
    assert decoded.notes == ()


def test_equal_duplicates_are_taken_once(dicom, volume):
    files = dicom.slices(volume)
    copy = dicom.slices(volume, keep=[2], SOPInstanceUID="1.2.3.77")
    decoded = read([*files, *copy])
    assert codes(decoded) == {"equal-duplicates"}
    np.testing.assert_array_equal(decoded.voxels[:, 0], volume)


def test_duplicates_that_differ_are_refused(dicom, volume):
    other = volume.copy()
    other[2, 3, 4] += 1
    with pytest.raises(DifferingDuplicates) as raised:
        read([*dicom.slices(volume), *dicom.slices(other, keep=[2], SOPInstanceUID="1.2.3.77")])
    assert raised.value.code == "differing-duplicates"


def test_copies_without_a_place_are_known_by_their_uid(dicom, volume):
    files = dicom.slices(volume, ImagePositionPatient=None)
    decoded = read([*files, RawFile("copy", files[1].content)])
    assert "equal-duplicates" in codes(decoded)
    assert len(decoded.voxels) == 5


def test_sizes_that_differ_in_one_series_are_refused_with_the_choices(dicom, volume):
    files = [*dicom.slices(volume), *dicom.slices(volume[:, :6], root="1.2.3.6")]
    with pytest.raises(MixedSizes) as raised:
        read(files)
    assert raised.value.code == "mixed-sizes"
    assert [choice.key for choice in raised.value.choices] == ["1", "2"]
    np.testing.assert_array_equal(read(files, "1").voxels[:, 0], volume[:, :6])
    np.testing.assert_array_equal(read(files, "2").voxels[:, 0], volume)


def test_slices_of_several_people_in_one_series_are_refused_with_the_choices(dicom, volume):
    one = dicom.slices(volume, PatientID="A 1", PatientName="Planted^One")
    other = dicom.slices(volume[:3], PatientID="B 2", PatientName="Planted^Other")
    with pytest.raises(MixedPatients) as raised:
        read([*one, *other], "1.2.3.4")
    assert raised.value.code == "mixed-patients"
    assert "Planted" not in str(raised.value)
    shapes = sorted(len(read([*one, *other], choice.key).voxels) for choice in raised.value.choices)
    assert shapes == [3, len(volume)]
    nobody = [*dicom.slices(volume[:2], PatientID=""), *dicom.slices(volume, PatientID="A 1")[2:]]
    np.testing.assert_array_equal(read(nobody).voxels[:, 0], read(one).voxels[:, 0])


def test_directions_that_differ_in_one_series_are_refused_with_the_choices(dicom, volume):
    turned = dicom.Space(directions=np.array([[0, 1, 0], [0, 0, -1], [-1, 0, 0]]))
    localiser = [*dicom.slices(volume), *dicom.slices(volume[:3], turned)]
    with pytest.raises(MixedOrientations) as raised:
        read(localiser, "1.2.3.4")
    assert raised.value.code == "mixed-orientations"
    assert [choice.description for choice in raised.value.choices] == [
        "unknown sequence, 5 axial slices of 10×12", "unknown sequence, 3 sagittal slices of 10×12"
    ]  # fmt: skip
    np.testing.assert_array_equal(read(localiser, "2").voxels[:, 0], volume[:3][::1])


def test_several_series_are_listed_and_chosen_by_number_or_uid(dicom, volume):
    flair = dicom.slices(volume, SeriesInstanceUID="1.2.3.5", SeriesNumber=9, SeriesDescription="FLAIR SECRET^NAME")
    files = shuffled([*dicom.slices(volume[:, ::-1], SeriesDescription="T1w SECRET^NAME"), *flair])
    with pytest.raises(AmbiguousSeries) as raised:
        read(files)
    assert type(raised.value) is AmbiguousSeries
    told = [choice.description for choice in raised.value.choices]
    assert told == ["T1w, 5 axial slices of 10×12", "FLAIR, 5 axial slices of 10×12"]
    assert "SECRET" not in str(raised.value)
    np.testing.assert_array_equal(read(files, "2").voxels[:, 0], volume)
    np.testing.assert_array_equal(read(files, "1.2.3.5").voxels[:, 0], volume)
    with pytest.raises(AmbiguousSeries, match="no such series"):
        read(files, "3")


def test_stacks_that_are_described_alike_are_counted(dicom, volume):
    series = [dicom.slices(volume, SeriesInstanceUID=f"1.2.3.{number}", root=f"1.2.4.{number}") for number in (1, 2)]
    with pytest.raises(AmbiguousSeries) as raised:
        read([file for files in series for file in files])
    ends = [choice.description.rpartition(", ")[2] for choice in raised.value.choices]
    assert ends == ["number 1 of 2 like it", "number 2 of 2 like it"]


def test_two_echoes_in_one_series_are_two_stacks(dicom, volume):
    first = dicom.slices(volume, EchoTime=12)
    second = dicom.slices(volume + 1, EchoTime=100, root="1.2.3.6")
    files = shuffled([*first, *second])
    with pytest.raises(AmbiguousSeries) as raised:
        read(files)
    assert [choice.description[-15:] for choice in raised.value.choices] == ["echo time 12 ms", "cho time 100 ms"]
    np.testing.assert_array_equal(read(files, "2").voxels[:, 0], volume + 1)


def test_a_copy_with_another_acquisition_number_does_not_part_a_series(dicom, volume):
    copy = dicom.slices(volume, keep=[0], AcquisitionNumber=2, SOPInstanceUID="1.2.3.77")
    decoded = read([*dicom.slices(volume, AcquisitionNumber=1), *copy])
    assert codes(decoded) == {"equal-duplicates"}
    assert len(decoded.voxels) == 5


def test_what_is_no_picture_is_passed_over_beside_pictures_and_refused_alone(dicom, volume):
    report = dicom.image(volume[0], SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR", Rows=None)
    del report.PixelData
    segmentation = dicom.image(volume[0], SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", Modality="SEG")
    document = dicom.image(volume[0], SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", Modality="DOC", Rows=None)
    del document.PixelData
    document.EncapsulatedDocument = b"%PDF-1.7"
    others = [RawFile(f"{n}", dicom.save(each)) for n, each in enumerate((report, segmentation, document))]
    for other in others:
        with pytest.raises(UnsupportedFormat):
            read([other])
    decoded = read([*others, *dicom.slices(volume)])
    assert codes(decoded) == {"no-pictures"}
    np.testing.assert_array_equal(decoded.voxels[:, 0], volume)


def test_frames_without_a_place_of_their_own_have_none(dicom, volume):
    several = dicom.image(
        volume, NumberOfFrames=5, ImagePositionPatient=[0, 0, 0], SOPClassUID="1.2.840.10008.5.1.4.1.1.7.3"
    )
    decoded = read([RawFile("frames", dicom.save(several))])
    assert GEOMETRY_MISSING in codes(decoded)
    np.testing.assert_array_equal(decoded.voxels[:, 0], volume)


def test_an_enhanced_image_that_miscounts_its_frames_is_refused(dicom, volume):
    with pytest.raises(InputError, match="number of frames"):
        read([dicom.enhanced(volume, NumberOfFrames=4)])


def test_the_shared_enhanced_phantom_is_read(data_root):
    files = sorted((data_root / "dicom-enhanced").rglob("*.dcm"))
    if not files:
        pytest.skip("the Enhanced phantom isn't in the folder of real data: dicom-enhanced/")
    for path in files:
        decoded = read([RawFile(path.name, path.read_bytes())])
        assert decoded.voxels.shape == (6, 1, 64, 64)
        assert decoded.spacing_mm == pytest.approx((2.4, 3.375, 3.375))
        assert decoded.notes == ()
    with pytest.raises(AmbiguousSeries):
        read([RawFile(path.name, path.read_bytes()) for path in files])
