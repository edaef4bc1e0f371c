from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.errors import DeviceLost, DeviceOutOfMemory, ModelDamaged, UsageError
from core.inference.devices import reduced
from core.inference.engines.torch_engine import CUDA_BATCH, TorchEngine
from core.networks import NETWORK_NAMES, build_network
from core.preprocess.clahe import clahe, tile_grid

FILTERS = (4, 6, 8, 10, 12)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")


def noise(count: int, height: int = 64, width: int = 48, seed: int = 0) -> Tensor:
    return torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=NETWORK_NAMES)
def network(request: pytest.FixtureRequest, randomise: Callable[..., Any]) -> nn.Module:
    made: nn.Module = randomise(build_network(request.param, 1, FILTERS), 1)
    return made


class Standin(nn.Module):
    """Twice each pixel; a subclass says when it fails."""

    stride, halo = 1, 0

    def forward(self, images: Tensor) -> Tensor:
        return 2 * images[:, :1]


class TooLittleMemory(Standin):
    def __init__(self, most: int, error: RuntimeError) -> None:
        super().__init__()
        self.most, self.error = most, error

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.most:
            raise self.error
        return super().forward(images)


no_memory = pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("tried to allocate much"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        torch.AcceleratorError("CUDA error: out of memory"),
    ],
    ids=["cuda", "cpu", "cudnn", "cudnn9", "driver"],
)


class Overflowing(Standin):
    """Infinite in reduced precision where a pixel is above 0.9."""

    def forward(self, images: Tensor) -> Tensor:
        answer = super().forward(images)
        return torch.where(answer > 1.8, torch.inf, answer) if torch.is_autocast_enabled("cpu") else answer


class Broken(Standin):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + torch.nan


