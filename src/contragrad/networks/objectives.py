"""What a training minimises: cross-entropy on some images, and a penalty on how input gradients align."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from contragrad.choices import Objective
from contragrad.networks.misalignment import Penalty, opposite, orthogonal

Logits = Callable[[Tensor], Tensor]
Inputs = Callable[[Logits, Tensor, Tensor], Iterator[Tensor]]
"""The images that a batch's steps are taken on, made of its images and labels; one that requires a gradient
has it when the next is asked for."""

FREE_REPLAYS = 4
"""Steps on each batch of free adversarial training.

Source: ref. [15], its m: 4 in that paper's experiments on ImageNet, 2 to 10 on CIFAR-10.
"""

FAST_STEP = 1.25
"""Length of fast adversarial training's step, in epsilon.

Source: ref. [16], its α = 10/255 for ε = 8/255.
"""

PGD_STEPS = 5
"""Steps of PGD in adversarial training by it; each costs a gradient by the images."""

PGD_STEP = 2.5
"""Length of all its steps together, in epsilon, as the attack's are by default."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What an objective is made of.

    Args:
        penalty: of the alignment with the reference's input gradients; None has none.
        fixed: the cross-entropy is that of fixed adversarial examples of the reference too, in equal parts.
        inputs: given epsilon, what is trained on in the place of the images.
        beside: the inputs are trained on beside the images, in equal parts.
    """

    penalty: Penalty | None = None
    fixed: bool = False
    inputs: Callable[[float], Inputs] | None = None
    beside: bool = False

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


def clean(logits: Logits, images: Tensor, labels: Tensor) -> Iterator[Tensor]:
    """The images themselves."""
    yield images


def fast(epsilon: float) -> Inputs:
    """The inputs of fast adversarial training: one step of FGSM from a random point of the ball.

        x' = x + clip(δ + α sign ∇ₓ ℓ(f(x + δ), y)),   δ uniform in [-ε, ε]

    Source: ref. [16], algorithm 3, as compared with in section 4.2.3.
    """

    def inputs(logits: Logits, images: Tensor, labels: Tensor) -> Iterator[Tensor]:
        start = images + torch.empty_like(images).uniform_(-epsilon, epsilon)
        start = start.clamp(0, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits(start), labels), start)
        moved = start.detach() - images + FAST_STEP * epsilon * gradient.sign()
        yield (images + moved.clamp(-epsilon, epsilon)).clamp(0, 1)

    return inputs


def pgd(epsilon: float) -> Inputs:
    """The inputs of adversarial training by PGD from a random point of the ball.

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018; theirs
        takes 7 steps of epsilon / 4 on CIFAR-10.
    """

    def inputs(logits: Logits, images: Tensor, labels: Tensor) -> Iterator[Tensor]:
        found = (images + torch.empty_like(images).uniform_(-epsilon, epsilon)).clamp(0, 1)
        for _ in range(PGD_STEPS):
            point = found.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(logits(point), labels), point)
            moved = point.detach() - images + PGD_STEP / PGD_STEPS * epsilon * gradient.sign()
            found = (images + moved.clamp(-epsilon, epsilon)).clamp(0, 1)
        yield found

    return inputs


def free(epsilon: float) -> Inputs:
    """The inputs of free adversarial training: each batch some times over, moved by its last step's gradient.

        δ ← clip(δ + ε sign ∇ₓ ℓ(f(x + δ), y)),   with one backward pass for δ and for the weights

    δ is handed on from batch to batch. An epoch has as many steps on each batch as the replays, so that a
    training of as many steps as another has fewer epochs.

    Source: ref. [15], algorithm 1, as compared with in section 4.2.3.
    Deviates: δ starts from zero with every epoch, so that an epoch depends on nothing but its session.
    """
    kept: list[Tensor] = []

    def inputs(logits: Logits, images: Tensor, labels: Tensor) -> Iterator[Tensor]:
        # The last batch of an epoch may be smaller, or larger by one.
        fits = bool(kept) and len(kept[0]) >= len(images)
        delta = kept[0][: len(images)] if fits else torch.zeros_like(images)
        for _ in range(FREE_REPLAYS):
            perturbed = (images + delta).clamp(0, 1).requires_grad_()
            yield perturbed
            assert perturbed.grad is not None, "a step leaves the gradient of what requires it"
            delta = (delta + epsilon * perturbed.grad.sign()).clamp(-epsilon, epsilon)
        kept[:] = [delta]

    return inputs


OBJECTIVES: dict[Objective, Parts] = {
    "gm": Parts(penalty=opposite),
    "orthogonal": Parts(penalty=orthogonal),
    "cross-entropy": Parts(),
    "fixed-adversarial": Parts(fixed=True),
    "fixed-adversarial+gm": Parts(penalty=opposite, fixed=True),
    "fixed-adversarial+orthogonal": Parts(penalty=orthogonal, fixed=True),
    "free-adversarial": Parts(inputs=free),
    "fast-adversarial": Parts(inputs=fast),
    "pgd-adversarial": Parts(inputs=pgd),
    # Goodfellow et al. 2015: clean and adversarial examples in equal parts; the step is fast training's.
    "mixed-adversarial": Parts(inputs=fast, beside=True),
    "mixed-adversarial+orthogonal": Parts(penalty=orthogonal, inputs=fast, beside=True),
    "mixed-pgd-adversarial": Parts(inputs=pgd, beside=True),
    # Tramèr et al. 2018, "Ensemble adversarial training": those of static networks too, in each batch.
    "ensemble-adversarial": Parts(fixed=True, inputs=fast, beside=True),
    "ensemble-adversarial+orthogonal": Parts(penalty=orthogonal, fixed=True, inputs=fast, beside=True),
}
