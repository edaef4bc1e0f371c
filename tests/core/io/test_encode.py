import io

import cv2
import numpy as np
import pytest
import tifffile

from core.io import encode_png, encode_tiff, mask_values


@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 5, 7), (3, 5, 3), (2, 5, 7, 3)])
def test_a_tiff_holds_each_slice_as_a_page(shape):
    slices = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with tifffile.TiffFile(io.BytesIO(encode_tiff(slices))) as file:
        assert len(file.pages) == shape[0]
        for page, expected in zip(file.pages, slices, strict=True):
            np.testing.assert_array_equal(page.asarray(), expected)


def test_floats_are_kept_exactly():
    probability = np.random.default_rng(0).random((2, 5, 7), np.float32)
    stored = tifffile.imread(io.BytesIO(encode_tiff(probability)))
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, probability)


def test_a_png_is_read_back_as_it_was():
    mask = np.random.default_rng(0).random((5, 7)) > 0.5
    grey = mask_values(mask)
    assert set(np.unique(grey)) == {0, 255}
    stored = cv2.imdecode(np.frombuffer(encode_png(grey), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, mask * np.uint8(255))
    colours = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    stored = cv2.imdecode(np.frombuffer(encode_png(colours), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored[..., ::-1], colours)
