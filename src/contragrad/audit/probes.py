"""What is measured on a network itself, beside attacks: its gradients, its answers, other disturbances."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.transforms import functional as transforms

from contragrad.audit.attackers import REFERENCE
from contragrad.audit.filters import Behind, filtered
from contragrad.audit.input_gradients import cosines, cosines_on_path, gradients, saturation
from contragrad.audit.planted import Fooled, planted
from contragrad.audit.sources import DISTILLED
from contragrad.data.dataset import Examples, pixels
from contragrad.evaluate import Share
from contragrad.networks.inference import answers, are_probabilities, predict
from contragrad.networks.randomness import generator
from contragrad.settings.config import AttackSettings

CORRUPTIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "noise": lambda images, seed: (
        images + 0.05 * torch.randn(images.shape, generator=generator(seed, "corruption"))
    ).clamp(0, 1),
    "rotation by 15°": lambda images, seed: transforms.rotate(images, 15.0),
    "shift by 2 pixels": lambda images, seed: transforms.affine(
        images, angle=0.0, translate=[2, 2], scale=1.0, shear=[0.0]
    ),
}
"""Name -> float images (N, C, H, W) in [0, 1] and a seed to the same, disturbed."""


class Disturbed(NamedTuple):
    """Whether the target is right on each disturbed image, (N,), and the reference."""

    target: Tensor
    reference: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What was measured on a network itself.

    Args:
        images: on how many images gradients were taken.
        deterministic: asked twice, it gives the same logits.
        logits: its answers are no probabilities.
        zero_gradients: the share of images with a zero input gradient.
        broken_gradients: the share with one that is not finite.
        saturated: the share whose cross-entropy has a zero gradient where the log-odds have none.
        gradient_ratio: median length of its input gradients, in those of the reference.
        aligned: cosine of its input gradient with each source's at each image, (N,), by the source's name.
        agreement: images to which the copy that was distilled from it gives the same class; None without one.
        aligned_nearby: cosine with the reference's in noise of epsilon around each image, (N,).
        aligned_on_path: its mean along the reference's path of PGD from each image, (N,).
        corruptions: what each disturbance does.
        filters: what each image filter before the reference does.
        planted: what PGD does to a linear network.
    """

    images: int
    deterministic: bool
    logits: bool
    zero_gradients: float
    broken_gradients: float
    saturated: float
    gradient_ratio: float
    aligned: Mapping[str, Tensor] = field(default_factory=dict)
    agreement: Share | None = None
    aligned_nearby: Tensor
    aligned_on_path: Tensor
    corruptions: Mapping[str, Disturbed]
    filters: Mapping[str, Behind]
    planted: Fooled


def probe(
    network: nn.Module,
    reference: nn.Module,
    others: Mapping[str, nn.Module],
    examples: Examples,
    attack: AttackSettings,
    *,
    measured: int,
    seed: int,
) -> Probes:
    """Measures a network on images and beside its reference.

    Args:
        network: maps images in [0, 1] to logits.
        reference: the same.
        others: the other sources, by name.
        examples: N images.
        attack: epsilon, and the steps of the test on a linear network.
        measured: of how many of the images gradients are taken, the first ones.
        seed: names what is drawn.
    """
    whole, few = pixels(examples.images), Examples(examples.images[:measured], examples.labels[:measured])
    images, labels = pixels(few.images), few.labels
    radius = float(attack.epsilon)
    own, its = gradients(network, images, labels), gradients(reference, images, labels)
    flat, said = own.flatten(1), answers(network, images)
    shown = torch.rand(images.shape, generator=generator(seed, "nearby")) * 2 - 1
    nearby = (images + radius * shown).clamp(0, 1)
    moved = gradients(network, nearby, labels)
    length, other = (each.flatten(1).double().norm(dim=1).median() for each in (own, its))
    return Probes(
        images=len(images),
        deterministic=bool(torch.equal(said, answers(network, images))),
        logits=not are_probabilities(said),
        zero_gradients=float((flat == 0).all(1).double().mean()),
        broken_gradients=float((~flat.isfinite()).any(1).double().mean()),
        saturated=saturation(network, images, labels, own),
        gradient_ratio=float(length / other.clamp_min(1e-30)),
        aligned={REFERENCE: cosines(own, its)}
        | {name: cosines(own, gradients(each, images, labels)) for name, each in others.items()},
        agreement=_agreement(network, others, whole),
        aligned_nearby=cosines(moved, gradients(reference, nearby, labels)),
        aligned_on_path=cosines_on_path(network, reference, images, labels, attack, seed),
        corruptions={
            name: Disturbed(
                predict(network, disturbed := disturb(whole, seed)) == examples.labels.cpu(),
                predict(reference, disturbed) == examples.labels.cpu(),
            )
            for name, disturb in CORRUPTIONS.items()
        },
        filters=_filters(reference, few, attack, seed),
        planted=planted(images, attack, seed),
    )


def _agreement(network: nn.Module, others: Mapping[str, nn.Module], images: Tensor) -> Share | None:
    copy = others.get(DISTILLED)
    return None if copy is None else Share.of(predict(copy, images) == predict(network, images))


def _filters(
    reference: nn.Module, examples: Examples, attack: AttackSettings, seed: int
) -> Mapping[str, Behind]:
    """What filters before the reference are worth; nothing where it cannot be attacked."""
    try:
        return filtered(reference, examples, attack, seed=seed)
    except FloatingPointError:
        return {}
