"""Pooling with stride 2, whose derivatives of every order keep the maps' memory format."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.networks.linear import Parts, apply_linear

_max_pool = torch.ops.aten.max_pool2d_with_indices
_max_pool_backward = torch.ops.aten.max_pool2d_with_indices_backward
_average_backward = torch.ops.aten.avg_pool2d_backward

Window = tuple[int, int, bool]
"""Kernel, padding and whether sizes are rounded up: both windows below make ceil(n / 2) of n pixels."""

WINDOWS: dict[int, Window] = {2: (2, 0, True), 3: (3, 1, False)}


class AveragePool(nn.Module):
    """`nn.AvgPool2d` with stride 2; a window over the edge averages what is inside it, padding included."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.window = WINDOWS[kernel]

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2))."""
        # The adjoint reads the size and the memory format of what was averaged, not its values.
        like = maps.detach()
        there, back = partial(_averaged, self.window), partial(_spread, self.window, like)
        return apply_linear(there, back, maps)[0]


def _averaged(window: Window, maps: Tensor) -> Parts:
    kernel, padding, ceil = window
    return (F.avg_pool2d(maps, kernel, 2, padding, ceil_mode=ceil),)


def _spread(window: Window, like: Tensor, gradients: Tensor) -> Parts:
    kernel, padding, ceil = window
    return (_average_backward(gradients, like, [kernel] * 2, [2, 2], [padding] * 2, ceil, True, None),)


class MaxPool(nn.Module):
    """`nn.MaxPool2d` with stride 2."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.window = WINDOWS[kernel]

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2))."""
        result: Tensor = _Max.apply(maps, self.window)
        return result


class _Max(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, window: Window) -> Tensor:
        kernel, padding, ceil = window
        ctx.geometry = [kernel] * 2, [2, 2], [padding] * 2, [1, 1], ceil
        found, places = _max_pool(maps, *ctx.geometry)
        ctx.save_for_backward(maps, places)
        result: Tensor = found
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        maps, places = ctx.saved_tensors
        put, pick = partial(_put, maps.detach(), places, ctx.geometry), partial(_pick, places)
        return apply_linear(put, pick, gradients[0])[0], None


def _put(like: Tensor, places: Tensor, geometry: Any, gradients: Tensor) -> Parts:
    """Gradients (B, C, h, w) at the places, zeros elsewhere, (B, C, H, W); those at one place add up."""
    return (_max_pool_backward(gradients, like, *geometry, places),)


def _pick(places: Tensor, maps: Tensor) -> Parts:
    """The values (B, C, h, w) of the maps (B, C, H, W) at places counted within each channel."""
    if maps.is_contiguous():
        return (maps.flatten(2).gather(2, places.flatten(2)).view(places.shape),)
    # Channels side by side: (B, H W, C) is a view.
    found = maps.permute(0, 2, 3, 1).flatten(1, 2).gather(1, places.permute(0, 2, 3, 1).flatten(1, 2))
    batch, channels, height, width = places.shape
    return (found.view(batch, height, width, channels).permute(0, 3, 1, 2),)
