"""How long the networks take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from benchmarks.rows import Row, not_measured
from benchmarks.subjects import PRECISIONS, SIDE, Subject, missing_device, phantom_slices, show
from benchmarks.timing import Effort, measure
from core.errors import DeviceOutOfMemory
from core.inference.engines.torch_engine import TorchEngine
from core.model_card import PreprocessSettings
from core.networks import NestedUNet

PLAIN = PreprocessSettings()
BATCHES = {"cpu": (1, 4), "cuda": (1, 8, 32)}


def network_call(
    network: nn.Module,
    device: str,
    precision: str,
    batch: int,
    side: int = SIDE,
    settings: PreprocessSettings = PLAIN,
) -> tuple[TorchEngine, Callable[[], Any]]:
    """An engine and a call of its network as `Predictor` makes it: channels last, autocast, checked for finite logits.

    Args:
        network: as `core.networks` builds it.
        device: where.
        precision: "fp32", "bf16" or "fp16".
        batch: pictures per call.
        side: their height and width.
        settings: how they are prepared; a model that shrinks them has less to compute.
    """
    engine = TorchEngine(network, device, precision, batch=batch)
    pictures = show(engine, phantom_slices(batch, side), settings)  # (N, 1, h, w)
    return engine, lambda: engine.forward(pictures)


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
                    yield _measured(row, network, effort, subject.preprocessing)
            if not all_depths:
                break


def _measured(row: Row, network: nn.Module, effort: Effort, settings: PreprocessSettings) -> Row:
    assert row.batch is not None
    assert row.size is not None
    try:
        engine, call = network_call(network, row.device, row.precision, row.batch, row.size[0], settings)
        timing = measure(call, row.device, effort).per(row.batch)
        notes = [f"memory holds {engine.batch} a call"] if engine.batch < row.batch else []
        if repeated := engine.take_fallbacks().get("batch-repeated-in-fp32"):
            notes.append(f"{repeated} batches had to be repeated in fp32")
        return replace(row, timing=timing, note="; ".join(notes))
    except DeviceOutOfMemory as error:
        return replace(row, note=error.detail)
