"""Planes, with nibabel's own idea of orientations as the witness."""

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, inv_ornt_aff

from core.preprocess.plane import AS_STORED, Plane, plan_plane, plan_view
from core.scan import SLICE_GAP, Note, Scan

ORIENTATIONS = [
    np.array([*zip(order, signs, strict=True)], float)
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]
SHAPE = (14, 17, 12)  # right, front, up
UPRIGHT = np.eye(3)


def head(spacing=(1.0, 1.0, 1.0), orientation=ORIENTATIONS[0], turn=UPRIGHT, **more):
    """A volume of distinct values, stored in some orientation; and the same as (right, front, up)."""
    canonical = np.arange(np.prod(SHAPE), dtype=np.int32).reshape(SHAPE)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = (-7, 5, 3)
    stored = apply_orientation(canonical, orientation)
    placed = affine @ inv_ornt_aff(orientation, SHAPE)
    voxels = stored.transpose()[:, None]  # (i, j, k) are column, row and slice
    mm = np.linalg.norm(placed[:3, :3], axis=0)
    return Scan("head", voxels, (mm[2], mm[1], mm[0]), placed, **more), canonical


def turned(degrees, axis=0):
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(np.radians(degrees) * np.eye(3)[axis]).as_matrix()


@pytest.mark.parametrize("turn", [UPRIGHT, turned(12, 0) @ turned(17, 2)], ids=["upright", "oblique"])
def test_all_48_orientations_become_the_same_axial_slices_nose_up_right_on_the_left(turn):
    for orientation in ORIENTATIONS:
        scan, canonical = head((0.8, 1.0, 1.2), orientation, turn)
        plane, notes = plan_plane(scan)
        assert (plane.view, notes) == ("axial", ())
        # Slices upwards, rows from front to back, columns from right to left.
        expected = canonical[::-1, ::-1].transpose(2, 1, 0)
        np.testing.assert_array_equal(plane.to_plane(scan.voxels)[:, 0], expected)
        assert plane.shape(scan.shape) == expected.shape
        assert plane.turned(scan.spacing_mm) == pytest.approx((1.2, 1.0, 0.8))
        assert plane.sides == ("R", "L", "A", "P")


def test_a_voxel_of_the_plane_is_found_where_it_is_stored():
    place = (3, 11, 2)
    for orientation in ORIENTATIONS:
        scan, _ = head(orientation=orientation)
        plane, _ = plan_plane(scan)
        value = plane.to_plane(scan.voxels)[place[0], 0, place[1], place[2]]
        a, b, c = (int(index) for index in plane.stored(place, scan.shape))
        assert scan.voxels[a, 0, b, c] == value


@pytest.mark.parametrize(
    ("thick", "view", "sides"),
    [(0, "sagittal", ("A", "P", "S", "I")), (1, "coronal", ("R", "L", "S", "I")), (2, "axial", ("R", "L", "A", "P"))],
)
def test_thick_slices_stay_in_the_plane_they_were_acquired_in(thick, view, sides):
    spacing = [0.9, 0.9, 0.9]
    spacing[thick] = 5
    expected = {
        "axial": lambda c: c[::-1, ::-1].transpose(2, 1, 0),
        "coronal": lambda c: c[::-1, :, ::-1].transpose(1, 2, 0),
        "sagittal": lambda c: c[:, ::-1, ::-1].transpose(0, 2, 1),
    }[view]
    for orientation in ORIENTATIONS:
        scan, canonical = head(spacing, orientation)
        plane, notes = plan_plane(scan)
        assert plane.view == view
        assert plane.sides == sides
        assert [note.code for note in notes] == ([] if view == "axial" else ["not-axial"])
        np.testing.assert_array_equal(plane.to_plane(scan.voxels)[:, 0], expected(canonical))


@pytest.mark.parametrize(
    ("spacing", "stays"), [((0.5, 0.5, 1.0), False), ((1, 1, 1.4), False), ((1, 1, 2), True), ((0.45, 0.45, 3), True)]
)
def test_what_counts_as_thick(spacing, stays):
    sagittal, _ = head((spacing[2], spacing[1], spacing[0]))
    assert plan_plane(sagittal)[0].view == ("sagittal" if stays else "axial")


def test_a_slab_and_a_lone_slice_are_cut_as_they_are():
    scan, _ = head()
    slab = Scan("slab", scan.voxels[:, :, :, :3], (1, 1, 1), scan.affine)
    assert plan_plane(slab)[0].view == "sagittal"
    lone = Scan("lone", scan.voxels[:, :, 4:5], (1, 1, 1), scan.affine)
    assert plan_plane(lone)[0].view == "coronal"


@pytest.mark.parametrize("more", [{"slice_positions_mm": (0.0,) * 12}, {"notes": (Note(SLICE_GAP, "a gap"),)}])
def test_slices_that_do_not_follow_each_other_are_never_cut_across(more):
    sagittal = ORIENTATIONS[next(i for i, o in enumerate(ORIENTATIONS) if o[0, 0] == 2)]
    scan, _ = head(orientation=sagittal, **more)
    plane, notes = plan_plane(scan)
    assert plane.axes[0] == 0
    assert plane.view != "axial"
    assert [note.code for note in notes] == ["not-axial"]


def test_an_unknown_orientation_stays_as_it_is_and_has_no_sides():
    scan, _ = head()
    unknown = Scan("unknown", scan.voxels, (1, 1, 5))
    assert plan_plane(unknown) == (AS_STORED, ())
    assert plan_view(unknown, "coronal") == AS_STORED
    assert AS_STORED.sides is None
    np.testing.assert_array_equal(AS_STORED.to_plane(scan.voxels), scan.voxels)


def test_slices_far_from_axial_are_warned_of():
    assert plan_plane(head((1, 1, 4), turn=turned(20))[0])[1] == ()
    plane, notes = plan_plane(head((1, 1, 4), turn=turned(30))[0])
    assert plane.view == "axial"
    assert [note.code for note in notes] == ["oblique"]


def test_displays_may_ask_for_any_view():
    scan, canonical = head(orientation=ORIENTATIONS[29])
    np.testing.assert_array_equal(
        plan_view(scan, "coronal").to_plane(scan.voxels)[:, 0], canonical[::-1, :, ::-1].transpose(1, 2, 0)
    )
    assert nib.aff2axcodes(scan.affine) != ("R", "A", "S")


def test_a_volume_must_have_three_axes_or_four():
    with pytest.raises(ValueError, match="three axes"):
        Plane().to_plane(np.zeros((3, 3)))
