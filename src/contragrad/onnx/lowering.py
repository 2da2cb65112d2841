"""A graph of ONNX's newer or older operators in those that onnx2torch knows.

This module needs the extra `onnx`, so it is imported only once `onnx.model` is asked for a network.
"""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    defs,
    helper,
    inliner,
    numpy_helper,
)
from onnx2torch.node_converters.registry import get_converter

from contragrad.onnx.graph import inferred, model_of, refuse_operators, types_of_weights

CONVERTED = (9, 17)
"""The operator sets that onnx2torch 1.5.15 knows: from, to."""


def lowered(model: ModelProto, path: Path) -> ModelProto:
    """The same network in the operators that onnx2torch knows.

    Constants become weights, identities go, functions that onnx2torch does not know are written out, and
    operators of newer sets become those of set 17 where they mean the same. Whether they do is for the
    caller to check, by onnxruntime on the model that this one was made of.

    Raises:
        UserError: if there are operators that onnx2torch does not know.
    """
    version = model.opset_import[0].version
    target = min(max(version, CONVERTED[0]), CONVERTED[1])
    model = _written_out(model, target)
    graph, unknown = GraphProto(name=model.graph.name, input=model.graph.input), []
    graph.initializer.extend(model.graph.initializer)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    same: dict[str, str] = {}
    for old in model.graph.node:
        node = NodeProto()
        node.CopyFrom(old)
        node.input[:] = [same.get(value, value) for value in old.input]
        while node.input and not node.input[-1]:
            del node.input[-1]  # an input that is left out, which onnx2torch takes for one that is computed
        if node.op_type == "Identity":
            same[node.output[0]] = node.input[0]
        elif node.op_type == "Constant" and (tensor := _constant(node)) is not None:
            graph.initializer.append(tensor)
            constants[tensor.name] = tensor
        else:
            if lacking := _aged(node, version, target, constants):
                unknown.append(lacking)
            # A name becomes code; these are identifiers.
            node.name = f"node_{len(graph.node)}"
            graph.node.append(node)
    refuse_operators(unknown, path)
    output = graph.output.add()
    output.CopyFrom(model.graph.output[0])
    output.name = same.get(output.name, output.name)
    found = model_of(graph, target)
    found.graph.value_info.extend(inferred(found, by_computing=True))
    return found


def _known(operator: str, target: int) -> bool:
    try:
        get_converter(operation_type=operator, version=target)
    except NotImplementedError:
        return False
    return True


def _written_out(model: ModelProto, target: int) -> ModelProto:
    """The model with functions that onnx2torch does not know in simpler operators, by ONNX's definition."""
    version = model.opset_import[0].version
    done: set[str] = set()
    while (
        functions := {
            node.op_type
            for node in model.graph.node
            if _is_function(node.op_type, version) and not _known(node.op_type, target)
        }
        - done
    ):
        # The definitions depend on types, of weights too.
        typed = ModelProto()
        typed.CopyFrom(model)
        typed.graph.value_info.extend([*inferred(model, by_computing=True), *types_of_weights(model)])
        names = [("", name) for name in sorted(functions)]
        model = inliner.inline_selected_functions(typed, names, inline_schema_functions=True)
        done |= functions
    return model


def _is_function(operator: str, version: int) -> bool:
    schema = defs.get_schema(operator, version)
    # onnx's stubs lack both.
    return bool(schema.has_function or schema.has_context_dependent_function)  # type: ignore[attr-defined]


def _constant(node: NodeProto) -> TensorProto | None:
    """What a Constant node holds, under the name of its output; None for text."""
    (attribute,) = node.attribute
    value = helper.get_attribute_value(attribute)
    match attribute.name:
        case "value":
            tensor = TensorProto()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            return tensor
        case "value_float" | "value_floats":
            return numpy_helper.from_array(np.array(value, np.float32), node.output[0])
        case "value_int" | "value_ints":
            return numpy_helper.from_array(np.array(value, np.int64), node.output[0])
    return None


def _aged(node: NodeProto, version: int, target: int, constants: dict[str, TensorProto]) -> str | None:
    """Makes the node one of an older operator set; says what cannot be, if something cannot."""
    if not _known(node.op_type, target):
        return node.op_type
    schema = defs.get_schema(node.op_type, target)
    newer = defs.get_schema(node.op_type, version)
    # The axes of reductions were an attribute before set 18.
    if len(node.input) > schema.max_input and "axes" in schema.attributes:
        if node.input[1] and node.input[1] not in constants:
            return f"{node.op_type} over computed axes"
        if node.input[1]:
            axes = numpy_helper.to_array(constants[node.input[1]]).tolist()
            node.attribute.append(helper.make_attribute("axes", axes, attr_type=AttributeProto.INTS))
        del node.input[1:]
    if len(node.input) > schema.max_input:
        return f"{node.op_type} of {len(node.input)} inputs"
    for attribute in list(node.attribute):
        if attribute.name not in schema.attributes or attribute.name == "allowzero":
            value = helper.get_attribute_value(attribute)
            if not _is_default(attribute.name, value, newer):
                return f"{node.op_type} with {attribute.name} {value}"
            node.attribute.remove(attribute)
    return None


def _is_default(name: str, value: Any, schema: defs.OpSchema) -> bool:
    """Whether an attribute says what would hold without it."""
    if name in ("allowzero", "num_outputs"):
        # A zero in a shape, which no map of images has; and how many outputs the node is seen to have.
        return True
    if name == "dilations":
        return set(value) == {1}
    default = schema.attributes[name].default_value
    return bool(default.ByteSize() and value == helper.get_attribute_value(default))
