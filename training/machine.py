"""Where a run computes, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from core.inference.devices import Precision, check_precision, choose_device, has_bf16

LIGHTNINGS: dict[Precision, Any] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run's options come to on this machine.

    Attributes:
        device: that learns.
        precision: of the network's layers; weights, losses and batch normalisation stay float32.
    """

    device: torch.device
    precision: Precision

    @property
    def for_lightning(self) -> dict[str, Any]:
        """What its `Trainer` is told."""
        devices: Any = 1 if self.device.type == "cpu" else [self.device.index]
        return {"accelerator": self.device.type, "devices": devices, "precision": LIGHTNINGS[self.precision]}


def choose_machine(device: str, precision: str) -> Machine:
    """The device and precision for what was asked; "auto" is bf16 where the device that learns computes in it.

    Args:
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32, bf16 or fp16.

    Raises:
        UsageError: there is no such device or precision in general, or fp16 was asked of a CPU.
        DeviceUnavailable: this machine has no such device.
    """
    chosen = choose_device(device)
    if precision == "auto":
        return Machine(chosen, "bf16" if has_bf16(chosen) else "fp32")
    return Machine(chosen, check_precision(precision, chosen))
