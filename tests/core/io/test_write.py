import errno
import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from core.atomic import write_atomic
from core.errors import OutputError
from core.io import check_form, find_scans, read_mask, read_scan, read_scan_bytes, write_mask, write_probability
from core.scan import Scan, ScanSource


def random_mask(*shape):
    return np.random.default_rng(0).random(shape) > 0.5


@pytest.fixture
def case(tmp_path):
    """A case of three single slices."""
    folder = tmp_path / "C"
    folder.mkdir()
    for number in (1, 2, 10):
        tifffile.imwrite(folder / f"C_{number}.tif", np.full((6, 7, 3), number, np.uint8))
    (source,) = find_scans(folder)
    return read_scan(source)


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_each_slice_gets_its_mask_under_the_name_the_set_uses(case, out):
    mask = random_mask(3, 6, 7)
    paths = write_mask(mask, case, out)
    assert [path.name for path in paths] == ["C_1_mask.tif", "C_2_mask.tif", "C_10_mask.tif"]
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in paths)
    for path, expected in zip(paths, mask, strict=True):
        stored = tifffile.imread(path)
        assert stored.dtype == np.uint8
        np.testing.assert_array_equal(stored, expected * 255)


def test_what_was_written_is_read_back_as_the_truth(case, out):
    mask = random_mask(3, 6, 7)
    paths = write_mask(mask, case, out)
    np.testing.assert_array_equal(read_mask(ScanSource("C", case.paths, paths)), mask)


@pytest.mark.parametrize("slices", [2, 3, 4])
def test_a_file_of_several_pages_gets_one_mask_of_as_many(slices, tmp_path, out):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.zeros((slices, 6, 7), np.uint8), photometric="minisblack")
    mask = random_mask(slices, 6, 7)
    (written,) = write_mask(mask, read_scan(path), out)
    assert written.name == "stack_mask.tif"
    with tifffile.TiffFile(written) as file:
        assert len(file.pages) == slices
        assert file.pages[0].compression == 8
    np.testing.assert_array_equal(read_mask(ScanSource("stack", (path,), (written,))), mask)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_a_picture_gets_a_png(suffix, tmp_path, out):
    path = tmp_path / f"head{suffix}"
    cv2.imwrite(str(path), np.zeros((6, 7), np.uint8))
    mask = random_mask(1, 6, 7)
    (written,) = write_mask(mask, read_scan(path), out)
    assert written.name == "head_mask.png"
    np.testing.assert_array_equal(cv2.imread(str(written), cv2.IMREAD_UNCHANGED), mask[0] * 255)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("upload", "upload"),
        ("../../etc/x", "_.._etc_x"),
        ("a\0b", "a_b"),
        ("", "scan"),
        ("...", "scan"),
        ("x" * 300, "x" * 100),
    ],
)
def test_a_scan_without_files_gives_one_tiff_of_a_safe_name(name, stem, out):
    scan = Scan(name, np.zeros((2, 1, 6, 7)))
    (written,) = write_mask(random_mask(2, 6, 7), scan, out)
    assert written == out / f"{stem}_mask.tif"
    assert written.is_file()


def test_probabilities_are_kept_exactly(case, out):
    probability = np.random.default_rng(0).random((3, 6, 7), np.float32)
    paths = write_probability(probability, case, out)
    assert [path.name for path in paths] == [f"C_{n}_probability.tif" for n in (1, 2, 10)]
    for path, expected in zip(paths, probability, strict=True):
        np.testing.assert_array_equal(tifffile.imread(path), expected)
        np.testing.assert_array_equal(read_scan(path).voxels[0, 0], expected)


def test_an_orientation_is_not_written_twice(tmp_path, out):
    """The mask of a turned picture lies on the upright grid, and so does what is read back."""
    path = tmp_path / "turned.tif"
    tifffile.imwrite(path, np.zeros((6, 7), np.uint8), extratags=[(274, 3, 1, 6, True)])
    scan = read_scan(path)
    mask = random_mask(1, 7, 6)
    written = write_mask(mask, scan, out)
    np.testing.assert_array_equal(read_mask(ScanSource("turned", (path,), written)), mask)


def test_a_mask_on_another_grid_is_a_programming_error(case, out):
    with pytest.raises(ValueError, match="grid"):
        write_mask(random_mask(3, 7, 6), case, out)
    assert not list(out.iterdir())


def test_two_files_of_one_name_are_not_written_over_each_other(tmp_path, out):
    paths = (tmp_path / "a" / "s.png", tmp_path / "b" / "s.png")
    for path in paths:
        path.parent.mkdir()
        cv2.imwrite(str(path), np.zeros((6, 7), np.uint8))
    with pytest.raises(OutputError, match="overwrite each other"):
        write_mask(random_mask(2, 6, 7), read_scan(ScanSource("s", paths)), out)
    assert not list(out.iterdir())


def test_names_that_are_one_after_shortening_or_but_for_the_suffix_are_known_before_there_is_a_mask(tmp_path):
    for first, second in (("p_2.png", "p_2.jpg"), (f"{'x' * 246}_1.tif", f"{'x' * 246}_2.tif")):
        paths = (tmp_path / first, tmp_path / second)
        for path in paths:
            (tifffile.imwrite if path.suffix == ".tif" else cv2.imwrite)(str(path), np.zeros((6, 7), np.uint8))
        with pytest.raises(OutputError, match="overwrite each other"):
            check_form(read_scan(ScanSource("p", paths)), "auto")


def test_a_full_disk_is_said_and_leaves_what_was_there(case, out, monkeypatch):
    write_mask(random_mask(3, 6, 7), case, out)
    before = {path: path.read_bytes() for path in out.iterdir()}

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    def open_full(path, mode="r"):
        os.close(os.open(path, os.O_CREAT))
        return Full()

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(OutputError, match="disk is full") as caught:
        write_mask(~random_mask(3, 6, 7), case, out)
    monkeypatch.undo()
    assert caught.value.source == str(out / "C_1_mask.tif")
    assert {path: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_device_that_is_full_is_said(tmp_path, monkeypatch):
    original = Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode: original(Path("/dev/full"), "wb"))
    with pytest.raises(OutputError, match="disk is full"):
        write_atomic(tmp_path / "x", bytes(100_000))


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        write_atomic(tmp_path / "absent" / "x", b"")


def test_an_interrupt_leaves_no_part(out, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(out / "x", b"content")
    assert not list(out.iterdir())


def test_a_scan_from_memory_is_written_under_its_name(out):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((6, 7), np.uint8))
    scan = read_scan_bytes(buffer.getvalue(), "upload")
    (written,) = write_mask(random_mask(1, 6, 7), scan, out)
    assert written.name == "upload_mask.tif"
