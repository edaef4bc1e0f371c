"""TIFF, PNG and JPEG that are damaged, impossible or meant to harm: each is answered with one sentence, at once.

Nothing here asserts a time; the time limit of the suite tells if something hangs. Memory is asserted: a file's promise
is refused before memory is taken for it.
"""

import io
import logging
import lzma
import struct
import tracemalloc
import zlib

import cv2
import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BrokenFile, InputError, TooLarge, UnsupportedFormat
from core.io import read_mask, read_scan, read_scan_bytes
from core.scan import Scan, ScanSource

MEGABYTE = 2**20
PIXELS = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 4, 279: 16}


def ifd(tags, following=0, order="<"):
    """A page's tags, each one 32-bit value or a (type, count, value) of its own, and the pointer to the next page."""
    fields = [(code, *(value if isinstance(value, tuple) else (4, 1, value))) for code, value in sorted(tags.items())]
    entries = b"".join(struct.pack(order + "HHII", *field) for field in fields)
    return struct.pack(order + "H", len(fields)) + entries + struct.pack(order + "I", following)


def tiff(tags, following=0, order="<"):
    """Sixteen pixels at 8, the page's tags at 24."""
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 24)
    return head + bytes(range(16)) + ifd(tags, following, order)


def big_tiff(tags, following=0):
    entries = b"".join(struct.pack("<HHQQ", code, 16, 1, value) for code, value in sorted(tags.items()))
    return (
        struct.pack("<2sHHHQ", b"II", 43, 8, 0, 32)
        + bytes(16)
        + struct.pack("<Q", len(tags))
        + entries
        + struct.pack("<Q", following)
    )


def million_pages():
    page = np.frombuffer(ifd(PIXELS), np.uint8)
    pages = np.tile(page, (1_000_000, 1))
    following = 24 + page.size * np.arange(1, len(pages) + 1, dtype="<u4")
    following[-1] = 0
    pages[:, -4:] = following[:, None].view(np.uint8)
    return struct.pack("<2sHI", b"II", 42, 24) + bytes(16) + pages.tobytes()


def png_head(width, height, depth=8, color=0, extra=b""):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def jpeg(height=16, width=16):
    return cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))[1].tobytes()


def jpeg_that_claims(height, width):
    content = bytearray(jpeg())
    struct.pack_into(">HH", content, content.find(b"\xff\xc0") + 5, height, width)
    return bytes(content)


def jpeg_of_many_scans():
    content = jpeg()
    start = content.find(b"\xff\xda")
    return content[:-2] + content[start:-2] * 1000 + b"\xff\xd9"


def jpeg_in_tiff_that_claims(height, width):
    stream = jpeg_that_claims(height, width)
    tags = {256: 16, 257: 16, 258: 8, 259: 7, 262: 6, 277: 3, 278: 16, 279: len(stream)}
    start = 24 + len(ifd(tags)) + 12
    return tiff(tags | {273: start}) + stream


def ends_in_the_middle(**options):
    buffer = io.BytesIO()
    rows = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    tifffile.imwrite(buffer, rows, rowsperstrip=8, metadata=None, **options)
    return buffer.getvalue()[:-1000]


def damaged(compression):
    buffer = io.BytesIO()
    rows = np.random.default_rng(0).integers(0, 4, (64, 64), np.uint8)
    tifffile.imwrite(buffer, rows, compression=compression, metadata=None)
    with tifffile.TiffFile(io.BytesIO(buffer.getvalue())) as file:
        place, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    content = bytearray(buffer.getvalue())
    content[place + 20 : place + count - 20] = b"\xff" * (count - 40)
    return bytes(content)


