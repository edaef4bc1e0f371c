"""The reference engine: PyTorch, on a CPU or a CUDA device."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from core.errors import DeviceLost, DeviceOutOfMemory, ModelDamaged, UsageError
from core.inference.devices import DTYPES, choose_device, choose_precision, full_float32, reduced, same_kernels
from core.inference.tiling import GRID
from core.preprocess.clahe import equalise
from core.preprocess.levels import standardise

CUDA_BATCH = 8
"""Windows per call on CUDA: enough to fill a device at 256², few enough that a lone slice is not kept waiting."""

NO_WINDOW = "the device's memory does not hold even one window; choose another device or a smaller window"
NO_MEMORY = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",  # cuDNN 9's, on the host and on the device
    "unable to find an engine",  # cuDNN's, whose every plan for a convolution has failed for want of memory
)


class TorchEngine:
    """Runs a network in eager PyTorch, channels last, in a fixed batch; see `Engine`.

    On a CPU the batch is one window, because more are no faster there and so nothing depends on company at all.

    Args:
        network: as `core.networks` builds it: with `stride` and `halo`. It is copied, not changed.
        device: "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N".
        precision: "auto", "fp32", "bf16" or, on CUDA, "fp16".
        channels: the network's inputs.
        batch: windows per call; None is 1 on a CPU and `CUDA_BATCH` on CUDA.
        identity: what tells this network from others, under which an automatic choice is kept on this machine.

    Raises:
        UsageError: device, precision or batch make no sense.
        DeviceUnavailable: this machine has no such device.
    """

    name = "torch"

    def __init__(
        self,
        network: nn.Module,
        device: str = "auto",
        precision: str = "auto",
        *,
        channels: int = 1,
        batch: int | None = None,
        identity: str = "",
    ) -> None:
        if batch is not None and batch < 1:
            raise UsageError("the batch must be at least 1")
        self._device = choose_device(device)
        self.device = str(self._device)
        self.batch = batch if batch is not None else CUDA_BATCH if self._device.type == "cuda" else 1
        stride, halo = int(network.stride), int(network.halo)  # type: ignore[arg-type]
        self.grid = max(GRID, stride)
        self.halo = -(-halo // self.grid) * self.grid
        with _memory_said("the device's memory does not hold the network; choose another device"):
            self._exact = copy.deepcopy(network).eval().to(self._device)
            self._exact = self._exact.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            chosen = choose_precision(precision, self._device, self._exact, channels, identity)
            self.precision: str = chosen
            self._dtype = DTYPES[chosen]
            self._reduced = None if self._dtype is torch.float32 else reduced(self._exact, self._dtype)
        self._fallbacks: Counter[str] = Counter()

    @torch.inference_mode()
    def prepare(
        self,
        images: NDArray[np.uint8],
        clip_limit: float,
        tile_px: int,
        shrink: int = 1,
        levels: NDArray[np.float32] | None = None,
    ) -> Tensor:
        """See `Engine.prepare`; CLAHE runs on the device on CUDA, through OpenCV on a CPU."""

        def step(part: range) -> Tensor:
            chosen = slice(part.start, part.stop)
            return self._prepare(
                images[chosen], clip_limit, tile_px, shrink, None if levels is None else levels[chosen]
            )

        return self._in_batches(step, range(len(images)))

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """See `Engine.forward`."""
        return self._in_batches(self._forward, images)

    def mirror(self, images: Tensor) -> Tensor:
        """See `Engine.mirror`."""
        with _memory_said(NO_WINDOW):
            return images.flip(-1)

    @torch.inference_mode()
    def probability(self, logits: Tensor) -> NDArray[np.float32]:
        """See `Engine.probability`."""
        with _memory_said(NO_WINDOW), _loss_said():
            probability: NDArray[np.float32] = logits[:, 0].sigmoid().cpu().numpy()
        return probability

    def take_fallbacks(self) -> dict[str, int]:
        """See `Engine.take_fallbacks`."""
        taken, self._fallbacks = dict(self._fallbacks), Counter()
        return taken

    def _in_batches(self, step: Callable[[Any], Tensor], items: Any) -> Tensor:
        """`step` over `items` in batches; where memory runs out, that batch again at half the size, and so on."""
        answers: list[Tensor] = []
        done = 0
        while done < len(items):
            part = items[done : done + self.batch]
            answer = self._attempt(step, part)
            if answer is not None:
                answers.append(answer)
                done += len(part)
            elif self.batch == 1:
                raise DeviceOutOfMemory(NO_WINDOW)
            else:
                self.batch //= 2
                self._fallbacks["batch-halved"] += 1
        with _memory_said(NO_WINDOW):
            return answers[0] if len(answers) == 1 else torch.cat(answers)

    def _attempt(self, step: Callable[[Any], Tensor], part: Any) -> Tensor | None:
        # None is returned after the handler has ended, for the error holds on to the tensors of the failed call.
        try:
            with _loss_said():
                return step(part)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _prepare(
        self,
        images: NDArray[np.uint8],
        clip_limit: float,
        tile_px: int,
        shrink: int,
        levels: NDArray[np.float32] | None,
    ) -> Tensor:
        count, channels, height, width = images.shape
        planes = np.ascontiguousarray(images).reshape(count * channels, height, width)
        if self._device.type == "cpu":
            planes = equalise(planes, clip_limit, tile_px)
        pixels = torch.from_numpy(planes).to(self._device)
        if self._device.type == "cuda":
            pixels = equalise(pixels, clip_limit, tile_px)
        batch = pixels.reshape(count, channels, height, width).float()
        # By a tensor, as CUDA multiplies by the inverse of a number, which differs from the CPU's answer in a last bit.
        batch = batch / batch.new_full((), 255.0)  # (N, C, H, W) in [0, 1]
        multiple = self.grid * shrink
        batch = functional.pad(batch, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        if shrink > 1:
            batch = functional.avg_pool2d(batch, shrink)  # (N, C, h, w), multiples of the grid
        if levels is not None:
            batch = standardise(batch, torch.from_numpy(levels).to(self._device))
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # so that the time is booked on CLAHE and not on the network
        return batch

    def _forward(self, images: Tensor) -> Tensor:
        count = len(images)
        if count < self.batch:
            images = torch.cat([images, images.new_zeros(self.batch - count, *images.shape[1:])])
        images = images.contiguous(memory_format=torch.channels_last)
        if self._reduced is not None:
            with self._exactly(), torch.autocast(self._device.type, self._dtype):
                logits: Tensor = self._reduced(images)
            logits = logits[:count].float()
            if _finite(logits):
                return logits
            self._fallbacks["batch-repeated-in-fp32"] += 1
        with self._exactly():
            logits = self._exact(images)[:count]
        if not _finite(logits):
            raise ModelDamaged("the network's answer is not finite; install the model again")
        return logits

    @contextmanager
    def _exactly(self) -> Iterator[None]:
        """No TF32 in float32, and the same kernels in every run."""
        if self._device.type != "cuda":
            yield
            return
        with same_kernels(), full_float32():
            yield


@contextmanager
def _memory_said(detail: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise DeviceOutOfMemory(detail) from error


@contextmanager
def _loss_said() -> Iterator[None]:
    """A kernel that failed, or a laptop that slept, leaves CUDA unusable to the process; it must begin anew."""
    try:
        yield
    except torch.AcceleratorError as error:
        if _is_out_of_memory(error):
            raise
        raise DeviceLost("the device failed and computes nothing more; start metseg again, or choose cpu") from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Torch has an error of its own only where its CUDA allocator fails; everything else is told by what it says."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in NO_MEMORY)


def _finite(logits: Tensor) -> bool:
    return bool(torch.isfinite(logits).all())
