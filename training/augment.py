"""Random changes of training batches, on whatever device the batch lies on.

Every draw comes from one CPU generator, so that a run takes the same course on any device and after any interruption;
only the noise of every pixel is drawn on the device, from a seed that this generator gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from core.preprocess.levels import standardise


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How strongly batches are changed; each value is the largest change, drawn evenly up to it.

    Attributes:
        rotation: degrees to either side.
        scale: natural logarithm of the magnification, to either side.
        shift: pixels on the full grid, to either side, by which the window leaves the centre.
        flip: probability of exchanging left and right.
        gain: natural logarithm of the contrast about the head's median, to either side.
        offset: of the brightness, to either side, in spreads of the head's grey levels.
        gamma: natural logarithm of the power to which grey levels are raised, to either side; the head's median stays.
        bias: of a smooth field that is added, to either side, in such spreads.
        noise: standard deviation, in such spreads.
        blur: probability of a mixture with the mean of each 3×3 pixels.
    """

    rotation: float = 20.0
    scale: float = 0.22
    shift: float = 24.0
    flip: float = 0.5
    gain: float = 0.25
    offset: float = 0.4
    gamma: float = 0.0
    bias: float = 0.5
    noise: float = 0.2
    blur: float = 0.2


def augment(
    images: Tensor,
    truths: Tensor,
    levels: Tensor,
    window: int,
    shrink: int,
    settings: AugmentSettings,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """A changed window of every slice of a batch.

    Args:
        images: (N, C, H, W) uint8.
        truths: (N, H, W) uint8, 0 or 1.
        levels: (N, C, 2) float32, each channel's median and spread in the head, in grey levels.
        window: pixels of the square that comes out.
        shrink: pixels of the grid along one axis that become one pixel of the window.
        settings: how strongly.
        generator: on the CPU.

    Returns:
        images (N, C, window, window) float32 on the scale of their heads, see `core.preprocess.levels`; truths
        (N, 1, window, window) float32, 0 or 1.
    """
    device = images.device
    pictures = images.float() / 255
    masks = truths[:, None].float()
    if shrink > 1:
        pictures = functional.avg_pool2d(pictures, shrink)
        masks = functional.avg_pool2d(masks, shrink)
    theta = _affine(pictures, window, shrink, settings, generator).to(device)  # (N, 2, 3)
    where = functional.affine_grid(theta, [len(images), 1, window, window], align_corners=False)
    pictures = functional.grid_sample(pictures, where, mode="bilinear", padding_mode="border", align_corners=False)
    masks = functional.grid_sample(masks, where, mode="bilinear", padding_mode="zeros", align_corners=False)
    pictures = _gamma(pictures, levels, settings, generator)
    pictures = _intensity(standardise(pictures, levels), settings, generator)
    return pictures, (masks >= 0.5).float()


def _even(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Even draws from [-1, 1)."""
    return torch.rand(shape, generator=generator) * 2 - 1


def _affine(
    pictures: Tensor, window: int, shrink: int, settings: AugmentSettings, generator: torch.Generator
) -> Tensor:
    """(N, 2, 3): from the window's normalised (x, y) to the picture's."""
    count, _, height, width = pictures.shape
    angle = _even((count,), generator) * math.radians(settings.rotation)
    zoom = torch.exp(_even((count,), generator) * settings.scale)
    mirror = torch.where(torch.rand(count, generator=generator) < settings.flip, -1.0, 1.0)
    shift = _even((count, 2), generator) * settings.shift / shrink
    half = window / 2 / zoom
    cos, sin = torch.cos(angle) * half, torch.sin(angle) * half
    rows = torch.stack([cos * mirror, -sin, shift[:, 0], sin * mirror, cos, shift[:, 1]], dim=1).view(count, 2, 3)
    return rows / torch.tensor([width / 2, height / 2]).view(1, 2, 1)


def _gamma(pictures: Tensor, levels: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Raise (N, C, H, W) in [0, 1] to a power, each channel of a slice by itself, about the median of its head."""
    if not settings.gamma:
        return pictures
    power = torch.exp(_even((*pictures.shape[:2], 1, 1), generator) * settings.gamma).to(pictures.device)
    median = levels[..., :1, None].clamp(min=1) / 255  # (N, C, 1, 1)
    return median * (pictures / median) ** power


def _intensity(pictures: Tensor, settings: AugmentSettings, generator: torch.Generator) -> Tensor:
    """Change the grey values of (N, C, H, W) on the scale of their heads; each channel of a slice by itself."""
    count, channels, height, width = pictures.shape
    device = pictures.device

    def draw(strength: float) -> Tensor:
        return (_even((count, channels, 1, 1), generator) * strength).to(device)

    blurred = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    chosen = torch.rand((count, 1, 1, 1), generator=generator) < settings.blur
    share = (torch.rand((count, 1, 1, 1), generator=generator) * chosen).to(device)
    pictures = torch.lerp(pictures, blurred, share)
    field = functional.interpolate(
        _even((count, channels, 4, 4), generator).to(device), (height, width), mode="bicubic", align_corners=False
    )
    strength = torch.rand((count, 1, 1, 1), generator=generator).to(device) * settings.bias
    pictures = pictures * torch.exp(draw(settings.gain)) + draw(settings.offset) + field * strength
    sigma = torch.rand((count, 1, 1, 1), generator=generator) * settings.noise
    return pictures + _noise(pictures.shape, device, generator) * sigma.to(device)


def _noise(shape: torch.Size, device: torch.device, generator: torch.Generator) -> Tensor:
    """Normal draws, made where they are needed, as there are as many as pixels."""
    if device.type == "cpu":
        return torch.randn(shape, generator=generator)
    seed = int(torch.randint(1 << 62, (1,), generator=generator))
    return torch.randn(shape, generator=torch.Generator(device).manual_seed(seed), device=device)
