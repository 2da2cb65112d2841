"""A trained network's answers and input gradients, a bounded number of images at a time."""

import torch
from torch import Tensor, nn

from contragrad.data.dataset import Examples, pixels
from contragrad.errors import UserError
from contragrad.legible import first_line
from contragrad.networks.misalignment import reference_directions
from contragrad.networks.randomness import isolated
from contragrad.settings.choices import Device

BATCH = 200
"""Images at a time: bounds the memory and is no setting, for it changes no result."""

NO_CLASS = -1
"""The class of an image whose answer is no number: no label, so that it is wrong whatever is asked for."""

ALIKE = 0.01
"""How far a logit may move with the size of the batch, in units of the largest logit of the image.

Kernels round otherwise for other sizes, and a network that rounds within makes more of it.
"""


def device_of(network: nn.Module) -> torch.device:
    """Where the network is, by its weights and buffers; the CPU if it has none."""
    tensors = (*network.parameters(), *network.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


@torch.no_grad()
def answers(network: nn.Module, images: Tensor) -> Tensor:
    """What the network in evaluation mode answers to images (N, C, H, W), (N, classes), on the CPU."""
    network.eval()
    device = device_of(network)
    return torch.cat([network(pixels(part.to(device))).cpu() for part in torch.split(images, BATCH)])


def predict(network: nn.Module, images: Tensor) -> Tensor:
    """The class (N,) the network in evaluation mode gives each image (N, C, H, W), on the CPU.

    It is `NO_CLASS` where the answer is NaN or infinite.
    """
    return classes_of(answers(network, images))


def classes_of(logits: Tensor) -> Tensor:
    """The classes (B,) that logits (B, classes) stand for; `NO_CLASS` where the largest is no number."""
    return torch.where(logits.amax(1).isfinite(), logits.argmax(1), NO_CLASS)


@torch.no_grad()
def fault_alone(network: nn.Module, images: Tensor) -> str | None:
    """Why a network in evaluation mode cannot be asked about an image alone as about several at a time.

    Of a network that answers by random numbers it is not asked whether its answers are the same.

    Args:
        network: maps images in [0, 1] to logits (B, classes).
        images: float32 (B, C, H, W), on the network's device; it takes them together.

    Returns:
        None if it can.
    """
    network.eval()
    with isolated(0, "alone"):
        together, again = network(images), network(images)
        try:
            alone = [network(image) for image in torch.split(images, 1)]
        except Exception as error:  # a user's code may raise anything
            return f"it fails at a single image: {type(error).__name__}: {first_line(error)}"
    odd = next((each for each in alone if each.shape != together[:1].shape), None)
    if odd is not None:
        return f"it gives {tuple(odd.shape)} for a single image, not {tuple(together[:1].shape)}"
    if not torch.equal(together, again):
        return None
    single, largest = torch.cat(alone), together.abs().amax(1, keepdim=True)
    apart = (single - together).abs() > ALIKE * largest
    if (apart | (single.isfinite() != together.isfinite())).any():
        return "what it says of an image depends on the other images of the batch"
    return None


def all_reference_directions(network: nn.Module, examples: Examples) -> Tensor:
    """`reference_directions` of all the examples (N, C, H, W), on the CPU."""
    device = device_of(network)
    parts = zip(torch.split(examples.images, BATCH), torch.split(examples.labels, BATCH), strict=True)
    return torch.cat(
        [
            reference_directions(network, pixels(images.to(device)), labels.to(device)).cpu()
            for images, labels in parts
        ]
    )


def resolve_device(device: Device) -> torch.device:
    """The torch device meant; `auto` is an accelerator if there is one.

    Raises:
        UserError: if the named device is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return torch.device(next(name for name, present in there.items() if present))
    if not there[device]:
        raise UserError(
            f"there is no {device} device here",
            where="device",
            remedy=f"auto, or one of: {', '.join(name for name, present in there.items() if present)}",
        )
    return torch.device(device)


def are_probabilities(outputs: Tensor) -> bool:
    """Whether what a network answers, (N, classes), are no logits."""
    return bool((outputs >= 0).all() and (outputs.sum(1) - 1).abs().max() < 1e-3)
