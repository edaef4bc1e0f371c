"""The machine that figures belong to."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib import metadata
from typing import Any

from core.inference.manifest import versions
from core.system import list_devices

PEERS = ("kornia", "monai")


def describe_machine() -> dict[str, Any]:
    """Devices, threads, versions, and how busy the machine is; JSON-ready, without names of hosts or users."""
    import cv2
    import torch

    return {
        "devices": [asdict(device) for device in list_devices()],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {**versions(), **_peers()},
        "cuda": torch.version.cuda,
        "cudnn": _cudnn(),
        "torch_threads": torch.get_num_threads(),
        "opencv_threads": cv2.getNumThreads(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _cudnn() -> int | str | None:
    """Its version; None without it; torch's complaint where it does not suit every card, though one is not in use."""
    import torch

    try:
        version: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        return str(error).partition("\n")[0]
    return version


def _peers() -> dict[str, str]:
    found = {}
    for name in PEERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
