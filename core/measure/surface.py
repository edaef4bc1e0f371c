"""How far apart the surfaces of two masks lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SliceSurfaces:
    """Surface measures within slices.

    Attributes:
        hd95: mean over the slices in which both masks have something; None where there is no such slice.
        surface_dice: the same mean of the surface Dice.
        defined: how many slices the means are over.
        undefined: slices in which just one mask has something: a distance does not exist there, so they are counted
            and not averaged.
    """

    hd95: float | None
    surface_dice: float | None
    defined: int
    undefined: int


def surface_distances(
    a: Mask, b: Mask, spacing: Sequence[float] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """From each surface element of one mask the distance to the nearest of the other.

    A mask's surface is made of its own voxels that touch something outside it with a face (a side, in a slice);
    beyond the array's border is outside. Distances are Euclidean between voxel centres.

    Args:
        a: bool, (H, W) or (S, H, W).
        b: bool, the same shape.
        spacing: distance of neighbouring voxels along each axis, in any unit; None counts in voxels.

    Returns:
        distances from a's surface to b's and from b's to a's, in the order of the voxels; None where a mask is empty.

    Raises:
        ValueError: shapes differ, the masks are not bool, or spacing does not fit.
    """
    if a.shape != b.shape or a.dtype != np.bool_ or b.dtype != np.bool_:
        raise ValueError(f"masks must be bool and of one shape, not {a.shape} {a.dtype} and {b.shape} {b.dtype}")
    scale = (1.0,) * a.ndim if spacing is None else tuple(float(value) for value in spacing)
    if len(scale) != a.ndim or not all(value > 0 and np.isfinite(value) for value in scale):
        raise ValueError(f"spacing must be {a.ndim} positive numbers, not {spacing}")
    from scipy.ndimage import distance_transform_edt  # type: ignore[import-untyped]

    if not a.any() or not b.any():
        return None
    box = _box(a | b)
    edge_a, edge_b = _surface(a[box]), _surface(b[box])
    to_b: NDArray[np.float64] = distance_transform_edt(~edge_b, sampling=scale)[edge_a]
    to_a: NDArray[np.float64] = distance_transform_edt(~edge_a, sampling=scale)[edge_b]
    return to_b, to_a


def hd95(a: Mask, b: Mask, spacing: Sequence[float] | None = None) -> float | None:
    """The 95 % Hausdorff distance: the larger of the two directions' 95th percentiles.

    Percentiles are interpolated linearly between surface elements. See `surface_distances` for arguments and errors.

    Returns:
        the distance in the unit of `spacing`, or None where a mask is empty.
    """
    distances = surface_distances(a, b, spacing)
    return None if distances is None else _hd95(*distances)


def surface_dice(a: Mask, b: Mask, tolerance: float, spacing: Sequence[float] | None = None) -> float | None:
    """The share of both surfaces that lies within a tolerance of the other.

    Elements are counted, not weighted by area. See `surface_distances` for the other arguments and errors.

    Args:
        a: a mask.
        b: the other.
        tolerance: the largest distance that still agrees, included, in the unit of `spacing`.
        spacing: distance of neighbouring voxels along each axis.

    Returns:
        the share in [0, 1], or None where a mask is empty.

    Source: Nikolov 2021, Clinically Applicable Segmentation of Head and Neck Anatomy, JMIR 23(7); there weighted.
    """
    distances = surface_distances(a, b, spacing)
    return None if distances is None else _surface_dice(*distances, tolerance)


def slice_surfaces(a: Mask, b: Mask, tolerance: float, spacing_yx: tuple[float, float] | None = None) -> SliceSurfaces:
    """HD95 and surface Dice slice by slice, for volumes whose slices are too far apart to measure across them.

    Args:
        a: (S, H, W) bool.
        b: (S, H, W) bool.
        tolerance: for the surface Dice, in the unit of the spacing.
        spacing_yx: between rows and between columns; None counts in pixels.

    Raises:
        ValueError: as `surface_distances`.
    """
    if a.ndim != 3 or a.shape != b.shape:
        raise ValueError(f"masks must be (slices, height, width) and of one shape, not {a.shape} and {b.shape}")
    hausdorff, shares = [], []
    undefined = 0
    for slice_a, slice_b in zip(a, b, strict=True):
        distances = surface_distances(slice_a, slice_b, spacing_yx)
        if distances is not None:
            hausdorff.append(_hd95(*distances))
            shares.append(_surface_dice(*distances, tolerance))
        elif slice_a.any() or slice_b.any():
            undefined += 1
    if not hausdorff:
        return SliceSurfaces(None, None, 0, undefined)
    return SliceSurfaces(float(np.mean(hausdorff)), float(np.mean(shares)), len(hausdorff), undefined)


def _hd95(to_b: NDArray[np.float64], to_a: NDArray[np.float64]) -> float:
    return float(max(np.percentile(to_b, 95), np.percentile(to_a, 95)))


def _surface_dice(to_b: NDArray[np.float64], to_a: NDArray[np.float64], tolerance: float) -> float:
    near = np.count_nonzero(to_b <= tolerance) + np.count_nonzero(to_a <= tolerance)
    return float(near / (to_b.size + to_a.size))


def _surface(mask: Mask) -> Mask:
    from scipy.ndimage import binary_erosion

    eroded: Mask = binary_erosion(mask)
    return mask & ~eroded


def _box(mask: Mask) -> tuple[slice, ...]:
    """The smallest part of the array that holds the mask; what lies around it changes no distance."""
    from scipy.ndimage import find_objects

    box: tuple[slice, ...] = find_objects(mask.view(np.uint8))[0]
    return box
