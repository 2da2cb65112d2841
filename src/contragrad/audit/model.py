"""Anyone's network as a target: an ONNX file, or a factory with its weights."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from contragrad.artefacts import network_fingerprint
from contragrad.audit.braced import braced
from contragrad.audit.target import UNCHANGED, Target, is_foreign
from contragrad.data.dataset import Examples, pixels
from contragrad.errors import UserError
from contragrad.fingerprint import file_fingerprint, fingerprint
from contragrad.legible import first_line, legible
from contragrad.networks.architectures import construct
from contragrad.networks.inference import NO_CLASS, classes_of, fault_alone
from contragrad.networks.misalignment import unit
from contragrad.networks.network import placed
from contragrad.networks.objectives import Material
from contragrad.networks.randomness import generator, isolated
from contragrad.networks.training import DivergedError, begin, train_epoch
from contragrad.onnx.model import load_onnx
from contragrad.reference import SAFETENSORS, architecture, load_weights
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.choices import Objective

ASKED = 8
"""Images drawn by name, and as many test images, to which the answers name a network beside its weights."""

REMEDY = "a network that gives every image of the data, by itself, a logit for each class"


def require_file(given: str, weights: Path | None) -> None:
    """Refuses what can be refused of a model without its data.

    Raises:
        UserError: if it is no such model, if a file or weights are missing, or are given for an ONNX file.
    """
    if _is_onnx(given):
        if weights is not None:
            raise UserError("an ONNX file holds its weights", where="--weights", remedy="leave it out")
        _require_there(Path(given).expanduser(), given)
    elif ":" not in given:
        raise UserError(
            "such a file cannot be audited",
            where=given,
            remedy="model.onnx, package.module:function with --weights, or a run folder",
        )
    elif weights is None:
        raise UserError("the factory's network has no weights", where="--weights", remedy=SAFETENSORS)
    else:
        _require_there(weights.expanduser(), f"--weights: {weights}")


def _is_onnx(given: str) -> bool:
    return Path(given).suffix == ".onnx"


def _require_there(path: Path, where: str) -> None:
    if not path.is_file():
        raise UserError("there is no such file", where=where, remedy="its path")


def of_file(
    workspace: Workspace, given: str, weights: Path | None, test: Examples, recipe_known: bool = False
) -> Target:
    """Anyone's network: an ONNX file, or a factory `package.module:function` with its weights.

    The recipe an attacker knows is that of the settings: the objective, and as many epochs as the reference.

    An ONNX file goes by its bytes. A factory's network goes by its weights and its answers to a few images,
    so that changed code is another network, and its attempts are made anew; so are, each time, those of a
    network that answers by random numbers other than torch's.

    Args:
        workspace: where it is to be audited.
        given: the file, or the factory.
        weights: the factory's, a safetensors file.
        test: images that it is tried on.
        recipe_known: whether it was trained so, and not merely taken to be.

    Raises:
        UserError: if it cannot be had, or does not fit the data.
    """
    require_file(given, weights)
    with isolated(workspace.config.seed, "model"):  # a network that is tried may draw random numbers
        found = (
            _of_onnx(workspace, given, test)
            if weights is None
            else _of_factory(workspace, given, weights, test)
        )
    keep = workspace.config.refine.keep if recipe_known else found.keep
    return replace(found, recipe_known=recipe_known, keep=keep)


def require_reference(workspace: Workspace, test: Examples) -> None:
    """Tries a factory's network as a reference on images, before it is trained.

    Raises:
        UserError: if it fails at them.
    """
    text = architecture(workspace.config.reference)
    if is_foreign(text):
        network = construct(text, workspace.problem, UNCHANGED, workspace.config.seed)
        answers(network, test, f"reference.factory: {workspace.config.reference.factory}")


def _of_onnx(workspace: Workspace, given: str, test: Examples) -> Target:
    path = Path(given).expanduser()
    network = load_onnx(path, workspace.problem)
    _require_numbers(answers(network, test, given), given)
    # Of large networks the weights may lie in files beside it.
    name = fingerprint("onnx/1", file_fingerprint(path), network_fingerprint(network))
    return _target(workspace, network, test, called=path.stem, fingerprint=name, weights=path)


def _of_factory(workspace: Workspace, given: str, weights: Path, test: Examples) -> Target:
    text, seed = f"factory {given}", workspace.config.seed
    where = f"--weights: {weights}"
    with _blamed(given):
        network = construct(text, workspace.problem, UNCHANGED, seed)
    # As it is drawn, so that who is trained anew from it goes by its code whatever weights it has.
    code = _digest(answers(network, test, given))
    with _blamed(where):
        load_weights(network, weights.expanduser())
    said = answers(network, test, where)
    _require_numbers(said, where)
    name = fingerprint("factory/1", network_fingerprint(network), _digest(said))
    found = _target(workspace, network, test, called=given, fingerprint=name, weights=weights)
    refused = {
        objective: why
        for objective in dict.fromkeys(("cross-entropy", found.objective))
        if (why := _refusal(workspace, text, objective, test)) is not None
    }
    return replace(found, architecture=text, code=code, refused=refused)


def _target(
    workspace: Workspace, network: nn.Module, test: Examples, *, called: str, fingerprint: str, weights: Path
) -> Target:
    config = workspace.config
    return Target(
        name=legible(called),
        network=placed(braced(network.requires_grad_(False), test), workspace.device),
        fingerprint=fingerprint,
        architecture=None,
        objective=config.training.objective,
        epochs=config.reference.epochs,
        keep="last",
        seed=None,
        weights=weights,
        recipe_known=False,
    )


@torch.no_grad()
def answers(network: nn.Module, test: Examples, where: str) -> Tensor:
    """The logits that a network on the CPU gives fixed images, the same each time to the last bit.

    Half of the images are drawn by name, the others are the first test images: random ones have no black
    pixel, and are what no preprocessing is made for. Torch's random numbers are the same each time too.

    Raises:
        UserError: if it fails at such images, together or one alone, or if what it says of one depends on the
            others.
    """
    real = pixels(test.images[:ASKED]).cpu()
    drawn = torch.rand(ASKED, *real.shape[1:], generator=generator(0, "answers"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # how sums are divided among threads may change a last bit
    try:
        with isolated(0, "answers"):
            logits: Tensor = network.eval()(images := torch.cat([drawn, real]))
        fault = fault_alone(network, images)
    except Exception as error:  # a user's code may raise anything
        said = f"{type(error).__name__}: {first_line(error)}"
        what = f"the network fails at the data's images or at noise of their size: {said}"
        raise UserError(what, where=where, remedy=REMEDY) from error
    finally:
        torch.set_num_threads(threads)
    if fault is not None:
        raise UserError(f"the network cannot be attacked: {fault}", where=where, remedy=REMEDY)
    return logits


def _digest(logits: Tensor) -> str:
    held = logits.cpu().contiguous().view(torch.uint8).numpy().data
    return fingerprint("answers/1", str(logits.dtype), hashlib.sha256(held).hexdigest())


def _require_numbers(logits: Tensor, where: str) -> None:
    if (classes_of(logits) == NO_CLASS).any():
        what = "the network's answers to the data's images are NaN or infinite"
        raise UserError(what, where=where, remedy=REMEDY)


def _refusal(workspace: Workspace, text: str, objective: Objective, test: Examples) -> str | None:
    """Why such a network cannot be trained for the objective, tried on a few images; None if it can."""
    few = Examples(pixels(test.images[:ASKED]).cpu(), test.labels[:ASKED].cpu())
    noise = torch.randn(few.images.shape, generator=generator(0, "directions"))
    material = Material(unit(noise), few.images, float(workspace.config.attack.epsilon))
    training = replace(workspace.config.training, objective=objective)
    network = construct(text, workspace.problem, UNCHANGED, 0)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        return "its architecture has no weights to train"
    try:
        session = begin(network, training)
        train_epoch(session, few, material, training, seed=0)
    except DivergedError:
        return None  # it may elsewhere; it will be said if it does
    except Exception as error:  # a user's code may raise anything
        return f"its architecture cannot be trained for {objective}: {first_line(error)}"
    return None


@contextmanager
def _blamed(where: str) -> Iterator[None]:
    """What is said of a reference is said of the model that is audited."""
    try:
        yield
    except UserError as error:
        what = error.what.replace("the reference's factory", "the model's factory").replace(
            "the reference", "the model"
        )
        remedy = error.remedy.replace("that the reference names", "of the model")
        raise UserError(what, where=where, remedy=remedy) from error
