"""A mask's connected components as lesions, with the measures a report states."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.measure.diameter import longest_diameters
from core.scan import UNKNOWN_SPACING, Lesion, Scan, Spacing


def find_lesions(
    mask: NDArray[np.bool_],
    probability: NDArray[np.float32] | None = None,
    spacing_mm: Spacing = UNKNOWN_SPACING,
    min_voxels: int = 0,
    evenly_spaced: bool = True,
    contiguous: bool = True,
    axes: tuple[int, int, int] = (0, 1, 2),
) -> tuple[NDArray[np.bool_], tuple[Lesion, ...]]:
    """Separate a mask into its components, drop the small ones, and measure the others.

    Components are 26-connected in a volume and 8-connected in a slice without neighbours.

    Args:
        mask: (S, H, W) bool.
        probability: (S, H, W) float in [0, 1], for each lesion's peak and mean; None where only a mask is known.
        spacing_mm: between slices, rows and columns, None where unknown.
        min_voxels: components with fewer voxels are dropped.
        evenly_spaced: False where the slices do not follow each other at equal distances; no volume is stated then.
        contiguous: False where slices are missing between others; a component then ends with its slice.
        axes: which axes of the mask are slices, rows and columns of the plane in which diameter and area are taken,
            see `core.preprocess.plane`; all else is told along the mask's own axes.

    Returns:
        the mask without the dropped components (the very array given where none was), and the lesions from the
        largest to the smallest.

    Raises:
        ValueError: mask or probability has the wrong shape, or mask is not bool.
    """
    if mask.ndim != 3 or mask.dtype != np.bool_:
        raise ValueError(f"mask must be (slices, height, width) and bool, not {mask.shape} {mask.dtype}")
    if probability is not None and probability.shape != mask.shape:
        raise ValueError(f"probability of {probability.shape} does not lie on a mask of {mask.shape}")
    # Only the box around all of it is labelled: labels take four times the memory of a mask.
    box = _around(mask)
    labels, rank = _rank(mask[box], min_voxels, contiguous)
    if rank[1:].min(initial=0) < 0:
        kept = np.zeros_like(mask)
        kept[box] = (rank >= 0)[labels]
        mask = kept
    if rank.max() < 0:
        return mask, ()
    runs = _find_runs(mask[box].transpose(axes), labels.transpose(axes), rank)
    if probability is not None:
        probability = probability[box].transpose(axes)
    across = (spacing_mm[axes[0]], spacing_mm[axes[1]], spacing_mm[axes[2]])
    lesions = _measure(runs, probability, across, evenly_spaced and contiguous)
    return mask, tuple(_in_place(lesion, axes, box) for lesion in lesions)


def lesions_in(
    mask: NDArray[np.bool_],
    probability: NDArray[np.float32] | None,
    scan: Scan,
    axes: tuple[int, int, int],
    min_voxels: int = 0,
) -> tuple[NDArray[np.bool_], tuple[Lesion, ...]]:
    """`find_lesions` in a mask on a scan's own grid, measured as far as its spacing, gaps and order of slices allow."""
    return find_lesions(
        mask,
        probability,
        spacing_mm=scan.spacing_mm,
        min_voxels=min_voxels,
        evenly_spaced=scan.evenly_spaced,
        contiguous=scan.contiguous,
        axes=axes,
    )


def number_lesions(mask: NDArray[np.bool_], contiguous: bool = True) -> NDArray[np.int32]:
    """Each voxel's lesion, as `find_lesions` numbers them in the same mask.

    Args:
        mask: (S, H, W) bool, without the lesions that were dropped.
        contiguous: as for `find_lesions`.

    Returns:
        (S, H, W): `Lesion.label`, 0 where there is none.
    """
    labels, rank = _rank(mask, 0, contiguous)
    return np.asarray((rank + 1)[labels], np.int32)


def neighbourhood(contiguous: bool = True) -> NDArray[np.bool_]:
    """(3, 3, 3) bool: which voxels around one belong to the same component; see `find_lesions`."""
    around = np.ones((3, 3, 3), bool)
    if not contiguous:
        around[[0, 2]] = False
    return around


