"""The course of a training: its learning rate, the average of its weights, and what every head learns."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from torch.optim.swa_utils import AveragedModel

from core.errors import UsageError
from core.model_card import PreprocessSettings
from core.model_store import load_network
from training.lightning_module import SegmentationTask, _moving_average, learning_rate
from training.options import Stage, TrainOptions
from training.pairs import Pairs
from training.train import _bf16_helps, train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

HALF = 1e-3  # weights are kept with 16 bits
STAGES = (Stage(10, 2, 32, 1e-2), Stage(5, 1, 64, 4e-3))


@pytest.fixture
def options(discs: Path, small_preprocessing: PreprocessSettings, tmp_path: Path) -> TrainOptions:
    return TrainOptions(
        data=discs, out=tmp_path / "run", network="nested-unet", filters=(4, 6, 8), folds=None, inner=0.0,
        stages=(Stage(1, 2, 32, 1e-2),), batch=4, average=0.9, precision="32-true", device="cpu", threads=1,
        cache=tmp_path / "cache", preprocessing=small_preprocessing,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (0, 1e-2 / 25),
        (2, 1e-2),
        (6, (1e-2 + 1e-5) / 2),
        (10 - 1e-9, 1e-5),
        (10, 4e-3 / 25),
        (11, 4e-3),
        (15 - 1e-9, 4e-6),
        (20, 4e-6),
    ],
)
def test_the_learning_rate_rises_and_falls_once_a_stage(epoch: float, rate: float) -> None:
    assert learning_rate(epoch, STAGES) == pytest.approx(rate, rel=1e-6)


def test_what_is_done_is_counted_by_what_an_epoch_costs() -> None:
    options = TrainOptions(Path(), Path(), "nested-unet", stages=STAGES)
    assert [options.share_done(epochs) for epochs in (0, 5, 10, 12.5, 15)] == pytest.approx([0, 1 / 6, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_cuda_gets_an_optimizer_whose_gradients_lightning_clips_in_any_precision(
    options: TrainOptions, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """Lightning refuses to clip those of a fused one in mixed precision, and knows it only at the first step."""
    monkeypatch.setattr(SegmentationTask, "device", torch.device("cuda"))
    slices = np.zeros((4, 1, 64, 64), np.uint8)
    pairs = Pairs(slices, slices[:, 0], np.ones((4, 1, 2), np.float32), np.array(["one"] * 4), ("flair",), "")
    (optimizer,), _ = SegmentationTask(options, pairs, ("one",), ()).configure_optimizers()
    plugin = MixedPrecision("bf16-mixed", "cuda") if precision == "bf16-mixed" else Precision()
    plugin.clip_gradients(optimizer, 1.0)


@pytest.mark.parametrize(
    ("device", "cuda", "native", "helps"),
    [("auto", True, True, True), ("auto", True, False, False), ("cuda", True, True, True), ("cpu", True, True, False),
     ("auto", False, True, False)],
)  # fmt: skip
def test_bf16_is_chosen_where_the_device_that_learns_has_it(
    monkeypatch: pytest.MonkeyPatch, device: str, cuda: bool, native: bool, helps: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert _bf16_helps(device) is helps


def test_what_is_counted_is_no_average(options: TrainOptions) -> None:
    average = torch.nn.BatchNorm2d(2)
    network = copy.deepcopy(average)
    mean = AveragedModel(average, multi_avg_fn=_moving_average(0.9), use_buffers=True)
    for step in range(20):
        network(torch.full((2, 2, 3, 3), float(step)))
        mean.update_parameters(network)
    assert mean.module.num_batches_tracked == network.num_batches_tracked == 20
    assert (mean.module.running_mean < network.running_mean).all()


def test_the_model_is_the_moving_average_of_the_weights(options: TrainOptions) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, module, *_):
            seen.append(copy.deepcopy(module.network.state_dict()))

    shares: list[float] = []
    result = train(options, moving=lambda share, epoch, epochs: shares.append(share), callbacks=[Watch()])
    assert len(seen) > 3
    assert shares == pytest.approx([(step + 1) / len(seen) for step in range(len(seen))])
    average = seen[0]
    for state in seen[1:]:
        for name, value in state.items():
            average[name] = 0.9 * average[name] + 0.1 * value if value.is_floating_point() else value
    kept = load_network(result.model).state_dict()
    for name, value in average.items():
        if value.is_floating_point():
            torch.testing.assert_close(kept[name], value, rtol=HALF, atol=HALF)
    assert not torch.allclose(next(iter(kept.values())), next(iter(seen[-1].values())), rtol=HALF, atol=HALF)


def test_every_head_of_the_nested_network_learns(options: TrainOptions) -> None:
    slopes: dict[str, float] = {}

    class Watch(Callback):
        def on_after_backward(self, trainer, module):
            slopes.update({name: float(head.weight.grad.abs().sum()) for name, head in module.network.heads.items()})

    train(options, callbacks=[Watch()])
    assert sorted(slopes) == ["x01", "x02"]
    assert min(slopes.values()) > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": "unet"}, "one of nested-unet"),
        ({"loss": "tversky"}, "the loss must be one of dice-ce"),
        ({"inner": 1.0}, "below 1"),
        ({"inner": -0.2}, "from 0"),
        ({"batch": 0}, "batch"),
        ({"batch": "8"}, "batch"),
        ({"seed": -1}, "seed"),
        ({"seed": None}, "wrong kind"),
        ({"threads": -1}, "threads"),
        ({"filters": (16,)}, "filters"),
        ({"filters": 5}, "filters"),
        ({"device": "foo"}, "device"),
        ({"precision": "foo"}, "precision"),
        ({"neighbours": 0.5}, "neighbours"),
        ({"stages": (Stage(0, 2, 32, 1e-2),)}, "epochs"),
        ({"stages": (Stage(1, 2, 32, 0.0),)}, "peak"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(TrainOptions(Path(), Path(), "nested-unet"), **change)
