"""A linear map with its adjoint, as one node of the graph in derivatives of every order.

PyTorch's own double backward of pooling, slices and concatenation fills maps with zeros in its default
memory format and adds them, which costs more than the maps' real work.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Parts = tuple[Tensor, ...]
LinearMap = Callable[..., Parts]
"""Tensors -> a tuple of tensors, linear in all of them."""


def apply_linear(there: LinearMap, back: LinearMap, *inputs: Tensor) -> Parts:
    """`there(*inputs)`, differentiable any number of times given its adjoint `back`.

    ⟨there(x), y⟩ = ⟨x, back(y)⟩, so the derivative of one is the other.
    """
    outputs: Parts = _Linear.apply(there, back, *inputs)
    return outputs


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, there: LinearMap, back: LinearMap, *inputs: Tensor) -> Parts:
        ctx.maps = there, back
        return there(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        there, back = ctx.maps
        return None, None, *_Linear.apply(back, there, *gradients)
