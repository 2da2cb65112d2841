"""How a network is written in each format, and how what was written is asked."""

import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from contragrad.audit.target import Target
from contragrad.errors import UserError
from contragrad.evolution.genome import Genome, parse
from contragrad.evolution.shapes import Problem
from contragrad.export import network_file
from contragrad.export.check import Answers
from contragrad.export.names import FormatName
from contragrad.export.network_file import Description
from contragrad.export.plain import plain
from contragrad.export.source import source, source_weights
from contragrad.export.text import text
from contragrad.legible import first_line
from contragrad.networks.architectures import ENSEMBLE
from contragrad.networks.network import Normalisation


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format of files.

    Args:
        write: writes a network for a problem at a path, and what belongs beside it.
        answers: what asks the network that was written; None if it has no weights.
        needs: packages that are asked for before work begins.
        beside: suffix of a file of weights beside it.
    """

    write: Callable[[Target, Problem, Path], None]
    answers: Callable[[Path, Target], Answers] | None
    needs: tuple[str, ...] = ()
    beside: str = ""


def _write_safetensors(target: Target, problem: Problem, path: Path) -> None:
    text = str(target.text)
    if target.surrogates and target.foreign:
        raise UserError(
            f"{target.name} has members that a factory makes, which such a file cannot have",
            where="--format",
            remedy="onnx or torch-export",
        )
    description = Description(target.name, text, problem)
    network_file.write(description, _state(target.network), path)


def _ask_safetensors(path: Path, target: Target) -> Answers:
    description, tensors = network_file.read(path)
    of_factory = description.architecture.startswith("factory ")
    factory = (lambda: deepcopy(target.network)) if of_factory else None
    return network_file.assembled(description, tensors, str(path), factory)


def _write_onnx(target: Target, problem: Problem, path: Path) -> None:
    with _exporting(target):
        program = torch.onnx.export(
            _program(target, problem),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            verbose=False,
        )
    assert program is not None
    program.save(path)


def _ask_onnx(path: Path, target: Target) -> Answers:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def answers(images: Tensor) -> Tensor:
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(logits)

    return answers


def _write_program(target: Target, problem: Problem, path: Path) -> None:
    with _exporting(target):
        program = _program(target, problem)
    # In memory first: torch's own writer ends the process when the disk is full.
    content = BytesIO()
    torch.export.save(program, content)
    path.write_bytes(content.getvalue())


def _ask_program(path: Path, target: Target) -> Answers:
    return torch.export.load(path).module()


def _write_source(target: Target, problem: Problem, path: Path) -> None:
    genome, weights = genome_of(target), path.with_suffix(".safetensors")
    tensors = _state(target.network)
    normalisation = Normalisation(*(tuple(tensors[key].flatten().tolist()) for key in ("mean", "deviation")))
    path.write_text(source(genome, problem, normalisation, weights.name), encoding="utf-8")
    weights.write_bytes(safetensors.torch.save(source_weights(tensors)))


def _ask_source(path: Path, target: Target) -> Answers:
    network: nn.Module = runpy.run_path(str(path))["Network"]()
    network.load_state_dict(safetensors.torch.load_file(path.with_suffix(".safetensors")))
    return network.eval()


def _write_text(target: Target, problem: Problem, path: Path) -> None:
    path.write_text(text(genome_of(target), problem), encoding="utf-8")


def genome_of(target: Target) -> Genome:
    """The target's genome.

    Raises:
        UserError: if it has none.
    """
    architecture = str(target.text)
    if architecture.startswith(("torchvision ", "factory ", ENSEMBLE)):
        raise UserError(
            f"{target.name} is no genome, it is of {architecture}",
            where="--format",
            remedy="safetensors, onnx or torch-export, or --network with one that evolved",
        )
    return parse(architecture)


def _program(target: Target, problem: Problem) -> torch.export.ExportedProgram:
    """The network as a graph, for any number of images at a time."""
    # Not one image, whose number would be taken for fixed.
    images = torch.zeros(2, problem.channels, problem.height, problem.width)
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(plain(target.network), (images,), dynamic_shapes=(batch,))
    for node in program.graph.nodes:
        # Where the code lies on this machine is nobody's business.
        node.meta.pop("stack_trace", None)
    return program


@contextmanager
def _exporting(target: Target) -> Iterator[None]:
    """Blames the network for what torch cannot export.

    Raises:
        UserError: with what torch said first.
    """
    try:
        yield
    except Exception as error:  # a user's network may have it raise anything
        raise UserError(
            f"torch cannot export {target.name}: {first_line(error)}", where="--format", remedy="safetensors"
        ) from error


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {key: tensor.detach().cpu().contiguous().clone() for key, tensor in network.state_dict().items()}


FORMATS: dict[FormatName, Format] = {
    "safetensors": Format(write=_write_safetensors, answers=_ask_safetensors),
    "onnx": Format(write=_write_onnx, answers=_ask_onnx, needs=("onnx", "onnxscript", "onnxruntime")),
    "torch-export": Format(write=_write_program, answers=_ask_program),
    "python": Format(write=_write_source, answers=_ask_source, beside=".safetensors"),
    "text": Format(write=_write_text, answers=None),
}