def _rank(mask: NDArray[np.bool_], min_voxels: int, contiguous: bool) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Components by number (S, H, W), and for each number its place among the lesions: 0, 1, …, or -1 for none."""
    from scipy import ndimage  # type: ignore[import-untyped]

    labels, count = ndimage.label(mask, structure=neighbourhood(contiguous))
    sizes = np.bincount(labels[mask], minlength=count + 1)[1:]  # of the mask alone: bincount copies to int64
    order = np.argsort(-sizes, kind="stable")  # equally large ones in the order in which they are met
    order = order[sizes[order] >= min_voxels]
    rank = np.full(count + 1, -1)
    rank[order + 1] = np.arange(len(order))
    return labels, rank


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """A mask as runs of voxels along its rows, sorted by lesion, slice, row, column; each array is (runs,)."""

    lesion: NDArray[np.int64]
    slices: NDArray[np.int64]
    rows: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    begin: NDArray[np.int64]
    """Where the run begins in the flattened mask."""


def _find_runs(mask: NDArray[np.bool_], labels: NDArray[np.int32], rank: NDArray[np.int64]) -> _Runs:
    # Where slices are not connected, two lesions may touch along a row.
    alike = labels[..., 1:] == labels[..., :-1]
    opens = mask.copy()
    opens[..., 1:] &= ~alike
    begin = np.flatnonzero(opens)
    opens[...] = mask
    opens[..., :-1] &= ~alike
    end = np.flatnonzero(opens)
    # Flat indices count along the axes as given; the arrays may be turned in memory, so they are not flattened.
    lesion = rank[labels[np.unravel_index(begin, mask.shape)]]
    by_lesion = np.argsort(lesion, kind="stable")
    begin, end = begin[by_lesion], end[by_lesion]
    slices, rows, first = np.unravel_index(begin, mask.shape)
    return _Runs(lesion[by_lesion], slices, rows, first, first + end - begin, begin)


def _measure(
    runs: _Runs, probability: NDArray[np.float32] | None, spacing_mm: Spacing, evenly_spaced: bool
) -> tuple[Lesion, ...]:
    """Measure all lesions at once, as segments of the sorted runs."""
    starts = _starts(runs.lesion)
    lengths = runs.last - runs.first + 1
    sizes = np.add.reduceat(lengths, starts)
    low = np.stack([np.minimum.reduceat(axis, starts) for axis in (runs.slices, runs.rows, runs.first)], axis=1)
    high = np.stack([np.maximum.reduceat(axis, starts) for axis in (runs.slices, runs.rows, runs.last)], axis=1)
    middles = (runs.slices, runs.rows, (runs.first + runs.last) / 2)
    centre = np.stack([np.add.reduceat(axis * lengths, starts) / sizes for axis in middles], axis=1)

    planes = _starts(runs.lesion, runs.slices)  # a lesion's part in one slice
    planes_of_lesion = np.searchsorted(planes, starts)
    largest = np.maximum.reduceat(np.add.reduceat(lengths, planes), planes_of_lesion)
    lines = _starts(runs.lesion, runs.slices, runs.rows)  # its part in one row: perhaps several runs
    plane_of_line = np.searchsorted(planes, lines, side="right") - 1
    rows, first, last = runs.rows[lines], runs.first[lines], runs.last[np.append(lines[1:], len(lengths)) - 1]

    def diameters(height: float, width: float) -> NDArray[np.float64]:
        longest = longest_diameters(plane_of_line, rows, first, last, (height, width))
        return np.asarray(np.maximum.reduceat(longest, planes_of_lesion), np.float64)

    unknown = [None] * len(starts)
    slice_mm, row_mm, column_mm = spacing_mm
    diameter_px = diameters(1.0, 1.0)
    diameter_mm: list[float] | list[None] = unknown
    area_mm2: list[float] | list[None] = unknown
    volume_ml: list[float] | list[None] = unknown
    peak: list[float] | list[None] = unknown
    mean: list[float] | list[None] = unknown
    if row_mm is not None and column_mm is not None:
        diameter_mm = (diameter_px * row_mm if row_mm == column_mm else diameters(row_mm, column_mm)).tolist()
        area_mm2 = (largest * (row_mm * column_mm)).tolist()
        if slice_mm is not None and evenly_spaced:
            volume_ml = (sizes * (slice_mm * row_mm * column_mm / 1000.0)).tolist()
    if probability is not None:
        peaks, sums = _summarise(probability, runs.begin, lengths)
        peak = np.maximum.reduceat(peaks, starts).tolist()
        mean = (np.add.reduceat(sums, starts) / sizes).tolist()

    boxes = np.stack((low, high), axis=2).tolist()  # (lesions, axes, 2)
    return tuple(
        Lesion(
            label=index + 1,
            voxels=int(sizes[index]),
            slices=(box[0][0], box[0][1]),
            box=((box[0][0], box[0][1]), (box[1][0], box[1][1]), (box[2][0], box[2][1])),
            centroid=(float(centre[index, 0]), float(centre[index, 1]), float(centre[index, 2])),
            longest_diameter_px=float(diameter_px[index]),
            longest_diameter_mm=diameter_mm[index],
            area_mm2=area_mm2[index],
            volume_ml=volume_ml[index],
            peak_probability=peak[index],
            mean_probability=mean[index],
        )
        for index, box in enumerate(boxes)
    )


def _around(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The smallest box that holds all of a mask; one voxel where there is nothing."""
    ends = []
    for others in ((1, 2), (0, 2), (0, 1)):
        found = np.flatnonzero(mask.any(axis=others))
        ends.append(slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 1))
    return ends[0], ends[1], ends[2]


def _in_place(lesion: Lesion, axes: tuple[int, int, int], box: tuple[slice, slice, slice]) -> Lesion:
    """A lesion that was measured within a box and along other axes, told of the whole mask along its own."""
    place = [axes.index(axis) for axis in range(3)]
    corner = [part.start for part in box]
    a, b, c = ((lesion.box[at][0] + first, lesion.box[at][1] + first) for at, first in zip(place, corner, strict=True))
    x, y, z = (lesion.centroid[at] + first for at, first in zip(place, corner, strict=True))
    return replace(lesion, slices=a, box=(a, b, c), centroid=(x, y, z))


def _summarise(
    probability: NDArray[np.float32], begin: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Each run's largest value and sum."""
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    index = np.repeat(begin - starts, lengths) + np.arange(int(lengths.sum()))
    values = probability[np.unravel_index(index, probability.shape)]
    return np.maximum.reduceat(values, starts), np.add.reduceat(values, starts, dtype=np.float64)


def _starts(*keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where, in runs sorted by these keys, a new combination of them begins."""
    changes = np.ones(len(keys[0]), bool)
    changes[1:] = False
    for key in keys:
        changes[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changes)
