"""Adversarial examples of a network: thin adapters over torchattack that give what they promise.

The library does the gradient steps. What it leaves to its caller happens here: named random numbers,
a frozen network, batches, and the bounds held to the last bit.

Source: section 4.2.2 (FGSM, L_inf-PGD, L_2-PGD), refs. [1] and [44].
Deviates: the loss that is climbed is the log-odds against the label, see `_climbed`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torchattack import FGSM, PGD, PGDL2

from contragrad.config import AttackName, AttackSettings
from contragrad.data.dataset import pixels
from contragrad.networks.misalignment import log_odds
from contragrad.networks.randomness import isolated

Norm = Literal["linf", "l2"]

POSITIONS = 2**18
"""Height times width of all images attacked at once: 256 of 32x32, five of 224x224. It bounds the memory.

No argument of `craft`, because each batch has a stream of random numbers of its own: another batch
size would make other examples.
"""


class Attack(Protocol):
    """What a constructor in `ATTACKS` returns; torchattack's objects are such attacks."""

    def __call__(self, images: Tensor, labels: Tensor, /) -> Tensor:
        """Examples (B, C, H, W) for images in [0, 1] and their labels (B,), on the network's device."""
        ...


def craft(
    network: nn.Module, images: Tensor, labels: Tensor, settings: AttackSettings, *, seed: int
) -> Tensor:
    """Adversarial examples of `network`, on the device of its parameters and in evaluation mode.

    The network, its modes, its gradients and the global random state are afterwards as they were.
    An example depends on all of the arguments, so with a random start also on the image's place.

    Args:
        network: maps images in [0, 1], float32 (B, C, H, W), to logits (B, classes).
        images: (N, C, H, W), uint8 or float32 in [0, 1].
        labels: (N,), the classes to be misled from.
        settings: the attack. `fgsm` takes one step of epsilon and reads neither `steps`, `step_size`
            nor `random_start`.
        seed: names the random starts.

    Returns:
        float32 (N, C, H, W) on the CPU, in [0, 1] and, to float64 rounding, in the closed
        epsilon ball around each image; the images themselves if epsilon is 0.

    Raises:
        ValueError: if an image leaves [0, 1] or is NaN, or if images and labels differ in number.
        FloatingPointError: if a gradient or an example is not finite, as a diverged network's are.
        RuntimeError: if the attack left the ball.
    """
    _require_images(images, labels)
    norm, construct = ATTACKS[settings.name]
    epsilon = float(settings.epsilon)
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    size = max(1, POSITIONS // images.shape[-2:].numel())
    examples = torch.empty(images.shape, dtype=torch.float32)
    with _frozen(network), torch.enable_grad():
        attack = construct(network, settings, device)
        for number, start in enumerate(range(0, len(images), size)):
            batch = slice(start, start + size)
            clean = pixels(images[batch]).cpu()
            if epsilon == 0:
                examples[batch] = clean
                continue
            with isolated(seed, "attack", number):
                crafted = attack(clean.to(device), labels[batch].to(device)).detach().cpu()
            _require_promise(settings.name, crafted, clean, epsilon)
            examples[batch] = _project(crafted, clean, epsilon, norm)
    return examples


def norm_of(name: AttackName) -> Norm:
    """The norm in which the attack's epsilon is measured."""
    return ATTACKS[name][0]


def perturbation_norm(adversarial: Tensor, images: Tensor, norm: Norm) -> Tensor:
    """The length of each example's perturbation in pixel units, float64 (N,).

    Args:
        adversarial: (N, C, H, W) in [0, 1].
        images: the clean images, uint8 or float32 in [0, 1].
        norm: the largest absolute value, or the Euclidean length.
    """
    return _length(adversarial.double() - pixels(images).double(), norm)


def _length(perturbation: Tensor, norm: Norm) -> Tensor:
    order = float("inf") if norm == "linf" else 2
    lengths: Tensor = torch.linalg.vector_norm(perturbation.flatten(1), ord=order, dim=1)
    return lengths


def _require_images(images: Tensor, labels: Tensor) -> None:
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images have {len(labels)} labels")
    if images.is_floating_point() and len(images):
        low, high = (bound.item() for bound in images.aminmax())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"the images' values are in [{low}, {high}], not in [0, 1]")


