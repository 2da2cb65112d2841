"""How long networks take here: an input gradient of an image, timed once for each architecture."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

import torch
from torch import nn

from contragrad.audit.braced import braced
from contragrad.audit.target import UNCHANGED
from contragrad.data.dataset import Examples, pixels
from contragrad.evolution.shapes import Problem
from contragrad.networks.architectures import construct
from contragrad.networks.inference import device_of

TIMED = (2, 10, 50)
"""Images on which a gradient is timed: more where few take little time."""

LONG = 0.3
"""Seconds for few images from which on more are not asked."""

TRIES = 5
"""Of which the quickest counts: the first is slow, and so is whichever another process gets in the way of."""


@dataclass(frozen=True, slots=True)
class Paces:
    """Seconds that an image's input gradient takes.

    Args:
        problem: what networks are for.
        examples: on which they are timed.
        known: those that were timed, by the network's architecture or fingerprint.
    """

    problem: Problem
    examples: Examples
    known: dict[str, float] = field(default_factory=dict)

    def of_architecture(self, text: str) -> float:
        """Of a network that is not there yet."""
        return self.of(text, lambda: untrained(text, self.problem))

    def of(self, name: str, network: Callable[[], nn.Module]) -> float:
        """Of the network that has the name, or that is made if it has not been timed."""
        if name not in self.known:
            self.known[name] = seconds(braced(network(), self.examples), self.examples)
        return self.known[name]


def untrained(text: str, problem: Problem) -> nn.Module:
    """A network to be timed; what the pixels are scaled by takes no other time."""
    return construct(text, problem, UNCHANGED, 0)


def seconds(network: nn.Module, examples: Examples) -> float:
    """How long an image's input gradient takes here, in a batch if it is short."""
    device = device_of(network)
    for count in TIMED:
        images = pixels(examples.images[:count]).to(device)
        taken: list[float] = []
        while len(taken) < TRIES and sum(taken) < TRIES * LONG:
            begun = time.monotonic()
            part = images.clone().requires_grad_()
            torch.autograd.grad(network.eval()(part).sum(), part)
            taken.append(time.monotonic() - begun)
        if min(taken) > LONG:
            break
    return min(taken) / len(images)


def duration(time: float) -> str:
    """So many seconds in minutes, or as they are where they are few."""
    return f"{time / 60:.1f} minutes" if time > 59 else f"{ceil(time)} s"
