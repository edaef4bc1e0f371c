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
from torch.optim.swa_utils import get_ema_multi_avg_fn

from core.errors import DeviceUnavailable, UsageError
from core.model_card import PreprocessSettings
from core.model_store import load_network
from training.batches import SliceSource
from training.lightning_module import SegmentationTask, _mean_of, learning_rate
from training.machine import choose_machine
from training.options import Stage, TrainOptions
from training.pairs import Pairs
from training.train import train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

HALF = 1e-3  # weights are kept with 16 bits
STAGES = (Stage(10, 2, 32, 1e-2), Stage(5, 1, 64, 4e-3))


@pytest.fixture
def options(discs: Path, small_preprocessing: PreprocessSettings, tmp_path: Path) -> TrainOptions:
    return TrainOptions(
        data=discs, out=tmp_path / "run", network="nested-unet", filters=(4, 6, 8), folds=None, inner=0.0,
        stages=(Stage(1, 2, 32, 1e-2),), batch=4, average=0.9, precision="fp32", device="cpu", threads=1,
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
    ("device", "cuda", "newer", "precision"),
    [("auto", True, 0, "bf16"), ("auto", True, 1, "fp32"), ("cuda:1", True, 1, "bf16"), ("cuda:1", True, 0, "fp32"),
     ("cpu", True, 0, "fp32"), ("auto", False, 0, "fp32")],
)  # fmt: skip
def test_bf16_is_chosen_where_the_device_that_learns_has_it(
    monkeypatch: pytest.MonkeyPatch, device: str, cuda: bool, newer: int, precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("core.inference.devices._answers", lambda device: True)
    capability = lambda card: (8, 0) if card.index == newer else (7, 5)  # noqa: E731
    monkeypatch.setattr(torch.cuda, "get_device_capability", capability)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    chosen = choose_machine(device, "auto")
    assert chosen.precision == precision
    assert chosen.for_lightning["devices"] == {"auto": [0] if cuda else 1, "cuda:1": [1], "cpu": 1}[device]


@pytest.mark.parametrize(
    ("device", "precision", "words"),
    [("mps", "auto", "the device must be"), ("cpu", "bf16-mixed", "the precision must be"), ("cpu", "fp16", "CUDA"),
     ("cuda:9", "auto", "CUDA device")],
)  # fmt: skip
def test_what_cannot_be_computed_on_is_said_before_anything_is_read(
    options: TrainOptions, device: str, precision: str, words: str
) -> None:
    with pytest.raises((UsageError, DeviceUnavailable), match=words):
        train(replace(options, device=device, precision=precision))
    assert not options.out.exists()


def test_slices_kept_on_the_device_are_those_that_are_read() -> None:
    draw = np.random.default_rng(0)
    images, truths = draw.integers(0, 256, (9, 2, 8, 8), np.uint8), draw.integers(0, 2, (9, 8, 8), np.uint8)
    pairs = Pairs(images, truths, draw.random((9, 2, 2), np.float32), np.array(["one"] * 9), ("t1", "flair"), "")
    whole = sum(array.nbytes for array in (pairs.images, pairs.truths, pairs.levels))
    chosen, device = np.array([7, 0, 3]), torch.device("cpu")
    held, read = SliceSource(pairs, device, whole), SliceSource(pairs, device, whole - 1)
    expected = (images[chosen], truths[chosen], pairs.levels[chosen])
    images[:] = 0  # what is held was copied; what is read is read anew
    for taken, wanted in zip(held.take(chosen), expected, strict=True):
        assert (taken.numpy() == wanted).all()
    assert not read.take(chosen)[0].any()
    assert (read.take(chosen)[1].numpy() == expected[1]).all()


def test_what_is_counted_is_no_average(options: TrainOptions) -> None:
    network = torch.nn.BatchNorm2d(2)
    mean = _mean_of(network, get_ema_multi_avg_fn(0.9))
    for step in range(20):
        network(torch.full((2, 2, 3, 3), float(step)))
        mean.update_parameters(network)
    assert mean.module.num_batches_tracked == network.num_batches_tracked == 20
    assert (mean.module.running_mean < network.running_mean).all()


@pytest.mark.parametrize("decay", [0.5, 0.998])
def test_the_model_is_the_moving_average_of_the_weights(options: TrainOptions, decay: float) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, module, *_):
            seen.append(copy.deepcopy(module.network.state_dict()))

    shares: list[float] = []
    stages = (Stage(4, 2, 32, 1e-2),)
    options = replace(options, network="attention-unet", stages=stages, average=decay)
    result = train(options, moving=lambda share, epoch, epochs: shares.append(share), callbacks=[Watch()])
    tenth = 1 - 10 / len(seen)
    assert 0.5 < tenth < 0.9
    decay = min(decay, tenth)
    assert shares == pytest.approx([(step + 1) / len(seen) for step in range(len(seen))])
    average = seen[0]
    for state in seen[1:]:
        for name, value in state.items():
            average[name] = decay * average[name] + (1 - decay) * value if value.is_floating_point() else value
    kept = load_network(result.model).state_dict()
    for name, value in average.items():
        if value.is_floating_point():
            torch.testing.assert_close(kept[name], value, rtol=HALF, atol=HALF)
    assert any((value - seen[-1][name]).abs().max() > 5 * HALF for name, value in kept.items())


def test_the_model_can_be_the_mean_over_the_ends_of_the_last_stages(options: TrainOptions) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    class Watch(Callback):
        def on_train_epoch_end(self, trainer, module):
            seen.append(copy.deepcopy(module.average.module.state_dict()))

    class Stop(Callback):
        def on_train_epoch_start(self, trainer, module):
            if trainer.current_epoch == 3:
                raise RuntimeError("the light went out")

    stages = (Stage(1, 2, 32, 1e-2), Stage(2, 1, 32, 1e-2), Stage(1, 1, 32, 1e-2))
    meant = replace(options, stages=stages, ends=2)
    with pytest.raises(RuntimeError):
        train(meant, callbacks=[Watch(), Stop()])
    result = train(meant, callbacks=[Watch()])
    assert len(seen) == 4
    kept = load_network(result.model).state_dict()
    for name, value in kept.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (seen[2][name] + seen[3][name]) / 2, rtol=HALF, atol=HALF)
    with pytest.raises(UsageError, match="ends"):
        replace(options, stages=stages, ends=4)


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
        ({"neighbours": 0.5}, "neighbours"),
        ({"stages": (Stage(0, 2, 32, 1e-2),)}, "epochs"),
        ({"stages": (Stage(1, 2, 32, 0.0),)}, "peak"),
        ({"stages": (Stage(1, 2, 40, 1e-2),)}, "multiple of 16 for 5 filters"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(TrainOptions(Path(), Path(), "nested-unet"), **change)
