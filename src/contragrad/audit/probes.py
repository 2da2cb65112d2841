"""What is measured on a network itself, beside attacks: its gradients, its answers, other disturbances."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import functional as transforms

from contragrad.attacks.examples import craft
from contragrad.audit.attackers import REFERENCE
from contragrad.audit.braced import Unfailing, fault_of
from contragrad.audit.filters import filtered
from contragrad.audit.sources import DISTILLED
from contragrad.data.dataset import Examples, pixels
from contragrad.evaluate import Share
from contragrad.networks.inference import BATCH, answers, are_probabilities, predict
from contragrad.networks.misalignment import log_odds, unit
from contragrad.networks.randomness import generator
from contragrad.settings.config import AttackSettings

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits (B, classes) and labels (B,) -> losses."""

PATH = 5
"""Steps of PGD along which gradients are compared."""

ROUNDING = 1e-4
"""Share of an attack's reach within which float32 does not say whether a boundary is crossed."""

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
        corruptions: for each disturbance, whether the target is right on each image, (N,), and the reference.
        filters: for each image filter, the shares of images that fool the reference behind it, crafted on the
            reference alone and through the filter.
        planted: images of a linear network that an attack of epsilon can fool by theory, and those of them
            that PGD fools, and those that it fools against theory.
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
    corruptions: Mapping[str, tuple[Tensor, Tensor]]
    filters: Mapping[str, tuple[Share, Share]]
    planted: tuple[int, int, int]


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
        saturated=_saturation(network, images, labels, own),
        gradient_ratio=float(length / other.clamp_min(1e-30)),
        aligned={REFERENCE: cosines(own, its)}
        | {name: cosines(own, gradients(each, images, labels)) for name, each in others.items()},
        agreement=_agreement(network, others, whole),
        aligned_nearby=cosines(moved, gradients(reference, nearby, labels)),
        aligned_on_path=_on_path(network, reference, images, labels, attack, seed),
        corruptions={
            name: (
                predict(network, disturbed := disturb(whole, seed)) == examples.labels.cpu(),
                predict(reference, disturbed) == examples.labels.cpu(),
            )
            for name, disturb in CORRUPTIONS.items()
        },
        filters=_filters(reference, few, attack, seed),
        planted=planted(images, attack, seed),
    )


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


def _agreement(network: nn.Module, others: Mapping[str, nn.Module], images: Tensor) -> Share | None:
    copy = others.get(DISTILLED)
    return None if copy is None else Share.of(predict(copy, images) == predict(network, images))


def _saturation(network: nn.Module, images: Tensor, labels: Tensor, there: Tensor) -> float:
    """The share of images whose cross-entropy has a zero gradient in float32 where the log-odds have none."""
    lost = _gradients(
        network, images, labels, lambda logits, own: F.cross_entropy(logits, own, reduction="sum")
    )
    return float(((lost.flatten(1) == 0).all(1) & (there.flatten(1) != 0).any(1)).double().mean())


def cosines(first: Tensor, second: Tensor) -> Tensor:
    """The cosine (N,) between two gradients of each image; 0 where one is zero or not finite."""
    found = (unit(first).flatten(1) * unit(second).flatten(1)).sum(1).clamp(-1, 1)
    return found.nan_to_num(0.0)


def _filters(
    reference: nn.Module, examples: Examples, attack: AttackSettings, seed: int
) -> Mapping[str, tuple[Share, Share]]:
    """What filters before the reference are worth; nothing where it cannot be attacked."""
    try:
        return filtered(reference, examples, attack, seed=seed)
    except FloatingPointError:
        return {}


def _on_path(
    network: nn.Module,
    reference: nn.Module,
    images: Tensor,
    labels: Tensor,
    attack: AttackSettings,
    seed: int,
) -> Tensor:
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


def planted(images: Tensor, attack: AttackSettings, seed: int) -> tuple[int, int, int]:
    """Attacks a linear network whose answer is known, at images drawn away from black and white.

    An L_inf attack of radius ε fools it just where |w·x - b| < ε ‖w‖₁.

    Returns:
        Images that can be fooled, those of them that are, and those that are against theory.
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
    return int(can.sum()), int((fooled & can).sum()), int((fooled & cannot).sum())
