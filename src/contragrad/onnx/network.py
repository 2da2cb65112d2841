"""The graph of an ONNX file made a torch network, and both compared.

This module needs the extra `onnx`, so it is imported only once `onnx.model` is asked for a network.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnx import ModelProto
from onnx2torch import convert
from onnx2torch.node_converters.slice import OnnxSlice
from torch import Tensor, nn

from contragrad.errors import UserError
from contragrad.evolution.shapes import Problem
from contragrad.legible import first_line
from contragrad.networks.inference import are_probabilities
from contragrad.networks.misalignment import log_odds
from contragrad.networks.randomness import isolated
from contragrad.onnx.graph import REMEDY, read, without_softmax
from contragrad.onnx.lowering import lowered

PROBES = 3
"""Random images that the torch network and onnxruntime are compared on."""

TOLERANCE = 1e-4
"""How far a logit may be from onnxruntime's, in units of the largest logit of the image."""

SMALLEST = 1e-6
"""A difference that is rounding, whatever the logits."""

DYNAMIC = (
    "export with a dynamic batch: torch.onnx.export(..., dynamic_shapes=({0: torch.export.Dim('batch')},)), "
    "or with dynamo=False, input_names=['images'], dynamic_axes={'images': {0: 'batch'}}"
)


class Slice(nn.Module):
    """ONNX's Slice. That of onnx2torch indexes by a list, which torch warns that it will take otherwise."""

    def forward(
        self,
        maps: Tensor,
        starts: Tensor,
        ends: Tensor,
        axes: Tensor | None = None,
        steps: Tensor | None = None,
    ) -> Tensor:
        """The maps, at the places that the slices choose along each of the axes."""
        count = len(starts)
        along = range(count) if axes is None else axes.tolist()
        by = [1] * count if steps is None else steps.tolist()
        for start, end, axis, step in zip(starts.tolist(), ends.tolist(), along, by, strict=True):
            chosen = range(maps.shape[axis])[start:end:step]
            if step > 0:
                before = (slice(None),) * (axis % maps.dim())
                maps = maps[(*before, slice(chosen.start, chosen.stop, step))]
            else:
                maps = maps.index_select(axis, torch.tensor(chosen, device=maps.device))
        return maps


class Converted(nn.Module):
    """The network of an ONNX file.

    Args:
        graph: maps images in [0, 1] to logits.
        alone: whether it is asked for one image at a time, because the file was exported for one.
    """

    def __init__(self, graph: nn.Module, *, alone: bool) -> None:
        super().__init__()
        self.graph = graph
        self.alone = alone

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""
        if not self.alone:
            logits: Tensor = self.graph(images)
            return logits
        return torch.cat([self.graph(image) for image in torch.split(images, 1)])


def load(path: Path, problem: Problem) -> Converted:
    """The network of an ONNX file; `onnx.model.load_onnx` says what that is."""
    model = read(path, problem)
    images = torch.rand(
        (PROBES, problem.channels, problem.height, problem.width), generator=torch.Generator().manual_seed(0)
    )
    expected = _answers(model, images, path)
    _require_classes(expected, problem, path)
    if are_probabilities(expected):
        cut = without_softmax(model)
        logits = None if cut is None else _answers(cut, images, path)
        if cut is None or logits is None or not _agree(logits.softmax(1), expected):
            raise UserError(
                "the network gives probabilities, not logits",
                where=str(path),
                remedy="export it without the softmax at its end",
            )
        model, expected = cut, logits
    with warnings.catch_warnings():
        # onnx2torch warns where its operators may differ from ONNX's; here it is looked whether they do.
        warnings.simplefilter("ignore")
        network = _compared(_converted(model, path), images, expected, path)
        _require_gradients(network, images, problem, path)
    return network.eval()


