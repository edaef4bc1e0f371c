"""What training minimises: logits (N, 1, H, W) against truths of the same shape, 0 or 1."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def soft_dice_loss(logits: Tensor, truths: Tensor, smooth: float = 1.0) -> Tensor:
    """1 - Dice of the probabilities, over the batch as one volume, so that slices without lesion count too.

    Source: Milletari et al. 2016, V-Net.
    """
    probability = torch.sigmoid(logits.float())
    overlap = (probability * truths).sum()
    return 1 - (2 * overlap + smooth) / (probability.sum() + truths.sum() + smooth)


def dice_cross_entropy(logits: Tensor, truths: Tensor) -> Tensor:
    """Soft Dice of the batch plus cross-entropy of its pixels, each with weight one."""
    return soft_dice_loss(logits, truths) + functional.binary_cross_entropy_with_logits(logits.float(), truths)


def focal_tversky(
    logits: Tensor, truths: Tensor, alpha: float = 0.7, gamma: float = 0.75, smooth: float = 1.0
) -> Tensor:
    """(1 - Tversky index)^gamma over the batch; alpha weighs missed pixels, 1 - alpha false ones.

    Source: Abraham and Khan 2019, A Novel Focal Tversky Loss Function with Improved Attention U-Net.
    """
    probability = torch.sigmoid(logits.float())
    found = (probability * truths).sum()
    missed = ((1 - probability) * truths).sum()
    false = (probability * (1 - truths)).sum()
    index = (found + smooth) / (found + alpha * missed + (1 - alpha) * false + smooth)
    return (1 - index).clamp(min=1e-6) ** gamma  # the power has no slope at 0


LOSSES = {"dice-ce": dice_cross_entropy, "focal-tversky": focal_tversky}
