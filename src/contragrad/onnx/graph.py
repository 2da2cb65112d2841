"""An ONNX file as a graph that can be trusted: read, checked, with its weights inside, named anew.

A file is data from a stranger. Only what is understood is taken from it, and its names are not: converters
write names into Python code, which is then run.

This module needs the extra `onnx`, so it is imported only once `onnx.model` is asked for a network.
"""

from collections.abc import Iterator
from pathlib import Path

from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    TensorProto,
    ValueInfoProto,
    checker,
    defs,
    helper,
    shape_inference,
)

from contragrad.errors import UserError
from contragrad.evolution.shapes import Problem
from contragrad.legible import LONGEST_TEXT, first_line, legible

LARGEST_FILE = 2**31 - 1
"""Bytes of a file with the weights beside it: protobuf, and so onnxruntime, takes no more."""

LARGEST_MAP = 2**28
"""Numbers that one map may have for one image: a gigabyte, and far more than images of any data set need.

A damaged file can ask for any amount of memory.
"""

SMALL = 1024
"""Bytes of a tensor that may be a shape or the like."""

OLDEST = 7
"""The operator set that onnxruntime supports from."""

IR_VERSION = 8
"""The file format that a graph is written in again: the oldest that operator set 17 has."""

PASSING = ("Identity", "Flatten", "Reshape", "Squeeze", "Dropout")
"""What may stand between a softmax and the output without changing a number."""

REMEDY = "export with the operators that onnx2torch knows (torch.onnx.export, opset_version=17)"


def read(path: Path, problem: Problem) -> ModelProto:
    """The file's graph with its weights inside, for any number of images at a time.

    Args:
        path: the file; weights may lie in files beside it, in its folder or below.
        problem: what the images and classes are.

    Raises:
        UserError: if there is no such file, if it is no intact ONNX file of at most 2 GB, if its weights
            are not all there or lie outside its folder, if it does not take one batch of the problem's
            images, or if it has operators that are not ONNX's own.
    """
    remedy = "an intact ONNX file"
    try:
        if not path.is_file():
            raise UserError("there is no such file", where=str(path), remedy=remedy)
        size = path.stat().st_size
        _require_small(size, path)
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"the file cannot be read: {error}", where=str(path), remedy=remedy) from error
    try:
        model = ModelProto.FromString(content)
        refuse_operators(_foreign(model.graph), path)
        _fetch_weights(model.graph, path, size)
        graph = _rebuilt(model.graph, problem, path)
        found = model_of(graph, _operator_set(model, path))
        checker.check_model(found)
        _require_memory(found, path)
    except UserError:
        raise
    except Exception as error:  # protobuf and onnx raise many things over a damaged file
        raise UserError(
            f"the file is no ONNX, or corrupt: {first_line(error)}", where=str(path), remedy=remedy
        ) from error
    return found


def without_softmax(model: ModelProto) -> ModelProto | None:
    """The same network without the softmax it ends in; None if it ends in none."""
    producers = {value: place for place, node in enumerate(model.graph.node) for value in node.output}
    place = producers.get(model.graph.output[0].name)
    while place is not None and model.graph.node[place].op_type in PASSING:
        place = producers.get(model.graph.node[place].input[0])
    if place is None or model.graph.node[place].op_type != "Softmax":
        return None
    cut = ModelProto()
    cut.CopyFrom(model)
    cut.graph.node[place].op_type = "Identity"
    del cut.graph.node[place].attribute[:]
    return cut


def model_of(graph: GraphProto, version: int) -> ModelProto:
    """A model of ONNX's own operators."""
    operators = OperatorSetIdProto(domain="", version=version)
    return ModelProto(ir_version=IR_VERSION, opset_import=[operators], graph=graph)


def inferred(model: ModelProto, *, by_computing: bool) -> list[ValueInfoProto]:
    """Types of the values inside the network, and their shapes as far as they can be told.

    Shapes that the network computes are told by computing them; a damaged file may have that take all of
    the memory, so it must have run before.
    """
    small = [tensor for tensor in model.graph.initializer if tensor.ByteSize() < SMALL]
    graph = GraphProto(
        name="slim",
        node=model.graph.node,
        input=[*model.graph.input, *types_of_weights(model)],
        output=model.graph.output,
        # Shapes depend on small ones; the others would only be copied back and forth.
        initializer=small,
    )
    slim = model_of(graph, model.opset_import[0].version)
    return list(shape_inference.infer_shapes(slim, data_prop=by_computing).graph.value_info)


def types_of_weights(model: ModelProto) -> list[ValueInfoProto]:
    """Types and shapes of a model's weights."""
    return [
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in model.graph.initializer
    ]


def refuse_operators(names: list[str], path: Path) -> None:
    """Names what cannot be converted.

    Raises:
        UserError: if there is something.
    """
    if names:
        told = legible(", ".join(dict.fromkeys(names)), LONGEST_TEXT)
        raise UserError(
            f"there are operators that cannot be converted: {told}",
            where=str(path),
            remedy=REMEDY,
        )


def _require_small(size: int, path: Path) -> None:
    if size > LARGEST_FILE:
        raise UserError(
            f"the file, with the weights beside it, has {size:,} bytes",
            where=str(path),
            remedy="at most 2 GB, which is as much as an ONNX file can hold",
        )


