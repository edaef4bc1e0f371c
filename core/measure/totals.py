"""How much a mask covers altogether."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.scan import Scan


@dataclass(frozen=True, slots=True)
class Totals:
    """Over all lesions.

    Attributes:
        voxels: how many.
        area_mm2: of a lone slice; None without in-plane spacing, and for a stack.
        volume_ml: None unless all three spacings are known and even, and every slice is the next one's neighbour.
    """

    voxels: int
    area_mm2: float | None
    volume_ml: float | None

    def text(self, lone: bool) -> str:
        """The size in words: millilitres or square millimetres where they are known, else what was counted.

        Args:
            lone: of a lone slice, in which pixels are counted.
        """
        return size_text(*size_of(self.voxels, self.area_mm2, self.volume_ml, lone))


def size_of(voxels: int, area_mm2: float | None, volume_ml: float | None, lone: bool) -> tuple[float, str]:
    """A size and its unit: ml, or of a lone slice mm², where they are known, else what was counted."""
    if volume_ml is not None:
        return volume_ml, "ml"
    if lone and area_mm2 is not None:
        return area_mm2, "mm²"
    return voxels, "px" if lone else "voxels"


def size_text(size: float, unit: str) -> str:
    """What `size_of` gives, as people read it: to a hundredth of a millilitre, below that to a thousandth."""
    digits = 0 if unit != "ml" else 3 if 0 < size < 0.01 else 2
    return f"{size:,.{digits}f} {unit}"


def sum_up(mask: NDArray[np.bool_], scan: Scan) -> Totals:
    """The size of a mask (slices, height, width) on its scan's grid, as far as the scan says how large a voxel is."""
    voxels = int(np.count_nonzero(mask))
    between, row, column = scan.spacing_mm
    if row is None or column is None:
        return Totals(voxels, None, None)
    return Totals(
        voxels,
        voxels * row * column if scan.shape[0] == 1 else None,
        voxels * row * column * between / 1000 if between is not None and scan.evenly_spaced else None,
    )
