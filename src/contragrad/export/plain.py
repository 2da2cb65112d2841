"""A network with torch's own layers in the place of ours.

Ours are functions made for second derivatives, which exporters lose or refuse.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.networks.batchnorm import BatchNormReLU
from contragrad.networks.blocks import Concatenation, Summation
from contragrad.networks.convolution import Convolution
from contragrad.networks.pooling import AveragePool, MaxPool


class PaddedSum(nn.Module):
    """Sums two maps of the same size, the missing channels zero."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Two maps (B, C_i, H, W) -> (B, max C_i, H, W)."""
        missing = first.shape[1] - second.shape[1]
        large, small = (first, second) if missing >= 0 else (second, first)
        return large + (F.pad(small, (0, 0, 0, 0, 0, abs(missing))) if missing else small)


class Joined(nn.Module):
    """Concatenates the channels of two maps of the same size."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Two maps (B, C_i, H, W) -> (B, sum C_i, H, W)."""
        return torch.cat((first, second), dim=1)


def plain(network: nn.Module) -> nn.Module:
    """A copy of the network made of torch's layers, on the CPU, in evaluation mode; it answers the same."""
    copy = _replaced(deepcopy(network)).requires_grad_(False).eval().cpu()
    return copy.to(memory_format=torch.contiguous_format)


def _replaced(module: nn.Module) -> nn.Module:
    if (replace := REPLACEMENTS.get(type(module))) is not None:
        return replace(module)
    for name, child in module.named_children():
        setattr(module, name, _replaced(child))
    return module


def _convolution(layer: Convolution) -> nn.Module:
    kernel, padding = layer.kernel_size[0], layer.kernel_size[0] // 2
    made = nn.Conv2d(
        layer.in_channels, layer.out_channels, kernel, layer.stride[0], padding, bias=False, device="meta"
    )
    made.weight = layer.weight
    return made


def _normalisation(layer: BatchNormReLU) -> nn.Module:
    made = nn.BatchNorm2d(layer.num_features, layer.eps, layer.momentum, device="meta")
    made.load_state_dict(layer.state_dict(), assign=True)
    return nn.Sequential(made, nn.ReLU())


def _average(layer: AveragePool) -> nn.Module:
    kernel, padding, ceil = layer.window
    # Without padding there is none to be counted; ONNX would count what lies beyond the edge.
    return nn.AvgPool2d(kernel, 2, padding, ceil_mode=ceil, count_include_pad=padding > 0)


def _maximum(layer: MaxPool) -> nn.Module:
    kernel, padding, ceil = layer.window
    return nn.MaxPool2d(kernel, 2, padding, ceil_mode=ceil)


REPLACEMENTS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    Convolution: _convolution,
    BatchNormReLU: _normalisation,
    AveragePool: _average,
    MaxPool: _maximum,
    Summation: lambda layer: PaddedSum(),
    Concatenation: lambda layer: Joined(),
}
"""A layer of ours -> what does the same and is torch's."""
