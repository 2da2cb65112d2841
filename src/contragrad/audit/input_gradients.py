"""Input gradients of networks: taken, compared by their direction, and lost by a loss that is saturated."""

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.attacks.examples import craft
from contragrad.audit.braced import Unfailing, fault_of
from contragrad.networks.inference import BATCH
from contragrad.networks.misalignment import log_odds, unit
from contragrad.settings.config import AttackSettings

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits (B, classes) and labels (B,) -> losses."""

PATH = 5
"""Steps of PGD along which gradients are compared."""


def gradients(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The input gradients (N, C, H, W) of the log-odds against the labels, on the CPU.

    They have the direction of the cross-entropy's, and keep it where the network is certain.
    """
    return _gradients(network, images, labels, log_odds)


def _gradients(network: nn.Module, images: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    network.eval()
    device = next(network.parameters()).device
    found = []
    for part, own in zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True):
        part = part.to(device).clone().requires_grad_()
        with torch.enable_grad():
            total = loss(network(part), own.to(device)).sum()
        try:
            found.append(torch.autograd.grad(total, part)[0].cpu())
        except Exception as error:  # a user's own derivative may raise anything
            if not isinstance(network, Unfailing):
                raise
            fault_of(error)
            found.append(torch.full_like(part, torch.nan).detach().cpu())
    return torch.cat(found)


def saturation(network: nn.Module, images: Tensor, labels: Tensor, there: Tensor) -> float:
    """The share of images whose cross-entropy has a zero gradient in float32 where the log-odds have none."""
    lost = _gradients(
        network, images, labels, lambda logits, own: F.cross_entropy(logits, own, reduction="sum")
    )
    return float(((lost.flatten(1) == 0).all(1) & (there.flatten(1) != 0).any(1)).double().mean())


def cosines(first: Tensor, second: Tensor) -> Tensor:
    """The cosine (N,) between two gradients of each image; 0 where one is zero or not finite."""
    found = (unit(first).flatten(1) * unit(second).flatten(1)).sum(1).clamp(-1, 1)
    return found.nan_to_num(0.0)


def cosines_on_path(
    network: nn.Module,
    reference: nn.Module,
    images: Tensor,
    labels: Tensor,
    attack: AttackSettings,
    seed: int,
) -> Tensor:
    """The mean cosine (N,) of two networks' gradients along the path of PGD on the reference."""
    found = []
    for step in range(1, PATH + 1):
        first = AttackSettings(
            name="linf-pgd",
            epsilon=attack.epsilon * Fraction(step, PATH),
            steps=step,
            random_start=False,
        )
        try:
            point = craft(reference, images, labels, first, seed=seed)
        except FloatingPointError:  # the path ends where the reference has no gradient
            point = images
        found.append(cosines(gradients(network, point, labels), gradients(reference, point, labels)))
    return torch.stack(found).mean(0)
