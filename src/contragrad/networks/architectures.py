"""Architectures as texts, and their networks: hand-engineered, torchvision's, the user's, ensembles."""

from collections.abc import Sequence

import torchvision.models
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.evolution.genome import Genome, parse
from contragrad.evolution.shapes import Problem
from contragrad.networks.ensemble import Ensemble
from contragrad.networks.factory import network_of
from contragrad.networks.network import Normalisation, Normalised, build
from contragrad.networks.randomness import isolated

HAND_ENGINEERED: dict[str, Genome] = {
    # Three convolutional, three skip and two fully connected blocks.
    "hand-engineered-a": parse("conv(16,3) conv(16,3) sum(1,2) conv(32,3) cat(3,4) sum(4,5) fc(128)"),
    # Four convolutional, one pooling, two skip and two fully connected blocks.
    "hand-engineered-b": parse(
        "conv(16,3) conv(16,3) sum(1,2) pool(max,2) conv(32,3) conv(32,3) cat(5,6) fc(128)"
    ),
    # Not the paper's: a small VGG, which stands for networks that nothing was trained against.
    "plain": parse("conv(16,3) conv(16,3) pool(max,2) conv(32,3) conv(32,3) pool(max,2) fc(128)"),
}
"""The networks of figure 4, and a third.

Source: appendix A; the counts of its text.
Deviates: the paper prints neither channels nor kernels nor which blocks the skips join.
"""

ENSEMBLE, JOINT = "ensemble ", " | "
"""What the text of an ensemble begins with, and what stands between its members'."""

SMALLEST_EDGE = 32
"""Edge in pixels below which torchvision's deeper networks halve an image to nothing."""


class Fitted(nn.Module):
    """A torchvision network for images it was not made for.

    Grey becomes three equal channels, and images smaller than it can halve are padded with the mean.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 1 or 3, H, W) -> logits (B, classes)."""
        height, width = (max(0, SMALLEST_EDGE - edge) for edge in images.shape[-2:])
        images = F.pad(images, (width // 2, width - width // 2, height // 2, height - height // 2))
        logits: Tensor = self.network(images.expand(-1, 3, -1, -1))
        return logits


def text_of(name: str) -> str:
    """A named architecture, as the text that `construct` takes."""
    return str(HAND_ENGINEERED[name]) if name in HAND_ENGINEERED else f"torchvision {name}"


def ensemble_of(texts: Sequence[str]) -> str:
    """An ensemble of networks of these architectures, as the text that `construct` takes."""
    return ENSEMBLE + JOINT.join(texts)


def members_of(text: str) -> tuple[str, ...]:
    """The architectures of an ensemble; of another network, its own alone."""
    return tuple(text.removeprefix(ENSEMBLE).split(JOINT)) if text.startswith(ENSEMBLE) else (text,)


def construct(text: str, problem: Problem, normalisation: Normalisation, seed: int) -> nn.Module:
    """An untrained network for images in [0, 1].

    Args:
        text: a genome's canonical text, `torchvision NAME`, `factory PACKAGE.MODULE:FUNCTION`, or
            `ensemble TEXT | TEXT` and so on.
        problem: what the network is for.
        normalisation: of the training images; a factory's network does its own.
        seed: names the stream the weights are drawn from.

    Raises:
        UserError: if a factory cannot be called, or its network does not fit the problem.
    """
    if text.startswith(ENSEMBLE):
        return Ensemble([construct(member, problem, normalisation, seed) for member in members_of(text)])
    kind, _, name = text.partition(" ")
    if kind == "torchvision":
        with isolated(seed, "initialise"):
            inner = torchvision.models.get_model(name, weights=None, num_classes=problem.classes)
        return Normalised(Fitted(inner), normalisation)
    if kind == "factory":
        with isolated(seed, "initialise"):
            return network_of(name, problem)
    return build(parse(text), problem, normalisation, seed)
