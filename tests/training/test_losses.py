"""Losses: best at the truth, finite everywhere, and falling on the way."""

import pytest
import torch

from training.losses import LOSSES, focal_tversky, soft_dice_loss

TRUTH = (torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0)) < 0.2).float()


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
def test_losses_order_answers_from_wrong_to_right(loss):
    right, unsure, wrong = ((2 * TRUTH - 1) * confidence for confidence in (9.0, 0.0, -9.0))
    assert loss(right, TRUTH) < 0.05
    assert loss(right, TRUTH) < loss(unsure, TRUTH) < loss(wrong, TRUTH)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize("confidence", [-100.0, 0.0, 100.0])
def test_losses_and_gradients_are_finite_without_any_lesion(loss, confidence):
    logits = torch.full_like(TRUTH, confidence).requires_grad_()
    value = loss(logits, torch.zeros_like(TRUTH))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_soft_dice_is_one_minus_dice_for_certain_answers():
    found = torch.zeros_like(TRUTH)
    found[0] = 1
    both, sizes = (found * TRUTH).sum(), found.sum() + TRUTH.sum()
    assert soft_dice_loss(found * 200 - 100, TRUTH, smooth=0) == pytest.approx(float(1 - 2 * both / sizes))


def test_the_tversky_index_makes_misses_cost_more_than_false_finds():
    truth = torch.zeros(1, 1, 1, 10)
    truth[..., :4] = 1
    missing, false = torch.full_like(truth, -100), torch.full_like(truth, -100)
    missing[..., :2] = 100  # two of four found
    false[..., :6] = 100  # all four, and two that are none
    assert focal_tversky(missing, truth, smooth=0) == pytest.approx((1 - 2 / (2 + 0.7 * 2)) ** 0.75, abs=1e-5)
    assert focal_tversky(false, truth, smooth=0) == pytest.approx((1 - 4 / (4 + 0.3 * 2)) ** 0.75, abs=1e-5)
    assert focal_tversky(missing, truth) > focal_tversky(false, truth)
