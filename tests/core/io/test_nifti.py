"""NIfTI, with nibabel as the witness."""

import gzip
import io
import struct
import zipfile

import nibabel as nib
import numpy as np
import pytest

from core.errors import AmbiguousSeries, BrokenFile, InputError, PairMismatch, TooLarge, UnsupportedFormat
from core.io import ReadLimits, find_scans, read_mask, read_scan, read_scan_bytes
from core.io.describe import describe_scan
from core.io.formats import format_of

AFFINE = np.array([[-0.9, 0, 0, 80], [0, 1.1, 0, -90], [0, 0, 3, -40], [0, 0, 0, 1.0]])
HEADER = 352
FIELDS = {
    "sizeof_hdr": (0, "i"), "dim": (40, "8h"), "datatype": (70, "h"), "bitpix": (72, "h"), "pixdim": (76, "8f"),
    "vox_offset": (108, "f"), "scl_slope": (112, "f"), "scl_inter": (116, "f"), "xyzt_units": (123, "B"),
    "qform_code": (252, "h"), "sform_code": (254, "h"), "quatern_b": (256, "f"), "srow_x": (280, "4f"),
    "magic": (344, "4s"),
}  # fmt: skip


def values(shape=(5, 6, 4), dtype=np.int16):
    return np.random.default_rng(1).integers(0, 100, shape).astype(dtype)


def nifti(data, affine=AFFINE, kind=nib.Nifti1Image, **header):
    """A .nii as bytes, by nibabel."""
    image = kind(data, affine)
    for name, value in header.items():
        image.header[name] = value
    return image.to_bytes()


def patched(content, field, *new):
    """The same file with another value in one field of its header, whatever it does to it."""
    offset, kind = FIELDS[field]
    return content[:offset] + struct.pack("<" + kind, *new) + content[offset + struct.calcsize("<" + kind) :]


def read(content, **options):
    return read_scan_bytes(content, "case", **options)


@pytest.fixture
def plain():
    return nifti(values())


def test_columns_rows_and_slices_are_i_j_and_k_under_the_files_own_affine(plain):
    scan = read(plain)
    assert scan.format == "NIfTI"
    assert scan.shape == (4, 6, 5)
    np.testing.assert_array_equal(scan.voxels[:, 0], values().transpose())
    np.testing.assert_allclose(scan.affine, AFFINE, atol=1e-5)
    assert scan.spacing_mm == pytest.approx((3, 1.1, 0.9))
    assert scan.notes == ()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("order", "<>")
def test_every_real_type_in_either_byte_order_holds_the_same(dtype, order):
    data = values(dtype=dtype)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    image = nib.Nifti1Image(data, AFFINE, header)
    scan = read(image.to_bytes())
    assert scan.voxels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(scan.voxels[:, 0], data.transpose())


@pytest.mark.parametrize("order", "<>")
def test_nifti_2_is_read_too(order):
    image = nib.Nifti2Image(values(), AFFINE, nib.Nifti2Header(endianness=order))
    np.testing.assert_array_equal(read(image.to_bytes()).voxels[:, 0], values().transpose())


def test_packed_in_one_or_several_members_is_the_same(plain):
    for packed in (gzip.compress(plain), gzip.compress(plain[:200]) + gzip.compress(plain[200:]) + bytes(100)):
        np.testing.assert_array_equal(read(packed).voxels, read(plain).voxels)


@pytest.mark.parametrize(("name", "packed"), [("a.nii", True), ("b.nii.gz", False)])
def test_a_name_that_lies_about_packing_is_read(plain, tmp_path, name, packed):
    (tmp_path / name).write_bytes(gzip.compress(plain) if packed else plain)
    scan = read_scan(tmp_path / name)
    assert scan.name == name[0]
    np.testing.assert_array_equal(scan.voxels, read(plain).voxels)


@pytest.mark.parametrize("slope", [0.37, 2.0, -1.5])
def test_values_are_scaled_by_slope_and_inter(plain, slope):
    scan = read(patched(patched(plain, "scl_slope", slope), "scl_inter", 4.0))
    assert scan.voxels.dtype == np.float32
    np.testing.assert_allclose(scan.voxels[:, 0], values().transpose() * np.float32(slope) + 4, rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, float("nan"), float("inf"), 1.0])
def test_a_slope_of_none_leaves_values_as_stored(plain, slope):
    scan = read(patched(plain, "scl_slope", slope))
    assert scan.voxels.dtype == np.int16
    np.testing.assert_array_equal(scan.voxels[:, 0], values().transpose())


def test_an_inter_that_is_no_number_is_refused(plain):
    with pytest.raises(BrokenFile, match="scaling"):
        read(patched(patched(plain, "scl_slope", 2.0), "scl_inter", float("nan")))


def test_a_single_slice_and_trailing_ones_are_a_volume():
    assert read(nifti(values((5, 6)))).shape == (1, 6, 5)
    assert read(nifti(values((5, 6, 4, 1, 1)))).shape == (4, 6, 5)


