"""Random changes of training batches."""

from dataclasses import fields, replace

import pytest
import torch

from training.augment import AugmentSettings, augment

STILL = AugmentSettings(*[0.0] * len(fields(AugmentSettings)))
CENTRE, SPREAD = 80.0, 40.0


def batch(count: int = 8, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    rows = torch.arange(size).view(1, 1, size, 1).expand(count, 1, size, size)
    noise = torch.randint(0, 40, (count, 1, size, size), generator=generator)
    images = (rows * 2 + noise).to(torch.uint8)
    truths = torch.zeros(count, size, size, dtype=torch.uint8)
    truths[:, 20:36, 24:44] = 1
    return images, truths


def levels(count: int = 8) -> torch.Tensor:
    return torch.tensor([CENTRE, SPREAD]).expand(count, 1, 2)


def scaled(images: torch.Tensor) -> torch.Tensor:
    return (images.float() - CENTRE) / SPREAD


def draw(settings: AugmentSettings, window: int = 64, shrink: int = 1, seed: int = 0):
    return augment(*batch(), levels(), window, shrink, settings, torch.Generator().manual_seed(seed))


def test_without_any_change_the_centre_is_cut_out():
    images, truths = batch()
    pictures, masks = draw(STILL, window=48)
    torch.testing.assert_close(pictures, scaled(images[..., 8:56, 8:56]), rtol=0, atol=1e-5)
    torch.testing.assert_close(masks[:, 0], truths[:, 8:56, 8:56].float())


def test_half_resolution_is_the_mean_of_two_by_two():
    images, truths = batch()
    pictures, masks = draw(STILL, window=32, shrink=2)
    expected = torch.nn.functional.avg_pool2d(scaled(images), 2)
    torch.testing.assert_close(pictures, expected, rtol=0, atol=1e-5)
    assert masks.sum() == truths.sum() / 4


def test_a_flip_exchanges_columns_of_image_and_truth_alike():
    images, truths = batch()
    pictures, masks = draw(replace(STILL, flip=1.0))
    torch.testing.assert_close(pictures, scaled(images.flip(-1)), rtol=0, atol=1e-5)
    torch.testing.assert_close(masks[:, 0], truths.flip(-1).float())


def test_image_and_truth_move_together():
    _, truths = batch()
    marked = truths[:, None] * 255
    pictures, masks = augment(
        marked,
        truths,
        levels(),
        64,
        1,
        replace(STILL, rotation=30, scale=0.3, shift=10, flip=0.5),
        torch.Generator().manual_seed(3),
    )
    assert torch.equal(pictures >= scaled(torch.tensor(127.5)), masks > 0)
    assert not torch.equal(masks[0], masks[1])


def test_gamma_keeps_the_order_of_greys_and_the_heads_median():
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(8, 1, 16, 16)
    truths = torch.zeros(8, 16, 16, dtype=torch.uint8)
    settings = replace(STILL, gamma=0.7)
    pictures, _ = augment(images, truths, levels(), 16, 1, settings, torch.Generator().manual_seed(0))
    greys = pictures.reshape(8, 256)
    assert (greys.diff(dim=1) >= 0).all()
    assert greys[:, int(CENTRE)].abs().max() < 1e-5
    plain = scaled(images).reshape(8, 256)
    brighter = greys[:, 160] - plain[:, 160]
    assert brighter.min() < -0.1
    assert brighter.max() > 0.1


@pytest.mark.parametrize("shrink", [1, 2])
def test_the_full_strength_changes_greys_and_leaves_truth_binary(shrink):
    pictures, masks = draw(AugmentSettings(), window=64 // shrink, shrink=shrink)
    assert pictures.dtype == torch.float32
    assert pictures.shape == masks.shape
    assert pictures.isfinite().all()
    still = AugmentSettings(gain=0, offset=0, bias=0, noise=0, blur=0)
    moved, _ = draw(still, window=64 // shrink, shrink=shrink)
    assert (pictures - moved).abs().amax(dim=(1, 2, 3)).min() > 0.1
    assert set(masks.unique().tolist()) == {0.0, 1.0}


def test_one_seed_gives_one_course():
    torch.testing.assert_close(draw(AugmentSettings(), seed=5), draw(AugmentSettings(), seed=5), rtol=0, atol=0)
    assert not torch.equal(draw(AugmentSettings(), seed=5)[0], draw(AugmentSettings(), seed=6)[0])
