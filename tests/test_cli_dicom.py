"""DICOM through the public door: what `metseg info` and `metseg segment` do with a folder or a zip of it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

import metseg

SLICES, SIZE = 4, 64
FLAIR, T1 = "1.2.3.51", "1.2.3.52"


def write_slice(path: Path, series: str, index: int, description: str) -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", f"{series}.{index + 1}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "1.2.3", series, "1.2.3.9"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "SECRET^NAME", "SECRET17", "MR"
    dataset.SeriesDescription = f"{description} SECRET"
    dataset.Rows = dataset.Columns = SIZE
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-30, -20, 5.0 * index]
    dataset.PixelSpacing, dataset.SliceThickness = [1.0, 1.0], 5.0
    values = np.random.default_rng([index, len(description)]).integers(0, 900, (SIZE, SIZE))
    values[16:40, 20:44] += 2500
    dataset.PixelData = values.astype("<u2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    FileDataset(io.BytesIO(), dataset, file_meta=dataset.file_meta, preamble=bytes(128)).save_as(
        path, enforce_file_format=True
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two series of files without suffix, and a file that is no DICOM."""
    folder = tmp_path_factory.mktemp("given") / "study"
    folder.mkdir()
    for index in range(SLICES):
        write_slice(folder / f"IM{7 * index % 5}", FLAIR, index, "t2 flair")
        write_slice(folder / f"IN{7 * index % 5}", T1, index, "t1w")
    (folder / "README").write_text("SECRET")
    return folder


@pytest.fixture(scope="module")
def packed(study: Path) -> Path:
    """The FLAIR series alone, as a zip."""
    path = study.parent / "flair.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(study.glob("IM*")):
            archive.write(file, f"deep/{file.name}")
    return path


def test_info_lists_the_series_and_tells_of_the_one_chosen(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert metseg.main(["info", str(study)]) == 0
    listed = capsys.readouterr().out
    assert "1: FLAIR, 4 axial slices of 64×64" in listed
    assert "2: T1w, 4 axial slices of 64×64" in listed
    assert metseg.main(["info", str(study), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [choice["key"] for choice in told["series"]] == ["1", "2"]
    assert metseg.main(["info", str(study), "--series", T1]) == 0
    chosen = capsys.readouterr().out
    assert "sequence: T1w" in chosen
    assert "SECRET" not in listed + chosen + json.dumps(told)
    assert metseg.main(["info", str(study), "--series", "9"]) == 3


@pytest.mark.parametrize("source", ["folder", "zip"])
def test_a_series_becomes_a_segmentation_and_a_nifti(
    source: str, study: Path, packed: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fixed = ["--out", str(tmp_path), "--model", str(tiny_model), "--device", "cpu", "--precision", "fp32"]
    given = [str(packed)] if source == "zip" else [str(study), "--series", "1"]
    if source == "folder":
        assert metseg.main(["segment", str(study), *fixed]) == 3
        assert "--series" in capfd.readouterr().err
    assert metseg.main(["segment", *given, *fixed]) == 0
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (written,) = folder.glob("*_mask.dcm")
    (beside,) = folder.glob("*_mask.nii.gz")
    segmentation, nifti = pydicom.dcmread(written), nibabel.load(beside)
    assert segmentation.PatientName == "SECRET^NAME"
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == FLAIR
    np.testing.assert_allclose(nifti.affine, [[-1, 0, 0, 30], [0, -1, 0, 20], [0, 0, 5, 0], [0, 0, 0, 1]], atol=1e-6)
    mask = np.asarray(nifti.dataobj).transpose(2, 1, 0) > 0
    frames = segmentation.pixel_array.reshape(-1, SIZE, SIZE) > 0
    heights = [
        float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        for group in segmentation.PerFrameFunctionalGroupsSequence
    ]
    assert int(frames.sum()) == int(mask.sum()) == manifest["result"]["voxels"]
    for height, frame in zip(heights, frames, strict=True):
        np.testing.assert_array_equal(frame, mask[round(height / 5)])
    out, err = capfd.readouterr()
    assert "SECRET" not in out + err + json.dumps(manifest)


def test_another_patient_stands_in_a_segmentation_where_that_is_asked_for(
    packed: Path, tiny_model: Path, tmp_path: Path
) -> None:
    fixed = ["--out", str(tmp_path), "--model", str(tiny_model), "--device", "cpu", "--precision", "fp32"]
    assert metseg.main(["segment", str(packed), *fixed, "--deidentify"]) == 0
    (written,) = tmp_path.rglob("*_mask.dcm")
    assert pydicom.dcmread(written).PatientName != "SECRET^NAME"
    assert b"SECRET" not in written.read_bytes()
