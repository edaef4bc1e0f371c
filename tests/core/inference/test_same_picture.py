"""One picture in three formats, of 8 and of 16 bit: the shipped models find the same in it."""

import nibabel as nib
import numpy as np
import pytest

from core.inference.predictor import Predictor
from core.io import encode_png, encode_tiff, read_scan_bytes
from core.measure.dice import dice
from core.model_store import shipped_models
from core.phantom import make_phantom
from core.preprocess.intensity import to_uint8

SLOPE = 0.37


@pytest.fixture(scope="module")
def picture():
    """A slice with a lesion, (256, 256) uint8, spread so that wide input of the same values is scaled by about 1.

    Wide input goes from its lower percentile to 0 and from the upper one of its foreground to grey 170, whatever the
    camera or format. An 8-bit picture stays as it is. So both are the same where its own percentiles are these greys.
    """
    scan, truth = make_phantom(3, slices=9)
    image = scan.voxels[int(truth.sum(axis=(1, 2)).argmax()), 0]
    _, (found,), _ = to_uint8(image[None, None].astype(np.uint16))
    return np.clip(np.rint((image - found.low) * 255 / (found.high - found.low)), 0, 255).astype(np.uint8)


def as_nifti(picture):
    """Axial, nose up, the patient's right on the left, as the picture shows it; int16 under a slope of 0.37."""
    stored = np.rint(picture.T[:, :, None].astype(float) * 40 / SLOPE).astype(np.int16)
    raw = bytearray(nib.Nifti1Image(stored, np.diag([-1.0, -1.0, 1.0, 1.0])).to_bytes())
    raw[112:120] = np.array([SLOPE, 0], "<f4").tobytes()
    return bytes(raw)


@pytest.mark.parametrize("model", shipped_models())
def test_png_tiff_and_nifti_of_one_picture_give_one_mask(picture, model):
    files = {
        "8-bit PNG": encode_png(picture),
        "16-bit TIFF": encode_tiff(picture[None].astype(np.uint16) * 250),
        "16-bit NIfTI": as_nifti(picture),
    }
    predictor = Predictor(model, "cpu", "fp32")
    masks = {}
    for name, content in files.items():
        scan = read_scan_bytes(content, name)
        assert scan.shape == (1, *picture.shape)
        masks[name] = predictor.segment(scan, grid="fit").mask
    first = masks.pop("8-bit PNG")
    assert first.sum() > 50
    for name, mask in masks.items():
        assert dice(first, mask) >= 0.98, name
