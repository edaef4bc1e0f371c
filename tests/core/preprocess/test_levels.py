"""The head's own grey scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.phantom import make_phantom
from core.preprocess.clahe import clahe, tile_grid
from core.preprocess.levels import BOUNDS, SLICES, WHOLE_SCALE, find_levels, levels_of, standardise


def a_head(slices: int = 8, middle: float = 90.0, deviation: float = 12.0) -> NDArray[np.uint8]:
    """A normally distributed disc in dark air."""
    draw = np.random.default_rng(0)
    rows, columns = np.mgrid[-32:32, -32:32]
    inside = rows**2 + columns**2 < 25**2
    voxels = np.where(inside, draw.normal(middle, deviation, (slices, 64, 64)), draw.normal(3, 1, (slices, 64, 64)))
    return np.clip(voxels.round(), 0, 255).astype(np.uint8)


def test_levels_are_the_heads_median_and_spread_and_not_the_airs() -> None:
    found = find_levels(a_head())
    assert found.centre == pytest.approx(90, abs=0.5)
    assert found.spread == pytest.approx(12, rel=0.03)


def test_a_lesion_and_a_wider_field_hardly_move_them() -> None:
    head = a_head()
    with_lesion = head.copy()
    with_lesion[2:5, 20:35, 25:40] = 160
    wide = np.pad(head, ((0, 0), (20, 20), (30, 30)), constant_values=3)
    before = find_levels(head)
    for after in (find_levels(with_lesion), find_levels(wide)):
        assert after.centre == pytest.approx(before.centre, abs=0.2 * before.spread)
        assert after.spread == pytest.approx(before.spread, rel=0.15)


def test_a_picture_of_another_brightness_and_contrast_looks_the_same_on_its_own_scale() -> None:
    head = a_head()
    faint = (head * 0.4 + 20).round().astype(np.uint8)
    seen = [
        standardise(torch.from_numpy(one)[:, None].float() / 255, torch.tensor([[[level.centre, level.spread]]]))
        for one, level in ((head, find_levels(head)), (faint, find_levels(faint)))
    ]
    inside = torch.from_numpy(head > 50)
    assert (seen[0][:, 0] - seen[1][:, 0])[inside].abs().max() < 0.25
    assert all(one.min() >= BOUNDS[0] and one.max() <= BOUNDS[1] for one in seen)


@pytest.mark.parametrize("grey", [0, 7, 255])
def test_a_picture_of_one_grey_stays_on_the_whole_scale(grey: int) -> None:
    assert find_levels(np.full((2, 8, 8), grey, np.uint8)) == WHOLE_SCALE
    assert find_levels(np.zeros((0, 8, 8), np.uint8)) == WHOLE_SCALE


def test_noise_of_two_levels_is_not_blown_up() -> None:
    nearly = np.full((1, 16, 16), 100, np.uint8)
    nearly[0, 0] = 101
    assert find_levels(nearly).spread >= 2


def test_a_volume_is_looked_at_after_clahe_in_some_evenly_spread_slices_channel_by_channel() -> None:
    scan, _ = make_phantom(1, slices=2 * SLICES)
    head = np.asarray(scan.voxels)[:, :1]
    images = np.concatenate([head, 255 - head], axis=1)
    first, second = levels_of(images, 2.0, 32)
    chosen = np.linspace(0, len(images) - 1, SLICES).round().astype(int)
    equalised = clahe(np.ascontiguousarray(images[chosen, 0]), 2.0, tile_grid(*images.shape[2:], 32))
    assert first == find_levels(equalised)
    assert second != first
    assert levels_of(images[:, :1], -1.0, 32) == (find_levels(np.ascontiguousarray(images[chosen, 0])),)
