"""Exact tiling beside the whole picture and MONAI's sliding window."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.compare_tiling import EXACT, MONAI, WHOLE, TilingDifference, tiling_methods
from benchmarks.subjects import Subject, missing_device, mosaic, shipped_subjects, show, standard_subjects
from core.inference.engines.torch_engine import TorchEngine
from core.inference.predictor import WINDOW

SIDE = 1024


@pytest.mark.parametrize("subject", [*standard_subjects(), *shipped_subjects()], ids=lambda subject: subject.slug)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", [WHOLE, EXACT, MONAI])
def test_latency_of_a_large_picture(
    name: str, device: str, subject: Subject, clock: Callable[..., None], benchmark: BenchmarkFixture
) -> None:
    if why := missing_device(device):
        pytest.skip(f"not measured: {why}")
    if name == MONAI:
        pytest.importorskip("monai")
    engine = TorchEngine(subject.build(), device, "fp32", batch=1)
    pictures = show(engine, mosaic(SIDE), subject.preprocessing)  # (1, 1, H, W)
    method = tiling_methods()[name]
    difference = TilingDifference.between(engine.forward(pictures), method(engine, pictures, WINDOW))
    if name == EXACT:
        assert difference.lesion < 1e-3
    benchmark.group = f"{SIDE}×{SIDE}, windows of up to {WINDOW}, {subject.name}, fp32, {device}"
    clock(
        lambda: method(engine, pictures, WINDOW),
        device,
        1,
        largest_difference_in_logits=difference.logits,
        mask_pixels_changed=difference.pixels,
    )
