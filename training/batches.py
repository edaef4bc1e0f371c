"""Which slices make up an epoch, in which order.

Both follow from seed and epoch alone, so that a resumed run takes the same course.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.pairs import Pairs

Batch = tuple[Tensor, Tensor, Tensor, int]


@dataclass(frozen=True, slots=True, eq=False)
class EpochBatches:
    """The batches of one epoch: images (N, C, H, W) uint8, truths (N, H, W) uint8, levels (N, C, 2) float32 and a seed.

    An epoch is every slice with lesion, and `empties` times as many without, drawn anew each time.
    """

    pairs: Pairs
    lesions: NDArray[np.int64]
    others: NDArray[np.int64]
    batch: int
    empties: float
    seed: int
    epoch: int

    def __len__(self) -> int:
        return steps_per_epoch(len(self.lesions), len(self.others), self.empties, self.batch)

    def __iter__(self) -> Iterator[Batch]:
        draw = np.random.default_rng([self.seed, self.epoch])
        count = _empties(len(self.lesions), len(self.others), self.empties)
        order = draw.permutation(np.concatenate([self.lesions, draw.choice(self.others, count, replace=False)]))
        for step in range(len(self)):
            chosen = np.sort(order[step * self.batch : (step + 1) * self.batch])  # sorted: one way through the file
            yield (
                torch.from_numpy(self.pairs.images[chosen]),
                torch.from_numpy(self.pairs.truths[chosen]),
                torch.from_numpy(self.pairs.levels[chosen]),
                int(draw.integers(1 << 62)),
            )


def _empties(lesions: int, others: int, share: float) -> int:
    return min(round(share * lesions), others)


def steps_per_epoch(lesions: int, others: int, empties: float, batch: int) -> int:
    """Whole batches in an epoch, at least one; what is left over is drawn in another epoch."""
    return max((lesions + _empties(lesions, others, empties)) // batch, 1)
