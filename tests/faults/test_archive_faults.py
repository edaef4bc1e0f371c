"""Archives that are damaged, impossible or meant to harm: each is answered with a sentence, and nothing is written."""

import io
import stat
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import tifffile

from core.errors import BrokenFile, InputError, TooLarge, UnsupportedFormat
from core.io import read_scan, read_scan_bytes
from core.io.archive import RATIO_FROM, is_zip, read_archive
from core.io.limits import ReadLimits

MEGABYTE = 2**20
LIMITS = ReadLimits()


def tiff(value=0):
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.full((9, 8), value, np.uint8) + np.arange(8, dtype=np.uint8))
    return stream.getvalue()


def packed(members, compression=zipfile.ZIP_DEFLATED):
    """A zip of these names, or ZipInfos, and contents."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


@pytest.fixture(autouse=True)
def _nothing_is_written(tmp_path, monkeypatch):
    """Whatever a test does, its folder and the folder for temporary files stay empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield
    assert [path for path in tmp_path.rglob("*") if path.name != "given.zip"] == []


def test_an_archive_of_pictures_is_read_in_the_order_of_their_numbers(tmp_path):
    content = packed([("case/", b""), ("case/s_10.tif", tiff(10)), ("case/s_9.tif", tiff(9)), ("LICENSE", b"text")])
    assert is_zip(content)
    scan = read_scan_bytes(content, "case")
    assert scan.voxels[:, 0, 0, 0].tolist() == [9, 10]
    (tmp_path / "given.zip").write_bytes(content)
    from_disk = read_scan(tmp_path / "given.zip")
    assert from_disk.paths == (tmp_path / "given.zip",)
    assert from_disk.slices_per_path == (2,)
    assert from_disk.slice_names == ("s_9", "s_10")


def test_hidden_files_and_the_shadows_of_a_mac_are_passed_over():
    members = [("a.tif", tiff(1)), ("__MACOSX/._a.tif", tiff(2)), (".hidden/b.tif", tiff(3)), (".DS_Store", b"x")]
    assert [file.name for file in read_archive(packed(members), "zip", LIMITS)] == ["zip/a.tif"]


@pytest.mark.parametrize("name", ["../a.tif", "/etc/a.tif", "a/../../b.tif", "..\\a.tif", "C:\\a.tif"])
def test_names_that_lead_out_are_refused(name):
    with pytest.raises(BrokenFile, match="leads out"):
        read_scan_bytes(packed([(name, tiff())]), "case")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(mode):
    with pytest.raises(BrokenFile, match="link or a device"):
        read_scan_bytes(packed([(entry("a.tif", mode | 0o644), b"/etc/passwd")]), "case")


def test_archives_in_archives_are_refused():
    with pytest.raises(UnsupportedFormat, match="another archive"):
        read_scan_bytes(packed([("inner.zip", packed([("a.tif", tiff())]))]), "case")


def test_encrypted_archives_are_refused():
    content = bytearray(packed([("a.tif", tiff())]))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    with pytest.raises(UnsupportedFormat, match="encrypted"):
        read_scan_bytes(bytes(content), "case")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_uncommon_packing_is_refused(compression):
    with pytest.raises(UnsupportedFormat, match="packed"):
        read_scan_bytes(packed([("a.tif", tiff())], compression), "case")


def test_archives_that_are_cut_anywhere_are_refused():
    content = packed([("a.tif", tiff(1)), ("b.tif", tiff(2))])
    for end in range(4, len(content), 5):
        with pytest.raises(InputError):
            read_scan_bytes(content[:end], "case")


def test_changed_bytes_are_found_by_the_checksum():
    content = bytearray(packed([("a.tif", tiff(1))], zipfile.ZIP_STORED))
    content[60] ^= 0xFF
    with pytest.raises(BrokenFile, match="damaged"):
        read_archive(bytes(content), "zip", LIMITS)


def test_an_empty_archive_holds_nothing_to_read():
    for content in (packed([]), packed([("notes.txt", b"nothing here")])):
        with pytest.raises(UnsupportedFormat, match="nothing that can be read"):
            read_scan_bytes(content, "case")


def test_a_bomb_is_refused_by_its_size_while_it_is_unpacked():
    content = packed([(f"{number}.tif", bytes(16 * MEGABYTE)) for number in range(4)])
    tracemalloc.start()
    with pytest.raises(TooLarge, match="bytes in an archive"):
        read_archive(content, "zip", ReadLimits(file_bytes=20 * MEGABYTE))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 48 * MEGABYTE


def test_a_bomb_is_refused_by_its_ratio():
    content = packed([(f"{number}.tif", bytes(RATIO_FROM // 4)) for number in range(5)])
    with pytest.raises(TooLarge, match="times its size"):
        read_archive(content, "zip", LIMITS)


@pytest.mark.parametrize("stated", [10, 2**31])
def test_what_the_directory_says_of_sizes_is_not_believed(stated):
    content = bytearray(packed([("a.tif", bytes(8 * MEGABYTE))]))
    struct.pack_into("<I", content, content.rindex(b"PK\x01\x02") + 24, stated)
    struct.pack_into("<I", content, content.index(b"PK\x03\x04") + 22, stated)
    with pytest.raises((BrokenFile, TooLarge)):
        read_archive(bytes(content), "zip", ReadLimits(file_bytes=4 * MEGABYTE))


def test_a_hundred_thousand_entries_are_refused_before_the_directory_is_read(monkeypatch):
    one = packed([("a.tif", b"")])
    start, end = one.index(b"PK\x01\x02"), one.rindex(b"PK\x05\x06")
    count = 100_000
    tail = bytearray(one[end:])
    struct.pack_into("<HH", tail, 8, 1, 1)  # the end says that there is one
    struct.pack_into("<I", tail, 12, count * (end - start))
    content = one[:start] + one[start:end] * count + bytes(tail)

    def never(*_):
        raise AssertionError("the directory was read")

    monkeypatch.setattr(zipfile, "ZipFile", never)
    with pytest.raises(TooLarge, match="files in an archive"):
        read_archive(content, "zip", LIMITS)


def test_what_is_not_wanted_is_not_unpacked():
    content = packed([("video.mp4", bytes(32 * MEGABYTE)), ("a.tif", tiff(3))])
    assert read_scan_bytes(content, "case", ReadLimits(file_bytes=2 * MEGABYTE)).voxels[0, 0, 0, 0] == 3


def test_a_folder_packed_as_itself_is_no_way_out():
    scan = read_scan_bytes(packed([("./", b""), ("./s_1.tif", tiff(3))]), "case")
    assert scan.voxels[0, 0, 0, 0] == 3


def test_a_member_whose_name_is_a_number_of_thousands_of_digits_is_read():
    scan = read_scan_bytes(packed([("9" * 5000 + ".tif", tiff(1)), ("8.tif", tiff(2))]), "case")
    assert scan.voxels[:, 0, 0, 0].tolist() == [2, 1]
