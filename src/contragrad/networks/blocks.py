"""Gene -> nn.Module: one function for each kind of block, one table."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.evolution.genome import Block, Cat, Conv, Pool, Strided, Sum
from contragrad.evolution.shapes import Shape
from contragrad.networks.batchnorm import BatchNormReLU


class Averaged(nn.Module):
    """Averages a map down by 2**halvings; an edge that does not divide averages what is left of it."""

    def __init__(self, halvings: int) -> None:
        super().__init__()
        self.window = 2**halvings

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) -> (B, C, ceil(H / window), ceil(W / window))."""
        return maps if self.window == 1 else F.avg_pool2d(maps, self.window, ceil_mode=True)


class Summation(nn.Module):
    """Sums two maps: the larger averaged down to the smaller, the missing channels zero."""

    def __init__(self, inputs: Sequence[Shape]) -> None:
        super().__init__()
        self.resize = nn.ModuleList(_to_smallest(inputs))
        self.missing = [max(shape.channels for shape in inputs) - shape.channels for shape in inputs]

    def forward(self, *maps: Tensor) -> Tensor:
        """Two maps (B, C_i, H_i, W_i) -> (B, max C_i, min H_i, min W_i)."""
        first, second = (
            F.pad(resize(part), (0, 0, 0, 0, 0, missing)) if missing else resize(part)
            for resize, part, missing in zip(self.resize, maps, self.missing, strict=True)
        )
        return first + second


class Concatenation(nn.Module):
    """Concatenates two maps' channels, the larger map averaged down to the smaller."""

    def __init__(self, inputs: Sequence[Shape]) -> None:
        super().__init__()
        self.resize = nn.ModuleList(_to_smallest(inputs))

    def forward(self, *maps: Tensor) -> Tensor:
        """Two maps (B, C_i, H_i, W_i) -> (B, sum C_i, min H_i, min W_i)."""
        return torch.cat([resize(part) for resize, part in zip(self.resize, maps, strict=True)], dim=1)


def _to_smallest(inputs: Sequence[Shape]) -> list[Averaged]:
    most = max(shape.halvings for shape in inputs)
    return [Averaged(most - shape.halvings) for shape in inputs]


def _convolution(block: Conv | Strided, inputs: Sequence[Shape]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(
            inputs[0].channels,
            block.channels,
            block.kernel,
            stride=2 if isinstance(block, Strided) else 1,
            padding=block.kernel // 2,
            bias=False,  # the batch normalisation has one
        ),
        BatchNormReLU(block.channels),
    )


def _pool(block: Pool, inputs: Sequence[Shape]) -> nn.Module:
    kind = nn.MaxPool2d if block.kind == "max" else nn.AvgPool2d
    # Both give ceil(n / 2): kernel 3 by its padding, kernel 2 by rounding up.
    if block.kernel == 3:
        return kind(3, stride=2, padding=1)
    return kind(2, stride=2, ceil_mode=True)


def _sum(block: Sum, inputs: Sequence[Shape]) -> nn.Module:
    return Summation(inputs)


def _cat(block: Cat, inputs: Sequence[Shape]) -> nn.Module:
    return Concatenation(inputs)


def module(block: Block, inputs: Sequence[Shape]) -> nn.Module:
    """The block's module for inputs of these shapes; it is called with one map for each of them."""
    return BLOCKS[type(block)](block, inputs)


BLOCKS: dict[type[Block], Callable[[Any, Sequence[Shape]], nn.Module]] = {
    Conv: _convolution,
    Strided: _convolution,
    Pool: _pool,
    Sum: _sum,
    Cat: _cat,
}
