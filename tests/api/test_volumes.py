"""Volumes through the server's door: NIfTI, DICOM and archives in; masks that lie where they belong out."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile

import metseg
from core.inference import Predictor
from core.scan import SLICE_GAP, Note, Scan

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

JSON, TIFF, ZIP = "application/json", "image/tiff", "application/zip"
NIFTI, DICOM = "application/x-nifti", "application/dicom"
AFFINE = np.array([[0, 0, -2.0, 20], [0, -1.5, 0, 30], [-1.5, 0, 0, 40], [0, 0, 0, 1]])
PLANTED = "Planted"


@pytest.fixture(scope="module")
def nifti() -> bytes:
    voxels = np.random.default_rng(3).integers(0, 255, (9, 40, 36)).astype(np.uint8)
    return gzip.compress(nibabel.Nifti1Image(voxels.T, AFFINE).to_bytes())


@pytest.fixture(scope="module")
def series(dicom_files: Any) -> list[Any]:
    """Six slices, each text of which is planted."""
    volume = np.random.default_rng(5).integers(0, 900, (6, 40, 44)).astype(np.int16)
    texts = ("PatientName", "PatientID", "InstitutionName", "SeriesDescription", "StudyDescription", "ProtocolName")
    planted = {tag: f"{PLANTED}^{number}" for number, tag in enumerate(texts)}
    made: list[Any] = dicom_files.slices(volume, PatientComments=f"{PLANTED} comment", **planted)
    return made


def packed(files: Sequence[Any]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(f"{PLANTED}/{file.name}", file.content)
    return buffer.getvalue()


def read_nifti(content: bytes) -> Any:
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(content))


def test_a_nifti_gets_a_mask_in_its_own_place_the_one_that_segment_writes(
    server: Any, nifti: bytes, tiny_model: Path, tmp_path: Path
) -> None:
    told = server.post(nifti, "scan.nii.gz").json()
    assert told["shape"] == {"slices": 9, "height": 40, "width": 36}
    assert (told["format"], told["spacing_mm"]) == ("NIfTI", [2.0, 1.5, 1.5])
    np.testing.assert_allclose(told["affine"], AFFINE)
    assert told["totals"]["volume_ml"] == pytest.approx(told["totals"]["voxels"] * 4.5 / 1000)
    answer = server.post(nifti, "scan.nii.gz", NIFTI)
    assert answer.headers["content-type"] == NIFTI
    assert answer.headers["content-disposition"] == 'attachment; filename="mask.nii.gz"'
    (tmp_path / "scan.nii.gz").write_bytes(nifti)
    command = ["segment", str(tmp_path / "scan.nii.gz"), "--model", str(tiny_model), "--out", str(tmp_path / "out")]
    assert metseg.main(command) == 0
    (written,) = (tmp_path / "out").rglob("*_mask.nii.gz")
    assert answer.content == written.read_bytes()
    mask = read_nifti(answer.content)
    np.testing.assert_array_equal(mask.affine, AFFINE)
    assert int(np.asarray(mask.dataobj).sum()) == told["totals"]["voxels"] > 0


def test_probabilities_of_a_volume_can_be_had_in_both_forms(server: Any, nifti: bytes) -> None:
    likely = read_nifti(server.post(nifti, accept=NIFTI, view="probability").content)
    pages = tifffile.imread(io.BytesIO(server.post(nifti, accept=TIFF, view="probability").content))
    assert likely.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asarray(likely.dataobj).T, pages)


@pytest.mark.parametrize(("accept", "view"), [(NIFTI, "mask"), (DICOM, "mask"), (NIFTI, "probability")])
def test_a_picture_has_no_place_in_space_and_that_is_said(
    server: Any, kit: SimpleNamespace, accept: str, view: str
) -> None:
    answer = server.post(kit.golden, accept=accept, view=view)
    assert (answer.status_code, answer.json()["code"]) == (406, "not-acceptable")
    assert "can be had as" in answer.json()["detail"]
    assert ";" in answer.json()["detail"]  # and why not as what was asked for


def test_an_archive_of_dicom_is_one_series_whatever_its_files_are_called(
    server: Any, series: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    answer = server.post(packed(series), "PLANTED.zip")
    told = answer.json()
    assert (told["format"], told["shape"]) == ("DICOM", {"slices": 6, "height": 40, "width": 44})
    assert told["affine"] is not None
    shuffled = server.post(packed([series[index] for index in (3, 0, 5, 1, 4, 2)])).json()
    assert shuffled["mask"] == told["mask"]
    assert PLANTED not in answer.text + caplog.text


def test_a_segmentation_object_refers_to_its_images_and_bears_nobody_where_that_is_asked(
    server: Any, series: list[Any]
) -> None:
    answer = server.post(packed(series), accept=DICOM)
    assert (answer.status_code, answer.headers["content-type"]) == (200, DICOM), answer.text
    found = pydicom.dcmread(io.BytesIO(answer.content))
    source = pydicom.dcmread(io.BytesIO(series[0].content))
    assert found.Modality == "SEG"
    assert (found.PatientName, found.StudyInstanceUID) == (source.PatientName, source.StudyInstanceUID)
    assert b"comment" not in answer.content
    nobody = server.post(packed(series), accept=DICOM, deidentify="true").content
    assert PLANTED.encode() not in nobody
    assert pydicom.dcmread(io.BytesIO(nobody)).PatientName != source.PatientName


def test_a_zip_of_a_series_holds_both_forms(server: Any, series: list[Any]) -> None:
    answer = server.post(packed(series), accept=ZIP, deidentify="true")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert {name.partition(".")[2] for name in files} == {"dcm", "nii.gz", "png", "json"}
    mask = next(content for name, content in files.items() if name.endswith("mask.nii.gz"))
    np.testing.assert_allclose(read_nifti(mask).affine, json.loads(files["result.json"])["affine"], atol=1e-4)
    assert not any(PLANTED.encode() in content for content in files.values())


def test_of_a_stack_that_slices_are_missing_can_be_said(
    start: Any, make_model: Callable[..., Path], kit: SimpleNamespace, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "with-neighbours", neighbours=0.2)
    server = start(models=(model,))
    predictor, voxels = Predictor(model), kit.noise(5, 48, 40)
    gap = Scan("gap", voxels[:, None], notes=(Note(SLICE_GAP, "a gap"),))
    expected = predictor.segment(gap)
    plain = predictor.segment(replace(gap, notes=()))
    assert (expected.mask != plain.mask).any()
    asked = {"accept": TIFF, "model": model.name, "view": "probability"}
    for fields, found in (({"slice_gap": "true"}, expected), ({"slice_gap": "false"}, plain), ({}, plain)):
        answer = server.post(kit.tiff(voxels, metadata=None), **asked, **fields)
        np.testing.assert_array_equal(kit.tiff_of(answer), found.probability)
    told = server.post(kit.tiff(voxels, metadata=None), model=model.name, slice_gap="true").json()
    assert SLICE_GAP in {warning["code"] for warning in told["warnings"]}
    assert len(told["lesions"]) == len(expected.lesions)


def test_a_gap_that_the_file_shows_is_told_once(server: Any, series: list[Any]) -> None:
    told = server.post(packed([*series[:2], *series[4:]]), slice_gap="true").json()
    assert [warning["code"] for warning in told["warnings"]].count(SLICE_GAP) == 1


def test_of_two_series_one_is_chosen_from_a_list_without_a_patient_s_text(
    server: Any, series: list[Any], dicom_files: Any
) -> None:
    other = dicom_files.slices(
        np.full((3, 24, 24), 7, np.int16), root="1.2.9", SeriesInstanceUID="1.2.9", PatientName=f"{PLANTED}^B"
    )
    content = packed([*series, *other])
    answer = server.post(content)
    told = answer.json()
    assert (answer.status_code, told["code"], told["errors"][0]["field"]) == (422, "ambiguous-series", "series")
    assert len(told["choices"]) == 2
    assert PLANTED not in answer.text
    shapes = [server.post(content, series=choice["key"]).json()["shape"]["slices"] for choice in told["choices"]]
    assert sorted(shapes) == [3, 6]
    unknown = server.post(content, series="nothing")
    assert (unknown.status_code, len(unknown.json()["choices"])) == (422, 2)
