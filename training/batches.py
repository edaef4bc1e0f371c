"""Which slices make up an epoch, in which order, and how they come to the device.

Choice and order follow from seed and epoch alone, so that a resumed run takes the same course.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.pairs import Pairs

Slices = tuple[Tensor, Tensor, Tensor]
"""Images (N, C, H, W) uint8, truths (N, H, W) uint8, levels (N, C, 2) float32."""


class SliceSource:
    """Brings chosen slices of a set to a device.

    A GPU gets the whole set once, where that leaves most of its memory free; from then on nothing has to be read or
    copied for a step. Elsewhere a step's slices are read from the mapped arrays.

    Args:
        pairs: the set.
        device: that learns.
        room: bytes that the set may take there; None is a quarter of a GPU's free memory, and nothing on a CPU.
    """

    def __init__(self, pairs: Pairs, device: torch.device, room: int | None = None) -> None:
        self.device = device
        self._arrays = (pairs.images, pairs.truths, pairs.levels)
        if room is None:
            room = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else 0
        fits = sum(array.nbytes for array in self._arrays) <= room
        self._held = [torch.tensor(array, device=device) for array in self._arrays] if fits else None

    def take(self, chosen: NDArray[np.int64]) -> Slices:
        """The slices of these indices, in their order."""
        if self._held is None:
            images, truths, levels = (torch.from_numpy(array[chosen]).to(self.device) for array in self._arrays)
        else:
            where = torch.from_numpy(chosen).to(self.device)
            images, truths, levels = (array[where] for array in self._held)
        return images, truths, levels


@dataclass(frozen=True, slots=True, eq=False)
class EpochBatches:
    """The batches of one epoch: indices of slices (N,), and a seed.

    An epoch is every slice with lesion, and `empties` times as many without, drawn anew each time.
    """

    lesions: NDArray[np.int64]
    others: NDArray[np.int64]
    batch: int
    empties: float
    seed: int
    epoch: int

    def __len__(self) -> int:
        return steps_per_epoch(len(self.lesions), len(self.others), self.empties, self.batch)

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], int]]:
        draw = np.random.default_rng([self.seed, self.epoch])
        count = _empties(len(self.lesions), len(self.others), self.empties)
        order = draw.permutation(np.concatenate([self.lesions, draw.choice(self.others, count, replace=False)]))
        for step in range(len(self)):
            chosen = np.sort(order[step * self.batch : (step + 1) * self.batch])  # sorted: one way through the file
            yield chosen, int(draw.integers(1 << 62))


def _empties(lesions: int, others: int, share: float) -> int:
    return min(round(share * lesions), others)


def steps_per_epoch(lesions: int, others: int, empties: float, batch: int) -> int:
    """Whole batches in an epoch, at least one; what is left over is drawn in another epoch."""
    return max((lesions + _empties(lesions, others, empties)) // batch, 1)
