"""Which device, and which precision on it."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, cast

import torch
from torch import nn

from core.errors import DeviceUnavailable, UsageError
from core.inference import remembered
from core.system import check_names

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
WORTH_IT = 0.9
"""bf16 is chosen where it takes less than this part of float32's time; a smaller gain isn't worth the accuracy."""


def choose_device(asked: str = "auto") -> torch.device:
    """The device for "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        UsageError: it is none of these.
        DeviceUnavailable: this machine has no such device.
    """
    check_names(asked, "auto")
    if asked == "auto":
        first = torch.device("cuda:0")
        return first if torch.cuda.is_available() and _answers(first) else torch.device("cpu")
    if asked == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceUnavailable(f"no CUDA device can be used here; choose auto or cpu, or {_remedy()}")
    index, count = int(asked.partition(":")[2] or 0), torch.cuda.device_count()
    if index >= count:
        raise DeviceUnavailable(f"there is no CUDA device {index}; the last one here is {count - 1}")
    device = torch.device("cuda", index)
    if not _answers(device):
        raise DeviceUnavailable(
            f"CUDA device {index} does not compute, because another program fills its memory or this torch is too new "
            "for it; choose cpu"
        )
    return device


def _remedy() -> str:
    """What makes torch see a CUDA device: a torch that can, or a driver that suits it."""
    if torch.version.cuda is None:
        return "install torch for CUDA"
    return f"see that the driver of a CUDA device is there and new enough for CUDA {torch.version.cuda}"


def _answers(device: torch.device) -> bool:
    """Whether a device that is there convolves; torch also counts cards that it, or cuDNN, has no kernels for."""
    try:
        ones = torch.ones(1, 1, 3, 3, device=device)
        return torch.nn.functional.conv2d(ones, ones).item() == 9
    except RuntimeError:
        return False


def choose_precision(asked: str, device: torch.device, network: nn.Module, channels: int, identity: str) -> Precision:
    """The precision for "auto", "fp32", "bf16" or "fp16" on a device.

    On a CPU "auto" is bf16 where the processor has instructions for it and a short timing agrees. What was found is
    kept for this kind of machine, this torch and this model, so that the next run answers the same.

    Args:
        asked: what the user wants.
        device: where the network runs.
        network: on that device, float32, in eval mode; only for the timing.
        channels: the network's inputs.
        identity: what tells this network from others.

    Raises:
        UsageError: no such precision, or fp16 on a CPU.
    """
    if asked != "auto":
        return check_precision(asked, device)
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return "bf16" if has_bf16(device) else "fp16" if major == 7 else "fp32"
    if not has_bf16(device):
        return "fp32"
    processor = torch.cpu.get_capabilities()
    name, cores = processor.get("cpu_name", "CPU"), processor.get("num_physical_cores", 0)
    key = f"precision | {name} | {cores} cores | torch {torch.__version__} | {identity}"
    kept = remembered.recall(key)
    if kept in ("fp32", "bf16"):
        return cast(Precision, kept)
    found: Precision = "bf16" if _bf16_is_faster(network, channels) else "fp32"
    remembered.keep(key, found)
    return found


def check_precision(asked: str, device: torch.device) -> Precision:
    """A precision other than "auto", as it was asked for.

    Raises:
        UsageError: no such precision, or fp16 on a CPU.
    """
    check_names("auto", asked)
    if asked == "fp16" and device.type != "cuda":
        raise UsageError("fp16 needs a CUDA device; choose bf16 or fp32")
    return cast(Precision, asked)


def has_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16; emulated, it would be slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    processor = torch.cpu.get_capabilities()
    return bool(processor.get("avx512_bf16") or processor.get("amx_bf16"))


class _ProcessWide:
    """A setting of the whole process, changed while any thread is within, and as it was after the last has left."""

    def __init__(self, read: Callable[[], Any], write: Callable[[Any], None], value: Any) -> None:
        self._read, self._write, self._value = read, write, value
        self._lock, self._within, self._before = threading.Lock(), 0, None

    @contextmanager
    def changed(self) -> Iterator[None]:
        with self._lock:
            if not self._within:
                self._before = self._read()
                self._write(self._value)
            self._within += 1
        try:
            yield
        finally:
            with self._lock:
                self._within -= 1
                if not self._within:
                    self._write(self._before)


def _set_kernels(value: tuple[bool, bool]) -> None:
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = value


# For convolutions alone: `torch.backends.cudnn.flags` fails where a program uses torch's newer settings.
_CONVOLUTIONS = _ProcessWide(
    lambda: torch.backends.cudnn.conv.fp32_precision,  # type: ignore[attr-defined]
    lambda value: setattr(torch.backends.cudnn.conv, "fp32_precision", value),  # type: ignore[attr-defined]
    "ieee",
)
_KERNELS = _ProcessWide(
    lambda: (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic), _set_kernels, (False, True)
)


def full_float32() -> AbstractContextManager[None]:
    """Convolutions in float32 without TF32, which keeps 10 bits of the mantissa; afterwards as the process had it."""
    return _CONVOLUTIONS.changed()


def same_kernels() -> AbstractContextManager[None]:
    """The same kernels on CUDA in every run; afterwards as the process had it."""
    return _KERNELS.changed()


@torch.inference_mode()
def _bf16_is_faster(network: nn.Module, channels: int) -> bool:
    picture = torch.rand(1, channels, 256, 256, generator=torch.Generator().manual_seed(0))
    picture = picture.contiguous(memory_format=torch.channels_last)
    fast, exact = reduced(network, torch.bfloat16), network

    def seconds(candidate: nn.Module, reduce: bool) -> float:
        times = []
        for _ in range(3):  # the first also compiles kernels and rearranges weights
            start = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=reduce):
                candidate(picture)
            times.append(time.perf_counter() - start)
        return min(times[1:])

    return seconds(fast, True) < WORTH_IT * seconds(exact, False)


def reduced(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy whose convolutions are stored in `dtype`, which autocast would otherwise convert at every call."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(dtype)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
