"""Volumes on the page to show to others: seen as the model sees them, and one of several series chosen."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import UsageError
from core.inference import Predictor
from web_gradio import pictures, words
from web_gradio.downloads import write_downloads
from web_gradio.findings import Failure, Finding, Step, find_in_files
from web_gradio.settings import Settings
from web_gradio.sources import sources_of
from web_gradio.wanted import Wanted

nibabel = pytest.importorskip("nibabel")
# Slices run to the left, rows up, columns back: a stack of sagittal slices, near to cubes.
AFFINE = np.array([[0, 0, -2.0, 20], [0, -1.5, 0, 30], [-1.5, 0, 0, 40], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return Predictor(tiny_model, "cpu", "fp32")


def outcomes(predictor: Predictor, *paths: Path, **wanted: Any) -> list[Any]:
    steps = find_in_files(paths, predictor, Wanted(**wanted), Settings())
    return [step for step in steps if not isinstance(step, Step)]


@pytest.fixture(scope="module")
def finding(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Finding:
    path = tmp_path_factory.mktemp("volume") / "head.nii.gz"
    voxels = np.random.default_rng(3).integers(0, 255, (24, 40, 36)).astype(np.uint8)
    path.write_bytes(gzip.compress(nibabel.Nifti1Image(voxels.T, AFFINE).to_bytes()))
    (found,) = outcomes(predictor, path)
    assert isinstance(found, Finding)
    return found


def test_a_volume_is_shown_in_axial_slices_with_letters_at_true_aspect(finding: Finding) -> None:
    assert finding.view.name == "axial"
    slices, height, width = finding.view.shape
    assert (slices, height, width) == (36, 40, 24)
    image, regions = pictures.annotated(finding, pictures.fullest_slice(finding))
    assert image.shape == (40, 32, 3)  # columns are 2 mm wide and rows 1.5 mm high
    assert all(region.shape == image.shape[:2] for region, _ in regions)
    bare = image[:, :, 0] == image[:, :, 1]
    assert bare.all()
    assert f"{slices} slices" in words.headline(finding)


def test_rows_of_the_table_tell_slices_of_what_is_shown(finding: Finding) -> None:
    shown = finding.view.turn(finding.numbers)
    for row, lesion in zip(words.lesion_rows(finding)[:5], finding.result.lesions, strict=False):
        first, _, last = row[1].partition("–")
        places = np.flatnonzero((shown == lesion.label).any(axis=(1, 2))) + 1
        assert (int(first), int(last or first)) == (places.min(), places.max())
        assert row[3].endswith(" ml")


def test_what_is_taken_home_lies_where_the_volume_lies(finding: Finding, tmp_path: Path) -> None:
    made = write_downloads([finding], finding, tmp_path)
    assert made.mask.name == "head_mask.nii.gz"
    np.testing.assert_array_equal(nibabel.load(made.mask).affine, AFFINE)
    np.testing.assert_array_equal(np.asarray(nibabel.load(made.mask).dataobj).T > 0, finding.result.mask)
    with zipfile.ZipFile(made.everything) as archive:
        assert archive.read("head/head_mask.nii.gz") == made.mask.read_bytes()


def test_several_dicom_files_are_one_case_and_several_series_a_choice(
    predictor: Predictor, dicom_files: Any, tmp_path: Path
) -> None:
    volume = np.random.default_rng(5).integers(0, 900, (4, 40, 44)).astype(np.int16)
    texts = {"PatientName": "Planted^A", "SeriesDescription": "Planted description"}
    one = dicom_files.slices(volume, **texts)
    two = dicom_files.slices(volume[:3], root="1.2.9", SeriesInstanceUID="1.2.9", **texts)
    paths = []
    for number, file in enumerate((*one, *two)):
        paths.append(tmp_path / f"{number}")
        paths[-1].write_bytes(file.content)
    (alone,) = outcomes(predictor, *paths[:4])
    assert isinstance(alone, Finding)
    assert alone.scan.shape == (4, 40, 44)
    (unclear,) = outcomes(predictor, *paths)
    assert isinstance(unclear, Failure)
    assert len(unclear.choices) == 2
    assert "Planted" not in unclear.sentence + str(unclear.choices)
    shapes = [outcomes(predictor, *paths, series=choice.key)[0].scan.shape[0] for choice in unclear.choices]
    assert sorted(shapes) == [3, 4]
    # A choice that was made for another file is no reason to fail.
    (still,) = outcomes(predictor, *paths[:4], series=unclear.choices[0].key + "x")
    assert isinstance(still, Finding)


def test_an_archive_of_a_series_is_read_as_it_is(predictor: Predictor, dicom_files: Any, tmp_path: Path) -> None:
    volume = np.random.default_rng(5).integers(0, 900, (4, 40, 44)).astype(np.int16)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in dicom_files.slices(volume):
            archive.writestr(file.name, file.content)
    path = tmp_path / "series.zip"
    path.write_bytes(buffer.getvalue())
    (found,) = outcomes(predictor, path)
    assert isinstance(found, Finding)
    made = write_downloads([found], found, tmp_path)
    assert made.mask.suffix == ".dcm"
    assert any(name.endswith(".nii.gz") for name in zipfile.ZipFile(made.everything).namelist())


def test_files_that_are_no_dicom_are_cases_of_their_own(tmp_path: Path) -> None:
    for name in ("a.tif", "b.nii.gz"):
        (tmp_path / name).write_bytes(b"II*\0" + bytes(40))
    assert [source.name for source in sources_of(sorted(tmp_path.iterdir()), Settings()).cases] == ["a", "b"]
    with pytest.raises(UsageError):
        list(find_in_files([], None, Wanted(), Settings()))  # type: ignore[arg-type]