@torch.inference_mode()
def test_logits_are_those_of_the_plain_network(network: nn.Module, tolerances: dict[str, float]) -> None:
    images = noise(3)
    difference = (TorchEngine(network, "cpu", "fp32").forward(images) - network(images)).abs().max().item()
    assert difference <= tolerances["channels-last logits"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("batch", [None, 4])
def test_a_window_has_the_same_bytes_in_any_company(network: nn.Module, precision: str, batch: int | None) -> None:
    engine, images = TorchEngine(network, "cpu", precision, batch=batch), noise(6)
    together = engine.forward(images)
    assert together.shape == (6, 1, 64, 48)
    assert together.dtype is torch.float32
    for index in range(6):
        assert torch.equal(engine.forward(images[index : index + 1]), together[index : index + 1])
    assert torch.equal(engine.forward(images.flip(0)), together.flip(0))


def test_every_call_of_the_network_has_the_full_batch() -> None:
    sizes = []

    class Watching(Standin):
        def forward(self, images: Tensor) -> Tensor:
            sizes.append(len(images))
            return super().forward(images)

    images = noise(5)
    assert torch.equal(TorchEngine(Watching(), "cpu", "fp32", batch=4).forward(images), 2 * images)
    assert sizes == [4, 4]
    assert TorchEngine(Standin(), "cpu", "fp32").batch == 1


def test_the_given_network_is_left_as_it_was(randomise: Callable[..., Any]) -> None:
    given = randomise(build_network("nested-unet", 1, FILTERS))
    before = {name: value.clone() for name, value in given.state_dict().items()}
    TorchEngine(given.train(), "cpu", "bf16")
    assert given.training
    assert all(
        torch.equal(value, before[name]) and value.dtype == before[name].dtype
        for name, value in given.state_dict().items()
    )


@torch.inference_mode()
def test_reduced_weights_give_the_bytes_that_autocast_gives(network: nn.Module) -> None:
    images = noise(1).contiguous(memory_format=torch.channels_last)
    network = network.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        converted_at_each_call = network(images)
        converted_once = reduced(network, torch.bfloat16)(images)
    assert torch.equal(converted_once, converted_at_each_call)


def test_bf16_stays_near_fp32_without_being_it(network: nn.Module, tolerances: dict[str, float]) -> None:
    images = noise(4, 128, 128)
    exact = TorchEngine(network, "cpu", "fp32").forward(images)
    away = (TorchEngine(network, "cpu", "bf16").forward(images) - exact).abs()
    assert 0 < away.mean().item() <= tolerances["bf16 logits, mean"]


def test_a_batch_with_a_logit_that_is_not_finite_is_repeated_in_fp32_and_said_once() -> None:
    engine, images = TorchEngine(Overflowing(), "cpu", "bf16", batch=2), 0.5 * noise(6)
    images[2, 0, 5, 5] = 0.95
    assert torch.equal(engine.forward(images), 2 * images)
    assert engine.take_fallbacks() == {"batch-repeated-in-fp32": 1}
    assert engine.take_fallbacks() == {}


def test_a_logit_that_is_not_finite_in_fp32_either_means_a_damaged_model() -> None:
    for precision in ("fp32", "bf16"):
        with pytest.raises(ModelDamaged, match="not finite"):
            TorchEngine(Broken(), "cpu", precision).forward(noise(1))


@no_memory
def test_running_out_of_memory_halves_the_batch_and_goes_on(error: RuntimeError) -> None:
    engine, images = TorchEngine(TooLittleMemory(3, error), "cpu", "fp32", batch=12), noise(20)
    assert torch.equal(engine.forward(images), 2 * images)
    assert engine.batch == 3
    assert engine.take_fallbacks() == {"batch-halved": 2}
    engine.forward(images)
    assert engine.take_fallbacks() == {}


@no_memory
def test_memory_that_does_not_hold_one_window_is_said(error: RuntimeError) -> None:
    engine = TorchEngine(TooLittleMemory(0, error), "cpu", "fp32", batch=4)
    with pytest.raises(DeviceOutOfMemory, match="smaller window"):
        engine.forward(noise(1))


def test_a_device_that_failed_is_said() -> None:
    class Failed(Standin):
        def forward(self, images: Tensor) -> Tensor:
            raise torch.AcceleratorError("CUDA error: unspecified launch failure")

    with pytest.raises(DeviceLost, match="start metseg again"):
        TorchEngine(Failed(), "cpu", "fp32").forward(noise(1))


def test_memory_that_runs_out_after_the_network_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    engine, images = TorchEngine(TooLittleMemory(1, torch.OutOfMemoryError()), "cpu", "fp32", batch=2), noise(2)
    monkeypatch.setattr(torch.Tensor, "sigmoid", full)
    with pytest.raises(DeviceOutOfMemory, match="smaller window"):
        engine.probability(images)
    monkeypatch.setattr(torch, "cat", full)
    with pytest.raises(DeviceOutOfMemory, match="smaller window"):
        engine.forward(images)


def test_memory_that_does_not_hold_the_network_is_said() -> None:
    class Large(Standin):
        def _apply(self, fn: Any, recurse: bool = True) -> nn.Module:
            raise torch.OutOfMemoryError

    with pytest.raises(DeviceOutOfMemory, match="the network"):
        TorchEngine(Large(), "cpu", "fp32")


def test_another_runtime_error_is_not_taken_for_lack_of_memory() -> None:
    class Failing(Standin):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("CUDA out of memory, it says, but it is something else")

    with pytest.raises(RuntimeError, match="something else"):
        TorchEngine(Failing(), "cpu", "fp32", batch=4).forward(noise(4))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 16), (17, 33), (100, 64), (3, 200)])
def test_pictures_are_equalised_scaled_and_padded_by_repeating_their_edge(
    height: int, width: int, randomise: Callable[..., Any]
) -> None:
    engine = TorchEngine(randomise(build_network("nested-unet", 2, FILTERS)), "cpu", "fp32")
    images = np.random.default_rng(0).integers(0, 256, (3, 2, height, width), np.uint8)
    batch = np.asarray(engine.prepare(images, 2.0, 32))
    assert batch.shape == (3, 2, height + -height % 16, width + -width % 16)
    assert batch.dtype == np.float32
    for index in np.ndindex(3, 2):
        equalised = clahe(images[index][None], 2.0, tile_grid(height, width, 32))[0]
        np.testing.assert_array_equal(batch[index][:height, :width], equalised.astype(np.float32) / 255)
    np.testing.assert_array_equal(
        batch[..., height:, :width],
        np.broadcast_to(batch[..., height - 1 : height, :width], batch[..., height:, :width].shape),
    )
    np.testing.assert_array_equal(
        batch[..., width:], np.broadcast_to(batch[..., width - 1 : width], batch[..., width:].shape)
    )


