"""A safetensors file that says what its network is, so that nothing else is needed to build it.

It is data: what is in it is checked before anything is built, and none of it is run.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from contragrad.audit.target import is_foreign
from contragrad.errors import UserError
from contragrad.evolution.genome import parse
from contragrad.evolution.shapes import Problem, cost, problem_from_json
from contragrad.networks.architectures import HAND_ENGINEERED, construct, members_of
from contragrad.networks.network import Normalisation
from contragrad.outside import from_json
from contragrad.settings.choices import ReferenceArchitecture

KEY = "contragrad"
"""Where the description stands in the file's metadata."""

VERSION = 1
ENSEMBLES = 2
"""The version of a description that is an ensemble's, which older code does not read."""
LARGEST_FILE = 2**32
LONGEST_DESCRIPTION = 2**16
MOST_MEMBERS = 64
"""Of an ensemble: each takes time to build."""
LONGEST_NAME = 100
"""Letters of a file's that stand in a message."""

REMEDY = "an intact file that contragrad export has written"

Factory = Callable[[], nn.Module]


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a network beside its weights, the normalisation among them.

    Args:
        name: what the network is called.
        architecture: the text that `architectures.construct` takes.
        problem: what it is for.
    """

    name: str
    architecture: str
    problem: Problem


def write(description: Description, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Writes the network's tensors with the description.

    Raises:
        OSError: if the file cannot be written.
    """
    version = ENSEMBLES if len(members_of(description.architecture)) > 1 else VERSION
    content = json.dumps({"version": version, **asdict(description)})
    path.write_bytes(safetensors.torch.save(dict(tensors), {KEY: content}))


def read(path: Path) -> tuple[Description, dict[str, Tensor]]:
    """What `write` wrote.

    Raises:
        UserError: if it cannot be read, is too large, or is not such a file.
    """
    try:
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise UserError(
                f"the file has {size:,} bytes", where=str(path), remedy=f"at most {LARGEST_FILE:,}"
            )
        with safe_open(path, framework="pt") as file:
            content = (file.metadata() or {}).get(KEY)
            if content is None:
                raise UserError(
                    "the file says nothing of its network",
                    where=str(path),
                    remedy="a file that contragrad export --format safetensors has written",
                )
            description = _description(content, path)
            # Copies, for the tensors are mapped, and the file may be written over.
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"the file cannot be read: {error}", where=str(path), remedy=REMEDY) from error
    return description, tensors


def _description(content: str, path: Path) -> Description:
    """The description that was written, held to what one can be."""
    if len(content) > LONGEST_DESCRIPTION:
        raise _damaged("it is too long", path)
    try:
        found = from_json(content)
    except ValueError as error:
        raise _damaged(f"it is no JSON: {error}", path) from error
    if not isinstance(found, dict) or found.get("version") not in (VERSION, ENSEMBLES):
        raise _damaged(f"it is of no version that this contragrad reads, {VERSION} or {ENSEMBLES}", path)
    if found.keys() != {"version", "name", "architecture", "problem"} or not all(
        isinstance(found[key], str) for key in ("name", "architecture")
    ):
        raise _damaged("it has other fields", path)
    try:
        problem = problem_from_json(found["problem"])
    except ValueError as error:
        raise _damaged(f"the problem: {error}", path) from error
    return Description(found["name"], found["architecture"], problem)


def _damaged(why: str, path: Path) -> UserError:
    return UserError(
        f"the file's description of its network is damaged: {why}", where=str(path), remedy=REMEDY
    )


def assembled(
    description: Description, tensors: dict[str, Tensor], where: str, factory: Factory | None = None
) -> nn.Module:
    """The network, in evaluation mode, on the CPU.

    Args:
        description: what it is.
        tensors: its `state_dict`.
        where: names their file, for messages.
        factory: makes the network where it is a factory's; no code is found by its name.

    Raises:
        UserError: if there is no such network, or the tensors are another's.
    """
    kind, _, name = description.architecture.partition(" ")
    if len(members_of(description.architecture)) > 1 and is_foreign(description.architecture):
        raise UserError(
            "members of the ensemble are made by a factory, which is not called for a part",
            where=where,
            remedy="contragrad export --format onnx or torch-export",
        )
    if (kind == "factory") != (factory is not None):
        raise UserError(
            f"the network is of the factory {name[:LONGEST_NAME]!r}, which is not called unless it is given"
            if factory is None
            else "the network is of no factory",
            where=where,
            remedy="load(path, factory=the function itself)" if factory is None else "load(path)",
        )
    network = factory() if factory is not None else _untrained(description, tensors, where)
    if not isinstance(network, nn.Module):
        raise UserError(
            f"the factory returned a {type(network).__name__}", where=where, remedy="a torch.nn.Module"
        )
    _require_fitting(network, tensors, where)
    network.load_state_dict(tensors, assign=factory is None)
    return network.eval()


def _untrained(description: Description, tensors: Mapping[str, Tensor], where: str) -> nn.Module:
    """The network without memory for its weights: who damages a file may ask for any amount."""
    text, problem = description.architecture, description.problem
    if len(members := members_of(text)) > MOST_MEMBERS:
        raise UserError(f"an ensemble of {len(members):,}", where=where, remedy=f"at most {MOST_MEMBERS}")
    parameters = sum(_parameters(member, problem, where) for member in members)
    if parameters > sum(tensor.numel() for tensor in tensors.values()):
        raise UserError("the weights are another network's", where=where, remedy=REMEDY)
    unchanged = Normalisation((0.0,) * problem.channels, (1.0,) * problem.channels)
    with torch.device("meta"):
        return construct(text, problem, unchanged, seed=0)


def _parameters(text: str, problem: Problem, where: str) -> int:
    """How many a genome's network has at least; 0 for torchvision's, of which each name is one size."""
    kind, _, name = text.partition(" ")
    if kind == "torchvision":
        if name in HAND_ENGINEERED or name not in get_args(ReferenceArchitecture):
            raise UserError(f"there is no architecture {name[:LONGEST_NAME]!r}", where=where, remedy=REMEDY)
        return 0
    try:
        return cost(parse(text), problem).parameters
    except ValueError as error:
        raise UserError(f"the genome cannot be read: {error}", where=where, remedy=REMEDY) from error


def _require_fitting(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    wanted, found = (
        {key: (tuple(tensor.shape), tensor.dtype) for key, tensor in each.items()}
        for each in (network.state_dict(), tensors)
    )
    if wanted != found:
        differing = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
        raise UserError(
            f"the weights are another network's: {', '.join(differing[:3])}", where=where, remedy=REMEDY
        )
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise UserError("there are weights that are not finite", where=where, remedy=REMEDY)
