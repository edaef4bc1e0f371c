from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.errors import DeviceUnavailable, UsageError
from core.inference import devices, remembered
from core.inference.devices import choose_device, choose_precision, full_float32, has_bf16, same_kernels

CPU = torch.device("cpu")


class Network(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / remembered.FILE


def has(monkeypatch: pytest.MonkeyPatch, **features: Any) -> None:
    capabilities: Mapping[str, Any] = {"cpu_name": "a processor", "num_physical_cores": 4, **features}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)


def timing_says(monkeypatch: pytest.MonkeyPatch, *answers: bool) -> None:
    left = list(answers)
    monkeypatch.setattr(devices, "_bf16_is_faster", lambda network, channels: left.pop(0))


def test_without_cuda_auto_is_the_cpu_and_cuda_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == choose_device("cpu") == CPU
    for asked in ("cuda", "cuda:0"):
        with pytest.raises(DeviceUnavailable, match="no CUDA device can be used here"):
            choose_device(asked)


@pytest.mark.parametrize(
    ("built", "remedy"), [(None, "install torch for CUDA"), ("13.0", "driver .* new enough for CUDA 13.0")]
)
def test_what_would_help_is_said(built: str | None, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", built)
    with pytest.raises(DeviceUnavailable, match=remedy):
        choose_device("cuda")


def test_with_cuda_auto_is_the_first_device_and_one_too_far_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(devices, "_answers", lambda device: True)
    assert str(choose_device("auto")) == str(choose_device("cuda")) == "cuda:0"
    assert str(choose_device("cuda:1")) == "cuda:1"
    with pytest.raises(DeviceUnavailable, match="no CUDA device 2; the last one here is 1"):
        choose_device("cuda:2")


def test_a_card_that_does_not_compute_is_left_alone_by_auto_and_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)

    def no_kernel(*_: Any, **__: Any) -> Any:
        raise torch.AcceleratorError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(torch, "ones", no_kernel)
    assert choose_device("auto") == CPU
    with pytest.raises(DeviceUnavailable, match="CUDA device 0 does not compute"):
        choose_device("cuda")


@pytest.mark.parametrize("asked", ["", "gpu", "cuda:", "cuda:-1", "cuda:one", "CPU ", "mps", "cuda:1234"])
def test_a_device_that_is_no_device_is_wrong_usage(asked: str) -> None:
    with pytest.raises(UsageError, match="auto, cpu, cuda or cuda:N"):
        choose_device(asked)


@pytest.mark.parametrize(("asked", "said"), [("fp64", "auto, fp32, bf16 or fp16"), ("fp16", "needs a CUDA device")])
def test_a_precision_that_cannot_be_is_wrong_usage(asked: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        choose_precision(asked, CPU, Network(), 1, "")


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_what_the_user_asks_for_is_taken_without_timing(
    asked: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch)
    timing_says(monkeypatch)
    assert choose_precision(asked, CPU, Network(), 1, "") == asked
    assert not cache.exists()


def test_a_processor_without_the_instructions_is_not_even_timed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, avx512_f=True, avx512_bf16=False)
    timing_says(monkeypatch)
    assert choose_precision("auto", CPU, Network(), 1, "") == "fp32"
    assert not cache.exists()


@pytest.mark.parametrize("feature", ["avx512_bf16", "amx_bf16"])
def test_a_processor_with_the_instructions_is_timed_once_for_each_network(
    feature: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, **{feature: True})
    timing_says(monkeypatch, True, False)
    assert choose_precision("auto", CPU, Network(), 1, "one") == "bf16"
    assert choose_precision("auto", CPU, Network(), 1, "two") == "fp32"
    assert choose_precision("auto", CPU, Network(), 1, "one") == "bf16"
    assert choose_precision("auto", CPU, Network(), 1, "two") == "fp32"
    assert cache.exists()


