"""The networks, as plain modules: (N, C, H, W) float to (N, 1, H, W) logits.

A network sees grey values on the scale that its model's card asks for: in [0, 1], or, with `standardise`, counted from
the head's median in spreads of the head, see `core.preprocess.levels`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from core.networks.attention_unet import AttentionUNet
from core.networks.nested_unet import NestedUNet

STANDARD_FILTERS = (32, 64, 128, 256, 512)
NETWORKS: dict[str, Callable[..., NestedUNet | AttentionUNet]] = {
    "nested-unet": NestedUNet,
    "attention-unet": AttentionUNet,
}
NETWORK_NAMES = tuple(NETWORKS)

__all__ = ["NETWORK_NAMES", "STANDARD_FILTERS", "AttentionUNet", "NestedUNet", "build_network"]


def build_network(
    name: str, in_channels: int = 1, filters: Sequence[int] = STANDARD_FILTERS, **options: Any
) -> NestedUNet | AttentionUNet:
    """Build a network with fresh weights.

    Args:
        name: one of `NETWORK_NAMES`.
        in_channels: channels of the input.
        filters: features of each level, finest first.
        options: the constructor's own, such as `depth` or `deep_supervision` of the nested network.

    Raises:
        ValueError: there is no network of that name.
    """
    if name not in NETWORKS:
        raise ValueError(f"there is no network {name!r}; there are: {', '.join(NETWORK_NAMES)}")
    return NETWORKS[name](in_channels, filters, **options)
