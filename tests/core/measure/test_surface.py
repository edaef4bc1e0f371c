"""Surface measures against every pair of surface elements, and against MONAI where it is installed."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from core.measure.surface import SliceSurfaces, hd95, slice_surfaces, surface_dice, surface_distances

Mask = NDArray[np.bool_]
SHAPES = st.one_of(
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
)
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape)))


def surface_by_hand(mask: Mask) -> list[tuple[int, ...]]:
    found = []
    for voxel, inside in np.ndenumerate(mask):
        neighbours = [
            tuple(v + (step if axis == i else 0) for i, v in enumerate(voxel))
            for axis in range(mask.ndim)
            for step in (-1, 1)
        ]
        within = all(all(0 <= v < n for v, n in zip(nb, mask.shape, strict=True)) and mask[nb] for nb in neighbours)
        if inside and not within:
            found.append(voxel)
    return found


@given(PAIRS, st.booleans())
@settings(max_examples=150)
def test_distances_are_those_of_every_pair(pair: tuple[Mask, Mask], anisotropic: bool) -> None:
    a, b = pair
    spacing = (2.5, 0.5, 0.75)[-a.ndim :] if anisotropic else None
    scale = spacing or (1.0,) * a.ndim
    distances = surface_distances(a, b, spacing)
    if not a.any() or not b.any():
        assert distances is None
        assert hd95(a, b, spacing) is None
        assert surface_dice(a, b, 1.0, spacing) is None
        return
    assert distances is not None
    sides = [surface_by_hand(a), surface_by_hand(b)]
    places = [[[v * s for v, s in zip(voxel, scale, strict=True)] for voxel in side] for side in sides]
    for found, (own, other) in zip(distances, (places, places[::-1]), strict=True):
        assert found == pytest.approx([min(math.dist(p, q) for q in other) for p in own])
    near = sum((side <= 1.0).sum() for side in distances)
    assert surface_dice(a, b, 1.0, spacing) == pytest.approx(near / sum(map(len, sides)))
    assert hd95(a, b, spacing) == pytest.approx(max(np.percentile(side, 95) for side in distances))
    assert hd95(a, b, spacing) == hd95(b, a, spacing)


def test_equal_masks_are_at_no_distance() -> None:
    mask = np.zeros((3, 20, 20), bool)
    mask[1, 5:12, 4:16] = True
    assert hd95(mask, mask) == 0.0
    assert surface_dice(mask, mask, 0.0) == 1.0


def test_a_shift_is_measured_in_the_unit_of_the_spacing() -> None:
    a, b = np.zeros((2, 40, 40), bool)
    a[10:20, 10:20] = True
    b[10:20, 14:24] = True
    assert hd95(a, b) == pytest.approx(4.0)
    assert hd95(a, b, (1.0, 0.5)) == pytest.approx(2.0)
    assert hd95(a, b, (0.5, 1.0)) == pytest.approx(4.0)
    assert surface_dice(a, b, 4.0) == 1.0
    assert surface_dice(a, b, 3.9) < 1.0  # type: ignore[operator]


def test_within_slices_a_lesion_in_the_next_slice_is_no_neighbour() -> None:
    a, b = np.zeros((4, 12, 12), bool), np.zeros((4, 12, 12), bool)
    a[0, 2:6, 2:6] = b[0, 2:6, 2:6] = True  # agrees
    a[1, 2:6, 2:6] = True  # only one side: undefined
    b[2, 2:6, 2:6] = True  # only the other
    found = slice_surfaces(a, b, 2.0)
    assert found == SliceSurfaces(hd95=0.0, surface_dice=1.0, defined=1, undefined=2)
    assert hd95(a, b) == pytest.approx(1.0)


def test_within_slices_the_mean_is_over_slices() -> None:
    a, b = np.zeros((2, 20, 20), bool), np.zeros((2, 20, 20), bool)
    a[:, 5:9, 5:9] = True
    b[0, 5:9, 5:9] = True
    b[1, 5:9, 11:15] = True
    found = slice_surfaces(a, b, 2.0, (1.0, 0.5))
    assert found.hd95 == pytest.approx((0.0 + 3.0) / 2)
    assert found.surface_dice == pytest.approx((1.0 + surface_dice(a[1], b[1], 2.0, (1.0, 0.5))) / 2)  # type: ignore[operator]
    assert (found.defined, found.undefined) == (2, 0)


def test_nothing_anywhere_is_undefined_nowhere() -> None:
    nothing = np.zeros((3, 5, 5), bool)
    assert slice_surfaces(nothing, nothing, 2.0) == SliceSurfaces(None, None, 0, 0)


@pytest.mark.parametrize(("a", "b", "spacing"), [
    (np.ones((2, 2), bool), np.ones((2, 3), bool), None),
    (np.ones((2, 2), np.uint8), np.ones((2, 2), bool), None),
    (np.ones((2, 2), bool), np.ones((2, 2), bool), (1.0,)),
    (np.ones((2, 2), bool), np.ones((2, 2), bool), (1.0, 0.0)),
    (np.ones((2, 2), bool), np.ones((2, 2), bool), (1.0, float("nan"))),
])  # fmt: skip
def test_masks_that_cannot_be_compared_are_refused(a: Any, b: Any, spacing: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        hd95(a, b, spacing)
    with pytest.raises(ValueError, match="slices"):
        slice_surfaces(a, b, 1.0)


def test_monai_agrees() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("monai", reason="MONAI isn't installed: pip install monai")
        import torch
        from monai.metrics import compute_hausdorff_distance, compute_surface_dice

        y, x = np.mgrid[0:40, 0:48]
        for seed, spacing in itertools.product(range(5), ([1.0, 1.0], [0.7, 1.3])):
            rng = np.random.default_rng(seed)
            a, b = (np.hypot(y - rng.integers(15, 25), x - rng.integers(15, 30)) < rng.integers(5, 12) for _ in "ab")
            tensors = [torch.from_numpy(mask)[None, None].float() for mask in (a, b)]
            theirs = compute_hausdorff_distance(*tensors, include_background=True, percentile=95, spacing=spacing)
            assert hd95(a, b, spacing) == pytest.approx(float(theirs), abs=1e-4)
            share = compute_surface_dice(*tensors, [2.0], include_background=True, spacing=spacing)
            assert surface_dice(a, b, 2.0, spacing) == pytest.approx(float(share), abs=1e-6)
