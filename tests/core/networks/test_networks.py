"""Both networks: sizes, shapes, gradients, cuts."""

import pytest
import torch

from core.networks import NETWORK_NAMES, STANDARD_FILTERS, NestedUNet, build_network
from core.networks.blocks import ConvBlock, halo

TINY = (2, 3, 4, 5, 6)


def build(name: str, **options) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(name, 1, TINY, **options)


@pytest.mark.parametrize(("name", "count"), [("nested-unet", 9_159_204), ("attention-unet", 8_721_589)])
def test_the_standard_width_has_the_known_number_of_parameters(name, count):
    network = build_network(name, 1, STANDARD_FILTERS)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("name", NETWORK_NAMES)
@pytest.mark.parametrize("size", [(16, 16), (32, 48), (64, 16)])
def test_logits_have_the_images_size(name, size):
    logits = build(name).eval()(torch.rand(2, 1, *size))
    assert logits.shape == (2, 1, *size)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_more_than_one_channel_can_go_in(name):
    assert build_network(name, 3, TINY).eval()(torch.rand(1, 3, 32, 32)).shape == (1, 1, 32, 32)


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_every_parameter_learns(name):
    network = build(name).train()
    logits = network(torch.rand(2, 1, 32, 32))
    heads = logits if isinstance(logits, list) else [logits]
    sum(head.square().mean() for head in heads).backward()
    silent = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert silent == []


def test_deep_supervision_answers_with_every_head_shallowest_first():
    network = build("nested-unet").train()
    heads = network(torch.rand(2, 1, 32, 32))
    assert [head.shape for head in heads] == [(2, 1, 32, 32)] * 4
    assert build("nested-unet", deep_supervision=False).train()(torch.rand(2, 1, 32, 32)).shape == (2, 1, 32, 32)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_cut_network_equals_the_full_ones_head_and_keeps_only_its_nodes(depth):
    network = build("nested-unet").train()
    images = torch.rand(2, 1, 32, 32)
    for _ in range(3):
        network(images)  # fills the running statistics
    for module in network.modules():  # evaluate with all heads, which only training shows
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    heads = network(images)
    cut = network.cut(depth).eval()
    torch.testing.assert_close(cut(images), heads[depth - 1], rtol=0, atol=0)
    assert len(cut.nodes) == (depth + 1) * (depth + 2) // 2
    shared = {id(parameter) for parameter in network.parameters()}
    assert all(id(parameter) in shared for parameter in cut.parameters())


def test_a_cut_takes_the_share_of_the_multiplications_that_the_nodes_ask_for():
    network = build_network("nested-unet", 1, STANDARD_FILTERS).eval()

    def multiplications(part: NestedUNet) -> int:
        total = 0
        for name, node in part.nodes.items():
            pixels = 4 ** -int(name[1])
            total += sum(weight.numel() * pixels for weight in node.parameters() if weight.ndim == 4)
        return total

    shares = [multiplications(network.cut(depth)) / multiplications(network) for depth in (1, 2, 3, 4)]
    assert shares == pytest.approx([0.12, 0.30, 0.59, 1.0], abs=0.01)


@pytest.mark.parametrize("depth", [0, 5])
def test_an_impossible_depth_is_refused(depth):
    with pytest.raises(ValueError, match="depth must lie in 1 to 4"):
        build("nested-unet", depth=depth)
    with pytest.raises(ValueError, match="depth must lie in 1 to 4"):
        build("nested-unet").cut(depth)


def test_an_unknown_network_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="nested-unet, attention-unet"):
        build_network("unet")


def test_a_block_of_parts_equals_the_block_of_their_concatenation():
    torch.manual_seed(0)
    block = ConvBlock(9, 4).eval()
    parts = [torch.randn(2, channels, 16, 16) for channels in (2, 3, 4)]
    torch.testing.assert_close(block(*parts), block(torch.cat(parts, dim=1)), rtol=1e-5, atol=1e-5)


def test_halos_follow_from_the_structure():
    assert [halo(depth, 0) for depth in (1, 2, 3, 4)] == [16, 32, 64, 112]
    assert halo(4, 1) == 128
    assert build("nested-unet").halo == 112
    assert build("attention-unet").halo == 128
