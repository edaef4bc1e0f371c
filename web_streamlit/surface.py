"""Lesions as surfaces in space, within a shadow of the head."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.measure.lesions import number_lesions
from core.measure.totals import Totals
from core.scan import Scan
from web_streamlit.downloads import Result

MOST_LESIONS = 40
HEAD_SIDE = 40
"""Points along the longest side of the head's shadow."""
COLOURS = ("#ffb000", "#ff6b8a", "#5fd38d", "#c59bff", "#ff8c42", "#4de1d1", "#f2e14c", "#4cc2ff")
Field = NDArray[np.float32]
Points = NDArray[np.float64]


def surface_figure(result: Result) -> dict[str, Any]:
    """A plotly figure of the lesions of a volume whose spacing is known, in millimetres.

    The axes are those of RAS space where the orientation is known, so nothing is mirrored; else columns, rows from
    below, and slices.
    """
    scan, finding = result.case.scan, result.finding
    numbers = number_lesions(finding.mask, scan.contiguous)
    to_mm = _to_millimetres(scan)
    traces = [_head(result.images.grey, to_mm)]
    for lesion in finding.lesions[:MOST_LESIONS]:
        ends = zip(lesion.box, scan.shape, strict=True)
        cut = tuple(slice(max(low - 1, 0), min(high + 2, side)) for (low, high), side in ends)
        own = numbers[cut] == lesion.label
        # Another lesion's voxels lie above the threshold too; they are no part of this surface.
        field = np.where(own | (numbers[cut] == 0), finding.probability[cut], 0).astype(np.float32)
        field[~own] = np.minimum(field[~own], np.nextafter(np.float32(finding.threshold), np.float32(0)))
        points, triangles = extract_surface(field, finding.threshold)
        offset = [part.start for part in cut]
        size = Totals(lesion.voxels, None, lesion.volume_ml).text(lone=False)
        traces.append(
            _mesh(points + offset, triangles, to_mm, COLOURS[(lesion.label - 1) % len(COLOURS)], 1.0)
            | {"name": f"{lesion.label}", "hovertext": f"Lesion {lesion.label}, {size}", "hoverinfo": "text"}
        )
    titles = ("left → right", "back → front", "up") if scan.affine is not None else ("columns", "rows", "slices")
    axes = {f"{axis}axis": {"title": {"text": f"{title}, mm"}} for axis, title in zip("xyz", titles, strict=True)}
    scene = {**axes, "aspectmode": "data", "camera": {"eye": {"x": 1.0, "y": 1.25, "z": 0.6}}}
    layout = {"scene": scene, "margin": {"l": 0, "r": 0, "t": 0, "b": 0}, "height": 560, "showlegend": False}
    return {"data": traces, "layout": layout}


def extract_surface(field: Field, level: float) -> tuple[Points, NDArray[np.int64]]:
    """The surface that parts what is at least `level` from what is below, closed at the border of the field.

    Each cell of eight neighbouring voxels that the surface crosses gets one point, the mean of where it crosses the
    cell's edges; around each crossed edge between two voxels the points of its four cells make two triangles.

    Args:
        field: (a, b, c).
        level: finite.

    Returns:
        points (n, 3) in voxels, and triangles (m, 3) of their indices.

    Source: Gibson 1998, Constrained Elastic Surface Nets (without the relaxation).
    """
    padded = np.pad(field, 1, constant_values=min(float(field.min()), level) - 1.0)
    inside = padded >= level
    cells = tuple(side - 1 for side in padded.shape)

    def corner(values: NDArray[Any], place: tuple[int, ...]) -> NDArray[Any]:
        return values[tuple(slice(p, p + cell) for p, cell in zip(place, cells, strict=True))]

    total, count = np.zeros((*cells, 3)), np.zeros(cells)
    for axis in range(3):
        for near in product((0, 1), repeat=3):
            if near[axis]:
                continue
            far = tuple(int(p or index == axis) for index, p in enumerate(near))
            crossed = corner(inside, near) != corner(inside, far)
            a, b = corner(padded, near)[crossed].astype(np.float64), corner(padded, far)[crossed].astype(np.float64)
            place = np.tile(np.asarray(near, np.float64), (len(a), 1))
            place[:, axis] = (level - a) / (b - a)
            total[crossed] += place
            count[crossed] += 1
    active = count > 0
    index = np.full(cells, -1, np.int64)
    index[active] = np.arange(int(active.sum()))
    points = np.argwhere(active) + total[active] / count[active][:, None] - 1.0

    triangles, unit = [], np.eye(3, dtype=np.int64)
    for axis in range(3):
        one, two = (other for other in range(3) if other != axis)
        crossed = np.diff(inside.astype(np.int8), axis=axis)
        edges = np.argwhere(crossed)  # never at the border of the other axes, which is outside
        quads = np.stack([index[tuple((edges - shift).T)] for shift in _around(unit[one], unit[two])], axis=1)
        # Seen from outside all turn the same way round.
        turned = (crossed[tuple(edges.T)] > 0) == (axis != 1)
        quads[turned] = quads[turned][:, ::-1]
        triangles += [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
    return points, np.concatenate(triangles)


def _around(one: NDArray[np.int64], two: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """From an edge to the four cells that share it, in turn."""
    return np.zeros(3, np.int64), one, one + two, two


def _to_millimetres(scan: Scan) -> NDArray[np.float64]:
    """4×4 from (slice, row, column) to the figure's axes."""
    if scan.affine is not None:
        return np.asarray(scan.affine[:, [2, 1, 0, 3]], np.float64)
    between, row, column = (mm or 1.0 for mm in scan.spacing_mm)
    matrix = np.zeros((4, 4))
    matrix[0, 2], matrix[1, 1], matrix[2, 0], matrix[3, 3] = column, -row, between, 1.0
    return matrix


def _head(grey: NDArray[np.uint8], to_mm: NDArray[np.float64]) -> dict[str, Any]:
    """The head's outline, coarse and faint, without what lies within."""
    import cv2
    from scipy import ndimage  # type: ignore[import-untyped]

    steps = [max(1, -(-side // HEAD_SIDE)) for side in grey.shape]
    coarse = np.ascontiguousarray(grey[:: steps[0], :: steps[1], :: steps[2]])
    level, _ = cv2.threshold(coarse.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    solid = np.stack([ndimage.binary_fill_holes(image) for image in coarse > level / 2])
    field = ndimage.gaussian_filter(solid.astype(np.float32), [min(1.0, 2 / step) for step in steps])
    points, triangles = extract_surface(field, 0.5)
    return _mesh(points * steps, triangles, to_mm, "#8a949c", 0.12) | {"hoverinfo": "skip", "name": "head"}


def _mesh(
    points: Points, triangles: NDArray[np.int64], to_mm: NDArray[np.float64], colour: str, opacity: float
) -> dict[str, Any]:
    x, y, z = np.round(points @ to_mm[:3, :3].T + to_mm[:3, 3], 2).T.astype(np.float32)
    i, j, k = triangles.T.astype(np.int32)
    return {
        "type": "mesh3d", "x": x, "y": y, "z": z, "i": i, "j": j, "k": k, "color": colour, "opacity": opacity,
        "flatshading": False,
    }  # fmt: skip