def _answers(model: ModelProto, images: Tensor, path: Path) -> Tensor:
    """What onnxruntime's network gives each of the images, asked alone."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is said here
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=False,  # prints, and tries the same again
        )
        alone = np.concatenate([_answer(session, image) for image in torch.split(images, 1)])
    except Exception as error:  # onnxruntime has an exception of its own for every fault
        raise UserError(
            f"onnxruntime cannot run the network on an image: {first_line(error)}",
            where=str(path),
            remedy=f"an intact file of a network of any number of images; {DYNAMIC}",
        ) from error
    if alone.dtype != np.float32:
        raise UserError(
            f"the network gives {alone.dtype} numbers", where=str(path), remedy="a network of float32 numbers"
        )
    found = torch.from_numpy(alone)
    try:
        together = torch.from_numpy(_answer(session, images))
    except Exception:  # of a network that was exported for a batch of one
        return found
    if together.shape == found.shape and found.isfinite().all() and not _agree(together, found):
        raise UserError(
            "what the network says of an image depends on the other images of the batch",
            where=str(path),
            remedy="export it in evaluation mode, by network.eval()",
        )
    return found


def _answer(session: Any, images: Tensor) -> Any:
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    return found


def _require_classes(logits: Tensor, problem: Problem, path: Path) -> None:
    if logits.shape != (PROBES, problem.classes):
        raise UserError(
            f"the network gives {(*logits.shape[1:],)} for an image; the data have {problem.classes} classes",
            where=str(path),
            remedy=f"a network that gives each image {problem.classes} logits",
        )
    if not logits.isfinite().all():
        raise UserError(
            "the network gives numbers that are not finite", where=str(path), remedy="finite weights"
        )


def _agree(logits: Tensor, expected: Tensor) -> bool:
    """Whether two networks' logits (B, classes) are the same up to rounding."""
    largest = expected.abs().amax(1, keepdim=True)
    return logits.shape == expected.shape and bool(
        ((logits - expected).abs() <= TOLERANCE * largest + SMALLEST).all()
    )


def _converted(model: ModelProto, path: Path) -> nn.Module:
    graph: nn.Module
    try:
        with isolated(0):  # layers draw weights before they are given theirs
            graph = convert(lowered(model, path))
    except UserError:
        raise
    except Exception as error:  # onnx2torch raises whatever torch and Python raise
        raise UserError(
            f"onnx2torch cannot convert the network: {first_line(error)}", where=str(path), remedy=REMEDY
        ) from error
    for name, module in list(graph.named_children()):
        if isinstance(module, OnnxSlice):
            setattr(graph, name, Slice())
    # onnx2torch has the weights of a matrix product as buffers, which nobody trains or counts. A single
    # number is no weight.
    held = getattr(graph, "initializers", nn.Module())
    for name, value in list(held.named_buffers()):
        if value.is_floating_point() and value.numel() > 1:
            delattr(held, name)
            held.register_parameter(name, nn.Parameter(value))
    if not list(graph.parameters()):
        raise UserError("the network has no weights", where=str(path), remedy="a trained network")
    graph.eval()
    return graph


@torch.no_grad()
def _compared(graph: nn.Module, images: Tensor, expected: Tensor, path: Path) -> Converted:
    """The converted network, of as many images at a time as it takes, once it answers as onnxruntime's."""
    for alone in (False, True):
        network = Converted(graph, alone=alone)
        try:
            logits = network(images)
        except Exception as error:  # as above
            wrong = f"the converted network does not run: {first_line(error)}"
            continue
        if _agree(logits, expected):
            return network
        wrong = "the converted network answers otherwise than by onnxruntime"
        if logits.shape == expected.shape:
            wrong += f": logits differ by up to {(logits - expected).abs().max():.2g}"
    raise UserError(wrong, where=str(path), remedy=REMEDY)


@torch.enable_grad()
def _require_gradients(network: nn.Module, images: Tensor, problem: Problem, path: Path) -> None:
    remedy = "a network of differentiable layers with finite weights"
    images = images.clone().requires_grad_()
    labels = torch.arange(PROBES) % problem.classes
    try:
        (gradients,) = torch.autograd.grad(log_odds(network(images), labels).sum(), images)
    except Exception as error:  # as above
        raise UserError(
            f"the network cannot be differentiated: {first_line(error)}", where=str(path), remedy=remedy
        ) from error
    if not gradients.isfinite().all():
        raise UserError("the network's input gradients are not finite", where=str(path), remedy=remedy)