FAULTS = {
    "a circle of pages": (tiff(PIXELS, following=24), BrokenFile),
    "a circle of two pages": (tiff(PIXELS, following=150) + bytes(12) + ifd(PIXELS, following=24), BrokenFile),
    "a circle in a BigTIFF": (big_tiff(PIXELS | {273: 16}, following=32), BrokenFile),
    "a page beyond the end": (tiff(PIXELS, following=2**31), BrokenFile),
    "a page beyond the end of a BigTIFF": (big_tiff(PIXELS | {273: 16}, following=2**63), BrokenFile),
    "no page": (b"II*\0" + bytes(4), BrokenFile),
    "nothing but its first bytes": (b"II*\0", BrokenFile),
    "nothing but its first bytes, big": (b"MM\0+", BrokenFile),
    "65,535 tags": (b"II*\0\x08\0\0\0\xff\xff" + bytes(65535 * 12), BrokenFile),
    "2**63 tags": (struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 2**63), BrokenFile),
    "2**30 tiles on one pixel": (
        tiff(PIXELS | {256: 1, 257: 1, 322: 16, 323: 16, 324: (4, 2**30, 8), 325: (4, 2**30, 8)}),
        TooLarge,
    ),
    "2**30 strips on one pixel": (tiff(PIXELS | {256: 1, 257: 1, 273: (4, 2**30, 8)}), TooLarge),
    "a strip per row of many": (tiff(PIXELS | {256: 1, 257: 2**20, 278: 1}), TooLarge),
    "tiles far larger than the picture": (
        tiff(PIXELS | {256: 1, 257: 1, 322: 2**16, 323: 2**16, 324: 8, 325: 16}),
        TooLarge,
    ),
    "65,535 samples": (tiff(PIXELS | {277: 65535}), TooLarge),
    "types for 65,535 samples": (tiff(PIXELS | {258: (3, 65535, 8)}), UnsupportedFormat),
    "no width": (tiff({code: value for code, value in PIXELS.items() if code != 256}), BrokenFile),
    "zero height": (tiff(PIXELS | {257: 0}), BrokenFile),
    "zero samples": (tiff(PIXELS | {277: 0}), BrokenFile),
    "zero rows per strip": (tiff(PIXELS | {278: 0}), BrokenFile),
    "zero bits": (tiff(PIXELS | {258: 0}), UnsupportedFormat),
    "tiles of no size": (tiff(PIXELS | {322: 0, 323: 16, 324: 8, 325: 16}), BrokenFile),
    "a negative width": (tiff(PIXELS | {256: (9, 1, 2**32 - 4)}), BrokenFile),
    "a width that is text": (tiff(PIXELS | {256: (2, 4, 0x41414141)}), BrokenFile),
    "2**32 - 1 by 2**32 - 1": (tiff(PIXELS | {256: 2**32 - 1, 257: 2**32 - 1}), TooLarge),
    "more values than the limit": (tiff(PIXELS | {256: 8192, 257: 8192, 277: 16, 258: (3, 16, 8)}), TooLarge),
    "no pixels": (tiff({code: value for code, value in PIXELS.items() if code != 273}), BrokenFile),
    "pixels at nowhere": (tiff(PIXELS | {273: 0}), BrokenFile),
    "pixels beyond the end": (tiff(PIXELS | {273: 2**31}), BrokenFile),
    "pixels that run over the end": (tiff(PIXELS | {279: 2**31}), BrokenFile),
    "an empty strip": (tiff(PIXELS | {279: 0}), BrokenFile),
    "fewer pixels than promised": (tiff(PIXELS | {256: 40}), BrokenFile),
    "fewer strips than needed": (tiff(PIXELS | {278: 2}), BrokenFile),
    "tags beyond the end": (tiff(PIXELS | {273: (4, 4, 2**31), 278: 1}), BrokenFile),
    "a palette without colours": (tiff(PIXELS | {262: 3}), BrokenFile),
    "a palette of 2**32 - 1 colours": (tiff(PIXELS | {262: 3, 320: (3, 2**32 - 1, 8)}), BrokenFile),
    "colour of one sample": (tiff(PIXELS | {262: 2}), BrokenFile),
    "a description of 4 GB": (tiff(PIXELS | {270: (2, 2**32 - 1, 8)}), BrokenFile),
    "JPEG tables of 4 GB": (tiff(PIXELS | {347: (7, 2**32 - 1, 8)}), BrokenFile),
    "compressed by nothing known": (tiff(PIXELS | {259: 999}), UnsupportedFormat),
    "not compressed as it says": (tiff(PIXELS | {259: 8}), BrokenFile),
    "a strip that ends early": (ends_in_the_middle(), BrokenFile),
    "an LZW strip that ends early": (ends_in_the_middle(compression="lzw"), BrokenFile),
    "damaged LZW": (damaged("lzw"), BrokenFile),
    "damaged deflate": (damaged("zlib"), BrokenFile),
    "damaged zstd": (damaged("zstd"), BrokenFile),
    "damaged LZMA": (damaged("lzma"), BrokenFile),
    "a JPEG of 65,500 squared in a TIFF": (jpeg_in_tiff_that_claims(65500, 65500), BrokenFile),
    "a JPEG smaller than its strip": (jpeg_in_tiff_that_claims(8, 8), BrokenFile),
    "a PNG of 60,000 squared": (png_head(60_000, 60_000), TooLarge),
    "a PNG of 2**31 - 1 by 1": (png_head(2**31 - 1, 1), TooLarge),
    "a PNG without pixels": (png_head(0, 5), BrokenFile),
    "a PNG with less than it promises": (png_head(500, 500), BrokenFile),
    "a PNG of no known colour": (png_head(5, 5, color=5), BrokenFile),
    "a PNG of no known depth": (png_head(5, 5, depth=3), BrokenFile),
    "a PNG without a header": (png_head(5, 5)[:8] + png_head(5, 5)[33:], BrokenFile),
    "a PNG that is cut in its header": (png_head(5, 5)[:20], BrokenFile),
    "a PNG of a million entries": (png_head(5, 5, extra=(bytes(4) + b"tEXt" + bytes(4)) * 10**6), BrokenFile),
    "a PNG entry of 4 GB": (png_head(5, 5, extra=b"\xff\xff\xff\xfftEXt"), BrokenFile),
    "a JPEG of 65,500 squared": (jpeg_that_claims(65500, 65500), TooLarge),
    "a JPEG of no height": (jpeg_that_claims(0, 16), BrokenFile),
    "a JPEG of a thousand passes": (jpeg_of_many_scans(), BrokenFile),
    "a JPEG without an end": (jpeg()[:-2], BrokenFile),
    "a JPEG without a picture": (b"\xff\xd8\xff\xd9\0\0", BrokenFile),
    "a JPEG without a size": (b"\xff\xd8\xff\xda\0\x02\0\xff\xd9", BrokenFile),
    "a JPEG that is three bytes": (b"\xff\xd8\xff", BrokenFile),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_answered_in_one_sentence_without_memory_or_noise(name, capfd, caplog):
    content, expected = FAULTS[name]
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InputError):  # whatever is imported late is imported now, and not counted
        read_scan_bytes(content, "warm")
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            read_scan_bytes(content, "patient-name")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert type(caught.value) is expected
    assert peak < 8 * MEGABYTE
    detail = caught.value.detail
    assert "patient-name" not in detail
    assert "\n" not in detail
    assert 20 < len(detail) < 200
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