def test_without_a_position_orientation_is_unknown_and_spacing_the_headers_own(plain):
    content = patched(patched(plain, "sform_code", 0), "qform_code", 0)
    scan = read(content)
    assert scan.affine is None
    assert not scan.orientation_known
    assert scan.spacing_mm == pytest.approx((3, 1.1, 0.9))
    assert [note.code for note in scan.notes] == ["orientation-unknown"]
    odd = read(patched(content, "pixdim", 1, float("nan"), 0, -2, 0, 0, 0, 0))
    assert odd.spacing_mm == (2, None, None)


def test_the_sform_wins_where_the_qform_disagrees_and_that_is_said(plain):
    image = nib.Nifti1Image(values(), None)
    image.set_qform(AFFINE, 1)
    moved = AFFINE.copy()
    moved[0, 3] += 30
    image.set_sform(moved, 2)
    scan = read(image.to_bytes())
    np.testing.assert_allclose(scan.affine, image.affine, atol=1e-5)
    np.testing.assert_allclose(scan.affine, moved, atol=1e-5)
    assert [note.code for note in scan.notes] == ["forms-differ"]
    image.set_sform(None, 0)
    qform = read(image.to_bytes())
    np.testing.assert_allclose(qform.affine, AFFINE, atol=1e-4)
    assert qform.notes == ()


@pytest.mark.parametrize(("unit", "factor"), [(0, 1), (2, 1), (1, 1000), (3, 0.001)])
def test_units_other_than_millimetres_are_converted(plain, unit, factor):
    scan = read(patched(plain, "xyzt_units", unit))
    assert scan.spacing_mm == pytest.approx((3 * factor, 1.1 * factor, 0.9 * factor))


def test_of_several_volumes_one_is_chosen_by_its_number():
    data = values((5, 6, 4, 3))
    content = nifti(data)
    with pytest.raises(AmbiguousSeries) as caught:
        read(content)
    assert [choice.key for choice in caught.value.choices] == ["1", "2", "3"]
    assert "4 slices of 5×6" in caught.value.detail
    for packed in (content, gzip.compress(content)):
        for number in (1, 2, 3):
            scan = read(packed, series=str(number))
            np.testing.assert_array_equal(scan.voxels[:, 0], data[..., number - 1].transpose())
    with pytest.raises(AmbiguousSeries, match="no such"):
        read(content, series="4")


@pytest.mark.parametrize("code", [1, 32, 128, 1536, 1792, 2304, 77])
def test_values_that_are_no_plain_numbers_are_refused(plain, code):
    with pytest.raises(UnsupportedFormat, match="complex, coloured"):
        read(patched(plain, "datatype", code))


def faulty(plain):
    packed = gzip.compress(plain)
    bad_crc = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    return {
        "a hundred bytes": (plain[:100], BrokenFile, "within its header"),
        "within the header": (plain[:347], BrokenFile, "within its header"),
        "zero dimension": (patched(plain, "dim", 3, 5, 0, 4, 1, 1, 1, 1), BrokenFile, "without voxels"),
        "negative dimension": (patched(plain, "dim", 3, 5, -6, 4, 1, 1, 1, 1), BrokenFile, "without voxels"),
        "eight dimensions": (patched(plain, "dim", 9, 5, 6, 4, 1, 1, 1, 1), BrokenFile, "number of dimensions|none of"),
        "a vector field": (patched(plain, "dim", 5, 5, 6, 1, 1, 4, 1, 1), UnsupportedFormat, "neither slices"),
        "offset past the end": (patched(plain, "vox_offset", 5000), BrokenFile, "before its data"),
        "offset in the header": (patched(plain, "vox_offset", 100), BrokenFile, "impossible place"),
        "offset no number": (patched(plain, "vox_offset", float("nan")), BrokenFile, "impossible place"),
        "truncated": (plain[:-1], BrokenFile, "before its data"),
        "truncated and packed": (gzip.compress(plain[:-1]), BrokenFile, "before its data"),
        "truncated while packed": (packed[:-12], BrokenFile, "before its data|damaged"),
        "bad checksum": (bad_crc, BrokenFile, "damaged"),
        "far too long": (gzip.compress(plain + bytes(2 << 20)), BrokenFile, "far more"),
        "not a number in the sform": (patched(plain, "srow_x", float("nan"), 0, 0, 0), BrokenFile, "position in space"),
        "a flat sform": (patched(plain, "srow_x", 0, 1.1, 0, 0), BrokenFile, "position in space"),
        "a pair of files": (patched(plain, "magic", b"ni1\0"), UnsupportedFormat, "pair of files"),
        "packed something else": (gzip.compress(b"hello"), UnsupportedFormat, "none of the formats"),
    }


@pytest.mark.parametrize("case", list(faulty(nifti(values()))))
def test_faulty_files_are_refused_with_one_sentence(plain, case):
    content, error, words = faulty(plain)[case]
    with pytest.raises(error, match=words):
        read(content)


def test_huge_dimensions_are_refused_from_the_header_alone(plain):
    huge = patched(plain, "dim", 3, 32767, 32767, 32767, 1, 1, 1, 1)
    for content in (huge[:HEADER], gzip.compress(huge)):
        with pytest.raises(TooLarge):
            read(content)
        with pytest.raises(TooLarge):
            format_of(content).measure(content, ReadLimits())


