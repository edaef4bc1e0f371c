"""Exact tiling beside the whole picture and MONAI's sliding window with Gaussian blending."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.rows import Row, not_measured
from benchmarks.subjects import Subject, missing_device, mosaic, show
from benchmarks.timing import Effort, measure_in_turns
from core.errors import DeviceOutOfMemory
from core.inference.engines.torch_engine import TorchEngine
from core.inference.predictor import WINDOW
from core.inference.tiling import cut, plan_tiles, stitch
from core.system import processor

WHOLE_BYTES = 3 << 10
"""A pixel of a picture that is not tiled may need so much: twice what was measured at 384² on a CPU in float32."""
WHOLE, EXACT, MONAI = "whole picture", "metseg, exact tiling", "MONAI, Gaussian, half overlap"


@dataclass(frozen=True, slots=True)
class TilingDifference:
    """How tiled logits differ from those of the whole picture.

    Attributes:
        logits: the largest difference.
        pixels: share of all pixels whose side of 0 differs.
        lesion: that, as a share of the pixels which the whole picture's answer calls lesion.
    """

    logits: float
    pixels: float
    lesion: float

    @staticmethod
    def between(whole: Tensor, other: Tensor) -> TilingDifference:
        """Compare logits of one shape."""
        changed = ((whole >= 0) != (other >= 0)).float()
        lesion = (whole >= 0).float().mean().clamp_min(1 / whole.numel())
        largest = float((whole - other).abs().max())
        return TilingDifference(largest, float(changed.mean()), float(changed.mean() / lesion))


def tiled(forward: Callable[[Tensor], Tensor], pictures: Tensor, window: int, halo: int, grid: int) -> Tensor:
    """(N, 1, H, W) answers of `forward`, window by window, each pixel with `halo` around it."""
    height, width = pictures.shape[-2:]
    whole = torch.empty((len(pictures), 1, height, width), dtype=pictures.dtype, device=pictures.device)
    for tile in plan_tiles(height, width, window, halo, grid):
        stitch(whole, tile, forward(cut(pictures, tile)))
    return whole


def tile_exactly(engine: TorchEngine, pictures: Tensor, window: int = WINDOW) -> Tensor:
    """(N, 1, H, W) logits, window by window, each pixel with its whole receptive field."""
    return tiled(engine.forward, pictures, window, engine.halo, engine.grid)


@torch.inference_mode()
def blend_with_monai(engine: TorchEngine, pictures: Tensor, window: int = WINDOW) -> Tensor:
    """(N, 1, H, W) logits from MONAI's sliding window."""
    from monai.inferers.utils import sliding_window_inference

    answer = sliding_window_inference(
        pictures, (window, window), engine.batch, engine.forward, overlap=0.5, mode="gaussian"
    )
    assert isinstance(answer, Tensor)
    return answer


def tiling_methods() -> dict[str, Callable[[TorchEngine, Tensor, int], Tensor]]:
    """The ways to answer for a large picture, by name."""
    methods: dict[str, Callable[[TorchEngine, Tensor, int], Tensor]] = {
        WHOLE: lambda engine, pictures, _: engine.forward(pictures),
        EXACT: tile_exactly,
    }
    if importlib.util.find_spec("monai"):
        methods[MONAI] = blend_with_monai
    return methods


def tiling_rows(subject: Subject, device: str, effort: Effort, *, side: int, window: int = WINDOW) -> Iterator[Row]:
    """A row for each method in fp32, all timed in turns, as multiples of MONAI's time where MONAI is installed."""
    if why := missing_device(device):
        yield not_measured("tiling", EXACT, device, why)
        return
    methods = tiling_methods()
    try:
        engine = TorchEngine(subject.build(), device, "fp32", batch=1)
        pictures = show(engine, mosaic(side), subject.preprocessing)  # (1, 1, H, W)
        if why := _not_whole(engine, pictures, side):
            yield not_measured("tiling", WHOLE, device, why)
            del methods[WHOLE]
        works = {name: partial(method, engine, pictures, window) for name, method in methods.items()}
        timings = measure_in_turns(works, device, effort)
        answers = {name: work() for name, work in works.items()}
    except DeviceOutOfMemory as error:
        yield not_measured("tiling", EXACT, device, error.detail)
        return
    base = Row("tiling", "", device, "fp32", 1, (side, side))
    rows = {name: replace(base, what=name, timing=timing) for name, timing in timings.items()}
    for name, row in rows.items():
        note = subject.name if name == WHOLE else f"{subject.name}, windows of up to {window}"
        if name != WHOLE and WHOLE in answers:
            difference = TilingDifference.between(answers[WHOLE], answers[name])
            note += (
                f"; from the whole picture logits differ by up to {difference.logits:.2g}, the mask in"
                f" {difference.pixels * 100:.2g} % of the pixels ({difference.lesion * 100:.2g} % of the lesion's)"
            )
        yield replace(row if name == MONAI or MONAI not in rows else row.against(rows[MONAI]), note=note)
    if MONAI not in rows:
        yield not_measured("tiling", MONAI, device, "MONAI is not installed")


def _not_whole(engine: TorchEngine, pictures: Tensor, side: int) -> str | None:
    """Why a picture cannot be computed at once, or None where it can."""
    memory = processor().memory_bytes if engine.device == "cpu" else None
    if memory is not None and side * side * WHOLE_BYTES > memory:
        return f"{side}² pixels at once might not fit into this machine's memory"
    try:
        engine.forward(pictures)
    except DeviceOutOfMemory:
        return f"{side}² pixels at once do not fit into the device's memory"
    return None
