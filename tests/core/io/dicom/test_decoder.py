"""Compressed pixels: equal to what was compressed; and whatever happens to the child, the program goes on."""

import io
import sys

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from core.errors import BrokenFile, TooLarge, UnsupportedFormat
from core.io import dicom as format_
from core.io.dicom.decoder import Decoder
from core.io.dicom.instance import read_instance
from core.io.dicom.pixels import decode
from core.io.interface import RawFile
from core.io.limits import ReadLimits

LIMITS = ReadLimits()
JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS = (f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 70))


@pytest.fixture(scope="module")
def child():
    """One child for all tests that do not end it."""
    with Decoder() as decoder:
        yield decoder


def with_fragments(dicom, pixels, fragments, syntax, **tags):
    """A file whose pixels are these compressed frames."""
    dataset = dicom.image(pixels, **tags)
    dataset.PixelData = encapsulate(fragments)
    dataset["PixelData"].is_undefined_length = True
    return dicom.save(dataset, syntax)


def compressed(dicom, pixels, syntax, **tags):
    """A file compressed by pydicom's encoders."""
    return recompressed(dicom.save(dicom.image(pixels, **tags)), syntax)


def recompressed(content, syntax=RLELossless):
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.compress(syntax, generate_instance_uid=False)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def frames(child, content):
    instance = read_instance(RawFile("file", content), LIMITS)
    return np.stack([frame.copy() for frame in child.frames(instance)])


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(2).integers(0, 4096, (65, 71)).astype("<u2")


TWELVE = {"BitsStored": 12, "HighBit": 11}


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name[:9])
def test_lossless_frames_come_back_as_they_were(dicom, child, pixels, syntax):
    np.testing.assert_array_equal(frames(child, compressed(dicom, pixels, syntax, **TWELVE))[0, 0], pixels)


def test_lossless_jpeg_is_decoded_without_gpl_code(dicom, child, pixels):
    coded = imagecodecs.ljpeg_encode(pixels, bitspersample=12)
    content = with_fragments(dicom, pixels, [coded], JPEG_LOSSLESS, **TWELVE)
    np.testing.assert_array_equal(frames(child, content)[0, 0], pixels)
    assert not [name for name in sys.modules if name in ("libjpeg", "gdcm")]


