import struct
import zlib

import cv2
import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BrokenFile, PairMismatch, UnsupportedFormat
from core.io import read_scan, read_scan_bytes
from core.io.describe import describe_scan
from core.io.orientation import upright


def picture(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def smooth(height, width, channels=3):
    return np.stack([np.add.outer(np.arange(height) * k, np.arange(width)) for k in range(1, channels + 1)], -1).astype(
        np.uint8
    )


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, rows, extra=b"", interlaced=0):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def codes(scan):
    return {note.code for note in scan.notes}


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    dtype=st.sampled_from([np.uint8, np.uint16]),
)
def test_a_png_is_read_back_exactly(height, width, channels, dtype):
    expected = picture(height, width, channels, dtype=dtype)
    scan = read_scan_bytes(imagecodecs.png_encode(expected.squeeze(-1) if channels == 1 else expected), "scan")
    assert scan.voxels.dtype == dtype
    np.testing.assert_array_equal(scan.voxels[0], expected.transpose(2, 0, 1))
    assert scan.notes == ()


def test_channels_are_red_green_blue():
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes blue, green, red
    for suffix in (".png", ".jpg"):
        voxels = read_scan_bytes(cv2.imencode(suffix, red)[1].tobytes(), "scan").voxels
        np.testing.assert_allclose(voxels[0].mean(axis=(1, 2)), (200, 0, 0), atol=2)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_opacity_is_dropped_and_said(channels, dtype):
    stored = picture(5, 6, channels, dtype=dtype)
    scan = read_scan_bytes(imagecodecs.png_encode(stored), "scan")
    np.testing.assert_array_equal(scan.voxels[0], stored[..., :-1].transpose(2, 0, 1))
    assert codes(scan) == {"alpha-dropped"}


def test_a_palette_becomes_its_colours():
    palette = chunk(b"PLTE", bytes([9, 8, 7, 255, 0, 1, 0, 255, 2]))
    for extra, noted in ((palette, set()), (palette + chunk(b"tRNS", b"\0\xff"), {"alpha-dropped"})):
        scan = read_scan_bytes(png(4, 1, 2, 3, [bytes([0b00011000])], extra), "scan")
        expected = [[9, 255, 0, 9], [8, 0, 255, 8], [7, 1, 2, 7]]
        np.testing.assert_array_equal(scan.voxels[0, :, 0], expected)
        assert codes(scan) == noted


def test_one_and_four_bits_fill_the_range():
    assert read_scan_bytes(png(8, 1, 1, 0, [b"\xf0"]), "s").voxels.ravel().tolist() == [255] * 4 + [0] * 4
    assert read_scan_bytes(png(2, 1, 4, 0, [b"\x1f"]), "s").voxels.ravel().tolist() == [17, 255]


def test_an_interlaced_png_is_read():
    # Adam7 of a 2×2 picture: pass 1 holds (0, 0), pass 6 (0, 1), pass 7 the second row.
    content = png(2, 2, 8, 0, [b"\x01", b"\x02", b"\x03\x04"], interlaced=1)
    assert read_scan_bytes(content, "s").voxels[0, 0].tolist() == [[1, 2], [3, 4]]


def test_an_animated_png_is_refused():
    content = png(2, 1, 8, 0, [b"ab"], chunk(b"acTL", struct.pack(">II", 2, 0)))
    with pytest.raises(UnsupportedFormat, match="animated"):
        read_scan_bytes(content, "s")


@pytest.mark.parametrize("gif", [b"GIF89a" + bytes(20), b"GIF87a" + bytes(20)])
def test_a_gif_is_refused(gif):
    with pytest.raises(UnsupportedFormat, match="none of the formats"):
        read_scan_bytes(gif, "s")


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("grey", [False, True])
def test_a_jpeg_is_decoded_as_opencv_does(progressive, grey):
    stored = smooth(37, 53)[..., 0] if grey else smooth(37, 53)
    content = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1]
    expected = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    expected = expected[None] if grey else expected[..., ::-1].transpose(2, 0, 1)
    np.testing.assert_array_equal(read_scan_bytes(content.tobytes(), "s").voxels[0], expected)


def test_a_twelve_bit_jpeg_keeps_its_values():
    stored = smooth(24, 24)[..., 0].astype(np.uint16) * 16
    content = imagecodecs.jpeg8_encode(stored, level=100, bitspersample=12)
    voxels = read_scan_bytes(content, "s").voxels
    assert voxels.dtype == np.uint16
    np.testing.assert_allclose(voxels[0, 0], stored, atol=8)


