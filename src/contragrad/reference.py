"""The fixed reference network: its architecture, its weights, and whether a study can use it."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from contragrad.errors import UserError
from contragrad.evolution.shapes import Problem
from contragrad.legible import first_line
from contragrad.networks.architectures import text_of
from contragrad.networks.inference import fault_alone
from contragrad.networks.misalignment import losses, reference_directions
from contragrad.settings.config import ReferenceSettings

SAFETENSORS = "a safetensors file: safetensors.torch.save_file(network.state_dict(), 'mine.safetensors')"
"""What weights are read from: torch's own files are pickles, which may run anything."""


def architecture(settings: ReferenceSettings) -> str:
    """The architecture meant by the settings, as the text that `architectures.construct` takes."""
    if settings.factory is not None:
        return f"factory {settings.factory}"
    return text_of(settings.architecture)


def require_usable(network: nn.Module, problem: Problem, where: str) -> None:
    """Tries on a few images what a study will do with a reference, so that it fails now or never.

    The network is afterwards as it was.

    Raises:
        UserError: if it has nothing to train, if its input gradients are not finite or all zero, if it
            cannot be differentiated twice, or if it cannot be asked about one image as about several.
    """
    remedy = "a network of differentiable layers with finite weights"
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not trainable:
        raise UserError("the reference has no weights to train", where=where, remedy=remedy)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, problem.channels, problem.height, problem.width, generator=generator)
    labels = torch.arange(4) % problem.classes
    try:
        directions = reference_directions(network, images, labels)
        total = sum(losses(network.train(), images, labels, directions), start=torch.zeros(()))
        torch.autograd.grad(total, trainable, allow_unused=True)
    except Exception as error:  # a user's code may raise anything
        raise UserError(
            f"the reference cannot be differentiated twice: {first_line(error)}",
            where=where,
            remedy=remedy,
        ) from error
    finally:
        network.load_state_dict(before)
        network.eval()
    if (fault := fault_alone(network, images)) is not None:
        raise UserError(fault, where=where, remedy="a network that answers each image by itself")
    if not (total.isfinite() and directions.isfinite().all() and directions.any()):
        raise UserError("the reference's input gradients are zero or not finite", where=where, remedy=remedy)


def load_weights(network: nn.Module, path: Path) -> None:
    """Fills the network with the weights of a safetensors file.

    For a torchvision architecture the file may hold the plain torchvision network's weights.

    Raises:
        UserError: if the file cannot be read or holds another network's weights.
    """
    where = f"reference.weights: {path}"
    try:
        if not path.is_file():  # a pipe would be waited for
            raise OSError("there is no such file")
        tensors = load_file(path)
    except (OSError, SafetensorError, KeyError) as error:  # a key that is none of torch's types
        raise UserError(f"the weights cannot be read: {error}", where=where, remedy=SAFETENSORS) from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise UserError(
                f"the weights {name} have numbers that are not finite", where=where, remedy="finite weights"
            )
    inner = getattr(getattr(network, "network", None), "network", None)
    target = inner if isinstance(inner, nn.Module) and set(tensors) == set(inner.state_dict()) else network
    fill(target, tensors, where, "the weights of the architecture or factory that the reference names")


def fill(network: nn.Module, tensors: dict[str, Tensor], where: str, remedy: str) -> None:
    """Gives the network the weights.

    Raises:
        UserError: if they are another network's.
    """
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        why = str(error).splitlines()[-1].strip()
        raise UserError(f"the weights are another network's: {why}", where=where, remedy=remedy) from error
