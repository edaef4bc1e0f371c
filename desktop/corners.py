"""What stands in the corners of the picture. Only what is known is said: no left or right by guess."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from desktop.session.display import plane_of
from desktop.widgets.slice_view import Corners

if TYPE_CHECKING:
    from desktop.reader import Reader


def describe(reader: Reader, zoom: float | None = None) -> Corners:
    """The corner texts for what a reader shows."""
    case, opened = reader.case, reader.opened
    corners = Corners()
    if case is None:
        return corners
    corners.top_left = [case.label(reader.names)]
    if opened is None:
        return corners
    scan = opened.scan
    corners.top_left.append(f"Slice {reader.index + 1} / {scan.shape[0]}")
    plane = plane_of(scan)
    corners.top_right = [plane.name.capitalize() if plane else "Orientation unknown"]
    if plane:
        corners.edges = (plane.left, plane.right, plane.top, plane.bottom)
    _, row_mm, column_mm = scan.spacing_mm
    size = f"{scan.shape[2]} × {scan.shape[1]}"
    known = row_mm is not None and column_mm is not None
    corners.top_right.append(f"{size}, {column_mm:.2f} × {row_mm:.2f} mm" if known else f"{size} px, spacing unknown")
    channel = opened.channels[reader.channel]
    if reader.look.clahe:
        corners.bottom_left = ["CLAHE"]
    elif reader.window_:
        corners.bottom_left = [f"W {_short(reader.window_.width)}  L {_short(reader.window_.level)}"]
    if len(opened.channels) > 1:
        corners.bottom_left.insert(0, channel)
    if (zoom or reader.pane.zoom) > 1.0:
        corners.bottom_left.append(f"Zoom {zoom or reader.pane.zoom:.1f}×")
    corners.bottom_right = reader.pane.corners.bottom_right
    return corners


def pointer_lines(reader: Reader, place: tuple[int, int] | None) -> list[str]:
    """What lies under the mouse: millimetres where they are known, the pixel, its raw value, the probability."""
    opened = reader.opened
    if opened is None or place is None:
        return []
    row, column = place
    scan, index = opened.scan, reader.index
    lines = []
    if scan.affine is not None:
        x, y, z = (scan.affine @ np.array([column, row, index, 1.0]))[:3]
        sides = f"{'R' if x >= 0 else 'L'} {abs(x):.1f}  {'A' if y >= 0 else 'P'} {abs(y):.1f}"
        lines.append(f"{sides}  {'S' if z >= 0 else 'I'} {abs(z):.1f} mm")
    lines.append(f"x {column}  y {row}")
    value = opened.volume(reader.channel)[index, row, column]
    lines.append(f"Value {value:.6g}" if value.dtype.kind == "f" else f"Value {int(value)}")
    if opened.result is not None:
        lines.append(f"Lesion {opened.result.probability[index, row, column]:.3f}")
    return lines


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.3g}"
