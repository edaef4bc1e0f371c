"""Archives, NIfTI and DICOM that are broken, hostile or odd: one sentence or a plain answer, and the server goes on."""

from __future__ import annotations

import gzip
import io
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

PLANTED = "PLANTED"
MAKE = Callable[[Any], bytes]


# --- archives ---------------------------------------------------------------------------------------------------------


def archive(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        for name, content in members:
            packed.writestr(name, content)
    return buffer.getvalue()


def link() -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(f"{PLANTED}.dcm")
    made.create_system, made.external_attr = 3, 0o120777 << 16
    return made


def encrypted(content: bytes) -> bytes:
    """Only the flag: a reader that believed itself would then inflate noise."""
    changed = bytearray(content)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        changed[at + place] |= 1
    return bytes(changed)


def lying(content: bytes) -> bytes:
    """Says that its member is of ten bytes."""
    changed = bytearray(content)
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.find(mark) + place
        changed[at : at + 4] = struct.pack("<I", 10)
    return bytes(changed)


def zeros(megabytes: int) -> bytes:
    """Looks like the beginning of a DICOM file."""
    return bytes(128) + b"DICM" + bytes(megabytes << 20)


ARCHIVES: dict[str, tuple[MAKE, set[int]]] = {
    "nothing in it": (lambda files: archive(), {415, 422}),
    "no scan in it": (lambda files: archive(("readme.txt", PLANTED.encode())), {415, 422}),
    "another archive in it": (lambda files: archive(("inner.zip", archive(("a", b"x")))), {415, 422}),
    "a link in it": (lambda files: archive((link(), b"/etc/passwd")), {415, 422}),
    "encrypted": (lambda files: encrypted(archive(("a.dcm", files[0]))), {415, 422}),
    "cut off": (lambda files: archive(*((f"{n}.dcm", file) for n, file in enumerate(files)))[:-200], {422}),
    "a bomb by its ratio": (lambda files: archive(("a.dcm", zeros(300))), {413}),
    "a bomb in many members": (lambda files: archive(*((f"{n}.dcm", zeros(30)) for n in range(10))), {413}),
    "a bomb that lies": (lambda files: lying(archive(("a.dcm", zeros(300)))), {413, 422}),
    "100,000 members": (lambda files: archive(*((f"{n}", b"") for n in range(100_000)), method=0), {413}),
}


@pytest.fixture(scope="module")
def slices(dicom_files: Any) -> list[bytes]:
    volume = np.random.default_rng(5).integers(0, 900, (4, 24, 28)).astype(np.int16)
    return [file.content for file in dicom_files.slices(volume, PatientName=PLANTED)]


def refused(server: Any, content: bytes, statuses: set[int]) -> dict[str, Any]:
    answer = server.post(content, f"{PLANTED}.zip")
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert PLANTED not in answer.text
    told: dict[str, Any] = answer.json()
    assert 15 < len(told["detail"]) < 400
    return told


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_bad_archive_is_refused_and_nothing_is_written(
    server: Any, slices: list[bytes], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    make, statuses = ARCHIVES[name]
    refused(server, make(slices), statuses)
    assert list(tmp_path.iterdir()) == []


def test_members_that_point_elsewhere_are_read_and_written_nowhere(
    server: Any, slices: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["../../up.dcm", "/tmp/metseg-absolute.dcm", "..\\..\\back.dcm", "C:\\drive.dcm"]  # noqa: S108
    answer = server.post(archive(*zip(names, slices, strict=True)))
    assert answer.status_code in (200, 415, 422)
    assert list(tmp_path.iterdir()) == []
    assert not Path("/tmp/metseg-absolute.dcm").exists()  # noqa: S108


# --- NIfTI ------------------------------------------------------------------------------------------------------------


def nifti(dtype: Any = np.uint8) -> bytes:
    voxels = np.random.default_rng(3).integers(0, 200, (4, 24, 20)).astype(dtype)
    return bytes(nibabel.Nifti1Image(voxels.T, np.diag([1.5, 1.5, 4, 1])).to_bytes())


def patched(place: int, form: str, *values: Any) -> bytes:
    content = bytearray(nifti())
    struct.pack_into(form, content, place, *values)
    return bytes(content)


DIM, TYPE, OFFSET, SFORM = 40, 70, 108, 280
VOLUMES: dict[str, tuple[MAKE, set[int]]] = {
    "a hundred bytes": (lambda _: nifti()[:100], {415, 422}),
    "only a header": (lambda _: nifti()[:348], {422}),
    "dims of 32767 cubed": (lambda _: patched(DIM, "<8h", 3, 32767, 32767, 32767, 1, 1, 1, 1), {413}),
    "a dim of zero": (lambda _: patched(DIM, "<8h", 3, 20, 0, 4, 1, 1, 1, 1), {422}),
    "a negative dim": (lambda _: patched(DIM, "<8h", 3, 20, -24, 4, 1, 1, 1, 1), {422}),
    "an offset beyond the end": (lambda _: patched(OFFSET, "<f", 1e6), {422}),
    "cut off": (lambda _: nifti()[:-50], {422}),
    "a gzip bomb": (lambda _: gzip.compress(nifti()[:352] + bytes(300 << 20)), {413, 422}),
    "a bad checksum": (lambda _: gzip.compress(nifti())[:-8] + b"\0\0\0\1" + gzip.compress(nifti())[-4:], {422}),
    "gzip of something else": (lambda _: gzip.compress(PLANTED.encode() * 30), {415, 422}),
    "complex numbers": (lambda _: nifti(np.complex64), {415, 422}),
    "colours": (lambda _: patched(TYPE, "<2h", 128, 24), {415, 422}),
    "an affine that is no number": (lambda _: patched(SFORM, "<f", float("nan")), {422}),
    "an affine without an inverse": (lambda _: patched(SFORM, "<4f", 0, 0, 0, 0), {422}),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_a_bad_nifti_is_refused_in_one_sentence(server: Any, name: str) -> None:
    make, statuses = VOLUMES[name]
    refused(server, make(None), statuses)


def test_without_an_orientation_there_is_an_answer_a_warning_and_no_side(server: Any) -> None:
    image = nibabel.Nifti1Image(np.random.default_rng(3).integers(0, 200, (20, 24, 4)).astype(np.uint8), None)
    image.header.set_zooms((1.5, 1.5, 4.0))
    image.header["sform_code"] = image.header["qform_code"] = 0
    answer = server.post(bytes(image.to_bytes()))
    told = answer.json()
    assert (answer.status_code, told["affine"], told["spacing_mm"]) == (200, None, [4.0, 1.5, 1.5])
    assert any("orientation" in warned["message"] or "left" in warned["message"] for warned in told["warnings"])


def test_of_several_volumes_one_is_chosen(server: Any) -> None:
    voxels = np.random.default_rng(3).integers(0, 200, (4, 24, 20, 2)).astype(np.uint8)
    content = bytes(nibabel.Nifti1Image(voxels.transpose(2, 1, 0, 3), np.diag([1.5, 1.5, 4, 1])).to_bytes())
    told = refused(server, content, {422})
    assert [choice["key"] for choice in told["choices"]] == ["1", "2"]
    chosen = server.post(content, series="2").json()
    alone = bytes(nibabel.Nifti1Image(voxels[..., 1].transpose(2, 1, 0), np.diag([1.5, 1.5, 4, 1])).to_bytes())
    assert chosen["mask"] == server.post(alone).json()["mask"]


def test_gzipped_or_not_and_in_either_byte_order_the_mask_is_the_same(server: Any) -> None:
    small = nibabel.Nifti1Image.from_bytes(nifti())
    header = small.header.as_byteswapped(">")
    big = bytes(nibabel.Nifti1Image(np.asarray(small.dataobj), None, header).to_bytes())
    masks = [server.post(content).json()["mask"] for content in (nifti(), gzip.compress(nifti()), big)]
    assert masks[0] == masks[1] == masks[2]


# --- DICOM ------------------------------------------------------------------------------------------------------------


def pictures(files: Any, count: int = 3, **tags: Any) -> list[bytes]:
    volume = np.random.default_rng(6).integers(0, 900, (count, 24, 28)).astype(np.int16)
    return [file.content for file in files.slices(volume, **tags)]


def packed(contents: list[bytes]) -> bytes:
    return archive(*((str(number), content) for number, content in enumerate(contents)))


def changed(content: bytes, **tags: Any) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def compressed(content: bytes, syntax: str) -> bytes:
    """Says that its pixels are compressed, and holds noise."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8" + bytes(range(200))])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def report(files: Any) -> bytes:
    (content,) = pictures(files, 1)
    dataset = pydicom.dcmread(io.BytesIO(content))
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


JPEG, JPEG_LS, J2K, RLE = (
    f"1.2.840.10008.1.2.{end}" for end in ("4.70", "4.80", "4.90", "5")
)  # each as its standard numbers it
SERIES: dict[str, tuple[MAKE, set[int], str | None]] = {
    "a report": (report, {415}, None),
    "rows beyond all bounds": (
        lambda files: changed(pictures(files, 1)[0], Rows=65535, Columns=65535),
        {413, 422},
        None,
    ),
    "too few pixels": (lambda files: changed(pictures(files, 1)[0], PixelData=bytes(20)), {422}, None),
    "cut off": (lambda files: pictures(files, 1)[0][:-300], {422}, None),
    "several sizes": (
        lambda files: packed([*pictures(files), changed(pictures(files, 4)[3], Rows=12, PixelData=bytes(672))]),
        {422},
        "mixed-sizes",
    ),
    "several directions": (
        lambda files: packed(
            [*pictures(files), changed(pictures(files, 4)[3], ImageOrientationPatient=[0, 1, 0, 0, 0, -1])]
        ),
        {422},
        "mixed-orientations",
    ),
    "two that differ at one place": (
        lambda files: packed(
            [*pictures(files), changed(pictures(files)[1], SOPInstanceUID="1.2.77", PixelData=bytes(1344))]
        ),
        {422},
        "differing-duplicates",
    ),
    **{
        f"noise as {name}": (lambda files, syntax=syntax: compressed(pictures(files, 1)[0], syntax), {422}, None)
        for name, syntax in (("JPEG", JPEG), ("JPEG-LS", JPEG_LS), ("JPEG 2000", J2K), ("RLE", RLE))
    },
}


@pytest.mark.parametrize("name", SERIES)
def test_a_bad_series_is_refused_with_its_code_and_the_process_lives(
    server: Any, dicom_files: Any, name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    make, statuses, code = SERIES[name]
    told = refused(server, make(dicom_files), statuses)
    assert code in (None, told["code"])
    out, err = capfd.readouterr()
    assert "Test^Person" not in caplog.text + out + err


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ImagePositionPatient": None, "ImageOrientationPatient": None}, "geometry-missing"),
        ({"keep": (0, 1, 3, 4)}, "slice-gap"),
    ],
)
def test_what_does_not_lie_evenly_is_segmented_slice_by_slice_with_a_warning_and_no_millilitres(
    server: Any, dicom_files: Any, change: dict[str, Any], code: str
) -> None:
    answer = server.post(packed(pictures(dicom_files, 5, **change)))
    told = answer.json()
    assert answer.status_code == 200, answer.text
    assert code in {warned["code"] for warned in told["warnings"]}
    assert told["totals"]["volume_ml"] is None
    assert server.post(packed(pictures(dicom_files, 5, **change)), accept="application/x-nifti").status_code == 406


def test_equal_duplicates_and_files_without_a_preamble_change_nothing(server: Any, dicom_files: Any) -> None:
    files = pictures(dicom_files, 4)
    plain = server.post(packed(files)).json()
    bare = server.post(packed([content[132:] for content in files])).json()
    double = server.post(packed([*files, files[2]])).json()
    assert plain["mask"] == bare["mask"] == double["mask"]
    assert "equal-duplicates" in {warned["code"] for warned in double["warnings"]}


def test_white_that_is_stored_as_zero_is_turned_round(server: Any, kit: SimpleNamespace, dicom_files: Any) -> None:
    pixels = kit.noise(40, 44)
    upright = dicom_files.save(dicom_files.image(pixels))
    inverted = dicom_files.save(dicom_files.image(255 - pixels, PhotometricInterpretation="MONOCHROME1"))
    assert server.post(upright).json()["mask"] == server.post(inverted).json()["mask"]
