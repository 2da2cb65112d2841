"""The gradient-misalignment loss: how far two networks' input gradients point the same way."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Penalty = Callable[[Tensor], Tensor]
"""Alignments (B,) -> what each adds to the loss (B,)."""

TINY = 1e-30
"""A gradient whose largest entry is below this counts as zero: its direction is rounding."""


def unit(gradients: Tensor) -> Tensor:
    """Gradients (B, ...) scaled to Euclidean length 1 each; a zero gradient stays zero.

    Differentiable, without NaN at zero, and without underflow for the small gradients of well fitted
    images: each gradient is first divided by its largest entry, a constant to the derivative, which is
    exact because a direction does not depend on length.
    """
    flat = gradients.flatten(1)
    largest = flat.detach().abs().amax(1, keepdim=True)
    zero = largest < TINY
    scaled = flat / torch.where(zero, 1.0, largest)
    # The length is at least 1 except for zero gradients, whose factor is replaced.
    squares = scaled.square().sum(1, keepdim=True)
    length = torch.where(zero, 1.0, squares).sqrt()
    return (torch.where(zero, 0.0, scaled) / length).view_as(gradients)


def alignment(gradients: Tensor, directions: Tensor) -> Tensor:
    """The cosine (B,) in [-1, 1] between each image's gradient and a unit direction.

        a_i = ⟨∇ₓ ℓ(f_c(xᵢ), yᵢ), r_i⟩ / ‖∇ₓ ℓ(f_c(xᵢ), yᵢ)‖,   r_i = unit(∇ₓ ℓ(f_r(xᵢ), yᵢ))

    Larger is more aligned; its mean over the images is the loss L_GM. A zero gradient, of either network,
    has alignment 0 and passes no derivative on.

    Args:
        gradients: (B, C, H, W), of the network in training.
        directions: (B, C, H, W), the reference's unit gradients, constant.

    Source: eq. (1).
    Deviates: the paper leaves 0/0 open.
    """
    # As `unit` does it, in fewer passes and in the order in which the gradients lie in memory, so that
    # flattening copies nothing.
    side_by_side = gradients.is_contiguous(memory_format=torch.channels_last)
    order = (0, 2, 3, 1) if side_by_side else (0, 1, 2, 3)
    ours, theirs = (maps.permute(order).flatten(1) for maps in (gradients, directions))
    largest = ours.detach().abs().amax(1)
    zero = largest < TINY
    scaled = ours / torch.where(zero, 1.0, largest).unsqueeze(1)
    squares = torch.where(zero, 1.0, torch.linalg.vecdot(scaled, scaled))
    return torch.where(zero, 0.0, torch.linalg.vecdot(scaled, theirs) / squares.sqrt())


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """The log-odds (B,) against each image's label, log((1 - p) / p) with p the softmax at the label.

    Cross-entropy is softplus(log-odds). Written so, its gradients keep their direction where p is close
    to 1: in float32 the usual form loses 1 - p to rounding, and with it the label's own logit.

    Args:
        logits: (B, classes).
        labels: (B,) class numbers.
    """
    label = labels.long().unsqueeze(1)
    others = logits.scatter(1, label, float("-inf")).logsumexp(1)
    return others - logits.gather(1, label).squeeze(1)


def opposite(alignments: Tensor) -> Tensor:
    """The alignment itself: least where the gradients are opposite.

    Source: eq. (1).
    """
    return alignments


def orthogonal(alignments: Tensor) -> Tensor:
    """The squared alignment: least where the gradients are orthogonal.

    Source: ref. [23], whose networks are orthogonal to a given one; the paper points them the other way.
    """
    return alignments.square()


def losses(
    network: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    directions: Tensor,
    penalty: Penalty = opposite,
    key: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The cross-entropy and the alignment's mean penalty, L_GM, both differentiable by the parameters.

    Gradients are exact: the input gradient is itself part of the graph. In training mode batch
    normalisation couples the images, so an image's gradient is that of the whole batch's loss.

    Args:
        network: maps images in [0, 1] to logits.
        images: (B, C, H, W) in [0, 1].
        labels: (B,) class numbers.
        directions: (B, C, H, W), from `reference_directions` for the same images; (B, S, C, H, W) of S
            networks, whose penalties are averaged.
        penalty: of each image's alignment.
        key: (B, C, H, W), unit directions to be aligned with: the negative alignment is one penalty more.

    Source: eqs. (1) and (2).
    Deviates: the paper has one reference and no key.
    """
    images = images.detach().requires_grad_()
    cross_entropy = F.softplus(log_odds(network(images), labels)).mean()
    (gradients,) = torch.autograd.grad(cross_entropy, images, create_graph=True)
    several = (directions,) if directions.dim() == 4 else directions.unbind(1)
    penalties = [penalty(alignment(gradients, theirs)).mean() for theirs in several]
    if key is not None:
        penalties.append(-alignment(gradients, key).mean())
    return cross_entropy, penalties[0] if len(penalties) == 1 else torch.stack(penalties).mean()


def reference_directions(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The unit input gradients (B, C, H, W) of a fixed network in evaluation mode.

    The training images and the reference do not change, so this is computed once for each image. It is
    the gradient of the log-odds, whose direction is that of the cross-entropy.

    Source: eq. (1), the terms of f_r.
    """
    network.eval()
    images = images.detach().requires_grad_()
    (gradients,) = torch.autograd.grad(log_odds(network(images), labels).sum(), images)
    return unit(gradients)
