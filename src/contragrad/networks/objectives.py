"""What a training minimises: cross-entropy on some images, and a penalty on how input gradients align."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from contragrad.networks.inputs import FREE_REPLAYS, PGD_STEPS, Inputs, fast, free, pgd
from contragrad.networks.misalignment import Penalty, opposite, orthogonal
from contragrad.settings.choices import Objective
from contragrad.settings.config import TrainingSettings

GM_STEP = 2.5
"""What a training step with a penalty costs, in plain ones."""

PLAIN_STEP = 1.5
"""What a plain training step costs, in input gradients: forward, by the input and by the weights."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What an objective is made of.

    Args:
        penalty: of the alignment with the reference's input gradients; None has none.
        fixed: the cross-entropy is that of fixed adversarial examples of the reference too, in equal parts.
        inputs: given epsilon, what is trained on in the place of the images.
        beside: the inputs are trained on beside the images, in equal parts.
        gradients: input gradients that the making of a batch's inputs takes, beside the steps on them.
        replays: steps that are taken on each batch.
    """

    penalty: Penalty | None = None
    fixed: bool = False
    inputs: Callable[[float], Inputs] | None = None
    beside: bool = False
    gradients: int = 0
    replays: int = 1

    @property
    def takes_sources(self) -> bool:
        """Whether it takes gradients or examples of the reference, or of others in its place."""
        return self.penalty is not None or self.fixed


@dataclass(frozen=True, slots=True)
class Material:
    """What an objective takes beside N images and their labels; None where it takes none.

    Args:
        directions: (N, C, H, W), the reference's unit gradients at the images; (N, S, C, H, W) of S sources.
        adversarial: in [0, 1], the reference's adversarial examples at the images, or those of S sources.
        epsilon: radius of the L_inf ball of adversarial training, in pixel units.
        key: (N, C, H, W), a private network's unit gradients at the images.
        own: (N, C, H, W) in [0, 1], inputs that are trained on beside the images.
    """

    directions: Tensor | None = None
    adversarial: Tensor | None = None
    epsilon: float = 0.0
    key: Tensor | None = None
    own: Tensor | None = None

    def examples(self) -> Tensor | None:
        """The adversarial examples (N, C, H, W); of several sources, each image's of one drawn at random."""
        if self.adversarial is None or self.adversarial.dim() == 4:
            return self.adversarial
        count, sources = self.adversarial.shape[:2]
        return self.adversarial[torch.arange(count), torch.randint(sources, (count,))]

    def at(self, batch: Tensor, device: torch.device, *, aligned: bool) -> "Material":
        """That of a batch, on the device; without directions unless it is to be aligned."""

        def part(whole: Tensor | None) -> Tensor | None:
            return None if whole is None else whole[batch].to(device)

        directions, key = (part(self.directions), part(self.key)) if aligned else (None, None)
        return Material(directions, part(self.adversarial), self.epsilon, key)


OBJECTIVES: dict[Objective, Parts] = {
    "gm": Parts(penalty=opposite),
    "orthogonal": Parts(penalty=orthogonal),
    "cross-entropy": Parts(),
    "fixed-adversarial": Parts(fixed=True),
    "fixed-adversarial+gm": Parts(penalty=opposite, fixed=True),
    "fixed-adversarial+orthogonal": Parts(penalty=orthogonal, fixed=True),
    "free-adversarial": Parts(inputs=free, replays=FREE_REPLAYS),
    "fast-adversarial": Parts(inputs=fast, gradients=1),
    "pgd-adversarial": Parts(inputs=pgd, gradients=PGD_STEPS),
    # Goodfellow et al. 2015: clean and adversarial examples in equal parts; the step is fast training's.
    "mixed-adversarial": Parts(inputs=fast, beside=True, gradients=1),
    "mixed-adversarial+orthogonal": Parts(penalty=orthogonal, inputs=fast, beside=True, gradients=1),
    "mixed-pgd-adversarial": Parts(inputs=pgd, beside=True, gradients=PGD_STEPS),
    # Tramèr et al. 2018, "Ensemble adversarial training": those of static networks too, in each batch.
    "ensemble-adversarial": Parts(fixed=True, inputs=fast, beside=True, gradients=1),
    "ensemble-adversarial+orthogonal": Parts(
        penalty=orthogonal, fixed=True, inputs=fast, beside=True, gradients=1
    ),
}


def joined(training: TrainingSettings) -> int:
    """How many sets of directions and examples, one of each source, the objective joins; 0 of one source."""
    parts, ordinary = OBJECTIVES[training.objective], sum(source != "key" for source in training.sources)
    return ordinary * ((parts.penalty is not None) + parts.fixed) if ordinary > 1 else 0


def step_cost(objective: Objective) -> float:
    """What a training step of the objective costs, in those of cross-entropy."""
    parts = OBJECTIVES[objective]
    steps = parts.replays + parts.fixed + parts.beside
    return steps + parts.gradients / PLAIN_STEP + (GM_STEP - 1 if parts.penalty is not None else 0.0)
