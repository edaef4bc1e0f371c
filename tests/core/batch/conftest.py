"""Cases on the disk and a stand-in for the network, for tests of what happens around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from core.batch.jobs import plan_jobs
from core.batch.request import Request, make_request
from core.batch.run import Event, Report, run_batch


@pytest.fixture
def write_case() -> Callable[..., Path]:
    """`write_case(folder, slices=2, masks=True)` writes CASE/CASE_1.tif, … with their masks; gives back the folder."""

    def write(folder: Path, slices: int = 2, masks: bool = True, seed: int = 0) -> Path:
        folder.mkdir(parents=True)
        values = np.random.default_rng(seed)
        for number in range(1, slices + 1):
            image = values.integers(0, 60, (40, 48), dtype=np.uint8)
            image[10:20, 12:24] = 220
            truth = np.zeros_like(image)
            truth[10:20, 12:24] = 255
            tifffile.imwrite(folder / f"{folder.name}_{number}.tif", image)
            if masks:
                tifffile.imwrite(folder / f"{folder.name}_{number}_mask.tif", truth)
        return folder

    return write


@pytest.fixture
def request_of(tiny_model: Path) -> Callable[..., Request]:
    def make(**options: Any) -> Request:
        return make_request(tiny_model, **{"device": "cpu", "precision": "fp32", **options})

    return make


@pytest.fixture
def run(tmp_path: Path, request_of: Callable[..., Request]) -> Callable[..., Report]:
    """`run(inputs, **options)` segments into tmp_path/out."""

    def go(
        inputs: list[Path],
        *,
        overwrite: bool = False,
        on_event: Callable[[Event], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        **options: Any,
    ) -> Report:
        plan, out = plan_jobs(inputs, tmp_path / "out"), tmp_path / "out"
        return run_batch(plan, request_of(**options), out, overwrite=overwrite, on_event=on_event, cancelled=cancelled)

    return go
