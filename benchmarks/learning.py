"""Whether networks learn on a device: a short training in each precision, beside one on the CPU."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.subjects import Subject
from core.errors import InputError
from core.model_card import PreprocessSettings
from core.phantom import write_phantom_case

HEADS, SLICES, EPOCHS = 4, 6, 4


def learning_on(
    subjects: Sequence[Subject], device: str, precisions: Sequence[str], side: int = 128
) -> Iterator[dict[str, Any]]:
    """Train on a few synthetic heads, from fresh weights.

    Args:
        subjects: whose networks, each kind once.
        device: where.
        precisions: "fp32", "bf16", "fp16".
        side: of the heads' slices, in pixels.

    Yields:
        for each network and precision the loss of each epoch (None where it is not finite), and whether all are finite
        and the last below the first; each network in fp32 on the CPU first. Noise is drawn on the device, so losses
        agree roughly and no better.
    """
    with tempfile.TemporaryDirectory(prefix="metseg-learning-") as folder:
        data = Path(folder) / "heads"
        for seed in range(HEADS):
            write_phantom_case(seed, data, SLICES, side)
        for network in dict.fromkeys(subject.network for subject in subjects):
            runs = dict.fromkeys([("cpu", "fp32"), *((device, precision) for precision in precisions)])
            for number, (place, precision) in enumerate(runs):
                losses = _losses(data, Path(folder) / f"{network}-{number}", network, place, precision, side)
                finite = [loss if math.isfinite(loss) else None for loss in losses]
                learnt = None not in finite and losses[-1] < losses[0]
                yield {"what": network, "device": place, "precision": precision, "losses": finite, "learnt": learnt}


def _losses(data: Path, out: Path, network: str, device: str, precision: str, side: int) -> list[float]:
    from training.options import Stage, TrainOptions  # Lightning takes seconds to import
    from training.train import train

    losses: list[float] = []
    options = TrainOptions(
        data,
        out,
        network,
        filters=(8, 16, 32),
        fold=None,
        inner=0.0,
        stages=(Stage(EPOCHS, 1, side // 2, 3e-3),),
        batch=4,
        device=device,
        precision=precision,
        cache=data.with_name("cache"),
        preprocessing=PreprocessSettings(size=side, standardise=True),
    )
    try:
        train(options, report=lambda seconds, epoch, epochs, figures: losses.append(figures["loss"]))
    except InputError:  # the loss was not finite
        losses.append(math.nan)
    return losses
