import hashlib
import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from core.errors import AmbiguousSeries, BrokenFile, InputError, NothingFound, PairMismatch, TooLarge
from core.io import ReadLimits, find_scans, read_mask, read_scan, read_scan_bytes
from core.scan import Note, ScanSource


def slices_of(folder, *values, size=(4, 5), name="c"):
    paths = []
    for number, value in enumerate(values, 1):
        paths.append(folder / f"{name}_{number}.tif")
        tifffile.imwrite(paths[-1], np.full(size, value, np.uint8))
    return tuple(paths)


def test_a_case_of_several_files_is_one_scan(tmp_path):
    paths = slices_of(tmp_path, 3, 1, 2)
    note = Note("seen", "While looking.")
    scan = read_scan(ScanSource("case", paths, notes=(note,)))
    assert scan.name == "case"
    assert scan.voxels[:, 0, 0, 0].tolist() == [3, 1, 2]
    assert scan.slice_names == ("c_1", "c_2", "c_3")
    assert scan.paths == paths
    assert scan.slices_per_path == (1, 1, 1)
    assert scan.sha256 == hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
    assert scan.notes == (note,)
    assert scan.affine is None
    assert scan.channels == ()


def test_files_of_one_and_of_several_slices_go_together(tmp_path):
    single = slices_of(tmp_path, 7)
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.arange(40, dtype=np.uint8).reshape(2, 4, 5), photometric="minisblack")
    scan = read_scan(ScanSource("case", (*single, stack)))
    assert scan.slice_names == ("c_1", "stack_1", "stack_2")
    assert scan.slices_per_path == (1, 2)