@pytest.mark.parametrize("order", "<>")
def test_what_the_faults_are_made_from_is_itself_readable(order):
    expected = np.arange(16).reshape(4, 4)
    np.testing.assert_array_equal(read_scan_bytes(tiff(PIXELS, order=order), "x").voxels[0, 0], expected)
    assert read_scan_bytes(big_tiff(PIXELS | {273: 16}), "x").shape == (1, 4, 4)
    assert read_scan_bytes(jpeg(), "x").shape == (1, 16, 16)
    assert read_scan_bytes(jpeg_in_tiff_that_claims(16, 16), "x").shape == (1, 16, 16)


def test_a_million_pages_are_answered_without_walking_them_all():
    content = million_pages()
    with pytest.raises(BrokenFile, match="more than 16,384 pages"):
        read_scan_bytes(content, "x")


def test_pages_that_share_one_small_strip_do_not_add_up_beyond_the_limit():
    """Each of these pages is within the limits, and all of them would be 6 GB out of 80 kB."""
    packed = zlib.compress(bytes(4096 * 4096), 9)
    tags = PIXELS | {256: 4096, 257: 4096, 259: 8, 278: 4096, 279: len(packed)}
    start = 8 + len(packed)
    size = len(ifd(tags))
    pages = b"".join(ifd(tags, start + (n + 1) * size if n < 399 else 0) for n in range(400))
    content = struct.pack("<2sHI", b"II", 42, start) + packed + pages
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="values in all"):
            read_scan_bytes(content, "x")
        assert tracemalloc.get_traced_memory()[1] < 64 * MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("method", "pack"), [(8, zlib.compress), (34925, lzma.compress), (50000, imagecodecs.zstd_encode)]
)
def test_a_strip_that_inflates_beyond_its_size_takes_no_more_than_its_size(method, pack):
    packed = pack(bytes(32 * MEGABYTE))
    tags = PIXELS | {259: method, 279: len(packed)}
    content = tiff(tags | {273: 24 + len(ifd(tags))}) + packed
    tracemalloc.start()
    try:
        if method == 50000:  # which decodes a whole frame or nothing
            with pytest.raises(BrokenFile):
                read_scan_bytes(content, "x")
        else:
            assert not read_scan_bytes(content, "x").voxels.any()
        assert tracemalloc.get_traced_memory()[1] < 16 * MEGABYTE  # LZMA's own dictionary takes 8
    finally:
        tracemalloc.stop()


