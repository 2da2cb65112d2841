"""A convolution whose double backward is made of the three kernels that convolutions have.

PyTorch's double backward works out the weights' part as a convolution of transposed maps with a kernel as
large as the map, which no CPU kernel is made for; written as the weight gradient that it is, a GM step
spends six convolutions for a plain step's three.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from contragrad.networks.linear import Parts, apply_linear

_convolution = torch.ops.aten.convolution
_convolution_backward = torch.ops.aten.convolution_backward


class Convolution(nn.Conv2d):
    """`nn.Conv2d` without a bias, equal to it in value and in first and second derivatives."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        # No bias: the batch normalisation that follows has one.
        super().__init__(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) -> (B, outputs, ceil(H / stride), ceil(W / stride))."""
        stride, weight = list(self.stride), self.weight
        device = maps.device.type
        if torch.is_autocast_enabled(device):
            # Autocast would cast inside the function below, whose derivatives need one type throughout.
            dtype = torch.get_autocast_dtype(device)
            maps, weight = maps.to(dtype), weight.to(dtype)
        if self.kernel_size == (1, 1) and stride != [1, 1]:
            # Never with that kernel and stride: see `is_unsafe`. What it would skip is left out beforehand.
            (maps,) = apply_linear(partial(_thinned, stride), partial(_spread, stride, maps.detach()), maps)
            stride = [1, 1]
        result: Tensor = _Forward.apply(maps, weight, stride, list(self.padding))
        return result


def is_unsafe(convolution: nn.Conv2d) -> bool:
    """Whether training it on channels-last maps may write beyond its memory.

    The weight gradient of a strided 1 x 1 convolution does in oneDNN, as torch 2.14.1 has it, where the
    input channels are no multiple of 16: the heap is corrupted, and the process dies sooner or later.
    """
    strided = convolution.kernel_size == (1, 1) and convolution.stride != (1, 1)
    return strided and convolution.in_channels % 16 != 0 and not isinstance(convolution, Convolution)


def _thinned(stride: list[int], maps: Tensor) -> Parts:
    return (maps[:, :, :: stride[0], :: stride[1]].clone(memory_format=torch.preserve_format),)


def _spread(stride: list[int], like: Tensor, gradients: Tensor) -> Parts:
    spread = torch.zeros_like(like)
    spread[:, :, :: stride[0], :: stride[1]] = gradients
    return (spread,)


def executes(ctx: Any, place: int) -> bool:
    """Whether the running backward pass needs the derivative by the function's input at `place`.

    Places count all inputs up to the last tensor; a derivative that is not needed is still right to give.
    `ctx.needs_input_grad` says only whether some pass could. `autograd.grad` by the images runs through
    every layer, and would work out the derivatives by all weights only to drop them.
    """
    if not ctx.needs_input_grad[place]:
        return False
    node = ctx.next_functions[place][0]
    try:
        return bool(torch._C._will_engine_execute_node(node))
    except (AttributeError, RuntimeError):
        # A leaf that `autograd.grad` was asked for, or a torch without this function of its own.
        return True


class _Forward(torch.autograd.Function):
    """y = x * w."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, stride: list[int], padding: list[int]) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.geometry = stride, padding
        y: Tensor = _convolution(x, w, None, stride, padding, [1, 1], False, [0, 0], 1)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        dx, dw = _Backward.apply(gradients[0], x, w, *ctx.geometry, executes(ctx, 0), executes(ctx, 1))
        return dx, dw, None, None


class _Backward(torch.autograd.Function):
    """dx and dw, either of which may be left out; both are linear in the gradient g."""

    @staticmethod
    def forward(
        ctx: Any,
        g: Tensor,
        x: Tensor,
        w: Tensor,
        stride: list[int],
        padding: list[int],
        by_x: bool,
        by_w: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        ctx.save_for_backward(g, x, w)
        ctx.geometry = stride, padding
        ctx.set_materialize_grads(False)
        return _pair(g, x, w, stride, padding, by_x, by_w)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """The derivatives of ⟨v, dx⟩ + ⟨u, dw⟩ = ⟨g, v * w⟩ + ⟨g, x * u⟩ by g, x and w."""
        v, u = gradients
        g, x, w = ctx.saved_tensors
        stride, padding = ctx.geometry
        by_g = by_x = by_w = None
        if v is not None:
            if executes(ctx, 0):
                by_g = _Forward.apply(v, w, stride, padding)
            if executes(ctx, 2):
                by_w = _Backward.apply(g, v, w, stride, padding, False, True)[1]
        if u is not None:
            if executes(ctx, 0):
                more = _Forward.apply(x, u, stride, padding)
                by_g = more if by_g is None else by_g + more
            if executes(ctx, 1):
                by_x = _Backward.apply(g, x, u, stride, padding, True, False)[0]
        return by_g, by_x, by_w, None, None, None, None


def _pair(
    g: Tensor, x: Tensor, w: Tensor, stride: list[int], padding: list[int], by_x: bool, by_w: bool
) -> tuple[Tensor | None, Tensor | None]:
    dx, dw, _ = _convolution_backward(
        g, x, w, None, stride, padding, [1, 1], False, [0, 0], 1, [by_x, by_w, False]
    )
    return dx if by_x else None, dw if by_w else None
