"""Nested U-Net (U-Net++)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from core.networks.blocks import ConvBlock, double, halo, halve, initialise


class NestedUNet(nn.Module):
    """Nested U-Net with dense skip paths and a head on every node of the top row.

    Node X(i, j) lies at level i (0 is full resolution) and is the j-th of its row:
    X(i, 0) = block(halve(X(i-1, 0))), X(i, j) = block(concat(X(i, 0), …, X(i, j-1), double(X(i+1, j-1)))).
    The answer of depth d is the 1×1 head on X(0, d), which needs only the nodes with i + j <= d.

    Args:
        in_channels: channels of the input.
        filters: features of each level; as many levels as entries, at least two.
        depth: at which node of the top row to answer, 1 to len(filters) - 1; None is the deepest.
        deep_supervision: in training, answer with a list of every head's logits, shallowest first.

    Raises:
        ValueError: depth is beyond the levels.

    Source: Zhou et al. 2018, UNet++: A Nested U-Net Architecture for Medical Image Segmentation.
    """

    def __init__(
        self,
        in_channels: int = 1,
        filters: Sequence[int] = (32, 64, 128, 256, 512),
        *,
        depth: int | None = None,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        deepest = len(filters) - 1
        depth = deepest if depth is None else depth
        if not 1 <= depth <= deepest:
            raise ValueError(f"depth must lie in 1 to {deepest}, not {depth}")
        self.in_channels = in_channels
        self.filters = tuple(filters)
        self.depth = depth
        self.deep_supervision = deep_supervision
        self.nodes = nn.ModuleDict()
        for i in range(depth + 1):
            for j in range(depth + 1 - i):
                inputs = (in_channels if i == 0 else filters[i - 1]) if j == 0 else j * filters[i] + filters[i + 1]
                self.nodes[f"x{i}{j}"] = ConvBlock(inputs, filters[i])
        self.heads = nn.ModuleDict({f"x0{j}": nn.Conv2d(filters[0], 1, 1) for j in range(1, depth + 1)})
        initialise(self, self.heads.values())  # type: ignore[arg-type]

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return 1 << self.depth

    @property
    def halo(self) -> int:
        """Pixels around a 16-block on which its logits depend; a multiple of 16."""
        return halo(self.depth, convolutions_after_doubling=0)

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        """Logits of a batch.

        Args:
            images: (N, C, H, W) float on the card's scale, see `core.networks`; H and W multiples of `stride`.

        Returns:
            (N, 1, H, W) logits; when training with deep supervision a list of them, one per head.
        """
        rows: list[list[Tensor]] = []  # rows[i][j] is X(i, j): (N, filters[i], H / 2**i, W / 2**i)
        for d in range(self.depth + 1):  # along each diagonal i + j = d, from the bottom up
            encoded = self.nodes[f"x{d}0"](images if d == 0 else halve(rows[d - 1][0]))
            rows.append([encoded])
            for j in range(1, d + 1):
                i = d - j
                rows[i].append(self.nodes[f"x{i}{j}"](*rows[i], double(rows[i + 1][j - 1])))
        if self.training and self.deep_supervision:
            return [self.heads[f"x0{j}"](rows[0][j]) for j in range(1, self.depth + 1)]
        return self.heads[f"x0{self.depth}"](rows[0][self.depth])  # type: ignore[no-any-return]

    def cut(self, depth: int) -> NestedUNet:
        """The part of this network that answers at `depth`, sharing its weights and computing only its own nodes.

        Raises:
            ValueError: depth is beyond this network's.
        """
        if not 1 <= depth <= self.depth:
            raise ValueError(f"depth must lie in 1 to {self.depth}, not {depth}")
        part = NestedUNet(self.in_channels, self.filters, depth=depth, deep_supervision=self.deep_supervision)
        part.nodes = nn.ModuleDict({name: self.nodes[name] for name in part.nodes})
        part.heads = nn.ModuleDict({name: self.heads[name] for name in part.heads})
        return part.train(self.training)