def test_another_machine_or_another_torch_is_timed_anew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timing_says(monkeypatch, True, False, False)
    has(monkeypatch, avx512_bf16=True)
    assert choose_precision("auto", CPU, Network(), 1, "") == "bf16"
    has(monkeypatch, avx512_bf16=True, cpu_name="another")
    assert choose_precision("auto", CPU, Network(), 1, "") == "fp32"
    has(monkeypatch, avx512_bf16=True)
    monkeypatch.setattr(torch, "__version__", "99")
    assert choose_precision("auto", CPU, Network(), 1, "") == "fp32"


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff\xfe", b'{"a": 1}'])
def test_a_damaged_file_of_choices_is_as_good_as_none_and_is_mended(
    damage: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, avx512_bf16=True)
    cache.parent.mkdir()
    cache.write_bytes(damage)
    timing_says(monkeypatch, True)
    assert choose_precision("auto", CPU, Network(), 1, "") == "bf16"
    assert choose_precision("auto", CPU, Network(), 1, "") == "bf16"
    assert [path.name for path in cache.parent.iterdir()] == [remembered.FILE]


def test_where_nothing_can_be_kept_it_is_timed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("METSEG_CACHE", str(tmp_path / "file"))  # a folder cannot be made of it
    has(monkeypatch, avx512_bf16=True)
    timing_says(monkeypatch, True, False)
    assert choose_precision("auto", CPU, Network(), 1, "") == "bf16"
    assert choose_precision("auto", CPU, Network(), 1, "") == "fp32"


def test_the_timing_runs_both_precisions_and_prefers_the_one_that_is_faster() -> None:
    import time

    seen = []

    class Slow(nn.Module):
        def __init__(self, slow_in_bf16: bool) -> None:
            super().__init__()
            self.slow_in_bf16 = slow_in_bf16

        def forward(self, images: Tensor) -> Tensor:
            seen.append((images.shape, torch.is_autocast_enabled("cpu")))
            time.sleep(0.03 if torch.is_autocast_enabled("cpu") == self.slow_in_bf16 else 0)
            return images

    assert not devices._bf16_is_faster(Slow(slow_in_bf16=True), 3)
    assert devices._bf16_is_faster(Slow(slow_in_bf16=False), 3)
    assert {shape for shape, _ in seen} == {(1, 3, 256, 256)}
    assert {autocast for _, autocast in seen} == {True, False}


def test_whether_a_card_has_bf16_is_asked_of_that_card(monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities = {torch.device("cuda:0"): (9, 0), torch.device("cuda:1"): (7, 5)}
    monkeypatch.setattr(torch.cuda, "get_device_capability", capabilities.__getitem__)
    assert [has_bf16(card) for card in capabilities] == [True, False]


@pytest.fixture
def convolutions() -> Iterator[Any]:
    """The process's setting for convolutions on CUDA, as it was again afterwards."""
    convolutions: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    general, own = torch.backends.fp32_precision, convolutions.fp32_precision
    yield convolutions
    torch.backends.fp32_precision, convolutions.fp32_precision = general, own


@pytest.mark.parametrize("before", ["tf32", "ieee"])
def test_float32_is_float32_and_afterwards_what_the_process_wanted(before: str, convolutions: Any) -> None:
    convolutions.fp32_precision = before
    torch.backends.fp32_precision = before  # with which torch's older settings cannot be read any more
    with full_float32():
        assert convolutions.fp32_precision == "ieee"
    assert convolutions.fp32_precision == before


def test_a_thread_that_is_done_leaves_float32_to_the_others(convolutions: Any) -> None:
    convolutions.fp32_precision = "tf32"
    cudnn = torch.backends.cudnn
    kernels = cudnn.benchmark, cudnn.deterministic
    first, second = (threading.Event() for _ in range(2))

    def compute(begun: threading.Event, until: threading.Event) -> None:
        with same_kernels(), full_float32():
            begun.set()
            assert until.wait(60)

    with ThreadPoolExecutor(1) as pool, same_kernels(), full_float32():
        other = pool.submit(compute, first, second)
        assert first.wait(60)
        second.set()
        other.result(60)
        assert (convolutions.fp32_precision, cudnn.benchmark, cudnn.deterministic) == ("ieee", False, True)
    with ThreadPoolExecutor(1) as pool:
        first.clear()
        second.clear()
        with full_float32():
            other = pool.submit(compute, first, second)
            assert first.wait(60)
        assert (convolutions.fp32_precision, cudnn.deterministic) == ("ieee", True)
        second.set()
        other.result(60)
    assert (convolutions.fp32_precision, (cudnn.benchmark, cudnn.deterministic)) == ("tf32", kernels)
