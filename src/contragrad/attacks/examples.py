"""Adversarial examples of a network that are what they promise.

The attacks are libraries', see `library`. What those leave to their caller happens here: named
random numbers, a frozen network, batches, and the bounds held to the last bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from contragrad.attacks.library import ATTACKS, Norm, norm_of
from contragrad.data.dataset import pixels
from contragrad.errors import UserError
from contragrad.networks.inference import device_of
from contragrad.networks.randomness import isolated
from contragrad.settings.choices import AttackName
from contragrad.settings.config import AttackSettings

POSITIONS = 2**18
"""Height times width of all images attacked at once: 256 of 32x32, five of 224x224. It bounds the memory.

No argument of `craft`, because each batch has a stream of random numbers of its own: another batch
size would make other examples.
"""


def craft(
    network: nn.Module, images: Tensor, labels: Tensor, settings: AttackSettings, *, seed: int
) -> Tensor:
    """Adversarial examples of `network`, on the device of its parameters and in evaluation mode.

    The network, its modes, its gradients and the global random state are afterwards as they were.
    An example depends on all of the arguments, so where an attack draws random numbers also on the image's
    place.

    Args:
        network: maps images in [0, 1], float32 (B, C, H, W), to logits (B, classes).
        images: (N, C, H, W), uint8 or float32 in [0, 1].
        labels: (N,), the classes to be misled from.
        settings: the attack; which of them it reads says `library.settings_read`.
        seed: names the attack's random numbers.

    Returns:
        float32 (N, C, H, W) on the CPU, in [0, 1] and, to float64 rounding, in the closed
        epsilon ball around each image; the images themselves if epsilon is 0.

    Raises:
        ValueError: if an image leaves [0, 1] or is NaN, or if images and labels differ in number.
        FloatingPointError: if a gradient or an example is not finite, as a diverged network's are.
        RuntimeError: if the attack left the ball.
        UserError: if the attack cannot read this network, or needs a package that is missing.
    """
    _require_images(images, labels)
    norm, construct = ATTACKS[settings.name]
    epsilon = float(settings.epsilon)
    device = device_of(network)
    size = max(1, POSITIONS // images.shape[-2:].numel())
    examples = torch.empty(images.shape, dtype=torch.float32)
    with frozen(network), torch.enable_grad():
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


def require_craftable(
    network: nn.Module, shape: tuple[int, int, int], settings: AttackSettings, *, where: str
) -> None:
    """Tries the attack on one random image, so that what cannot be crafted on is known before it is trained.

    The network is afterwards as it was, and its weights need not be trained.

    Args:
        network: as for `craft`, on the CPU.
        shape: of an image.
        settings: the attack.
        where: for the message, what names the network.

    Raises:
        UserError: if the attack cannot read this network, or needs a package that is missing, or if what it
            made is not finite.
    """
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    with frozen(network), torch.no_grad():
        logits = network(image)
    # AutoAttack goes through all of its attacks only for an image that is classified correctly.
    label = (logits.argmax(1) + 1) % logits.shape[1]
    try:
        craft(network, image, label, replace(settings, steps=1, step_size=None), seed=0)
    except FloatingPointError as error:
        raise UserError(
            f"no examples can be crafted: {error}", where=where, remedy="a network with finite gradients"
        ) from error


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
def frozen(network: nn.Module) -> Iterator[None]:
    """A block in which the network is in evaluation mode and its parameters have no gradients."""
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
