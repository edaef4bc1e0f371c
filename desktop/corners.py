"""What stands in the corners of the picture. Only what is known is said: no left or right by guess."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.views import Place, View
from desktop.widgets.slice_marks import Corners

if TYPE_CHECKING:
    from desktop.reader import Reader


def describe(reader: Reader) -> Corners:
    """The corner texts of the main pane."""
    case, opened = reader.case, reader.opened
    corners = Corners()
    if case is None:
        return corners
    corners.top_left = [case.label(reader.names)]
    if opened is None:
        return corners
    view = opened.view
    slices, height, width = view.shape
    corners.top_left.append(f"Slice {reader.index + 1} / {slices}")
    corners.top_right = [view.name.capitalize() if view.name else "Orientation unknown"]
    corners.edges = view.letters
    _, row_mm, column_mm = view.spacing_mm
    size = f"{width} × {height}"
    known = row_mm is not None and column_mm is not None
    corners.top_right.append(f"{size}, {column_mm:.2f} × {row_mm:.2f} mm" if known else f"{size} px, spacing unknown")
    channel = opened.channels[reader.channel]
    if reader.look.clahe:
        corners.bottom_left = ["CLAHE"]
    elif reader.window_:
        corners.bottom_left = [f"W {_short(reader.window_.width)}  L {_short(reader.window_.level)}"]
    if len(opened.channels) > 1:
        corners.bottom_left.insert(0, channel)
    if reader.pane.zoom > 1.0:
        corners.bottom_left.append(f"Zoom {reader.pane.zoom:.1f}×")
    return corners


def describe_side(view: View, index: int) -> Corners:
    """The corner texts of a cut across."""
    heading = view.name.capitalize() if view.name else "Across"
    return Corners(top_left=[heading, f"Slice {index + 1} / {view.shape[0]}"], edges=view.letters)


def pointer_lines(reader: Reader, place: Place | None) -> list[str]:
    """What lies under the mouse: millimetres where they are known, the stored voxel, its raw value, the probability."""
    opened = reader.opened
    if opened is None or place is None:
        return []
    scan, (index, row, column) = opened.scan, place
    lines = []
    if scan.affine is not None:
        x, y, z = (scan.affine @ np.array([column, row, index, 1.0]))[:3]
        sides = f"{'R' if x >= 0 else 'L'} {abs(x):.1f}  {'A' if y >= 0 else 'P'} {abs(y):.1f}"
        lines.append(f"{sides}  {'S' if z >= 0 else 'I'} {abs(z):.1f} mm")
    across = len(opened.views) > 1
    lines.append(f"x {column}  y {row}  z {index}" if across else f"x {column}  y {row}")
    value = opened.volume(reader.channel)[place]
    lines.append(f"Value {value:.6g}" if value.dtype.kind == "f" else f"Value {int(value)}")
    if opened.result is not None:
        lines.append(f"Lesion {opened.result.probability[place]:.3f}")
    return lines


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.3g}"
