"""Pixels as they are meant: bits, sign, inversion, rescaling, real-world values."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from core.errors import UnsupportedFormat
from core.io import dicom as format_
from core.io.interface import RawFile
from core.io.limits import ReadLimits

LIMITS = ReadLimits()


def read(*files):
    return format_.read([file if isinstance(file, RawFile) else RawFile("file", file) for file in files], LIMITS)


def mapping(slope, intercept):
    item = Dataset()
    item.RealWorldValueFirstValueMapped, item.RealWorldValueLastValueMapped = 0, 4095
    item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
    return [item]


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", "<i2", "<i4"])
def test_values_without_rescaling_stay_what_they_are(dicom, dtype):
    info = np.iinfo(dtype)
    pixels = np.array([[info.min, info.max, 0], [1, 2, info.max - 1]], dtype)
    decoded = read(dicom.save(dicom.image(pixels)))
    assert decoded.voxels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(decoded.voxels[0, 0], pixels)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_uncompressed_files_in_every_byte_order_hold_the_same(dicom, syntax):
    pixels = np.arange(-6, 6, dtype="<i2").reshape(3, 4) * 300
    stored = pixels.astype(">i2") if syntax == ExplicitVRBigEndian else pixels
    decoded = read(dicom.save(dicom.image(stored), syntax))
    np.testing.assert_array_equal(decoded.voxels[0, 0], pixels)
    assert decoded.voxels.dtype.isnative


def test_bits_that_belong_to_no_pixel_are_left_out(dicom):
    meant = np.array([[0, 1, 2047, 4095]], "<u2")
    overlaid = meant | np.array([[0x1000, 0xF000, 0, 0x8000]], "<u2")
    decoded = read(dicom.save(dicom.image(overlaid, BitsStored=12, HighBit=11)))
    np.testing.assert_array_equal(decoded.voxels[0, 0], meant)


def test_negative_values_of_twelve_bits_are_negative(dicom):
    meant = np.array([[-2048, -1, 0, 2047]], "<i2")
    stored = (meant & 0x0FFF).astype("<i2")
    decoded = read(dicom.save(dicom.image(stored, BitsStored=12, HighBit=11)))
    np.testing.assert_array_equal(decoded.voxels[0, 0], meant)


def test_pixels_may_lie_in_the_upper_bits(dicom):
    meant = np.array([[0, 5, 4095]], "<u2")
    decoded = read(dicom.save(dicom.image((meant << 4).astype("<u2"), BitsStored=12, HighBit=15)))
    np.testing.assert_array_equal(decoded.voxels[0, 0], meant)


@pytest.mark.parametrize(("dtype", "stored"), [("u1", 8), ("<u2", 12), ("<u2", 16), ("<i2", 12), ("<i2", 16)])
def test_white_as_zero_is_inverted_within_its_bits(dicom, dtype, stored):
    lowest = -(2 ** (stored - 1)) if dtype[-2] == "i" else 0
    highest = lowest + 2**stored - 1
    pixels = np.array([[lowest, lowest + 1, highest]], dtype)
    inverse = np.array([[highest, highest - 1, lowest]], dtype)
    tags = {"BitsStored": stored, "HighBit": stored - 1}
    one = read(dicom.save(dicom.image(pixels, PhotometricInterpretation="MONOCHROME1", **tags)))
    shape = read(dicom.save(dicom.image(pixels, PresentationLUTShape="INVERSE", **tags)))
    for decoded in (one, shape):
        np.testing.assert_array_equal(decoded.voxels[0, 0], inverse)
        assert [note.code for note in decoded.notes][-1] == "inverted"


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [(2, -5, "int16"), (1, -1024, "int32"), (40, 0, "int32"), (0.25, 3, "float32"), (1, 0.5, "float32")],
)
def test_the_rescaling_is_applied(dicom, slope, intercept, dtype):
    stored = 16 if (slope, dtype) == (1, "int32") else 12
    pixels = np.array([[0, 7, 4095]], "<u2")
    tags = {"RescaleSlope": slope, "RescaleIntercept": intercept, "BitsStored": stored, "HighBit": stored - 1}
    decoded = read(dicom.save(dicom.image(pixels, **tags)))
    assert decoded.voxels.dtype == dtype
    np.testing.assert_array_equal(decoded.voxels[0, 0], pixels * np.float64(slope) + intercept)


def test_each_slice_has_its_own_rescaling(dicom, volume):
    def rescale(dataset, index):
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 * (index + 1), -index

    decoded = read(*dicom.slices(volume, change=rescale))
    for index, image in enumerate(volume):
        np.testing.assert_allclose(decoded.voxels[index, 0], image * 0.5 * (index + 1) - index)


def test_a_slope_of_zero_means_none(dicom):
    decoded = read(dicom.save(dicom.image(np.array([[3, 4]], "<i2"), RescaleSlope=0, RescaleIntercept=0)))
    assert decoded.voxels.ravel().tolist() == [3, 4]


def test_real_world_values_come_before_the_rescaling_where_every_slice_has_them(dicom, volume):
    tags = {"RescaleSlope": 7, "RescaleIntercept": 1}
    decoded = read(*dicom.slices(volume, RealWorldValueMappingSequence=mapping(0.5, -3), **tags))
    np.testing.assert_allclose(decoded.voxels[:, 0], volume * 0.5 - 3)

    def only_first(dataset, index):
        if index == 0:
            dataset.RealWorldValueMappingSequence = mapping(0.5, -3)

    decoded = read(*dicom.slices(volume, change=only_first, **tags))
    np.testing.assert_array_equal(decoded.voxels[:, 0], volume.astype(int) * 7 + 1)


def test_colours_are_channels(dicom):
    pixels = np.random.default_rng(1).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "Rows": 4, "Columns": 6}
    interleaved = read(dicom.save(dicom.image(pixels, PlanarConfiguration=0, **tags)))
    planes = read(
        dicom.save(dicom.image(np.ascontiguousarray(pixels.transpose(2, 0, 1)), PlanarConfiguration=1, **tags))
    )
    for decoded in (interleaved, planes):
        np.testing.assert_array_equal(decoded.voxels[0].transpose(1, 2, 0), pixels)
        assert decoded.channels == ("red", "green", "blue")


@pytest.mark.parametrize(
    "tags",
    [
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0},
        {"BitsAllocated": 64, "BitsStored": 64, "HighBit": 63},
        {"SamplesPerPixel": 4},
    ],
    ids=str,
)
def test_pixels_of_uncommon_kinds_are_refused(dicom, tags):
    with pytest.raises(UnsupportedFormat):
        read(dicom.save(dicom.image(np.zeros((8, 8), "<u2"), **tags)))


def test_parametric_maps_are_refused(dicom):
    dataset = dicom.image(np.zeros((2, 2), "<u2"))
    del dataset.PixelData
    dataset.FloatPixelData = np.ones((2, 2), "<f4").tobytes()
    with pytest.raises(UnsupportedFormat, match="floating"):
        read(dicom.save(dataset))
