"""What both networks are built from, and how far a pixel's influence reaches through them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvBlock(nn.Sequential):
    """Two 3×3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, *parts: Tensor) -> Tensor:
        """(N, C, H, W) features, in one tensor or in parts to be concatenated, to (N, outputs, H, W)."""
        first = self[0]
        assert isinstance(first, nn.Conv2d)  # noqa: S101 - as built above
        features = convolve_concatenated(first, parts)
        for layer in list(self.children())[1:]:
            features = layer(features)
        return features


def convolve_concatenated(convolution: nn.Conv2d, parts: tuple[Tensor, ...]) -> Tensor:
    """`convolution` of the parts' concatenation along the channels.

    On a CPU it is taken part by part and summed, which spares the copy: a training step in bf16 with channels-last is
    1.5 to 2 times as fast so.
    """
    if len(parts) == 1 or parts[0].device.type != "cpu":
        return convolution(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))  # type: ignore[no-any-return]
    total: Tensor | None = None
    start = 0
    for part in parts:
        weight = convolution.weight[:, start : start + part.shape[1]]
        start += part.shape[1]
        summand = functional.conv2d(part, weight, padding=convolution.padding)
        total = summand if total is None else total + summand
    assert total is not None  # noqa: S101 - there are at least two parts
    return total


def halve(features: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C, H/2, W/2) by the maximum of each 2×2."""
    return functional.max_pool2d(features, 2)


def double(features: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C, 2H, 2W), bilinear with half-pixel centres, so that it is the same in every window."""
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


def initialise(network: nn.Module, heads: Iterable[nn.Conv2d]) -> None:
    """Draw convolutions' weights as He 2015 does for ReLU; biases are zero, but heads begin by calling lesion rare."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for head in heads:
        assert head.bias is not None  # noqa: S101 - a head has one
        nn.init.constant_(head.bias, -2.0)


def halo(depth: int, convolutions_after_doubling: int) -> int:
    """Pixels around a block on which the block's output depends, rounded up to whole blocks.

    A block is 16 pixels wide, or the network's stride where that is more: there pooling falls on the same pixels in a
    window as in the whole.

    It follows the longest way: from one output block down to the coarsest level through the decoder and back up through
    the encoder, as an interval of pixels. A 3×3 convolution widens it by one on each side; doubling reads the two
    nearest coarse pixels; halving reads both of its pixels.

    Args:
        depth: how many times the network halves.
        convolutions_after_doubling: 3×3 convolutions between the doubling and the concatenation.

    Returns:
        a multiple of the block.
    """
    block = max(16, 1 << depth)
    first, last = 0, block - 1
    for _ in range(depth):
        widen = 2 + convolutions_after_doubling
        first, last = first - widen, last + widen
        # Output pixel p of a doubling lies at (p - 0.5) / 2 in coarse pixels, between that floor and the next.
        first, last = (first - 1) // 2, (last - 1) // 2 + 1
    first, last = first - 2, last + 2
    for _ in range(depth):
        first, last = 2 * first - 2, 2 * last + 1 + 2
    reach = max(-first, last - (block - 1))
    return -(-reach // block) * block