def _foreign(graph: GraphProto) -> list[str]:
    """Operators that are not ONNX's own, or hold graphs; those of onnxruntime may read files."""
    plain = (
        AttributeProto.FLOAT,
        AttributeProto.FLOATS,
        AttributeProto.INT,
        AttributeProto.INTS,
        AttributeProto.STRING,
        AttributeProto.STRINGS,
        AttributeProto.TENSOR,
        AttributeProto.TENSORS,
    )
    return [
        f"{node.domain}.{node.op_type}".lstrip(".")
        for node in graph.node
        if node.domain not in ("", "ai.onnx")
        or not defs.has(node.op_type)
        or any(attribute.type not in plain or attribute.ref_attr_name for attribute in node.attribute)
    ]


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _fetch_weights(graph: GraphProto, path: Path, size: int) -> None:
    """Puts into the graph what lies in files beside it."""
    folder = path.parent.resolve()
    for tensor in _tensors(graph):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        where = f"{path}: weights in {legible(location, LONGEST_TEXT)}"
        remedy = "the file as it was exported, with the files of weights beside it"
        # Links are followed first: one may lead out of the folder as well as a path may.
        try:
            file = (folder / location).resolve()
            if not file.is_relative_to(folder):
                raise UserError("the weights lie outside the file's folder", where=where, remedy=remedy)
            if not file.is_file():
                raise UserError("a file of weights is missing", where=where, remedy=remedy)
            whole = file.stat().st_size
            offset = int(entries.get("offset", 0))
            length = int(entries.get("length", whole - offset))
            if not 0 <= offset <= offset + length <= whole:
                raise UserError("the file of weights is too short", where=where, remedy=remedy)
            size += length
            _require_small(size, path)
            with file.open("rb") as stream:
                stream.seek(offset)
                tensor.raw_data = stream.read(length)
        except (OSError, ValueError) as error:
            raise UserError(
                f"a file of weights cannot be read: {first_line(error)}", where=where, remedy=remedy
            ) from error
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def _operator_set(model: ModelProto, path: Path) -> int:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    version = int(versions.get("", versions.get("ai.onnx", 0)))
    newest = defs.onnx_opset_version()
    if not OLDEST <= version <= newest:
        raise UserError(
            f"the file has ONNX's operator set {version}",
            where=str(path),
            remedy=f"sets {OLDEST} to {newest}, best 17",
        )
    return version


def _rebuilt(old: GraphProto, problem: Problem, path: Path) -> GraphProto:
    """The graph's nodes and weights and nothing else, under names of our own."""
    if not old.node:
        raise UserError("the file holds no network", where=str(path), remedy="an ONNX file of a network")
    if old.sparse_initializer:
        raise UserError("the weights are sparse", where=str(path), remedy="dense weights")
    weights = {tensor.name for tensor in old.initializer}
    # Files of the oldest formats list the weights among the inputs.
    image = _only([value for value in old.input if value.name not in weights], "inputs", path)
    output = _only(list(old.output), "outputs", path)
    _require_images(image, problem, path)
    names = {"": ""}

    def named(value: str) -> str:
        return names.setdefault(value, f"value_{len(names)}")

    shape = ("batch", problem.channels, problem.height, problem.width)
    graph = GraphProto(name="network")
    graph.input.append(helper.make_tensor_value_info(named(image.name), TensorProto.FLOAT, shape))
    for tensor in old.initializer:
        graph.initializer.append(tensor)
        graph.initializer[-1].name = named(tensor.name)
    for place, node in enumerate(old.node):
        graph.node.append(
            NodeProto(
                name=f"node_{place}",
                op_type=node.op_type,
                input=map(named, node.input),
                output=map(named, node.output),
                attribute=node.attribute,
            )
        )
    kind = output.type.tensor_type
    # The axes of an output that tells none are found when it is run; a classifier has these two.
    axes = [f"axis_{axis}" for axis in range(len(kind.shape.dim) if kind.HasField("shape") else 2)]
    graph.output.append(helper.make_tensor_value_info(named(output.name), kind.elem_type, axes))
    return graph


def _only(values: list[ValueInfoProto], what: str, path: Path) -> ValueInfoProto:
    if len(values) != 1:
        names = legible(", ".join(value.name for value in values) or "none", LONGEST_TEXT)
        raise UserError(
            f"the network has {len(values)} {what}: {names}",
            where=str(path),
            remedy="a network with one input, the images, and one output, the logits",
        )
    return values[0]


def _require_images(image: ValueInfoProto, problem: Problem, path: Path) -> None:
    kind = image.type.tensor_type
    remedy = (
        f"a network of float32 images (batch, {problem.channels}, {problem.height}, {problem.width}) in "
        "[0, 1], with the axis of the batch dynamic and any normalisation inside"
    )
    if kind.elem_type != TensorProto.FLOAT:
        name = TensorProto.DataType.Name(kind.elem_type).lower()
        raise UserError(f"the input is {name}, not float32", where=str(path), remedy=remedy)
    sizes = [axis.dim_value if axis.HasField("dim_value") else None for axis in kind.shape.dim]
    wanted = (problem.channels, problem.height, problem.width)
    fits = len(sizes) == 4 and all(
        size in (None, right) for size, right in zip(sizes[1:], wanted, strict=True)
    )
    if kind.HasField("shape") and not fits:
        found = ", ".join("any" if size is None else str(size) for size in sizes)
        raise UserError(f"the input has the shape ({found})", where=str(path), remedy=remedy)


def _require_memory(model: ModelProto, path: Path) -> None:
    for value in inferred(model, by_computing=False):
        count = 1
        for axis in value.type.tensor_type.shape.dim:
            count *= max(1, axis.dim_value)
        if count > LARGEST_MAP:
            raise UserError(
                f"a map inside the network has {count:,} numbers for one image",
                where=str(path),
                remedy=f"an intact file of a network whose maps have at most {LARGEST_MAP:,}",
            )
