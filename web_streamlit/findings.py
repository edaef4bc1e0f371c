"""What a probability means at a threshold: mask, lesions, Dice, agreement. Nothing is asked of the server for that."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BrokenFile
from core.io import ReadLimits, read_scan_bytes
from core.measure.lesions import lesions_in
from core.measure.totals import sum_up
from core.model_card import PreprocessSettings
from core.preprocess.channels import select_channels
from core.preprocess.clahe import equalise
from core.preprocess.intensity import to_uint8_by
from core.preprocess.plane import plan_plane
from core.preprocess.prepare import Prepared, prepare
from core.scan import Lesion, Note, Scan
from core.views import View

Mask = NDArray[np.bool_]
ANSWER_LIMITS = ReadLimits(slice_pixels=1 << 26, file_bytes=1 << 31)


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """A probability at a threshold, on the scan's grid (slices, height, width)."""

    probability: NDArray[np.float32]
    mask: Mask
    lesions: tuple[Lesion, ...]
    threshold: float

    def best_slice(self, view: View) -> int:
        """The slice of a view with the most lesion; without any, the one with the highest probability."""
        areas = np.count_nonzero(view.turn(self.mask), axis=(1, 2))
        return int(np.argmax(areas if areas.any() else view.turn(self.probability).max(axis=(1, 2))))


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """A scan as pictures.

    Attributes:
        grey: (slices, height, width) uint8 on the scan's grid, the model's channel.
        prepared: the slices that the network sees on its grid, before CLAHE.
        notes: what was assumed on the way.
    """

    grey: NDArray[np.uint8]
    prepared: Prepared
    settings: PreprocessSettings
    notes: tuple[Note, ...]

    def equalised(self, index: int) -> NDArray[np.uint8]:
        """(h, w): a slice as the network sees it."""
        image = self.prepared.images[index, :1]  # (1, h, w)
        return np.asarray(equalise(image, self.settings.clip_limit, self.settings.tile_px)[0], np.uint8)


def make_images(scan: Scan, settings: PreprocessSettings, channel: str | None) -> Images:
    """Bring a scan to what is looked at.

    Raises:
        InputError: the scan cannot be taken by the model.
    """
    voxels, _ = select_channels(scan, settings.channels, channel)
    prepared = prepare(scan, settings, channel)
    grey = np.stack([to_uint8_by(image, prepared.ranges[0]) for image in voxels[:, 0]])
    return Images(grey, prepared, settings, tuple(dict.fromkeys((*scan.notes, *prepared.notes))))


def decode_probability(tiff: bytes, scan: Scan) -> NDArray[np.float32]:
    """(slices, height, width) from the server's answer.

    Raises:
        InputError: the answer is damaged, or belongs to another scan.
    """
    values = read_scan_bytes(tiff, "answer", ANSWER_LIMITS).voxels[:, 0]
    if values.shape != scan.shape or values.dtype != np.float32:
        raise BrokenFile("the server's answer does not lie on the scan's grid; send it again")
    return values


def find(probability: NDArray[np.float32], scan: Scan, threshold: float, min_lesion: int) -> Finding:
    """Mask and lesions, just as the predictor makes them of the same numbers."""
    above = probability >= np.float32(threshold)
    mask, lesions = lesions_in(above, probability, scan, plan_plane(scan)[0].axes, min_lesion)
    return Finding(probability, mask, lesions, threshold)


def totals(finding: Finding, scan: Scan) -> dict[str, Any]:
    """Number and size of all lesions together: an area for a lone slice, millilitres for an even stack, if known."""
    return {"lesions": len(finding.lesions), **asdict(sum_up(finding.mask, scan))}
