"""Architectures by name, and the fixed reference network: hand-engineered, torchvision's or the user's."""

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torchvision.models
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.errors import UserError
from contragrad.evolution.genome import Genome, parse
from contragrad.evolution.shapes import Problem
from contragrad.legible import first_line
from contragrad.networks.ensemble import Ensemble
from contragrad.networks.inference import fault_alone
from contragrad.networks.misalignment import losses, reference_directions
from contragrad.networks.network import Normalisation, Normalised, build
from contragrad.networks.randomness import isolated
from contragrad.settings.config import ReferenceSettings

HAND_ENGINEERED: dict[str, Genome] = {
    # Three convolutional, three skip and two fully connected blocks.
    "hand-engineered-a": parse("conv(16,3) conv(16,3) sum(1,2) conv(32,3) cat(3,4) sum(4,5) fc(128)"),
    # Four convolutional, one pooling, two skip and two fully connected blocks.
    "hand-engineered-b": parse(
        "conv(16,3) conv(16,3) sum(1,2) pool(max,2) conv(32,3) conv(32,3) cat(5,6) fc(128)"
    ),
    # Not the paper's: a small VGG, which stands for networks that nothing was trained against.
    "plain": parse("conv(16,3) conv(16,3) pool(max,2) conv(32,3) conv(32,3) pool(max,2) fc(128)"),
}
"""The networks of figure 4, and a third.

Source: appendix A; the counts of its text.
Deviates: the paper prints neither channels nor kernels nor which blocks the skips join.
"""

ENSEMBLE, JOINT = "ensemble ", " | "
"""What the text of an ensemble begins with, and what stands between its members'."""

SAFETENSORS = "a safetensors file: safetensors.torch.save_file(network.state_dict(), 'mine.safetensors')"
"""What weights are read from: torch's own files are pickles, which may run anything."""

SMALLEST_EDGE = 32
"""Edge in pixels below which torchvision's deeper networks halve an image to nothing."""


class Fitted(nn.Module):
    """A torchvision network for images it was not made for.

    Grey becomes three equal channels, and images smaller than it can halve are padded with the mean.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 1 or 3, H, W) -> logits (B, classes)."""
        height, width = (max(0, SMALLEST_EDGE - edge) for edge in images.shape[-2:])
        images = F.pad(images, (width // 2, width - width // 2, height // 2, height - height // 2))
        logits: Tensor = self.network(images.expand(-1, 3, -1, -1))
        return logits


def architecture(settings: ReferenceSettings) -> str:
    """The architecture meant by the settings, as the text that `construct` takes."""
    if settings.factory is not None:
        return f"factory {settings.factory}"
    return text_of(settings.architecture)


def text_of(name: str) -> str:
    """A named architecture, as the text that `construct` takes."""
    return str(HAND_ENGINEERED[name]) if name in HAND_ENGINEERED else f"torchvision {name}"


def ensemble_of(texts: Sequence[str]) -> str:
    """An ensemble of networks of these architectures, as the text that `construct` takes."""
    return ENSEMBLE + JOINT.join(texts)


def members_of(text: str) -> tuple[str, ...]:
    """The architectures of an ensemble; of another network, its own alone."""
    return tuple(text.removeprefix(ENSEMBLE).split(JOINT)) if text.startswith(ENSEMBLE) else (text,)


def construct(text: str, problem: Problem, normalisation: Normalisation, seed: int) -> nn.Module:
    """An untrained network for images in [0, 1].

    Args:
        text: a genome's canonical text, `torchvision NAME`, `factory PACKAGE.MODULE:FUNCTION`, or
            `ensemble TEXT | TEXT` and so on.
        problem: what the network is for.
        normalisation: of the training images; a factory's network does its own.
        seed: names the stream the weights are drawn from.

    Raises:
        UserError: if a factory cannot be called, or its network does not fit the problem.
    """
    if text.startswith(ENSEMBLE):
        return Ensemble([construct(member, problem, normalisation, seed) for member in members_of(text)])
    kind, _, name = text.partition(" ")
    if kind == "torchvision":
        with isolated(seed, "initialise"):
            inner = torchvision.models.get_model(name, weights=None, num_classes=problem.classes)
        return Normalised(Fitted(inner), normalisation)
    if kind == "factory":
        with isolated(seed, "initialise"):
            network = _called(name, _factory(name))
        _check(network, problem, name)
        return network
    return build(parse(text), problem, normalisation, seed)


def _factory(name: str) -> Callable[[], nn.Module]:
    module, _, function = name.partition(":")
    where = f"reference.factory: {name}"
    if module == "__main__":
        raise UserError(
            "workers do not have the program that is running, and so not the factory in it",
            where=where,
            remedy=f"a module of its own: FILE:{function}, with FILE.py in the folder you are in",
        )
    # The console script's path lacks the folder it is called from, where a user's module is.
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:  # a user's module may raise anything while it is imported
        raise UserError(
            f"the reference's factory was not found: {type(error).__name__}: {error}",
            where=where,
            remedy="package.module:function, importable from the folder you are in",
        ) from error
    if not callable(found):
        raise UserError(f"{function} is no function", where=where, remedy="package.module:function")
    return found  # type: ignore[no-any-return]


def _called(name: str, factory: Callable[[], nn.Module]) -> nn.Module:
    try:
        return factory()
    except Exception as error:  # a user's code may raise anything
        raise UserError(
            f"the reference's factory failed: {type(error).__name__}: {error}",
            where=f"reference.factory: {name}",
            remedy="a function that takes no arguments and returns a torch.nn.Module",
        ) from error


@torch.no_grad()
def _check(network: object, problem: Problem, name: str) -> None:
    where = f"reference.factory: {name}"
    remedy = (
        f"a torch.nn.Module that maps images ({problem.channels}, {problem.height}, {problem.width}) "
        f"in [0, 1] to {problem.classes} logits"
    )
    if not isinstance(network, nn.Module):
        raise UserError(f"it returned a {type(network).__name__}", where=where, remedy=remedy)
    network.eval()
    try:
        logits = network(torch.zeros(2, problem.channels, problem.height, problem.width))
    except Exception as error:  # a user's code may raise anything
        raise UserError(
            f"the reference does not take the data's images: {error}", where=where, remedy=remedy
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (2, problem.classes):
        found = tuple(logits.shape[1:]) if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(
            f"the reference gives {found} for an image; the data have {problem.classes} classes",
            where=where,
            remedy=remedy,
        )


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
