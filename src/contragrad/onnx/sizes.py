"""What an ONNX file says that its network is for.

This module needs the extra `onnx`, so it is imported only once `onnx.model` is asked for a network.
"""

from pathlib import Path

from onnx import ModelProto, ValueInfoProto

from contragrad.errors import UserError
from contragrad.evolution.shapes import LARGEST_SIZE, Problem
from contragrad.legible import first_line
from contragrad.onnx.graph import LARGEST_FILE


def stated_problem(path: Path) -> Problem:
    """The images and classes that the file's network states; whether it keeps to them is not asked.

    Raises:
        UserError: if the file cannot be read, is too large or no ONNX, or states them not or as others.
    """
    remedy = "an intact ONNX file of at most 2 GB"
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UserError("the file is too large", where=str(path), remedy=remedy)
        graph = ModelProto.FromString(path.read_bytes()).graph
    except UserError:
        raise
    except Exception as error:  # protobuf raises many things over a damaged file
        raise UserError(
            f"the file is no ONNX, or corrupt: {first_line(error)}", where=str(path), remedy=remedy
        ) from error
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    sizes = [_sizes(value) for value in (*inputs, *graph.output)]
    if [len(each) for each in sizes] != [4, 2]:
        raise UserError(
            "the network does not take images (B, C, H, W) and give logits (B, classes)",
            where=str(path),
            remedy="one input of four dimensions and one output of two",
        )
    stated = (*sizes[0][1:], sizes[1][1])
    if not all(1 <= size <= LARGEST_SIZE for size in stated):
        raise UserError(
            f"the file does not say what its network is for: {stated} channels, height, width and classes",
            where=str(path),
            remedy="an export that leaves none but the batch open",
        )
    return Problem(*stated)


def _sizes(value: ValueInfoProto) -> list[int]:
    """The dimensions, 0 where they are open."""
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