def with_exif(jpeg, orientation, order="<"):
    tiff = struct.pack(order + "2sHIHHHIHHI", b"II" if order == "<" else b"MM", 42, 8, 1, 274, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", "<>")
def test_a_turned_jpeg_is_brought_upright_as_opencv_does(orientation, order):
    content = with_exif(cv2.imencode(".jpg", smooth(32, 48))[1].tobytes(), orientation, order)
    scan = read_scan_bytes(content, "s")
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(scan.voxels[0], expected[..., ::-1].transpose(2, 0, 1))
    assert codes(scan) == ({"turned"} if orientation > 1 else set())


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"http://ns.adobe.com/xap/1.0/\0"])
def test_damaged_exif_is_as_good_as_none(exif):
    jpeg = cv2.imencode(".jpg", smooth(16, 16))[1].tobytes()
    content = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    assert read_scan_bytes(content, "s").notes == ()


def test_cmyk_is_refused():
    content = imagecodecs.jpeg8_encode(picture(16, 16, 4), colorspace="CMYK", outcolorspace="CMYK")
    with pytest.raises(UnsupportedFormat, match="CMYK"):
        read_scan_bytes(content, "s")


def test_a_lossless_jpeg_is_refused():
    content = imagecodecs.ljpeg_encode(picture(16, 16))
    with pytest.raises(UnsupportedFormat, match="uncommon kind"):
        read_scan_bytes(content, "s")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_suffix_that_lies_does_not_matter(suffix, tmp_path):
    for content in (cv2.imencode(".png", smooth(9, 9))[1], cv2.imencode(".jpg", smooth(9, 9))[1]):
        path = tmp_path / f"scan{suffix}"
        path.write_bytes(content.tobytes())
        assert read_scan(path).shape == (1, 9, 9)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_picture_is_broken(suffix, share, capfd):
    content = cv2.imencode(suffix, picture(64, 64, 3))[1].tobytes()
    with pytest.raises(BrokenFile, match=r"copy|export"):
        read_scan_bytes(content[: int(len(content) * share)], "s")
    assert capfd.readouterr() == ("", "")


def test_damaged_pixels_of_a_png_are_found():
    content = bytearray(cv2.imencode(".png", picture(64, 64, 3))[1].tobytes())
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(BrokenFile, match="damaged"):
        read_scan_bytes(bytes(content), "s")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_png_is_brought_upright_as_a_jpeg_is(orientation):
    exif = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 274, 3, 1, orientation, 0, 0)
    rows = picture(5, 7)
    content = png(7, 5, 8, 0, [row.tobytes() for row in rows], chunk(b"eXIf", exif))
    scan = read_scan_bytes(content, "s")
    np.testing.assert_array_equal(scan.voxels[0, 0], upright(rows, orientation))
    assert codes(scan) == ({"turned"} if orientation > 1 else set())


def test_what_is_told_of_pictures_is_what_is_read(tmp_path):
    grey = smooth(16, 24, 1)[..., 0]
    files = {
        "deep.jpg": imagecodecs.jpeg8_encode(grey.astype(np.uint16) * 16, bitspersample=12),
        "deep.png": imagecodecs.png_encode(grey.astype(np.uint16) * 200),
        "turned.jpg": with_exif(cv2.imencode(".jpg", smooth(16, 24))[1].tobytes(), 6),
        "clear.png": imagecodecs.png_encode(smooth(16, 24, 4)),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        scan, told = read_scan(tmp_path / name), describe_scan(tmp_path / name)
        size = told.described.size
        assert (size.slices, size.channels, size.height, size.width) == scan.voxels.shape
        assert (told.described.dtype, told.notes) == (scan.voxels.dtype.name, scan.notes), name


@pytest.mark.parametrize("ask", [read_scan, describe_scan])
def test_slices_of_two_kinds_are_refused_whoever_asks(ask, tmp_path):
    grey = smooth(16, 24, 1)[..., 0]
    (tmp_path / "s_1.png").write_bytes(imagecodecs.png_encode(grey))
    (tmp_path / "s_2.png").write_bytes(imagecodecs.png_encode(grey.astype(np.uint16)))
    with pytest.raises(PairMismatch, match=r"s_2\.png: this slice holds uint16 values"):
        ask(tmp_path)
