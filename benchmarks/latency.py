"""How long the networks take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from benchmarks.rows import Row, not_measured
from benchmarks.subjects import PRECISIONS, SIDE, Subject, missing_device, phantom_slices
from benchmarks.timing import Effort, measure
from core.errors import DeviceOutOfMemory
from core.inference.engines.torch_engine import TorchEngine
from core.networks import NestedUNet

BATCHES = {"cpu": (1, 4), "cuda": (1, 8, 32)}


def network_call(network: nn.Module, device: str, precision: str, batch: int, side: int = SIDE) -> Callable[[], Any]:
    """A call of the network as `Predictor` makes it: channels last, autocast, the check for finite logits included.

    Args:
        network: as `core.networks` builds it.
        device: where.
        precision: "fp32", "bf16" or "fp16".
        batch: pictures per call.
        side: their height and width.
    """
    engine = TorchEngine(network, device, precision, batch=batch)
    pictures = engine.prepare(phantom_slices(batch, side)[:, None], 2.0, 32)  # (N, 1, H, W) in [0, 1]
    return lambda: engine.forward(pictures)


def depths(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The network in full, and each shallower cut of a nested one: (" L4", network), and so on downwards."""
    if not isinstance(network, NestedUNet):
        yield "", network
        return
    for depth in range(network.depth, 0, -1):
        yield f" L{depth}", network if depth == network.depth else network.cut(depth)


def latency_rows(
    subjects: Sequence[Subject],
    device: str,
    effort: Effort,
    *,
    batches: Sequence[int] = (1,),
    all_depths: bool = False,
    side: int = SIDE,
) -> Iterator[Row]:
    """A row for each network, depth, precision and batch on one device."""
    if why := missing_device(device):
        yield from (not_measured("network", subject.name, device, why) for subject in subjects)
        return
    for subject in subjects:
        for suffix, network in depths(subject.build()):
            for precision in PRECISIONS[device.partition(":")[0]]:
                for batch in batches:
                    row = Row("network", subject.name + suffix, device, precision, batch, (side, side))
                    yield _measured(row, network, effort)
            if not all_depths:
                break


def _measured(row: Row, network: nn.Module, effort: Effort) -> Row:
    assert row.batch is not None
    assert row.size is not None
    try:
        call = network_call(network, row.device, row.precision, row.batch, row.size[0])
        return replace(row, timing=measure(call, row.device, effort).per(row.batch))
    except DeviceOutOfMemory as error:
        return replace(row, note=error.detail)
