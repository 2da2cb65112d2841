"""Batch normalisation with ReLU whose double backward takes few passes over the maps.

PyTorch runs the double backward of batch normalisation as some twenty elementwise kernels; the GM loss
needs it in every step. Written out, it is the ordinary backward kernel once more and one affine
combination per channel.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_backward = torch.ops.aten.native_batch_norm_backward
_masked = torch.ops.aten.threshold_backward
_mask_ = torch.ops.aten.threshold_backward.grad_input


class BatchNormReLU(nn.BatchNorm2d):
    """`nn.BatchNorm2d` followed by ReLU, equal to them in value and in first and second derivatives.

    Deviates: has no third derivative.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) -> the same shape."""
        if not self.training:
            return F.relu(super().forward(maps))
        if maps.numel() == maps.shape[1]:
            raise ValueError(f"batch statistics need more than one value a channel: {tuple(maps.shape)}")
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        return cast(
            Tensor,
            _Forward.apply(
                maps, self.weight, self.bias, self.running_mean, self.running_var, self.momentum, self.eps
            ),
        )


class _Forward(torch.autograd.Function):
    """z = relu(γ x̂ + β) with x̂ = (x - μ) r, the batch's mean μ and inverse deviation r."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> Tensor:
        y, mean, inverse = torch.native_batch_norm(
            x, gamma, beta, running_mean, running_var, True, momentum, eps
        )
        z = y.relu_()
        ctx.save_for_backward(x, gamma, mean, inverse, z)
        ctx.eps = eps
        return z

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gz,) = gradients
        x, gamma, mean, inverse, z = ctx.saved_tensors
        dx, dgamma, dbeta = _Backward.apply(gz, x, gamma, mean, inverse, z, ctx.eps)
        return dx, dgamma, dbeta, None, None, None, None


class _Backward(torch.autograd.Function):
    """dx = γ r (g - mean(g) - x̂ mean(g x̂)), dγ = Σ g x̂, dβ = Σ g, with g = gz where z > 0."""

    @staticmethod
    def forward(
        ctx: Any, gz: Tensor, x: Tensor, gamma: Tensor, mean: Tensor, inverse: Tensor, z: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        g = _masked(gz, z, 0)
        dx, dgamma, dbeta = _backward(g, x, gamma, None, None, mean, inverse, True, eps, (True, True, True))
        ctx.save_for_backward(g, x, gamma, mean, inverse, z, dgamma, dbeta)
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        return dx, dgamma, dbeta

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """The derivatives of ⟨v, dx⟩ + ⟨w, dγ⟩ + ⟨u, dβ⟩ by gz, x and γ.

        With means over a channel's m values: a = mean(g), b = mean(g x̂), d = mean(v), c = mean(v x̂) and
        k = mean(v g) - a d - b c, the scalar is Σ γ r m k + w m b + u m a. Its derivative by x̂ is p v + q g
        with p = -γ r b and q = w - γ r c; x̂ and r depend on x.
        """
        v, w, u = gradients
        g, x, gamma, mean, inverse, z, dgamma, dbeta = ctx.saved_tensors
        if v is None:
            v = torch.zeros_like(x)
        m = x.numel() // x.shape[1]
        # The kernel of the first derivative applied to v: γ r (v - d - x̂ c), Σ v x̂ and Σ v.
        by_g, vx, vs = _backward(v, x, gamma, None, None, mean, inverse, True, ctx.eps, (True, True, True))
        a, b, c, d = dbeta / m, dgamma / m, vx / m, vs / m
        # The same kernel with mean 0 and deviation 1 sums v g in one pass.
        zero, one = torch.zeros_like(mean), torch.ones_like(inverse)
        _, vg, _ = _backward(v, g, gamma, None, None, zero, one, True, ctx.eps, (False, True, False))
        k = vg / m - a * d - b * c
        p = -gamma * inverse * b
        q = -gamma * inverse * c if w is None else w - gamma * inverse * c
        lean = inverse * (p * c + q * b) + gamma * inverse.square() * k
        shift = inverse * mean * lean - inverse * (p * d + q * a)
        by_x = torch.addcmul(_per_channel(shift), x, _per_channel(-inverse * lean))
        by_x.addcmul_(v, _per_channel(inverse * p)).addcmul_(g, _per_channel(inverse * q))
        if w is not None:
            by_g = by_g + (x - _per_channel(mean)) * _per_channel(inverse * w)
        if u is not None:
            by_g = by_g + _per_channel(u)
        return _mask_(by_g, z, grad_input=by_g, threshold=0), by_x, inverse * m * k, None, None, None, None


def _per_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)
