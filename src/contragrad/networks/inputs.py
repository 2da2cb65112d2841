"""What is trained on: the images themselves, or adversarial examples of the network made on the way."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

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

    Source: Madry et al., "Towards deep learning models resistant to adversarial attacks", ICLR 2018.
    Deviates: 5 steps of epsilon / 2, where theirs on CIFAR-10 has 7 of epsilon / 4.
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
