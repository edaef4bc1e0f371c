"""Attention U-Net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from core.networks.blocks import ConvBlock, double, halo, halve, initialise


class AttentionGate(nn.Module):
    """Additive attention: weighs the pixels of a skip connection by what the coarser level has seen.

    coefficients = sigmoid(psi(relu(theta(skip) + phi(gate)))), one per pixel.

    Args:
        skip_channels: features of the skip connection.
        gate_channels: features of the gating signal.
        between: features in which the two are compared.
    """

    def __init__(self, skip_channels: int, gate_channels: int, between: int) -> None:
        super().__init__()
        self.theta = nn.Sequential(nn.Conv2d(skip_channels, between, 1, bias=False), nn.BatchNorm2d(between))
        self.phi = nn.Sequential(nn.Conv2d(gate_channels, between, 1, bias=False), nn.BatchNorm2d(between))
        self.psi = nn.Conv2d(between, 1, 1)

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Weigh `skip` (N, Cs, H, W) by `gate` (N, Cg, H, W); the shape of `skip`."""
        coefficients = torch.sigmoid(self.psi(torch.relu(self.theta(skip) + self.phi(gate))))  # (N, 1, H, W)
        return skip * coefficients


class AttentionUNet(nn.Module):
    """U-Net whose skip connections pass additive attention gates.

    This is the same-resolution form that is common in two dimensions: the coarser level is doubled (bilinear, then a
    3×3 convolution) and that signal gates the skip at the skip's own resolution, with 1×1 convolutions and batch
    normalisation. The original gates 3-D volumes with a stride-2 theta and resamples the coefficients, which saves
    memory there; in two dimensions the memory is small, and gates at full resolution keep the outline of small lesions
    and stay pointwise, so that tiling is exact.

    Args:
        in_channels: channels of the input.
        filters: features of each level; as many levels as entries, at least two.

    Raises:
        ValueError: there are fewer than two levels.

    Source: Oktay et al. 2018, Attention U-Net: Learning Where to Look for the Pancreas.
    """

    def __init__(self, in_channels: int = 1, filters: Sequence[int] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        self.filters = tuple(filters)
        self.depth = len(filters) - 1
        if self.depth < 1:
            raise ValueError("filters must name at least two levels")
        self.encoders = nn.ModuleList(
            ConvBlock(inputs, outputs) for inputs, outputs in zip((in_channels, *filters), filters, strict=False)
        )
        # Decoder entries are ordered as they run: from the coarsest skip to the finest.
        pairs = [(filters[i + 1], filters[i]) for i in reversed(range(self.depth))]
        self.raisers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(below, here, 3, padding=1, bias=False), nn.BatchNorm2d(here), nn.ReLU(inplace=True))
            for below, here in pairs
        )
        self.gates = nn.ModuleList(AttentionGate(here, here, max(here // 2, 1)) for _, here in pairs)
        self.decoders = nn.ModuleList(ConvBlock(2 * here, here) for _, here in pairs)
        self.head = nn.Conv2d(filters[0], 1, 1)
        initialise(self, (self.head,))

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return 1 << self.depth

    @property
    def halo(self) -> int:
        """Pixels around a 16-block on which its logits depend; a multiple of 16."""
        return halo(self.depth, convolutions_after_doubling=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch.

        Args:
            images: (N, C, H, W) float on the card's scale, see `core.networks`; H and W multiples of `stride`.

        Returns:
            (N, 1, H, W) logits.
        """
        skips: list[Tensor] = []
        features = images
        for level, encoder in enumerate(self.encoders):
            features = encoder(features if level == 0 else halve(features))  # (N, filters[level], H / 2**level, …)
            skips.append(features)
        skips.pop()
        for raiser, gate, decoder in zip(self.raisers, self.gates, self.decoders, strict=True):
            raised = raiser(double(features))
            gated = gate(skips.pop(), raised)
            features = decoder(gated, raised)
        return self.head(features)  # type: ignore[no-any-return]
