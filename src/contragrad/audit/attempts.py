"""One attempt of an attacker: examples crafted on a source, and what holds against them, image by image."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from contragrad.artefacts import Artefacts
from contragrad.attacks.examples import craft, perturbation_norm
from contragrad.audit.braced import Unfailing, fault_of, is_blind
from contragrad.audit.queries import hop_skip_jump, square
from contragrad.data.dataset import Examples, pixels
from contragrad.fingerprint import fingerprint, stream_seed
from contragrad.networks.inference import predict
from contragrad.networks.randomness import generator
from contragrad.settings.config import AttackSettings

Way = Literal["gradient", "reversed", "noise", "queries", "labels"]
"""How examples come about: by the attack's gradient steps; by the same steps down the source's loss; uniform
noise of the ball; by the source's answers, or their classes alone, with as many queries as steps."""

VERSIONS: dict[Way, int] = {"queries": 2, "reversed": 2}
"""Of ways whose examples have changed: raised with each change, so that older attempts are not found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Examples to be crafted.

    Args:
        source: name of the network they are crafted on.
        attack: name, epsilon and steps.
        way: how they come about.
        restart: which random start.
    """

    source: str
    attack: AttackSettings
    way: Way = "gradient"
    restart: int = 0

    @property
    def label(self) -> str:
        """What it is called in a table."""
        match self.way:
            case "gradient":
                return self.attack.name
            case "reversed":
                return f"{self.attack.name}, reversed"
            case "queries":
                return "square"
            case "labels":
                return "hop-skip-jump"
            case "noise":
                return "noise"


@dataclass(frozen=True, slots=True)
class Named:
    """A network and the fingerprint of its weights.

    Args:
        network: maps images in [0, 1] to logits.
        fingerprint: of its weights.
        foreign: whether its code is somebody else's, so that it may fail anywhere.
    """

    network: nn.Module
    fingerprint: str
    foreign: bool = False

    def unfailing(self, classes: int) -> nn.Module:
        """The network; of somebody else's code, one whose failures are answers that are NaN."""
        return Unfailing(self.network, classes).eval() if self.foreign else self.network


@dataclass(frozen=True, slots=True)
class Held:
    """What came of an attempt, for each of N images.

    Args:
        right: whether the target gave the example its label, bool (N,).
        source: whether the source itself did, bool (N,).
        linf: the perturbation's largest absolute value, float (N,).
        l2: its Euclidean length, float (N,).
        queries: how many answers the source gave, (N,); empty where none are counted.
        ordinary: whether an ordinary network gave the example its label, bool (N,); empty without one.
    """

    right: Tensor
    source: Tensor
    linf: Tensor
    l2: Tensor
    queries: Tensor = field(default_factory=lambda: torch.empty(0))
    ordinary: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))


