"""Networks of the user's code: PACKAGE.MODULE:FUNCTION, called and tried before anything needs it."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from contragrad.errors import UserError
from contragrad.evolution.shapes import Problem


def network_of(name: str, problem: Problem) -> nn.Module:
    """The network that a factory makes.

    Args:
        name: PACKAGE.MODULE:FUNCTION, importable from the folder the program was called from.
        problem: what the network is for.

    Raises:
        UserError: if the factory cannot be called, or its network does not fit the problem.
    """
    network = _called(name, _factory(name))
    _require_logits(network, problem, name)
    return network


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
def _require_logits(network: object, problem: Problem, name: str) -> None:
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
