"""Results as NIfTI: where the scan lies and nothing of the scan's but its place. nibabel is the witness."""

import gzip
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from core.errors import OutputError
from core.io import Origin, encode_mask, encode_probability, read_scan, read_scan_bytes, write_mask
from core.io.nifti_write import bids_stem
from core.scan import SLICE_GAP, Note, Scan

AFFINE = np.array([[0, 0.2, 2.9, -40], [0.9, 0, 0.1, -80], [0, -1.1, 0.4, 60], [0, 0, 0, 1.0]])


def image(shape=(5, 6, 4), affine=AFFINE, kind=nib.Nifti1Image):
    made = kind(np.random.default_rng(0).integers(-50, 900, shape, dtype=np.int16), affine)
    made.header["descrip"] = b"DOE^JANE"
    made.header["cal_max"] = 900
    made.header["aux_file"] = b"jane.txt"
    made.header["scl_slope"], made.header["scl_inter"] = 0.37, -3
    made.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"DOE^JANE born 1970"))
    return made


def scan_of(made, name="case.nii"):
    return read_scan_bytes(made.to_bytes(), name)


def some(scan):
    return np.random.default_rng(3).random(scan.shape) > 0.6


def loaded(file):
    return nib.Nifti1Image.from_bytes(gzip.decompress(file.content))


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_mask_lies_on_the_inputs_grid_with_both_its_forms(kind):
    made = image(kind=kind)
    made.set_qform(np.diag([-0.9, 1.1, 3, 1]) + np.eye(4, k=3) * 5, 2)
    made.set_sform(AFFINE, 4)
    scan = scan_of(made)
    mask = some(scan)
    (file,) = encode_mask(mask, scan)
    assert file.name == "case_mask.nii.gz"
    back = kind.from_bytes(gzip.decompress(file.content))
    assert back.shape == made.shape
    np.testing.assert_array_equal(back.affine, made.affine)
    for form in ("get_sform", "get_qform"):
        wanted, code = getattr(made, form)(coded=True)
        got, got_code = getattr(back, form)(coded=True)
        assert got_code == code
        np.testing.assert_array_equal(got, wanted)
    assert back.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(back.dataobj), mask.transpose())


def test_nothing_of_the_inputs_header_but_its_place_is_handed_on():
    scan = scan_of(image())
    (file,) = encode_mask(some(scan), scan)
    content = gzip.decompress(file.content)
    header = nib.Nifti1Header.from_fileobj(__import__("io").BytesIO(content), check=False)
    assert b"DOE" not in content
    assert b"jane" not in content
    raw = np.frombuffer(content[112:120], "<f4")
    assert raw.tolist() == [1, 0]  # slope and inter
    assert float(header["cal_max"]) == 0


def test_a_flat_picture_stays_flat_and_an_unknown_place_unknown():
    made = nib.Nifti1Image(np.zeros((5, 6), np.int16), None)
    made.header.set_zooms((0.5, 0.75))
    scan = scan_of(made)
    assert scan.affine is None
    (file,) = encode_mask(some(scan), scan)
    back = loaded(file)
    assert back.shape == (5, 6)
    assert int(back.header["qform_code"]) == int(back.header["sform_code"]) == 0
    assert back.header.get_zooms() == (0.5, 0.75)


def test_equal_masks_are_equal_files_and_empty_ones_too():
    scan = scan_of(image())
    assert encode_mask(some(scan), scan) == encode_mask(some(scan), scan)
    empty = np.zeros(scan.shape, bool)
    (file,) = encode_mask(empty, scan)
    assert not np.asarray(loaded(file).dataobj).any()


def test_probabilities_come_back_exactly():
    scan = scan_of(image())
    probability = np.random.default_rng(5).random(scan.shape, dtype=np.float32)
    (file,) = encode_probability(probability, scan)
    assert file.name == "case_probability.nii.gz"
    assert loaded(file).get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asarray(loaded(file).dataobj), probability.transpose())