Crafted = tuple[Tensor, Tensor]
"""Examples (N, C, H, W), and how many answers each took, (N,), empty where none are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Where attempts are made: on which images, against which network.

    Args:
        examples: N test images with their labels.
        identity: names them.
        target: the network whose answers count.
        seed: names all streams of random numbers.
        artefacts: keeps what came of attempts.
        ordinary: a network without a defence that is shown the examples too; None if there is none.
        apart: sources whose examples it is not shown: itself, those that it is a part of, and the target.
    """

    examples: Examples
    identity: str
    target: Named
    seed: int
    artefacts: Artefacts
    ordinary: Named | None = None
    apart: frozenset[str] = frozenset()

    def attempt(self, attempt: Attempt, source: Named, crafted: Callable[[], Crafted] | None = None) -> Held:
        """What comes of the attempt; made once and kept.

        Args:
            attempt: what is tried.
            source: the network of that name.
            crafted: gives its examples, if they are had without crafting them anew.

        Raises:
            FloatingPointError: if the source's gradients are not finite.
        """
        name = self._name(attempt, source.fingerprint)
        crafted = crafted or partial(self.crafted, attempt, source)
        beside = self._beside(attempt)
        tensors = self.artefacts.obtain(
            "attempt", name, lambda: self._tensors(source.network, beside, crafted())
        )
        return Held(**tensors)

    def crafted(self, attempt: Attempt, source: Named) -> Crafted:
        """The examples of an attempt, and the answers that each took if they were counted."""
        return _crafted(attempt, source.network, self.examples, self.seed)

    def made(self, attempt: Attempt, source: str) -> bool:
        """Whether what comes of the attempt on the source of this fingerprint is kept already."""
        return self.artefacts.find("attempt", self._name(attempt, source)) is not None

    def _name(self, attempt: Attempt, source: str) -> str:
        what = (attempt.attack, attempt.way, attempt.restart)
        tag = f"attempt/{VERSIONS.get(attempt.way, 1)}"
        beside = self._beside(attempt)
        names = (source, self.target.fingerprint, *([beside.fingerprint] if beside else []))
        return fingerprint(tag, *what, *names, self.identity, self.seed)

    def _beside(self, attempt: Attempt) -> Named | None:
        """The ordinary network, if it is shown the examples."""
        return None if attempt.source in self.apart else self.ordinary

    def _tensors(self, source: nn.Module, beside: Named | None, found: Crafted) -> dict[str, Tensor]:
        images, labels = self.examples.images, self.examples.labels.cpu()
        crafted, queries = found
        ordinary = {} if beside is None else {"ordinary": predict(beside.network, crafted) == labels}
        return ordinary | {
            "right": predict(self.target.network, crafted) == labels,
            "source": predict(source, crafted) == labels,
            "linf": perturbation_norm(crafted, images, "linf").float(),
            "l2": perturbation_norm(crafted, images, "l2").float(),
            "queries": queries,
        }


def attempted(
    attempt: Attempt, source: Named, arena: Field, crafted: Callable[[], Crafted] | None = None
) -> Held | str:
    """What comes of an attempt, or why it cannot be made on that source; see `Field.attempt`."""
    # Of AutoAttack a part goes without gradients.
    climbs = attempt.way in ("gradient", "reversed") and attempt.attack.name != "autoattack"
    if climbs and is_blind(source.network):
        return f"{attempt.attack.name} needs gradients, and the network has none"
    try:
        return arena.attempt(attempt, source, crafted)
    except FloatingPointError as error:
        return str(error)
    except Exception as error:  # a user's code may raise anything; our own networks' errors are ours
        if not any(each is not None and each.foreign for each in (source, arena.target, arena.ordinary)):
            raise
        return fault_of(error)


def _crafted(attempt: Attempt, source: nn.Module, examples: Examples, seed: int) -> Crafted:
    images, labels, attack = examples.images, examples.labels, attempt.attack
    own = stream_seed(seed, "audit", attempt.way, attempt.restart)
    match attempt.way:
        case "queries":
            return square(source, images, labels, attack.epsilon, attack.steps, seed=own)
        case "labels":
            return hop_skip_jump(source, images, labels, attack.epsilon, attack.steps, seed=own)
        case "noise":
            radius = float(attack.epsilon)
            noise = torch.rand(images.shape, generator=generator(own, "noise")) * 2 * radius - radius
            crafted = (pixels(images) + noise).clamp(0, 1)
        case "gradient":
            crafted = craft(source, images, labels, attack, seed=own)
        case "reversed":
            crafted = craft(Descended(source), images, labels, attack, seed=own)
    return crafted, torch.empty(0)


class Descended(nn.Module):
    """A network with the same answers and negated input gradients: what climbs its loss goes down it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> the network's logits (B, classes)."""
        shown = images.view_as(images)
        if shown.requires_grad:
            shown.register_hook(torch.neg)  # type: ignore[no-untyped-call]
        logits: Tensor = self.network(shown)
        return logits
