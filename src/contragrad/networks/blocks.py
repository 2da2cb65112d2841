"""Gene -> nn.Module: one function for each kind of block, one table."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from contragrad.evolution.genome import Block, Cat, Conv, Pool, Strided, Sum
from contragrad.networks.batchnorm import BatchNormReLU
from contragrad.networks.convolution import Convolution
from contragrad.networks.linear import Parts, apply_linear
from contragrad.networks.pooling import AveragePool, MaxPool


class Summation(nn.Module):
    """Sums two maps of the same size, the missing channels zero."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Two maps (B, C_i, H, W) -> (B, max C_i, H, W)."""
        few, many = sorted((first.shape[1], second.shape[1]))
        if few == many:
            return first + second
        large, small = (first, second) if first.shape[1] == many else (second, first)
        return apply_linear(_padded_sum, partial(_shared, few), large, small)[0]


def _padded_sum(large: Tensor, small: Tensor) -> Parts:
    total = large.clone()
    total[:, : small.shape[1]] += small
    return (total,)


def _shared(few: int, gradients: Tensor) -> Parts:
    return gradients.view_as(gradients), gradients[:, :few]


class Concatenation(nn.Module):
    """Concatenates the channels of two maps of the same size."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Two maps (B, C_i, H, W) -> (B, sum C_i, H, W)."""
        return apply_linear(_joined, partial(_divided, first.shape[1]), first, second)[0]


def _joined(first: Tensor, second: Tensor) -> Parts:
    return (torch.cat((first, second), dim=1),)


def _divided(channels: int, gradients: Tensor) -> Parts:
    return gradients[:, :channels], gradients[:, channels:]


def _convolution(block: Conv | Strided, channels: Sequence[int]) -> nn.Module:
    stride = 2 if isinstance(block, Strided) else 1
    return nn.Sequential(
        Convolution(channels[0], block.channels, block.kernel, stride), BatchNormReLU(block.channels)
    )


def _pool(block: Pool, channels: Sequence[int]) -> nn.Module:
    return MaxPool(block.kernel) if block.kind == "max" else AveragePool(block.kernel)


def _sum(block: Sum, channels: Sequence[int]) -> nn.Module:
    return Summation()


def _cat(block: Cat, channels: Sequence[int]) -> nn.Module:
    return Concatenation()


def module(block: Block, channels: Sequence[int]) -> nn.Module:
    """The block's module for inputs of so many channels; it is called with one map for each of them."""
    return BLOCKS[type(block)](block, channels)


BLOCKS: dict[type[Block], Callable[[Any, Sequence[int]], nn.Module]] = {
    Conv: _convolution,
    Strided: _convolution,
    Pool: _pool,
    Sum: _sum,
    Cat: _cat,
}
