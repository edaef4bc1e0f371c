"""From a file to the written mask: what was marked must come back at the same millimetres, however it is stored."""

import gzip
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, inv_ornt_aff
from scipy.ndimage import gaussian_filter

from core.inference.case import Case, Settings
from core.inference.predictor import Predictor
from core.io import encode_mask, read_scan_bytes
from core.measure.lesions import find_lesions
from core.model_card import PreprocessSettings
from core.preprocess.grid import from_grid
from core.preprocess.prepare import prepare

ORIENTATIONS = [
    np.array([[axis, sign] for axis, sign in zip(order, signs, strict=True)], float)
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    for signs in [(a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
]
MARKED = ((4, 9, 3), (5, 9, 3), (6, 9, 3), (4, 10, 3), (4, 9, 4), (15, 2, 8), (15, 2, 9))
"""An L with a foot, which no turn or mirror image fits, and a bar elsewhere; in (right, front, up)."""
SHAPE = (20, 24, 12)
OBLIQUE = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.2, -0.15, 0.25))


def stored(volume, affine, orientation, slope=0.37, inter=-40.0):
    """A packed NIfTI of a volume (right, front, up), stored in some orientation as int16 under a slope."""
    turned = apply_orientation(volume, orientation)
    image = nib.Nifti1Image(
        np.rint((turned - inter) / slope).astype(np.int16), affine @ inv_ornt_aff(orientation, SHAPE)
    )
    raw = bytearray(image.to_bytes())
    raw[112:120] = np.array([slope, inter], "<f4").tobytes()
    return gzip.compress(bytes(raw), 1)


def head(spacing, oblique=False):
    """A smooth volume with the marked voxels far above all others; its affine; and where they lie in millimetres."""
    volume = gaussian_filter(np.random.default_rng(2).random(SHAPE), 2) * 60
    for place in MARKED:
        volume[place] = 250
    affine = (OBLIQUE if oblique else np.eye(4)) @ np.diag([*spacing, 1.0])
    affine[:3, 3] += (-8, 11, 30)
    return volume, affine, millimetres(MARKED, affine)


def millimetres(indices, affine):
    placed = nib.affines.apply_affine(affine, np.array(indices, float).reshape(-1, 3))
    return placed[np.lexsort(np.round(placed, 2).T)]


def bright_voxels(scan):
    """A network's stand-in: what is bright is lesion; else all that `Predictor` does with a scan."""
    prepared = prepare(scan, PreprocessSettings(), grid="native")
    case = Case(scan, prepared, (), Settings(0.5, False, 0, None))
    while not case.complete:
        case.put(from_grid(case.take(5)[:, 0].astype(np.float32) / 255, prepared.grid))
    return find_lesions(case.probability >= 0.5, case.probability, scan.spacing_mm, axes=prepared.plane.axes)


@pytest.mark.parametrize("oblique", [False, True], ids=["upright", "oblique"])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.9, 1.1, 1.3), (0.9, 0.9, 5.5), (5, 1, 1)], ids=str)
def test_marked_voxels_come_back_at_the_same_millimetres_from_all_48_orientations(spacing, oblique):
    volume, affine, expected = head(spacing, oblique)
    told = set()
    for orientation in ORIENTATIONS:
        scan = read_scan_bytes(stored(volume, affine, orientation), "head.nii.gz")
        assert scan.voxels.max() == pytest.approx(250, abs=0.4)
        mask, lesions = bright_voxels(scan)
        (file,) = encode_mask(mask, scan)
        back = nib.Nifti1Image.from_bytes(gzip.decompress(file.content))
        assert back.shape == scan.shape[::-1]
        np.testing.assert_allclose(millimetres(np.argwhere(np.asarray(back.dataobj)), back.affine), expected, atol=1e-3)
        # What is told of lesions does not depend on how they are stored; centroids are the scan's own voxels.
        told.add(tuple((each.voxels, round(each.longest_diameter_mm, 4), round(each.volume_ml, 6)) for each in lesions))
        centre = [lesions[0].centroid[axis] for axis in (2, 1, 0)]
        np.testing.assert_allclose(
            nib.affines.apply_affine(scan.affine, centre), millimetres(MARKED[:5], affine).mean(axis=0), atol=1e-3
        )
    ((first, second),) = told
    assert (first[0], second[0]) == (5, 2)
    assert first[2] == pytest.approx(5 * np.prod(spacing) / 1000, rel=1e-4)


@pytest.mark.parametrize("spacing", [(0.9, 1.1, 1.3), (1, 1, 4)], ids=str)
def test_a_network_answers_alike_from_every_orientation(tiny_model, spacing):
    volume, affine, _ = head(spacing)
    predictor = Predictor(tiny_model, "cpu", "fp32")
    predictor.card = replace(
        predictor.card, preprocessing=replace(predictor.card.preprocessing, reference_mm=0.8, size=64)
    )
    first = None
    for orientation in ORIENTATIONS[::5]:
        scan = read_scan_bytes(stored(volume, affine, orientation), "head.nii.gz")
        found = predictor.segment(scan)
        assert found.manifest["grid"]["mode"] == "spacing"
        assert found.manifest["grid"]["target"] == [round(24 * spacing[1] / 0.8), round(20 * spacing[0] / 0.8)]
        assert found.manifest["plane"]["view"] == "axial"
        upright = nib.as_closest_canonical(nib.Nifti1Image(found.probability.transpose(), scan.affine))
        np.testing.assert_allclose(upright.affine, affine, atol=1e-4)
        first = upright.get_fdata() if first is None else first
        np.testing.assert_array_equal(upright.get_fdata(), first)
    assert np.ptp(first) > 0
