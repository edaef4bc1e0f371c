"""One head, however it is stored, gives one mask."""

import io

import nibabel
import numpy as np
import pydicom
import pytest

from core.inference.predictor import Predictor
from core.io import read_scan, read_scan_bytes
from core.io.dicom import read
from core.io.limits import ReadLimits
from core.model_card import PreprocessSettings
from core.preprocess.intensity import IntensityRange
from core.scan import SLICE_GAP


@pytest.fixture(scope="module")
def predictor(make_model, tmp_path_factory):
    """A tiny model that sees slices of 64 pixels."""
    settings = PreprocessSettings(grid="fit", size=64)
    folder = make_model(tmp_path_factory.mktemp("model") / "tiny", "attention-unet", preprocessing=settings)
    return Predictor(folder, device="cpu", precision="fp32")


def shuffled(files, folder):
    """Files under names that say nothing, in another order."""
    for number, index in enumerate(np.random.default_rng(5).permutation(len(files))):
        (folder / f"IM{number:05}").write_bytes(files[index].content)
    return folder


@pytest.fixture(scope="module")
def scan(head, tmp_path_factory):
    """The head from a folder of shuffled, renamed files."""
    return read_scan(shuffled(head, tmp_path_factory.mktemp("head")))


@pytest.fixture(scope="module")
def found(predictor, scan):
    return predictor.segment(scan)


def test_the_mask_is_worth_comparing(found):
    assert 0.02 < found.mask.mean() < 0.98
    assert len({mask.tobytes() for mask in found.mask}) == len(found.mask)


def test_an_enhanced_image_of_the_head_gives_the_same_mask(dicom, predictor, head, scan, found):
    sources = [pydicom.dcmread(io.BytesIO(file.content)) for file in head]
    lowest = sources[0]
    axes = np.array(lowest.ImageOrientationPatient, float).reshape(2, 3)
    space = dicom.Space(
        spacing=(0.6666666865, *map(float, lowest.PixelSpacing)), directions=np.vstack([axes, np.cross(*axes)])
    )
    positions = [[float(value) for value in source.ImagePositionPatient] for source in sources]
    order = np.random.default_rng(6).permutation(len(sources))
    content = dicom.enhanced(np.stack([source.pixel_array for source in sources]), space, order, positions=positions)
    twin = read_scan_bytes(content.content, "enhanced")
    np.testing.assert_allclose(twin.affine, scan.affine, atol=1e-6)
    np.testing.assert_array_equal(predictor.segment(twin).mask, found.mask)


@pytest.mark.parametrize("turned", [False, True], ids=["as it lies", "other axes first"])
def test_a_nifti_of_the_head_gives_the_same_mask(predictor, scan, found, turned):
    voxels, affine = scan.voxels[:, 0].transpose(2, 1, 0), scan.affine  # (column, row, slice)
    if turned:  # slices from above, columns from the other side
        flip = np.diag([-1.0, 1, -1, 1])
        flip[[0, 2], 3] = voxels.shape[0] - 1, voxels.shape[2] - 1
        voxels, affine = voxels[::-1, :, ::-1], affine @ flip
    image = nibabel.Nifti1Image(np.ascontiguousarray(voxels), affine)
    answer = predictor.segment(read_scan_bytes(image.to_bytes(), "head.nii")).mask
    np.testing.assert_array_equal(answer[::-1, :, ::-1] if turned else answer, found.mask)


def test_without_one_slice_the_others_keep_their_masks(predictor, head, scan, found, tmp_path):
    gone = 9
    left = [file for file in head if place_of(file) != scan.header.slices[gone].position]
    assert len(left) == len(head) - 1
    gap = read_scan(shuffled(left, tmp_path))
    assert [note.code for note in gap.notes] == [SLICE_GAP]
    assert not gap.contiguous
    recorded = tuple(IntensityRange(**entry) for entry in found.manifest["intensity"])
    answer = predictor.segment(gap, ranges=recorded)
    np.testing.assert_array_equal(answer.mask, np.delete(found.mask, gone, axis=0))
    assert all(lesion.volume_ml is None for lesion in answer.lesions)
    assert any(lesion.volume_ml is not None for lesion in found.lesions)


def place_of(file):
    return read([file], ReadLimits()).header.slices[0].position