def test_an_lzma_stream_that_asks_for_gigabytes_gets_none():
    packed = lzma.compress(bytes(16), format=lzma.FORMAT_ALONE)
    packed = packed[:1] + struct.pack("<I", 2**32 - 1) + packed[5:]  # the size of the dictionary
    tags = PIXELS | {259: 34925, 279: len(packed)}
    with pytest.raises(BrokenFile, match="damaged"):
        read_scan_bytes(tiff(tags | {273: 24 + len(ifd(tags))}) + packed, "x")


def test_a_broken_slice_is_named_and_a_broken_mask_too(tmp_path):
    good, bad = tmp_path / "c_1.tif", tmp_path / "c_2.tif"
    good.write_bytes(tiff(PIXELS))
    bad.write_bytes(tiff(PIXELS | {279: 0}))
    with pytest.raises(BrokenFile) as caught:
        read_scan(ScanSource("c", (good, bad)))
    assert caught.value.source == str(bad)
    with pytest.raises(BrokenFile) as caught:
        read_mask(ScanSource("c", (good,), (bad,)))
    assert caught.value.source == str(bad)


def samples_to_damage():
    rows = np.random.default_rng(0).integers(0, 4, (3, 24, 20), np.uint8)
    files = [jpeg(), png_head(1, 1), cv2.imencode(".png", rows[0])[1].tobytes(), jpeg_in_tiff_that_claims(16, 16)]
    for options in (
        {},
        {"compression": "lzw", "predictor": True},
        {"compression": "zlib", "tile": (16, 16)},
        {"compression": "packbits", "bigtiff": True},
        {"compression": "zstd", "byteorder": ">"},
        {"imagej": True, "metadata": {"axes": "ZYX", "unit": "mm", "spacing": 2}},
        {"ome": True, "metadata": {"axes": "CYX"}},
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, rows, photometric="minisblack", **options)
        files.append(buffer.getvalue())
    return files


SAMPLES = samples_to_damage()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_random_damage_gives_a_scan_or_a_sentence(data):
    content = bytearray(data.draw(st.sampled_from(SAMPLES)))
    # Half of the damage goes where it hurts: tags and headers stand near the beginning.
    position = st.integers(0, len(content) - 1) | st.integers(0, min(400, len(content) - 1))
    for place, value in data.draw(
        st.lists(st.tuples(position, st.sampled_from([0, 1, 2, 127, 128, 254, 255])), max_size=6)
    ):
        content[place] = value
    content = content[: data.draw(st.integers(1, len(content)) | st.just(len(content)))]
    try:
        scan = read_scan_bytes(bytes(content), "x")
    except InputError:
        return
    assert isinstance(scan, Scan)


def test_pages_that_share_one_table_are_counted_one_by_one():
    strips = 2**15
    tables = struct.pack("<I", 8) * strips + struct.pack("<H", 1) * strips
    content = struct.pack("<2sHI", b"II", 42, 24) + bytes(16)
    pages, start = b"", len(content) + len(tables)
    tags = PIXELS | {257: strips, 256: 1, 278: 1, 273: (4, strips, 24), 279: (3, strips, 24 + 4 * strips)}
    size = len(ifd(tags))
    for page in range(100):
        pages += ifd(tags, 0 if page == 99 else start + (page + 1) * size)
    content = content[:4] + struct.pack("<I", start) + content[8:] + tables + pages
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match="strips"):
            read_scan_bytes(content, "s")
        assert tracemalloc.get_traced_memory()[1] < 512 * MEGABYTE
    finally:
        tracemalloc.stop()
