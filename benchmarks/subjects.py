"""What is measured: networks at the standard and the shipped widths, and pictures to show them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.errors import DeviceUnavailable
from core.inference.devices import choose_device
from core.inference.engines import Batch, Engine
from core.model_card import PreprocessSettings
from core.model_store import find_model, load_card, load_network, shipped_models
from core.networks import NETWORK_NAMES, STANDARD_FILTERS, NestedUNet, build_network
from core.phantom import make_phantom
from core.preprocess.levels import levels_of

PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16")}
SIDE = 256
"""Height and width of the pictures whose times are stated."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to measure.

    Attributes:
        network: one of `NETWORK_NAMES`.
        filters: features of each level.
        model: the shipped model whose weights it has; None is fresh weights, which cost the same time.
    """

    network: str
    filters: tuple[int, ...]
    model: str | None = None

    @property
    def name(self) -> str:
        """The network with its first and last width, and the model if there is one."""
        width = f"{self.network} {self.filters[0]}…{self.filters[-1]}"
        return width if self.model is None else f"{width} ({self.model})"

    @property
    def slug(self) -> str:
        """The name as a test's id: without blanks, in ASCII."""
        return self.name.replace("…", "-").replace(" ", "-")

    @property
    def preprocessing(self) -> PreprocessSettings:
        """How its pictures are prepared: the model's way, or the plain one."""
        return PreprocessSettings() if self.model is None else load_card(find_model(self.model)).preprocessing

    def build(self) -> nn.Module:
        """The network in eval mode, on the CPU."""
        if self.model is not None:
            return load_network(find_model(self.model))
        return fresh_network(self.network, self.filters)


def standard_subjects() -> tuple[Subject, ...]:
    """Both networks at the standard width, with fresh weights."""
    return tuple(Subject(name, STANDARD_FILTERS) for name in NETWORK_NAMES)


def shipped_subjects() -> tuple[Subject, ...]:
    """The models that came with this installation, the default first."""
    networks = {model: load_card(find_model(model)).network for model in shipped_models()}
    return tuple(Subject(network.name, network.filters, model) for model, network in networks.items())


def fresh_network(name: str, filters: tuple[int, ...], seed: int = 0) -> nn.Module:
    """A network with weights from a seed, in eval mode, which calls about a tenth of a head lesion.

    Fresh weights alone may give one sign everywhere, and then masks that agree say nothing. So the last layer is
    shifted and scaled: the logits' upper tenth within a head is positive, and their deviation is 1.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(name, filters=filters).eval()
    network.requires_grad_(False)
    head = network.heads[f"x0{network.depth}"] if isinstance(network, NestedUNet) else network.head
    assert isinstance(head, nn.Conv2d)
    assert head.bias is not None
    picture = torch.from_numpy(mosaic(SIDE)[:, None].astype(np.float32) / 255)  # (1, 1, H, W)
    with torch.no_grad():
        logits = network(picture)
        scale = 1 / logits.std()
        head.weight.mul_(scale)
        head.bias.sub_(logits[picture > 0.1].quantile(0.9)).mul_(scale)
    return network


def show(engine: Engine, slices: NDArray[np.uint8], settings: PreprocessSettings) -> Batch:
    """Pictures (N, H, W), each a scan of its own, as a model's network sees them: (N, 1, h, w)."""
    pictures = slices[:, None]  # (N, 1, H, W)
    levels = None
    if settings.standardise:
        found = [levels_of(picture[None], settings.clip_limit, settings.tile_px) for picture in pictures]
        levels = np.array([[(level.centre, level.spread) for level in channels] for channels in found], np.float32)
    return engine.prepare(pictures, settings.clip_limit, settings.tile_px, settings.shrink, levels)


def phantom_slices(count: int, side: int = SIDE) -> NDArray[np.uint8]:
    """(count, side, side) slices of synthetic heads, each head another."""
    return np.resize(np.concatenate([_head(seed, side) for seed in range(min(count, 8))]), (count, side, side))


@cache
def _head(seed: int, side: int) -> NDArray[np.uint8]:
    """(1, side, side) of one head; drawing it takes longer than most of what is timed."""
    return make_phantom(seed, slices=1, size=side)[0].voxels[:, 0].astype(np.uint8)


def mosaic(height: int, width: int | None = None) -> NDArray[np.uint8]:
    """(1, height, width): heads of 256 pixels side by side, so that a large picture shows what the network knows."""
    width = height if width is None else width
    rows, columns = math.ceil(height / SIDE), math.ceil(width / SIDE)
    heads = phantom_slices(min(rows * columns, 8))
    numbers = np.arange(rows * columns).reshape(rows, columns) % len(heads)
    whole = np.block([[heads[number] for number in row] for row in numbers])
    return np.ascontiguousarray(whole[None, :height, :width])


def missing_device(device: str) -> str | None:
    """Why nothing can be measured on a device, or None where it is there."""
    try:
        choose_device(device)
    except DeviceUnavailable as error:
        return error.detail.partition(";")[0]
    return None