def _require_promise(name: AttackName, crafted: Tensor, clean: Tensor, epsilon: float) -> None:
    """Float rounding may exceed epsilon, by about 1e-7 in each pixel; the attack itself may not."""
    if not crafted.isfinite().all():
        raise FloatingPointError(f"{name} made examples that are not finite")
    norm = norm_of(name)
    rounding = _length(torch.full_like(clean[:1], 1e-7), norm).item()
    furthest = _length(crafted.double() - clean.double(), norm).max().item()
    if furthest > epsilon * (1 + 1e-5) + rounding:
        raise RuntimeError(f"{name} left its {norm} ball: {furthest} is more than {epsilon}")


def _project(crafted: Tensor, clean: Tensor, epsilon: float, norm: Norm) -> Tensor:
    """The examples with perturbations shortened to epsilon, and rounded towards the clean images."""
    origin = clean.double()
    perturbation = crafted.clamp(0, 1).double() - origin
    if norm == "linf":
        perturbation = perturbation.clamp(-epsilon, epsilon)
    else:
        shrink = (epsilon / _length(perturbation, norm)).clamp(max=1)
        perturbation = perturbation * shrink.reshape(-1, 1, 1, 1)
    rounded = (origin + perturbation).float()
    too_far = (rounded.double() - origin).abs() > perturbation.abs()
    return torch.where(too_far, rounded.nextafter(clean), rounded)


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        network.eval()
        for parameter, _ in flags:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in flags:
            parameter.requires_grad_(requires_grad)


def _climbed(logits: Tensor, labels: Tensor) -> Tensor:
    """The summed log-odds against the labels; a mean would shorten each gradient by the number of images.

    An example's gradient has the direction of its cross-entropy's, and an attack takes only that. But
    where the network is certain, cross-entropy loses the direction to rounding (on digits, at a median
    margin of 12 between logits, a quarter of the directions were off by 8° or more), L_2-PGD barely
    moves, and the network passes for robust.
    """
    return log_odds(logits, labels).sum()


def _adapted(attack: Any, name: AttackName) -> Attack:
    """The library's attack, made to climb the log-odds and to refuse gradients that are not finite.

    The L_inf attacks would take the sign of NaN, which is 0, and give the images back unharmed.
    """

    def require_finite(gradient: Tensor) -> None:
        if not gradient.isfinite().all():
            raise FloatingPointError(f"{name} met gradients that are not finite: is the network NaN?")

    def watched(images: Tensor) -> Tensor:
        images.register_hook(require_finite)  # type: ignore[no-untyped-call]
        return images

    attack.lossfn = _climbed
    attack.normalize = watched
    adapted: Attack = attack
    return adapted


def _pgd_options(settings: AttackSettings) -> dict[str, Any]:
    epsilon, steps = settings.epsilon, settings.steps
    step_size = settings.step_size or Fraction(5, 2) * epsilon / steps
    return {
        "eps": float(epsilon),
        "steps": steps,
        "alpha": float(step_size),
        "random_start": settings.random_start,
    }


def _fgsm(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    return _adapted(FGSM(network, device=device, eps=float(settings.epsilon)), settings.name)


def _linf_pgd(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    return _adapted(PGD(network, device=device, **_pgd_options(settings)), settings.name)


def _l2_pgd(network: nn.Module, settings: AttackSettings, device: torch.device) -> Attack:
    return _adapted(PGDL2(network, device=device, **_pgd_options(settings)), settings.name)


ATTACKS: dict[AttackName, tuple[Norm, Callable[[nn.Module, AttackSettings, torch.device], Attack]]] = {
    "fgsm": ("linf", _fgsm),
    "linf-pgd": ("linf", _linf_pgd),
    "l2-pgd": ("l2", _l2_pgd),
}
"""Name -> the norm of its ball, and its constructor."""
