"""What this machine offers, asked without torch: processor, graphics cards, folders, versions."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UsageError

VERSION = "0.1.0"
RESEARCH_ONLY = "Research use only: not a medical device, not for diagnosis or treatment."
# The instruction sets that decide how fast, and in which precision, a network runs: x86 first, then ARM.
TELLING_FEATURES = (
    *("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8"),
    *("asimd", "bf16", "i8mm", "sve"),
)
DEVICE_NAME = r"auto|cpu|cuda(:[0-9]{1,3})?"
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
ANSWER_WITHIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Device:
    """A processor or graphics card, as the operating system or the driver names it.

    Attributes:
        kind: "cpu" or "cuda", as `--device` takes it.
        name: the maker's name.
        memory_bytes: its memory, or None where nobody said.
        threads: how many this process may use; None for a graphics card.
        features: instruction sets that matter here; empty for a graphics card.
        driver: the driver's version; None for a processor.
        capability: CUDA compute capability, "9.0"; None where unknown.
    """

    kind: str
    name: str
    memory_bytes: int | None = None
    threads: int | None = None
    features: tuple[str, ...] = ()
    driver: str | None = None
    capability: str | None = None


def check_names(device: str, precision: str) -> None:
    """See that a device and a precision are called as options call them; whether they are here, torch must tell.

    Raises:
        UsageError: they are not.
    """
    if re.fullmatch(DEVICE_NAME, device) is None:
        raise UsageError("the device must be auto, cpu, cuda or cuda:N", source=device)
    if precision not in PRECISIONS:
        raise UsageError("the precision must be auto, fp32, bf16 or fp16", source=precision)


def list_devices() -> tuple[Device, ...]:
    """Graphics cards in the driver's order, then the processor."""
    return (*graphics_cards(), processor())


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Device:
    """This machine's processor."""
    name, flags = _read_cpuinfo(cpuinfo)
    if not name and sys.platform == "darwin":
        name = _output_of("sysctl", "-n", "machdep.cpu.brand_string")
    if not name:
        import platform

        name = os.environ.get("PROCESSOR_IDENTIFIER") or platform.machine() or "unknown processor"
    return Device(
        kind="cpu",
        name=name,
        memory_bytes=_main_memory(),
        threads=usable_threads(),
        features=tuple(feature for feature in TELLING_FEATURES if feature in flags),
    )


def usable_threads() -> int:
    """How many processor threads this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def graphics_cards() -> tuple[Device, ...]:
    """NVIDIA cards as their driver lists them; empty where there is no driver or no card."""
    cards = _ask_nvml()
    return _ask_nvidia_smi() if cards is None else cards


def cache_folder() -> Path:
    """Where this user's caches lie, by the platform's custom; METSEG_CACHE names another folder. Not created here.

    Raises:
        RuntimeError: the user has no home.
    """
    if named := os.environ.get("METSEG_CACHE"):
        return Path(named)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "metseg"


def check_torch() -> dict[str, Any]:
    """Import torch and let each device it sees compute something small; JSON-ready.

    Returns:
        "torch": its version; "cuda_built": the CUDA version it was built for, or None; "devices": for each device its
        name, whether it computed rightly ("works"), and the first line of what went wrong, or None.
    """
    import torch

    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    checks: list[dict[str, Any]] = []
    for name in names:
        label, problem = name, None
        try:
            if name != "cpu":
                label = torch.cuda.get_device_name(name)
            # 0² + 1² + … + 99², exact in float32: a computation and a copy back.
            row = torch.arange(100, dtype=torch.float32, device=name)
            works = float(row @ row) == 328350.0
        except RuntimeError as error:
            works, problem = False, str(error).partition("\n")[0]
        checks.append({"device": name, "name": label, "works": works, "problem": problem})
    return {
        "torch": str(torch.__version__),
        "cuda_built": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "devices": checks,
    }


def _read_cpuinfo(path: Path) -> tuple[str, frozenset[str]]:
    """Model name and flags of the first processor in /proc/cpuinfo; empty where there is no such file."""
    name, flags = "", frozenset[str]()
    with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            key, _, value = (part.strip() for part in line.partition(":"))
            if key == "model name" and not name:
                name = value
            elif key in ("flags", "Features") and not flags:
                flags = frozenset(value.split())
            if name and flags:
                break
    return name, flags


def _main_memory() -> int | None:
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _ask_nvml() -> tuple[Device, ...] | None:
    """The cards by way of the driver's own library; None where it is missing or does not answer."""
    import ctypes

    class Memory(ctypes.Structure):
        _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))

    try:
        nvml = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        if nvml.nvmlInit_v2() != 0:
            return None
    except (OSError, AttributeError):
        return None

    def text(function: Any, *arguments: Any) -> str:
        buffer = ctypes.create_string_buffer(96)
        return buffer.value.decode(errors="replace") if function(*arguments, buffer, 96) == 0 else ""

    def cards() -> Iterator[Device]:
        driver = text(nvml.nvmlSystemGetDriverVersion)
        count = ctypes.c_uint()
        nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
        for index in range(count.value):
            card = ctypes.c_void_p()
            if nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(card)) != 0:
                continue
            memory, major, minor = Memory(), ctypes.c_int(), ctypes.c_int()
            has_memory = nvml.nvmlDeviceGetMemoryInfo(card, ctypes.byref(memory)) == 0
            capable = nvml.nvmlDeviceGetCudaComputeCapability(card, ctypes.byref(major), ctypes.byref(minor)) == 0
            yield Device(
                kind="cuda",
                name=text(nvml.nvmlDeviceGetName, card) or "NVIDIA card",
                memory_bytes=int(memory.total) if has_memory else None,
                driver=driver or None,
                capability=f"{major.value}.{minor.value}" if capable else None,
            )

    try:
        return tuple(cards())
    except AttributeError:  # a driver too old for one of these functions
        return None
    finally:
        nvml.nvmlShutdown()


def _ask_nvidia_smi() -> tuple[Device, ...]:
    table = _output_of("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")
    return tuple(_card_of_row(row) for row in table.splitlines() if row.count(",") >= 2)


def _card_of_row(row: str) -> Device:
    name, mebibytes, driver = (cell.strip() for cell in row.rsplit(",", 2))
    return Device("cuda", name, int(mebibytes) * 2**20 if mebibytes.isdigit() else None, driver=driver)


def _output_of(*command: str) -> str:
    """What a program prints, or "" where it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_WITHIN_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
