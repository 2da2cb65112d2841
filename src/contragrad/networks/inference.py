"""A trained network's answers and input gradients, a bounded number of images at a time."""

import torch
from torch import Tensor, nn

from contragrad.data.dataset import Examples, pixels
from contragrad.errors import UserError
from contragrad.networks.misalignment import reference_directions
from contragrad.settings.choices import Device

BATCH = 200
"""Images at a time: bounds the memory and is no setting, for it changes no result."""


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
    """The class (N,) the network in evaluation mode gives each image (N, C, H, W), on the CPU."""
    return answers(network, images).argmax(1)


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
