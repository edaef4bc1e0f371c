"""What computes the network: one interface, so that what stands above it need not know which."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Batch = Any
"""(N, C, H, W) in the engine's own kind of array, where the engine wants it; it can be sliced, no more is promised."""


class Engine(Protocol):
    """From 8-bit pictures to probabilities, in four steps, so that tiles can be cut between them.

    Attributes:
        name: the engine, for the manifest.
        device: where it computes, for the manifest.
        precision: "fp32", "bf16" or "fp16".
        batch: windows per call of the network; a call with fewer is filled up, so that a window's answer does not
            depend on its company. It may fall while computing, when memory runs out.
        grid: heights and widths of windows, and where they begin, are multiples of this.
        halo: pixels around a block of `grid` on which the block's answer depends; a multiple of `grid`.
    """

    name: str
    device: str
    precision: str
    batch: int
    grid: int
    halo: int

    def prepare(
        self,
        images: NDArray[np.uint8],
        clip_limit: float,
        tile_px: int,
        shrink: int = 1,
        levels: NDArray[np.float32] | None = None,
    ) -> Batch:
        """CLAHE, edges repeated at bottom and right, shrunken to a multiple of `grid`, the network's grey scale.

        Args:
            images: (N, C, H, W).
            clip_limit: CLAHE's; a negative value leaves CLAHE out.
            tile_px: pixels per CLAHE tile.
            shrink: pixels along one axis whose mean becomes one.
            levels: (N, C, 2), of each picture's channels the grey level that becomes 0 and how many make 1; None is
                from 0 to 1.
        """
        ...

    def forward(self, images: Batch) -> Batch:
        """(N, 1, H, W) float32 logits of (N, C, H, W) prepared pictures or windows of them.

        Raises:
            DeviceOutOfMemory: memory does not even hold one window.
            DeviceLost: the device failed.
            ModelDamaged: a logit is not finite in float32 either.
        """
        ...

    def mirror(self, images: Batch) -> Batch:
        """The same (N, C, H, W), left and right exchanged."""
        ...

    def probability(self, logits: Batch) -> NDArray[np.float32]:
        """(N, H, W) sigmoid of (N, 1, H, W) logits, in host memory."""
        ...

    def take_fallbacks(self) -> dict[str, int]:
        """How often something had to be done otherwise since the last call, by what was done."""
        ...