def packed(*names):
    """A zip of pictures of one grey level each, from 1."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for value, name in enumerate(names, 1):
            archive.writestr(name, cv2.imencode(".png", np.full((4, 5), value, np.uint8))[1].tobytes())
    return stream.getvalue()


@pytest.mark.parametrize(
    "names",
    [
        ("c_10.png", "c_2.png", "c_2_mask.png", "c_10_mask.png", "c_2_overlay.png"),
        ("c/images/10.png", "c/images/2.png", "c/masks/2.png", "c/masks/10.png"),
    ],
)
def test_masks_in_an_archive_are_no_slices(names):
    scan = read_scan_bytes(packed(*names), "c.zip")
    assert scan.voxels[:, 0, 0, 0].tolist() == [2, 1]
    assert [note.code for note in scan.notes] == ["masks-left-out", "slice-gap"]
    assert not scan.contiguous


def test_an_archive_of_masks_alone_is_read():
    scan = read_scan_bytes(packed("c_1_mask.png", "c_2_mask.png"), "c.zip")
    assert scan.voxels[:, 0, 0, 0].tolist() == [1, 2]
    assert scan.notes == ()


def test_an_archive_in_which_no_number_is_missing_is_contiguous():
    names = [f"series/c_{number}.png" for number in range(9, 12)]
    assert read_scan_bytes(packed(*names), "c.zip").contiguous
    assert read_scan_bytes(packed("lower.png", "upper.png"), "c.zip").contiguous


@pytest.mark.parametrize("names", [("A_1.png", "A_2.png", "B_1.png"), ("A/1.png", "B/1.png"), ("1.png", "A_2.png")])
def test_slices_of_several_cases_in_an_archive_are_not_made_one(names):
    with pytest.raises(InputError, match="slices of 2 cases; make an archive of each"):
        read_scan_bytes(packed(*names), "c.zip")


def test_bytes_and_file_give_the_same_scan(tmp_path):
    (path,) = slices_of(tmp_path, 9)
    one, other = read_scan(str(path)), read_scan_bytes(path.read_bytes(), "c_1")
    np.testing.assert_array_equal(one.voxels, other.voxels)
    assert (one.name, one.sha256, one.slice_names) == (other.name, other.sha256, other.slice_names)
    assert other.paths == ()


def test_a_slice_of_another_size_is_named_in_the_source_only(tmp_path):
    paths = slices_of(tmp_path, 1, 2) + slices_of(tmp_path, 3, size=(5, 5), name="odd")
    with pytest.raises(PairMismatch, match="5×5 pixels and the first 5×4") as caught:
        read_scan(ScanSource("case", paths))
    assert caught.value.source == str(paths[2])
    assert "odd" not in caught.value.detail


def test_a_slice_with_other_channels_is_refused(tmp_path):
    paths = slices_of(tmp_path, 1)
    coloured = tmp_path / "c_2.tif"
    tifffile.imwrite(coloured, np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(PairMismatch, match="3 channels and the first 1"):
        read_scan(ScanSource("case", (*paths, coloured)))


def test_a_slice_of_another_format_is_refused(tmp_path):
    paths = slices_of(tmp_path, 1)
    picture = tmp_path / "c_2.png"
    cv2.imwrite(str(picture), np.zeros((4, 5), np.uint8))
    with pytest.raises(BrokenFile, match="PNG/JPEG and the first TIFF"):
        read_scan(ScanSource("case", (*paths, picture)))


def test_a_case_without_files_or_with_a_vanished_one_is_said(tmp_path):
    with pytest.raises(NothingFound, match="no files"):
        read_scan(ScanSource("case", ()))
    with pytest.raises(NothingFound, match="no such file"):
        read_scan(tmp_path / "absent.tif")
    with pytest.raises(InputError, match="folder"):
        read_scan(tmp_path)


def test_an_empty_file_and_an_unknown_one_are_refused(tmp_path):
    for content in (b"", b"hello", b"PK\3\4" + bytes(100)):
        path = tmp_path / "x.tif"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_scan(path)
        assert caught.value.source == str(path)


def test_the_limits_hold_for_the_case_as_a_whole(tmp_path):
    paths = slices_of(tmp_path, 1, 2, 3)
    source = ScanSource("case", paths)
    size = sum(path.stat().st_size for path in paths)
    assert read_scan(source, ReadLimits(file_bytes=size, slices=3, voxels=60, slice_pixels=20)).shape == (3, 4, 5)
    for limits in (
        ReadLimits(slices=2),
        ReadLimits(voxels=59),
        ReadLimits(slice_pixels=19),
        ReadLimits(file_bytes=size - 1),
    ):
        with pytest.raises(TooLarge):
            read_scan(source, limits)
    with pytest.raises(TooLarge):
        read_scan_bytes(paths[0].read_bytes(), "x", ReadLimits(file_bytes=10))


def test_a_file_that_cannot_be_opened_is_said(tmp_path, monkeypatch):
    (path,) = slices_of(tmp_path, 1)

    def refuse(self, mode="r"):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        read_scan(path)


def pair(folder, image, mask, suffix=".tif"):
    paths = (folder / "x.tif", folder / f"x_mask{suffix}")
    tifffile.imwrite(paths[0], image)
    if suffix == ".tif":
        tifffile.imwrite(paths[1], mask)
    else:
        cv2.imwrite(str(paths[1]), mask, [cv2.IMWRITE_JPEG_QUALITY, 60])
    return ScanSource("x", paths[:1], paths[1:])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int16])
def test_truth_is_what_is_above_zero(tmp_path, dtype):
    mask = np.array([[0, 1, 2], [127, 100, 0]], dtype)
    truth = read_mask(pair(tmp_path, np.zeros((2, 3), np.uint8), mask))
    assert truth.dtype == np.bool_
    np.testing.assert_array_equal(truth, mask[None] > 0)


def test_truth_in_a_jpeg_is_what_is_above_the_middle(tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[20:41, 11:37] = 255
    source = pair(tmp_path, mask, mask, ".jpg")
    stored = cv2.imread(str(source.mask_paths[0]), cv2.IMREAD_GRAYSCALE)
    assert ((stored > 0) != (mask > 0)).any(), "this JPEG shows no smear, so the test would show nothing"
    np.testing.assert_array_equal(read_mask(source)[0], mask > 0)


def test_truth_in_colour_is_what_is_above_zero_in_any_channel(tmp_path):
    mask = np.zeros((4, 5, 3), np.uint8)
    mask[1, 2, 0] = mask[3, 3, 2] = 9
    np.testing.assert_array_equal(read_mask(pair(tmp_path, np.zeros((4, 5), np.uint8), mask))[0], mask.any(-1))


@pytest.mark.parametrize("shape", [(4, 6), (5, 5), (2, 4, 5)])
def test_a_mask_of_another_size_is_refused(tmp_path, shape):
    source = pair(tmp_path, np.zeros((4, 5), np.uint8), np.zeros(shape, np.uint8))
    with pytest.raises(PairMismatch, match="must be equal") as caught:
        read_mask(source)
    assert caught.value.source == str(source.mask_paths[0])


@pytest.fixture
def falling(tmp_path, dicom_files):
    """A series below images/ whose slices fall as the numbers of its files rise, each with a disc of its own."""
    truth = np.zeros((4, 16, 16), bool)
    for index in range(4):
        truth[index, 3 : 5 + index, 2 : 6 + 2 * index] = True
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number, file in enumerate(reversed(dicom_files.slices(truth.astype(np.uint16) * 900 + 50))):
        (tmp_path / "images" / f"{number}.dcm").write_bytes(file.content)
        tifffile.imwrite(tmp_path / "masks" / f"{number}.tif", truth[3 - number].astype(np.uint8) * 255)
    return tmp_path


def test_the_truth_of_a_series_is_in_the_scans_order(falling):
    (source,) = find_scans(falling)
    scan, truth = read_scan(source), read_mask(source)
    assert scan.paths == source.paths[::-1]
    np.testing.assert_array_equal(truth, scan.voxels[:, 0] > 500)


def test_the_truth_of_what_the_scan_leaves_out_is_left_out(falling):
    for folder, suffix in (("images", ".dcm"), ("masks", ".tif")):
        (falling / folder / f"9{suffix}").write_bytes((falling / folder / f"2{suffix}").read_bytes())
    (source,) = find_scans(falling)
    scan, truth = read_scan(source), read_mask(source)
    assert (len(source.paths), len(scan.paths)) == (5, 4)
    np.testing.assert_array_equal(truth, scan.voxels[:, 0] > 500)


def test_the_truth_of_one_of_several_series_is_that_series(falling, dicom_files):
    flat = np.full((1, 16, 16), 900, np.uint16)
    (file,) = dicom_files.slices(flat, root="1.2.3.5", SeriesInstanceUID="1.2.3.5", SeriesNumber=4)
    (falling / "images" / "9.dcm").write_bytes(file.content)
    tifffile.imwrite(falling / "masks" / "9.tif", flat[0].astype(np.uint8))
    (source,) = find_scans(falling)
    with pytest.raises(AmbiguousSeries) as caught:
        read_mask(source)
    shapes = []
    for choice in caught.value.choices:
        scan, truth = read_scan(source, series=choice.key), read_mask(source, series=choice.key)
        np.testing.assert_array_equal(truth, scan.voxels[:, 0] > 500)
        shapes.append(truth.shape)
    assert sorted(shapes) == [(1, 16, 16), (4, 16, 16)]


def test_a_missing_mask_is_said(tmp_path):
    paths = slices_of(tmp_path, 1, 2)
    for masks in ((), (None, None), (paths[0], None)):
        with pytest.raises(PairMismatch, match="have no mask"):
            read_mask(ScanSource("x", paths, masks))


def test_a_real_patient_is_read_as_tifffile_reads_it(lgg_root):
    source = find_scans(lgg_root)[0]
    scan, truth = read_scan(source), read_mask(source)
    count = len(source.paths)
    assert count >= 20
    assert scan.voxels.shape == (count, 3, 256, 256)
    assert truth.shape == scan.shape
    assert source.has_truth
    assert scan.notes == ()
    np.testing.assert_array_equal(
        scan.voxels, np.stack([tifffile.imread(path) for path in source.paths]).transpose(0, 3, 1, 2)
    )
    np.testing.assert_array_equal(truth, np.stack([tifffile.imread(path) for path in source.mask_paths]) > 0)
    assert [int(name.rsplit("_", 1)[1]) for name in scan.slice_names] == list(range(1, count + 1))


def test_real_metastases_are_grouped_by_patient(data_root):
    folder = data_root / "jpg-metastasis-t2w"
    if not folder.is_dir():
        pytest.skip("the folder of real data holds no jpg-metastasis-t2w")
    sources = find_scans(folder)
    assert len(sources) == 6
    assert sum(len(source.paths) for source in sources) == 30
    for source in sources:
        assert source.has_truth
        assert {note.code for note in source.notes} == {"slice-gap"}
        scan, truth = read_scan(source), read_mask(source)
        assert scan.shape == truth.shape == (len(source.paths), 512, 512)
        assert 0 < truth.mean() < 0.2
