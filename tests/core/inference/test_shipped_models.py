"""What holds for the models that come with metseg, on real slices: tiling and reduced precision."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.inference import Predictor
from core.inference.engines.torch_engine import TorchEngine
from core.inference.tiling import cut, plan_tiles, stitch
from core.io import find_scans, read_mask, read_scan
from core.model_store import find_model, load_network, shipped_models
from core.scan import Scan


@pytest.fixture(scope="module")
def slices(lgg_root: Path) -> NDArray[np.uint8]:
    """(4, 3, 256, 256): the first patient's slices with the largest lesion."""
    source = find_scans(lgg_root)[0]
    largest = np.argsort(read_mask(source).sum(axis=(1, 2)))[-4:]
    voxels: NDArray[np.uint8] = read_scan(source).voxels[np.sort(largest)]
    return voxels


@pytest.fixture(params=shipped_models() or [None])
def model(request: pytest.FixtureRequest) -> str:
    if request.param is None:
        pytest.skip("no model came with this checkout")
    return str(request.param)


@torch.inference_mode()
def test_tiled_logits_of_a_real_slice_are_those_of_the_whole(
    model: str, slices: NDArray[np.uint8], tolerances: dict[str, float]
) -> None:
    engine = TorchEngine(load_network(find_model(model)), "cpu", "fp32")
    batch = engine.prepare(cv2.resize(slices[0, 1], (440, 440))[None, None], 2.0, 32)
    tiled = torch.full_like(batch, torch.nan)
    tiles = plan_tiles(*batch.shape[2:], 384, engine.halo, engine.grid)
    for tile in tiles:
        stitch(tiled, tile, engine.forward(cut(batch, tile)))
    assert len(tiles) == 4
    away = (tiled - engine.forward(batch)).abs().max().item()
    assert away <= tolerances["tiled logits, float32"]


def test_bf16_changes_few_lesion_pixels_of_real_slices(
    model: str, slices: NDArray[np.uint8], tolerances: dict[str, float]
) -> None:
    scan = Scan("slices", slices)
    exact = Predictor(model, "cpu", "fp32").segment(scan).mask
    fast = Predictor(model, "cpu", "bf16").segment(scan).mask
    assert exact.sum() > 1000
    assert np.count_nonzero(exact != fast) <= tolerances["bf16 changed lesion pixels"] * exact.sum()
