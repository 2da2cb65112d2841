"""A linear network for an attack to fool: theory says on which images it can."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from contragrad.attacks.examples import craft
from contragrad.networks.inference import predict
from contragrad.networks.randomness import generator
from contragrad.settings.config import AttackSettings

ROUNDING = 1e-4
"""Share of an attack's reach within which float32 does not say whether a boundary is crossed."""


class Fooled(NamedTuple):
    """Images of a linear network: that can be fooled; of them, that are; and that are against theory."""

    can: int
    did: int
    against: int


class Planted(nn.Module):
    """A linear network of two classes; its weights stand in units of the mean image."""

    def __init__(self, weights: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> logits (B, 2)."""
        margin = images.flatten(1) @ self.weights - self.bias
        return torch.stack([margin, -margin], 1)


def planted(images: Tensor, attack: AttackSettings, seed: int) -> Fooled:
    """Attacks a linear network whose answer is known, at images drawn away from black and white.

    An L_inf attack of radius ε fools it just where |w·x - b| < ε ‖w‖₁.
    """
    radius = float(attack.epsilon)
    inside = images.flatten(1) * max(0.0, 1 - 2 * radius) + min(radius, 0.5)
    inside = inside.reshape(images.shape)
    weights = torch.randn(images[0].numel(), generator=generator(seed, "planted"))
    margins = (inside.flatten(1) @ weights).sort().values
    reach = radius * float(weights.abs().sum())
    # The boundary can be crossed from the upper half of the images.
    half = (len(margins) - 1) // 2
    middle = margins[half : half + 2].mean() if len(margins) > 1 else margins[0] - reach / 2
    network = Planted(weights, middle + reach)
    labels = predict(network, inside)
    distance = (inside.flatten(1) @ weights - middle - reach).abs() / reach
    can, cannot = distance < 1 - ROUNDING, distance > 1 + ROUNDING
    crafted = craft(network, inside, labels, attack, seed=seed)
    fooled = predict(network, crafted) != labels
    return Fooled(int(can.sum()), int((fooled & can).sum()), int((fooled & cannot).sum()))