def test_a_gzip_bomb_is_stopped_while_it_is_unpacked():
    import tracemalloc
    import zlib

    packer = zlib.compressobj(1, wbits=31)
    block = bytes(1 << 20)
    content = packer.compress(nifti(values())) + b"".join(packer.compress(block) for _ in range(48)) + packer.flush()
    tracemalloc.start()
    with pytest.raises(BrokenFile, match="far more"):
        read(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(content) < 1 << 20
    assert peak < 4 << 20


def test_thousands_of_packed_parts_are_refused():
    part = gzip.compress(b"")
    with pytest.raises(BrokenFile, match="too many parts"):
        read(gzip.compress(nifti(values())) + part * 20_000)


def test_a_mask_beside_must_lie_where_its_image_lies(tmp_path):
    data = values()
    (tmp_path / "p.nii").write_bytes(nifti(data))
    truth = (data > 80).astype(np.uint8)
    (tmp_path / "p_mask.nii.gz").write_bytes(gzip.compress(nifti(truth)))
    (source,) = find_scans(tmp_path)
    np.testing.assert_array_equal(read_mask(source), truth.transpose().astype(bool))
    flipped = AFFINE.copy()
    flipped[0] *= -1
    (tmp_path / "p_mask.nii.gz").write_bytes(gzip.compress(nifti(truth, flipped)))
    with pytest.raises(PairMismatch, match="elsewhere in space"):
        read_mask(source)


def test_slices_that_lean_are_as_far_apart_as_their_planes():
    leaning = np.diag([0.9, 1.1, 5.0, 1.0])
    leaning[1, 2] = 5 * np.tan(np.radians(20))
    scan = read(nifti(values(), leaning))
    assert scan.spacing_mm == pytest.approx((5, 1.1, 0.9), rel=1e-5)


def test_however_oblique_a_volume_is_each_direction_is_told_once(tmp_path):
    path = tmp_path / "oblique.nii"
    for seed in range(40):
        turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
        affine = np.eye(4)
        affine[:3, :3] = turn
        path.write_bytes(nifti(values(), affine))
        told = describe_scan(path).to_json()["orientation"]
        assert all(sum(told.count(letter) for letter in axis) == 1 for axis in ("LR", "PA", "IS")), told


def test_describing_reads_the_header_alone(plain, tmp_path):
    path = tmp_path / "sub-01_FLAIR.nii"
    path.write_bytes(plain[:HEADER])  # not a single voxel
    told = describe_scan(path).to_json()
    assert (told["format"], told["slices"], told["height"], told["width"]) == ("NIfTI", 4, 6, 5)
    assert told["dtype"] == "int16"
    assert told["orientation"] == "LAS"
    assert told["sequence"] == "FLAIR"
    assert told["spacing_mm"] == pytest.approx([3, 1.1, 0.9])
    assert told["facts"]["kind"] == "NIfTI-1, little-endian"
    with pytest.raises(InputError, match="before its data"):
        read_scan(path)


def test_a_qform_may_leave_out_its_handedness_and_the_thickness_of_one_slice():
    def placed(shape, *forms):
        image = nib.Nifti1Image(values(shape), None)
        for form in forms:
            getattr(image, f"set_{form}")(np.diag([1.0, 1, 3, 1]), 1)
        return image.to_bytes()

    loose = (0.0, 1, 1, 3, 0, 0, 0, 0)
    np.testing.assert_array_equal(read(patched(placed((5, 6, 4), "qform"), "pixdim", *loose)).affine[:3, 2], [0, 0, 3])
    assert read(patched(placed((5, 6, 4), "qform", "sform"), "pixdim", *loose)).notes == ()
    assert read(patched(placed((5, 6), "qform"), "pixdim", 1.0, 1, 1, 0, 0, 0, 0, 0)).orientation_known


def test_volumes_are_counted_before_anything_is_made_of_them():
    content = nifti(np.zeros((1, 1, 1, 1), np.uint8), kind=nib.Nifti2Image)
    many = content[:48] + struct.pack("<q", 2**27) + content[56:]
    with pytest.raises(TooLarge, match="volumes"):
        read(many)


def test_the_byte_order_of_single_bytes_is_told_too(tmp_path):
    image = nib.Nifti1Image(values(dtype=np.uint8), AFFINE)
    swapped = image.header.as_byteswapped(">").binaryblock + b"\0" * 4 + image.to_bytes()[HEADER:]
    for name, content in (("little", image.to_bytes()), ("big", swapped)):
        (tmp_path / f"{name}.nii").write_bytes(content)
        assert f"{name}-endian" in dict(describe_scan(tmp_path / f"{name}.nii").described.facts)["kind"]


def test_volumes_in_an_archive_are_told_apart_by_their_names(plain):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for sequence in ("flair", "t1w"):
            archive.writestr(f"p1_{sequence}.nii", plain)
    with pytest.raises(AmbiguousSeries, match="1: FLAIR, 4 slices of 5×6; 2: T1w, 4 slices"):
        read(stream.getvalue())
    assert read(stream.getvalue(), series="2").sequence == "T1w"