def test_jpeg_of_eight_and_twelve_bits_comes_back_nearly_as_it_was(dicom, child):
    rows, columns = np.mgrid[:32, :40]
    for bits, dtype, syntax in ((8, "u1", JPEG_BASELINE), (12, "<u2", JPEG_EXTENDED)):
        smooth = ((rows + columns) * (2**bits - 1) // 70).astype(dtype)
        coded = imagecodecs.jpeg8_encode(smooth, level=98, bitspersample=bits)
        content = with_fragments(dicom, smooth, [coded], syntax, BitsStored=bits, HighBit=bits - 1)
        decoded = frames(child, content)[0, 0].astype(int)
        assert np.abs(decoded - smooth).max() <= 2 ** (bits - 6)


def test_colours_of_a_jpeg_become_red_green_blue(dicom, child):
    colour = np.zeros((16, 16, 3), np.uint8)
    colour[:8], colour[8:] = (200, 40, 10), (10, 60, 220)
    coded = imagecodecs.jpeg8_encode(colour, level=95, subsampling="444")
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL", "PlanarConfiguration": 0}
    content = with_fragments(dicom, colour, [coded], JPEG_BASELINE, Rows=16, Columns=16, **tags)
    decoded = frames(child, content)[0].transpose(1, 2, 0)
    assert np.abs(decoded.astype(int) - colour).max() <= 6


def test_signed_compressed_values_stay_signed(dicom, child, volume):
    signed = (volume[0] - 1500).astype("<i2")
    instance = read_instance(RawFile("file", compressed(dicom, signed, RLELossless)), LIMITS)
    (decoded,) = decode(instance, child)
    np.testing.assert_array_equal(decoded[0], signed)


def test_a_compressed_series_is_read(dicom, volume):
    files = [RawFile(file.name, recompressed(file.content)) for file in dicom.slices(volume)]
    np.testing.assert_array_equal(format_.read(files[::-1], LIMITS).voxels[:, 0], volume)


def test_all_frames_of_a_compressed_file_come_in_order(dicom, child, pixels):
    several = np.stack([pixels, pixels[::-1], pixels // 2])
    content = compressed(dicom, several, RLELossless, NumberOfFrames=3, **TWELVE)
    np.testing.assert_array_equal(frames(child, content)[:, 0], several)


def test_the_shared_picture_is_the_same_in_all_nine_encodings(data_root, child):
    paths = sorted((data_root / "dicom-transfer-syntaxes").glob("*.dcm"))
    if not paths:
        pytest.skip("the nine encodings aren't in the folder of real data: dicom-transfer-syntaxes/")
    read = {}
    for path in paths:
        instance = read_instance(RawFile(path.name, path.read_bytes()), LIMITS)
        read[instance.syntax, path.name] = np.stack([frame.copy() for frame in decode(instance, child)])
    assert len(read) == 9
    assert len({syntax for syntax, _ in read}) == 7
    first, *others = read.values()
    assert first.max() > 100
    for other in others:
        np.testing.assert_array_equal(other, first)


CODECS = {
    "RLE": lambda dicom, pixels: compressed(dicom, pixels, RLELossless, **TWELVE),
    "JPEG-LS": lambda dicom, pixels: compressed(dicom, pixels, JPEGLSLossless, **TWELVE),
    "JPEG 2000": lambda dicom, pixels: compressed(dicom, pixels, JPEG2000Lossless, **TWELVE),
    "JPEG": lambda dicom, pixels: with_fragments(
        dicom, pixels, [imagecodecs.ljpeg_encode(pixels, bitspersample=12)], JPEG_LOSSLESS, **TWELVE
    ),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("damage", ["noise", "cut", "empty"])
def test_damaged_pixels_are_an_error_and_the_next_file_is_decoded(dicom, child, pixels, codec, damage):
    content = bytearray(CODECS[codec](dicom, pixels))
    start = content.rindex(b"\xfe\xff\x00\xe0") + 8
    length = int.from_bytes(content[start - 4 : start], "little")
    noise = np.random.default_rng(3).integers(0, 256, length).astype(np.uint8).tobytes()
    kept = {"noise": noise, "cut": bytes(content[start : start + 40]), "empty": b""}[damage]
    broken = bytes(content[: start - 4]) + len(kept).to_bytes(4, "little") + kept + bytes(content[start + length :])
    with pytest.raises(BrokenFile, match=r"compressed pixels|fewer pixels"):
        frames(child, broken)
    np.testing.assert_array_equal(frames(child, CODECS[codec](dicom, pixels))[0, 0], pixels)


def test_pixels_of_another_size_than_the_header_says_are_an_error(dicom, child, pixels):
    coded = imagecodecs.ljpeg_encode(pixels[:10], bitspersample=12)
    with pytest.raises(BrokenFile):
        frames(child, with_fragments(dicom, pixels, [coded], JPEG_LOSSLESS, **TWELVE))


def test_fewer_frames_than_stated_are_an_error(dicom, child, pixels):
    coded = imagecodecs.ljpeg_encode(pixels, bitspersample=12)
    content = with_fragments(dicom, np.stack([pixels] * 3), [coded], JPEG_LOSSLESS, NumberOfFrames=3, **TWELVE)
    with pytest.raises(BrokenFile):
        frames(child, content)


def test_a_compression_that_nobody_decodes_is_unsupported(dicom, child, pixels):
    content = with_fragments(dicom, pixels, [bytes(500)], "1.2.840.10008.1.2.4.100", **TWELVE)
    with pytest.raises(UnsupportedFormat):
        frames(child, content)


def test_a_picture_that_takes_too_much_memory_is_an_error(dicom, child, pixels):
    if sys.platform != "linux":
        pytest.skip("only Linux limits a process's memory")
    # A JPEG 2000 that states 30,000 × 30,000 pixels of 16 bits behind a header of 65 × 71.
    content = bytearray(CODECS["JPEG 2000"](dicom, pixels))
    size = content.rindex(b"\xff\x51")
    for place in (size + 6, size + 10, size + 22, size + 26):
        content[place : place + 4] = (30_000).to_bytes(4, "big")
    with pytest.raises((TooLarge, BrokenFile)):
        frames(child, bytes(content))


@pytest.mark.parametrize(
    ("program", "message"),
    [("import os; os.abort()", "made their decoder fail"), ("import time; time.sleep(600)", "too long")],
    ids=["crash", "hang"],
)
def test_a_child_that_dies_or_hangs_is_an_error_and_gone(dicom, pixels, program, message):
    instance = read_instance(RawFile("file", CODECS["RLE"](dicom, pixels)), LIMITS)
    with Decoder(seconds=1.0, command=[sys.executable, "-S", "-c", program]) as decoder:
        with pytest.raises(BrokenFile, match=message):
            list(decoder.frames(instance))
        assert decoder._process is None


def test_one_child_serves_a_whole_series_and_ends_with_it(dicom, pixels):
    instance = read_instance(RawFile("file", CODECS["RLE"](dicom, pixels)), LIMITS)
    with Decoder() as decoder:
        list(decoder.frames(instance))
        process = decoder._process
        list(decoder.frames(instance))
        assert decoder._process is process
        assert process.poll() is None
    assert process.poll() is not None
