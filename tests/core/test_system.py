from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core import system

X86 = """processor\t: 0
model name\t: Some CPU @ 2.00GHz
flags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16
processor\t: 1
model name\t: Some CPU @ 2.00GHz
flags\t\t: fpu
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n"


def test_an_x86_processor_is_named_with_what_matters_of_its_flags(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(X86)
    device = system.processor(tmp_path / "cpuinfo")
    assert device.name == "Some CPU @ 2.00GHz"
    assert device.features == ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def test_an_arm_processor_has_features_and_some_name(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(ARM)
    device = system.processor(tmp_path / "cpuinfo")
    assert device.name
    assert device.features == ("asimd", "bf16", "i8mm")


def test_without_cpuinfo_there_is_still_a_processor(tmp_path: Path) -> None:
    device = system.processor(tmp_path / "missing")
    assert (device.kind, device.features) == ("cpu", ())
    assert device.name
    assert device.threads is not None
    assert 1 <= device.threads <= (os.cpu_count() or 1)


class FakeDriver:
    """Answers as NVIDIA's library does, through the pointers it is given."""

    def __init__(self, cards: int) -> None:
        self.cards, self.shut = cards, False

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlShutdown(self) -> int:  # noqa: N802
        self.shut = True
        return 0

    def nvmlSystemGetDriverVersion(self, buffer: Any, size: int) -> int:  # noqa: N802
        buffer.value = b"575.57.08"
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.cards
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, card: Any) -> int:  # noqa: N802
        card._obj.value = index + 1
        return 0

    def nvmlDeviceGetName(self, card: Any, buffer: Any, size: int) -> int:  # noqa: N802
        buffer.value = f"Card {card.value}".encode()
        return 0

    def nvmlDeviceGetMemoryInfo(self, card: Any, memory: Any) -> int:  # noqa: N802
        memory._obj.total = 8 << 30
        return 0 if card.value == 1 else 3

    def nvmlDeviceGetCudaComputeCapability(self, card: Any, major: Any, minor: Any) -> int:  # noqa: N802
        major._obj.value, minor._obj.value = 9, 0
        return 0


def test_cards_are_what_the_drivers_library_says(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver(2)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert system.graphics_cards() == (
        system.Device("cuda", "Card 1", memory_bytes=8 << 30, driver="575.57.08", capability="9.0"),
        system.Device("cuda", "Card 2", driver="575.57.08", capability="9.0"),
    )
    assert driver.shut


def test_without_the_library_the_drivers_tool_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA Big, Blue, 81559, 550.1'\necho 'NVIDIA Odd, [N/A], 550.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert system.graphics_cards() == (
        system.Device("cuda", "NVIDIA Big, Blue", memory_bytes=81559 << 20, driver="550.1"),
        system.Device("cuda", "NVIDIA Odd", driver="550.1"),
    )


@pytest.mark.parametrize("script", ["exit 9", "exec sleep 60"])
def test_a_tool_that_fails_or_hangs_means_no_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(nvmlInit_v2=lambda: 999))
    monkeypatch.setattr(system, "ANSWER_WITHIN_SECONDS", 0.2)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        f"#!/bin/sh\necho 'NVIDIA X, 1, 1'\nexec {script}\n" if "sleep" in script else f"#!/bin/sh\n{script}\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert system.graphics_cards() == ()


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/caches"}, "/caches/metseg"),
        ("linux", {"HOME": "/me"}, "/me/.cache/metseg"),
        ("darwin", {"HOME": "/me"}, "/me/Library/Caches/metseg"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/metseg"),
        ("linux", {"METSEG_CACHE": "/mine", "XDG_CACHE_HOME": "/caches"}, "/mine"),
    ],
)
def test_the_cache_folder_is_where_the_platform_or_the_user_wants_it(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("METSEG_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert system.cache_folder() == Path(expected)


def test_torch_computes_on_the_processor() -> None:
    check = system.check_torch()
    assert check["devices"][0] == {"device": "cpu", "name": "cpu", "works": True, "problem": None}


def test_a_card_that_torch_cannot_reach_is_said_and_not_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def no_driver(*_: Any) -> str:
        raise RuntimeError("The NVIDIA driver on your system is too old\nand more")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", no_driver)
    check = system.check_torch()["devices"][1]
    assert check == {
        "device": "cuda:0", "name": "cuda:0", "works": False, "problem": "The NVIDIA driver on your system is too old",
    }  # fmt: skip
