"""From a TIFF folder to masks on disk."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.end_to_end import path_to_mask
from benchmarks.subjects import PRECISIONS, Subject, missing_device, shipped_subjects, standard_subjects

SLICES = 8
CASES = [(device, precision) for device, precisions in PRECISIONS.items() for precision in precisions]


@pytest.mark.parametrize("subject", [*standard_subjects(), *shipped_subjects()], ids=lambda subject: subject.slug)
@pytest.mark.parametrize(("device", "precision"), CASES)
def test_latency_from_path_to_mask(
    device: str, precision: str, subject: Subject, clock: Callable[..., None], benchmark: BenchmarkFixture
) -> None:
    if why := missing_device(device):
        pytest.skip(f"not measured: {why}")
    benchmark.group = f"path to mask, {SLICES} slices, {device}, {precision}"
    with path_to_mask(subject, device, precision, slices=SLICES) as work:
        clock(work.run, device, SLICES, precision=precision, seconds=work.run())
        assert len(list(work.out.glob("*_mask.tif"))) == SLICES
