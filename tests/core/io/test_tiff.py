import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BrokenFile, PairMismatch, UnsupportedFormat
from core.io import ReadLimits, read_scan, read_scan_bytes
from core.scan import ScanSource


def tiff(array, **options):
    """The bytes that tifffile writes."""
    buffer = io.BytesIO()
    head = {key: options.pop(key) for key in ("bigtiff", "byteorder", "imagej", "ome") if key in options}
    with tifffile.TiffWriter(buffer, **head) as writer:
        writer.write(array, **options)
    return buffer.getvalue()


def voxels(content):
    return read_scan_bytes(content, "scan").voxels


def codes(scan):
    return {note.code for note in scan.notes}


def noise(shape, dtype, seed=0):
    """Values over the dtype's whole range, half of them in runs so that codecs have something to do."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return rng.normal(scale=1000, size=shape).astype(dtype)
    info = np.iinfo(dtype)
    values = rng.integers(info.min, info.max, size=shape, dtype=dtype, endpoint=True)
    values[..., : shape[-1] // 2] = values.flat[0]
    return values


@settings(max_examples=120, deadline=None)
@given(
    dtype=st.sampled_from(["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]),
    compression=st.sampled_from([None, "lzw", "zlib", "packbits", "zstd", "lzma"]),
    predictor=st.booleans(),
    color=st.sampled_from(["grey", "contiguous", "planar"]),
    tile=st.sampled_from([None, (16, 16), (32, 48)]),
    rows_per_strip=st.integers(1, 40),
    byteorder=st.sampled_from("<>"),
    bigtiff=st.booleans(),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
)
def test_what_tifffile_writes_is_read_back_exactly(
    dtype, compression, predictor, color, tile, rows_per_strip, byteorder, bigtiff, shape
):
    slices, height, width = shape
    channels = 1 if color == "grey" else 3
    expected = noise((slices, channels, height, width), dtype)
    stored = {
        "grey": expected[:, 0],
        "planar": expected,
        "contiguous": expected.transpose(0, 2, 3, 1),
    }[color]
    content = tiff(
        np.ascontiguousarray(stored),
        photometric="minisblack" if color == "grey" else "rgb",
        planarconfig=None if color == "grey" else {"planar": "separate", "contiguous": "contig"}[color],
        compression=compression,
        predictor=predictor and compression not in (None, "packbits") and dtype not in ("u8", "i8"),
        tile=tile,
        rowsperstrip=None if tile else rows_per_strip,
        byteorder=byteorder,
        bigtiff=bigtiff,
        metadata=None,
    )

    scan = read_scan_bytes(content, "scan")

    assert scan.voxels.dtype == np.dtype(dtype)
    assert scan.voxels.dtype.isnative
    np.testing.assert_array_equal(scan.voxels, expected)
    assert scan.spacing_mm == (None, None, None)
    assert scan.notes == ()


def test_jpeg_inside_a_grey_tiff_is_what_tifffile_decodes():
    smooth = np.add.outer(np.arange(64), np.arange(96)).astype(np.uint8)
    content = tiff(smooth, compression="jpeg", tile=(32, 32), photometric="minisblack")
    np.testing.assert_array_equal(voxels(content)[0, 0], tifffile.imread(io.BytesIO(content)))


@pytest.mark.parametrize("photometric", ["rgb", "ycbcr"])
@pytest.mark.parametrize("tile", [None, (32, 32)])
def test_jpeg_inside_a_colour_tiff_is_what_tifffile_decodes(photometric, tile):
    smooth = np.stack([np.add.outer(np.arange(70) * k, np.arange(90)) for k in (1, 2, 3)], -1).astype(np.uint8)
    content = tiff(smooth, compression="jpeg", tile=tile, photometric=photometric)
    np.testing.assert_array_equal(voxels(content)[0], tifffile.imread(io.BytesIO(content)).transpose(2, 0, 1))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_values_of_fewer_than_8_bits_fill_the_range_as_viewers_show_them(bits):
    values = np.arange(24, dtype=np.uint8).reshape(3, 8) % 2**bits
    rows = [np.packbits(((row[:, None] >> np.arange(bits)[::-1]) & 1).ravel()).tobytes() for row in values]
    content = handmade({256: 8, 257: 3, 258: bits, 259: 1, 262: 1, 277: 1, 278: 3}, b"".join(rows))
    np.testing.assert_array_equal(voxels(content)[0, 0], values.astype(int) * 255 // (2**bits - 1))


def test_twelve_bit_values_are_unpacked_and_kept():
    values = np.array([[0, 1, 4095, 2048]], np.uint16)
    bits = ((values[0][:, None] >> np.arange(12)[::-1]) & 1).astype(np.uint8)
    content = handmade({256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 277: 1, 278: 1}, np.packbits(bits.ravel()).tobytes())
    np.testing.assert_array_equal(voxels(content)[0, 0], values)


@pytest.mark.parametrize(
    ("dtype", "inverted"),
    [("u1", lambda v: 255 - v), ("u2", lambda v: 65535 - v), ("i2", lambda v: -1 - v), ("f4", lambda v: -v)],
)
def test_white_is_zero_is_inverted_and_said(dtype, inverted):
    stored = noise((9, 7), dtype)
    scan = read_scan_bytes(tiff(stored, photometric="miniswhite"), "scan")
    np.testing.assert_array_equal(scan.voxels[0, 0], inverted(stored))
    assert codes(scan) == {"inverted"}


@pytest.mark.parametrize("eight_bit_table", [False, True])
def test_a_palette_becomes_its_colours(eight_bit_table):
    indices = noise((5, 6), "u1")
    table = np.random.default_rng(1).integers(0, 256, (3, 256), dtype=np.uint16)
    stored = table if eight_bit_table else table * 257
    content = tiff(indices, photometric="palette", colormap=stored)
    np.testing.assert_array_equal(voxels(content)[0], table[:, indices])


@pytest.mark.parametrize("alpha", ["unassalpha", "assocalpha"])
def test_opacity_is_dropped_and_said(alpha):
    stored = noise((6, 5, 4), "u1")
    scan = read_scan_bytes(tiff(stored, photometric="rgb", extrasamples=[alpha]), "scan")
    np.testing.assert_array_equal(scan.voxels[0], stored[..., :3].transpose(2, 0, 1))
    assert codes(scan) == {"alpha-dropped"}


def test_a_fourth_sample_that_is_no_opacity_stays_a_channel():
    stored = noise((6, 5, 4), "u1")
    scan = read_scan_bytes(tiff(stored, photometric="rgb", extrasamples=["unspecified"]), "scan")
    np.testing.assert_array_equal(scan.voxels[0], stored.transpose(2, 0, 1))


def test_a_resolution_tag_is_no_spacing():
    content = tiff(noise((6, 5), "u1"), resolution=(300, 300), resolutionunit="INCH")
    assert read_scan_bytes(content, "scan").spacing_mm == (None, None, None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_brought_upright(orientation):
    upright = noise((4, 6), "u1")
    # How a picture looks in the file when the tag has this value; the inverse of what a viewer does.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    scan = read_scan_bytes(tiff(np.ascontiguousarray(stored), extratags=[(274, 3, 1, orientation, True)]), "scan")
    np.testing.assert_array_equal(scan.voxels[0, 0], upright)
    assert codes(scan) == ({"turned"} if orientation > 1 else set())


def test_thumbnails_are_left_out_and_said():
    buffer = io.BytesIO()
    stored = noise((32, 32), "u1")
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(stored, metadata=None)
        writer.write(stored[::4, ::4], subfiletype=1, metadata=None)
    scan = read_scan_bytes(buffer.getvalue(), "scan")
    np.testing.assert_array_equal(scan.voxels[0, 0], stored)
    assert codes(scan) == {"thumbnail-left-out"}


def test_values_that_are_not_finite_stay_as_they_are():
    stored = np.array([[0.0, np.nan], [np.inf, -np.inf]], np.float32)
    scan = read_scan_bytes(tiff(stored), "scan")
    np.testing.assert_array_equal(scan.voxels[0, 0], stored)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd"])
def test_the_last_strip_may_be_filled_up(compression):
    rows = noise((4, 6), "u1")
    content = tiff(rows, rowsperstrip=2, compression=compression, byteorder="<", metadata=None)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        place = file.pages[0].tags["ImageLength"].valueoffset
    content = content[:place] + b"\3" + content[place + 1 :]
    np.testing.assert_array_equal(voxels(content)[0, 0], rows[:3])


def test_bits_may_be_stored_the_other_way_round():
    row = noise((1, 8), "u1")
    content = handmade(
        {256: 8, 257: 1, 258: 8, 259: 1, 262: 1, 266: 2, 277: 1, 278: 1}, imagecodecs.bitorder_encode(row.tobytes())
    )
    np.testing.assert_array_equal(voxels(content)[0, 0], row)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({262: 5, 277: 4, 258: 8}, "CMYK"),
        ({262: 8, 277: 3}, "L*a*b"),
        ({262: 32803}, "raw camera"),
        ({262: 6, 277: 3}, "YCbCr"),
        ({259: 6}, "method 6"),
        ({259: 34712}, "method 34712"),
        ({339: 6, 258: 64}, "complex"),
        ({258: 33}, "odd number of bits"),
        ({317: 3, 259: 5}, "predictor"),
        ({32997: 5}, "volume in one page"),
    ],
)
def test_a_kind_that_is_not_read_is_refused_with_its_name(tags, words):
    base = {256: 2, 257: 2, 258: 8, 259: 1, 262: 1, 277: 1, 278: 2}
    with pytest.raises(UnsupportedFormat, match=words.replace("*", r"\*")):
        voxels(handmade(base | tags, bytes(64)))


def test_pages_of_different_sizes_are_refused_by_number():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(noise((8, 8), "u1"), metadata=None)
        writer.write(noise((8, 9), "u1"), metadata=None)
    with pytest.raises(BrokenFile, match=r"page 2 .* 9×8 .* page 1 8×8"):
        voxels(buffer.getvalue())


def test_pages_of_different_types_are_refused():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(noise((8, 8), "u1"), metadata=None)
        writer.write(noise((8, 8), "u2"), metadata=None)
    with pytest.raises(BrokenFile, match=r"page 2 .* another kind"):
        voxels(buffer.getvalue())


def test_slices_in_files_of_different_types_are_refused_by_name(tmp_path):
    paths = (tmp_path / "c_1.tif", tmp_path / "c_2.tif")
    tifffile.imwrite(paths[0], noise((8, 8), "u1"))
    tifffile.imwrite(paths[1], noise((8, 8), "u2"))
    with pytest.raises(PairMismatch) as caught:
        read_scan(ScanSource("c", paths))
    assert caught.value.source == str(paths[1])
    assert "c_2" not in caught.value.detail


def test_a_stack_may_be_read_up_to_the_limits():
    content = tiff(noise((5, 4, 4), "u1"), photometric="minisblack")
    assert read_scan_bytes(content, "scan", ReadLimits(slices=5, voxels=80, ifds=5)).shape == (5, 4, 4)


def handmade(tags, pixels):
    """A little-endian TIFF of one strip, its tags as given; for what tifffile would not write."""
    tags = {**tags, 273: 0, 279: len(pixels)}
    start = 8 + 2 + 12 * len(tags) + 4
    tags[273] = start
    entries = b"".join(
        code.to_bytes(2, "little") + b"\4\0" + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
        for code, value in sorted(tags.items())
    )
    return b"II*\0\x08\0\0\0" + len(tags).to_bytes(2, "little") + entries + bytes(4) + pixels
