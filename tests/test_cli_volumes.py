"""`metseg segment` and `metseg info` with NIfTI volumes, through the public door."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import metseg

AFFINE = np.array([[0, 0, 1.1, -20], [-1.0, 0, 0, 30], [0, 1.2, 0, -15], [0, 0, 0, 1]])  # stored sagittally


def write_volume(path: Path, volumes: int = 1) -> nib.Nifti1Image:
    values = gaussian_filter(np.random.default_rng(4).random((30, 26, 24)), 2) * 900
    shape = (30, 26, 24) if volumes == 1 else (30, 26, 24, volumes)
    image = nib.Nifti1Image(
        np.broadcast_to(values.reshape(30, 26, 24, *[1] * (len(shape) - 3)), shape).astype(np.int16), AFFINE
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(image.to_bytes()))
    return image


@pytest.fixture
def segment(tiny_model: Path) -> Callable[..., int]:
    def run(*arguments: str | Path) -> int:
        fixed = ["--model", str(tiny_model), "--device", "cpu", "--precision", "fp32", "--threshold", "0.3"]
        return metseg.main(["segment", *map(str, arguments), *fixed])

    return run


def test_a_volume_gives_a_mask_in_its_own_place_and_its_probabilities(
    tmp_path: Path, segment: Callable[..., int]
) -> None:
    image = write_volume(tmp_path / "in" / "head.nii.gz")
    assert segment(tmp_path / "in", "--out", tmp_path / "out", "--probability") == 0
    case = tmp_path / "out" / "head"
    assert sorted(path.name for path in case.iterdir()) == [
        "head_mask.nii.gz",
        "head_overlay.png",
        "head_probability.nii.gz",
        "manifest.json",
    ]
    mask, probability = nib.load(case / "head_mask.nii.gz"), nib.load(case / "head_probability.nii.gz")
    np.testing.assert_allclose(mask.affine, image.affine)
    np.testing.assert_array_equal(np.asarray(mask.dataobj) > 0, np.asarray(probability.dataobj) >= np.float32(0.3))
    manifest = json.loads((case / "manifest.json").read_text())
    assert manifest["prediction"]["plane"] == {"view": "axial", "axes": [1, 2, 0], "flips": [False, False, True]}
    assert manifest["result"]["volume_ml"] == pytest.approx(np.asarray(mask.dataobj).sum() * 1.32e-3, rel=1e-4)
    # The same again is taken over, and with other forms it is not the same.
    assert segment(tmp_path / "in", "--out", tmp_path / "out", "--probability") == 0
    assert segment(tmp_path / "in", "--out", tmp_path / "out", "--as", "tiff") == 3


def test_a_bids_volume_is_named_as_bids_has_it(tmp_path: Path, segment: Callable[..., int]) -> None:
    write_volume(tmp_path / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz")
    assert segment(tmp_path / "sub-01", "--out", tmp_path / "out") == 0
    names = {path.name.rpartition("_")[2] for path in (tmp_path / "out" / "sub-01_FLAIR").glob("sub-01_label-L_desc-*")}
    assert names == {"mask.nii.gz", "mask.json"}


def test_of_a_4d_file_a_volume_must_be_chosen(
    tmp_path: Path, segment: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write_volume(tmp_path / "four.nii.gz", volumes=2)
    assert segment(tmp_path / "four.nii.gz", "--out", tmp_path / "out") == 3
    assert "2 series were found" in capsys.readouterr().err
    assert segment(tmp_path / "four.nii.gz", "--out", tmp_path / "out", "--series", "2") == 0


def test_a_form_that_cannot_be_is_one_sentence(
    tmp_path: Path, segment: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    write_volume(tmp_path / "head.nii.gz")
    assert segment(tmp_path / "head.nii.gz", "--out", tmp_path / "out", "--as", "seg") == 3
    assert "only be written for DICOM" in capsys.readouterr().err
    assert segment(tmp_path / "head.nii.gz", "--out", tmp_path / "out", "--as", "gif") == 2


def test_info_tells_what_a_volume_is_for_people_and_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_volume(tmp_path / "P_T1w.nii.gz")
    assert metseg.main(["info", str(tmp_path / "P_T1w.nii.gz")]) == 0
    told = capsys.readouterr().out
    for words in ("NIfTI", "24 slices", "30×26", "int16", "1.1 between slices", "P, S, R", "T1w"):
        assert words in told
    assert metseg.main(["info", "--json", str(tmp_path / "P_T1w.nii.gz")]) == 0
    assert json.loads(capsys.readouterr().out)["orientation"] == "PSR"
    assert metseg.main(["info", str(tmp_path / "nothing.nii")]) == 2