def test_a_negative_clip_limit_leaves_equalisation_out() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 1, 32, 32), np.uint8)
    batch = np.asarray(TorchEngine(Standin(), "cpu", "fp32").prepare(images, -1, 32))
    np.testing.assert_array_equal(batch, images.astype(np.float32) / 255)


def test_pictures_come_onto_the_grey_scale_that_is_given_each_on_its_own() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 32, 32), np.uint8)
    levels = np.random.default_rng(1).uniform(60, 120, (3, 2, 2)).astype(np.float32)
    engine = TorchEngine(Standin(), "cpu", "fp32", batch=2)
    batch = np.asarray(engine.prepare(images, -1, 32, levels=levels))
    expected = (images.astype(np.float64) - levels[..., :1, None]) / levels[..., 1:, None]
    np.testing.assert_allclose(batch, expected, atol=1e-5)
    whole = np.broadcast_to(np.float32([0, 255]), (3, 2, 2)).copy()
    np.testing.assert_array_equal(engine.prepare(images, 2.0, 32, levels=whole), engine.prepare(images, 2.0, 32))


def test_mirror_exchanges_left_and_right_and_probability_is_the_sigmoid_on_the_host() -> None:
    engine, logits = TorchEngine(Standin(), "cpu", "fp32"), torch.tensor([[[[-50.0, 0.0, 2.0]]]])
    np.testing.assert_array_equal(np.asarray(engine.mirror(logits))[0, 0, 0], [2, 0, -50])
    probability = engine.probability(logits)
    assert probability.dtype == np.float32
    np.testing.assert_allclose(probability, [[[0, 0.5, 1 / (1 + np.exp(-2))]]], atol=1e-7)


def test_a_network_that_halves_more_often_than_the_grid_gets_a_coarser_one() -> None:
    class Deep(Standin):
        stride, halo = 64, 80

    engine = TorchEngine(Deep(), "cpu", "fp32")
    assert (engine.grid, engine.halo) == (64, 128)


def test_a_batch_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        TorchEngine(Standin(), "cpu", "fp32", batch=0)


@needs_cuda
@pytest.mark.parametrize(("height", "width"), [(256, 256), (100, 131)])
def test_on_cuda_prepared_pictures_have_the_bytes_of_the_cpu(height: int, width: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (CUDA_BATCH, 1, height, width), np.uint8)
    on_cuda = TorchEngine(Standin(), "cuda", "fp32").prepare(images, 2.0, 32).cpu()
    assert torch.equal(on_cuda, TorchEngine(Standin(), "cpu", "fp32").prepare(images, 2.0, 32))


@needs_cuda
def test_on_cuda_fp32_logits_are_those_of_the_cpu_within_the_table(
    network: nn.Module, tolerances: dict[str, float]
) -> None:
    images, engine = noise(3, 128, 128), TorchEngine(network, "cuda", "fp32")
    reference = TorchEngine(network, "cpu", "fp32").forward(images)
    together = engine.forward(images.cuda())
    assert (together.cpu() - reference).abs().max().item() <= tolerances["cuda fp32 logits"]
    assert torch.equal(engine.forward(images[1:2].cuda()), together[1:2])


@needs_cuda
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_on_cuda_reduced_precision_stays_near_fp32(
    network: nn.Module, tolerances: dict[str, float], precision: str
) -> None:
    images = noise(4, 128, 128)
    exact = TorchEngine(network, "cpu", "fp32").forward(images)
    away = (TorchEngine(network, "cuda", precision).forward(images.cuda()).cpu() - exact).abs()
    assert 0 < away.mean().item() <= tolerances[f"{precision} logits, mean"]