def test_a_turned_mask_is_written_as_it_is_meant():
    scan = scan_of(image())
    mask = some(scan)
    turned = np.asfortranarray(mask[::-1])[::-1]
    assert encode_mask(turned, scan)[0].content == encode_mask(mask, scan)[0].content


@pytest.mark.parametrize(
    ("stem", "begins"),
    [
        ("sub-01_FLAIR", "sub-01_label-L_desc-attentionunet"),
        ("sub-01_ses-2_run-1_FLAIR", "sub-01_ses-2_run-1_label-L_desc-attentionunet"),
        ("sub-01_desc-preproc_FLAIR", "sub-01_label-L_desc-attentionunet"),
        ("sub-01", None),
        ("patient_FLAIR", None),
        ("sub-01_extra_FLAIR", None),
    ],
)
def test_results_of_bids_files_are_named_as_bids_has_it(stem, begins):
    assert bids_stem(stem, "attention-unet") == begins


def test_a_bids_mask_has_a_json_beside_it(tmp_path):
    (tmp_path / "sub-01_FLAIR.nii.gz").write_bytes(gzip.compress(image().to_bytes()))
    scan = read_scan(tmp_path / "sub-01_FLAIR.nii.gz")
    origin = Origin("attention-unet", "3", {"settings": {"threshold": 0.4}})
    mask, sidecar = write_mask(some(scan), scan, tmp_path, origin=origin)
    assert mask.name == "sub-01_label-L_desc-attentionunet_mask.nii.gz"
    assert sidecar.name == "sub-01_label-L_desc-attentionunet_mask.json"
    told = json.loads(sidecar.read_text())
    assert told["Model"] == {"Name": "attention-unet", "Version": "3"}
    assert told["Threshold"] == 0.4
    assert "research use only" in told["Description"]


def volume(**more):
    return Scan("v", np.zeros((4, 1, 6, 5), np.uint8), (3, 1.1, 0.9), format="DICOM", **more)


def test_a_scan_of_another_format_is_put_where_its_affine_says():
    upright = np.array([[-0.9, 0, 0, 80], [0, -1.1, 0, 90], [0, 0, 3, -40], [0, 0, 0, 1.0]])
    scan = volume(affine=upright)
    (file,) = encode_mask(some(scan), scan, "nifti")
    back = loaded(file)
    np.testing.assert_allclose(back.affine, upright, atol=1e-5)
    np.testing.assert_allclose(back.get_qform(), upright, atol=1e-4)
    sheared = upright.copy()
    sheared[1, 2] = 0.8
    (file,) = encode_mask(some(scan), replace(scan, affine=sheared), "nifti")
    np.testing.assert_allclose(loaded(file).affine, sheared, atol=1e-5)
    assert int(loaded(file).header["qform_code"]) == 0


@pytest.mark.parametrize(
    "scan",
    [
        volume(),
        volume(affine=np.eye(4), slice_positions_mm=(0, 3, 9, 12)),
        volume(affine=np.eye(4), notes=(Note(SLICE_GAP, "a gap"),)),
    ],
)
def test_a_scan_without_an_even_grid_in_space_gives_no_nifti(scan):
    with pytest.raises(OutputError, match="no NIfTI"):
        encode_mask(some(scan), scan, "nifti")
    (file,) = encode_mask(some(scan), scan)  # by itself it falls back to pictures
    assert file.name == "v_mask.tif"


def test_every_form_can_be_asked_for():
    scan = scan_of(image(), "case.nii.gz")
    (tiff,) = encode_mask(some(scan), scan, "tiff")
    assert tiff.name == "case_mask.tif"
    np.testing.assert_array_equal(read_scan_bytes(tiff.content, "m").voxels[:, 0] > 0, some(scan))
    with pytest.raises(OutputError, match="DICOM"):
        encode_mask(some(scan), scan, "seg")
