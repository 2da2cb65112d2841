"""ONNX files as networks: against onnxruntime and the networks they came from; and what is refused."""

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torchvision.models
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx2torch import convert
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.artefacts import network_fingerprint
from contragrad.errors import UserError
from contragrad.evolution.genome import Genome, Sum
from contragrad.evolution.shapes import Problem
from contragrad.networks.inference import predict
from contragrad.networks.network import Normalisation, build, placed
from contragrad.onnx.model import load_onnx
from contragrad.reference import require_usable
from strategies import free_genomes

DIGITS = Problem(1, 8, 8, 10)
COLOUR = Problem(3, 8, 8, 4)
UNCHANGED = Normalisation((0.0,), (1.0,))


class Function(nn.Module):
    """A convolution, then a function of its maps (B, 4, 8, 8)."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3, padding=1)
        self.function = function
        self.head = nn.LazyLinear(10)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.function(self.convolution(images))
        logits: Tensor = self.head(maps.flatten(1))
        return logits


def images(problem: Problem, count: int = 5, seed: int = 1) -> Tensor:
    shape = (count, problem.channels, problem.height, problem.width)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def initialised(network: nn.Module, problem: Problem = DIGITS) -> nn.Module:
    """The network with weights of its own, and batch statistics that are not those it was made with."""
    torch.manual_seed(0)
    network(images(problem, 32))
    for module in network.modules():
        reset: Any = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
    for _ in range(20):
        network(images(problem, 32))
    return network.eval()


def small(*last: nn.Module) -> nn.Module:
    """Convolution, batch normalisation, ReLU, pooling and a linear layer for digits."""
    return initialised(
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, 10),
            *last,
        )
    )


def exported(
    network: nn.Module,
    path: Path,
    problem: Problem = DIGITS,
    *,
    opset: int = 17,
    batch: int = 2,
    dynamic: bool = True,
    **options: Any,
) -> Path:
    """The network in a file, by torch's exporter that needs no further package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter says that it is the older one
        torch.onnx.export(
            network.eval(),
            (images(problem, batch),),
            path,
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}} if dynamic else None,
            opset_version=opset,
            dynamo=False,
            **options,
        )
    return path


def drawn(path: Path, nodes: Sequence[NodeProto], *, opset: int = 17, **changes: Any) -> Path:
    """A graph from `images` to `logits` in a file; weights are given by their names."""
    path.write_bytes(graph(nodes, opset=opset, **changes).SerializeToString())
    return path


def graph(
    nodes: Sequence[NodeProto],
    *,
    opset: int = 17,
    shape: Sequence[str | int] = ("batch", 1, 8, 8),
    kind: int = TensorProto.FLOAT,
    gives: int = TensorProto.FLOAT,
    axes: Sequence[str | int] = ("batch", 10),
    **weights: Any,
) -> ModelProto:
    held = [
        numpy_helper.from_array(np.asarray(value, np.float32 if isinstance(value, Tensor) else None), name)
        for name, value in weights.items()
    ]
    made = helper.make_graph(
        nodes,
        "drawn",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("logits", gives, axes)],
        held,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)])


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def linear(*between: NodeProto, **changes: Any) -> dict[str, Any]:
    """What `drawn` takes for a linear network: flattened images -> logits, from `flat` to `product`."""
    ends = [] if between else [helper.make_node("Identity", ["product"], ["logits"])]
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["product"]),
        *between,
        *ends,
    ]
    return {"nodes": nodes, "weight": normal(64, 10) / 8} | changes


def by_onnxruntime(path: Path, batch: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: batch.numpy()})
    return torch.from_numpy(found)


def input_gradients(network: nn.Module, batch: Tensor) -> Tensor:
    batch = batch.clone().requires_grad_()
    labels = torch.arange(len(batch)) % 4
    (found,) = torch.autograd.grad(F.cross_entropy(network(batch), labels), batch)
    return found


def same_network(one: nn.Module, other: nn.Module, problem: Problem) -> bool:
    """Whether two networks have the same logits and input gradients, for one image and for more."""
    return all(
        torch.allclose(one(batch), other(batch), rtol=1e-4, atol=1e-5)
        and torch.allclose(input_gradients(one, batch), input_gradients(other, batch), rtol=1e-3, atol=1e-6)
        for batch in (images(problem), images(problem, 1, seed=2))
    )


def refused(path: Path, problem: Problem = DIGITS) -> UserError:
    with pytest.raises(UserError) as error:
        load_onnx(path, problem)
    assert str(path) in error.value.where
    assert error.value.remedy
    assert len(str(error.value).splitlines()) == 3
    assert all(line.isprintable() for line in str(error.value).splitlines())
    return error.value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "network.onnx"


# The same network.

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh-gelu": lambda maps: F.gelu(maps, approximate="tanh"),
    "silu": F.silu,
    "hardswish": F.hardswish,
    "mish": F.mish,
    "relu6": F.relu6,
    "leaky": lambda maps: F.leaky_relu(maps, 0.2),
    "average": lambda maps: F.avg_pool2d(maps, 3, 2, padding=1),
    "maximum": lambda maps: F.max_pool2d(maps, 3, 2, ceil_mode=True),
    "global": lambda maps: F.adaptive_avg_pool2d(maps, 1),
    "mean": lambda maps: maps.mean((2, 3)),
    "square": lambda maps: maps.square().sum((2, 3)).sqrt(),
    "pad": lambda maps: F.pad(maps, (1, 2, 0, 1)),
    "reflect": lambda maps: F.pad(maps, (1, 2, 1, 1), mode="reflect"),
    "resize": lambda maps: F.interpolate(maps, scale_factor=2.0, mode="bilinear"),
    "view": lambda maps: maps.view(maps.shape[0], -1),
    "chunks": lambda maps: torch.cat([maps[:, 2:], maps[:, :2].relu()], 1),
    "shuffle": lambda maps: maps.reshape(-1, 2, 2, 8, 8).transpose(1, 2).reshape(-1, 4, 8, 8),
    "groups": lambda maps: F.group_norm(maps, 2),
    "layer": lambda maps: F.layer_norm(maps.permute(0, 2, 3, 1), (4,)),
    "length": lambda maps: F.normalize(maps.flatten(1)),
    "attention": lambda maps: maps.flatten(2).softmax(-1) @ maps.flatten(2).transpose(1, 2),
}


@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_layer_is_the_layer_it_came_from(name: str, opset: int, file: Path) -> None:
    network = initialised(Function(FUNCTIONS[name]))
    loaded = load_onnx(exported(network, file, opset=opset), DIGITS)
    assert not any(module.training for module in loaded.modules())
    assert same_network(loaded, network, DIGITS)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 20])
def test_a_small_network_has_onnxruntimes_logits_and_the_first_networks_gradients(
    opset: int, file: Path
) -> None:
    network = small()
    loaded = load_onnx(exported(network, file, opset=opset), DIGITS)
    batch = images(DIGITS, 50)
    assert torch.allclose(loaded(batch), by_onnxruntime(file, batch), atol=1e-5)
    assert same_network(loaded, network, DIGITS)


def test_batch_normalisation_that_was_not_folded_does_not_follow_the_batch(file: Path) -> None:
    network = small()
    exported(network, file, do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE)
    assert "BatchNormalization" in {node.op_type for node in onnx.load(file).graph.node}
    assert same_network(load_onnx(file, DIGITS), network, DIGITS)


# torch's exporter loses the sum of maps that differ in channels, for it adds in place.
@settings(max_examples=8)
@given(
    genome=free_genomes().filter(lambda genome: not any(isinstance(block, Sum) for block in genome.blocks))
)
def test_a_genomes_network_is_the_network_it_came_from(
    genome: Genome, tmp_path_factory: pytest.TempPathFactory
) -> None:
    network = build(genome, DIGITS, Normalisation((0.4,), (0.3,)), 0).eval()
    path = tmp_path_factory.mktemp("genome") / "network.onnx"
    assert same_network(load_onnx(exported(network, path), DIGITS), network, DIGITS)


@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5"])
def test_a_torchvision_network_is_the_network_it_came_from(name: str, file: Path) -> None:
    problem = Problem(3, 32, 32, 10)
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, num_classes=10).eval()
    assert same_network(load_onnx(exported(network, file, problem), problem), network, problem)


def newer(opset: int) -> dict[str, Any]:
    """What torch's newer exporter writes: functions of ONNX, axes as inputs, zeros allowed in shapes."""
    groups = helper.make_node("GroupNormalization", ["maps", "scale", "bias"], ["normal"], num_groups=2)
    nodes = [
        helper.make_node("Conv", ["images", "kernel"], ["maps"], auto_pad="NOTSET", dilations=[1, 1]),
        groups,
        helper.make_node("Gelu", ["normal"], ["bent"], approximate="none"),
        helper.make_node("AveragePool", ["bent"], ["pooled"], kernel_shape=[2, 2], dilations=[1, 1]),
        helper.make_node("Split", ["pooled"], ["left", "right"], axis=1, num_outputs=2),
        helper.make_node("Mul", ["left", "right"], ["product"]),
        helper.make_node("ReduceMean", ["product", "along"], ["mean"], keepdims=0, noop_with_empty_axes=0),
        helper.make_node("Reshape", ["mean", "sizes"], ["flat"], allowzero=1),
        helper.make_node("Gemm", ["flat", "weight"], ["logits"], transB=1),
    ]
    return {
        "nodes": nodes,
        "opset": opset,
        "kernel": normal(4, 1, 3, 3),
        "scale": normal(4) + 1,
        "bias": normal(4),
        "along": np.array([-1]),
        "sizes": np.array([-1, 10]),
        "weight": normal(10, 10),
    }


@pytest.mark.parametrize("opset", [21, 22, 23])
def test_newer_operators_are_those_of_onnxruntime(opset: int, file: Path) -> None:
    drawn(file, **newer(opset))
    batch = images(DIGITS, 20)
    assert torch.allclose(load_onnx(file, DIGITS)(batch), by_onnxruntime(file, batch), atol=1e-5)


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1], [7], [2], [1]),
        ([0], [2**63 - 1], [-1], [3]),
        ([-6, 1], [-1, 100], [3, -2], [2, 1]),
        ([-1], [-(2**63)], [3], [-1]),
        ([6, 0], [1, 8], [2, 3], [-2, 2]),
        ([100], [0], [-1], [-3]),
    ],
)
def test_slices_are_those_of_onnxruntime(
    starts: list[int], ends: list[int], axes: list[int], steps: list[int], file: Path
) -> None:
    places: dict[str, Any] = {
        "starts": np.array(starts),
        "ends": np.array(ends),
        "along": np.array(axes),
        "steps": np.array(steps),
    }
    nodes = [
        helper.make_node("Slice", ["images", *places], ["part"]),
        helper.make_node("Mul", ["part", "factor"], ["scaled"]),
        helper.make_node("Flatten", ["scaled"], ["logits"]),
    ]
    part = images(DIGITS, 1).numpy()
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        part = part.take(range(8)[start:end:step], axis)
    drawn(file, nodes, **places, factor=normal(*part.shape[2:]), axes=("batch", part.size))
    problem = Problem(1, 8, 8, part.size)
    batch = images(problem)
    assert torch.allclose(load_onnx(file, problem)(batch), by_onnxruntime(file, batch), atol=1e-6)


def test_the_weights_of_a_matrix_product_are_parameters(file: Path) -> None:
    network = load_onnx(drawn(file, **linear()), DIGITS)
    assert [parameter.numel() for parameter in network.parameters()] == [640]
    assert predict(network, images(DIGITS)).shape == (5,)


def test_weights_among_the_inputs_as_old_files_have_them_are_weights(file: Path) -> None:
    model = graph(**linear(opset=9))
    model.ir_version = 3
    model.graph.input.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, (64, 10)))
    file.write_bytes(model.SerializeToString())
    assert load_onnx(file, DIGITS)(images(DIGITS)).shape == (5, 10)


def test_constants_in_every_form_are_weights(file: Path) -> None:
    forms: dict[str, Any] = {
        "value": numpy_helper.from_array(np.array(2.0, np.float32)),
        "value_float": 2.0,
        "value_floats": [2.0],
    }
    for name, value in forms.items():
        two = helper.make_node("Constant", [], ["two"], **{name: value})
        drawn(file, **linear(two, helper.make_node("Mul", ["product", "two"], ["logits"])))
        expected = 2 * images(DIGITS).flatten(1) @ (normal(64, 10) / 8)
        assert torch.allclose(load_onnx(file, DIGITS)(images(DIGITS)), expected, atol=1e-5)


def test_a_loaded_network_can_be_placed_and_be_a_reference(file: Path) -> None:
    loaded = load_onnx(exported(small(), file), DIGITS)
    before = loaded(images(DIGITS))
    assert torch.allclose(placed(loaded, torch.device("cpu"))(images(DIGITS)), before, atol=1e-6)
    require_usable(loaded, DIGITS, "here")


def test_loading_is_deterministic_and_leaves_torchs_state_alone(file: Path) -> None:
    exported(small(), file)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with torch.no_grad():
        one, other = load_onnx(file, DIGITS), load_onnx(file, DIGITS)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.rand(1), expected)
    assert network_fingerprint(one) == network_fingerprint(other)


# Batches.


class Baked(nn.Module):
    """A network whose number of images was written into it."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.inner = small()

    def forward(self, batch: Tensor) -> Tensor:
        logits: Tensor = self.inner(batch.reshape(self.count, 1, 8, 8))
        return logits


def test_a_network_exported_for_one_image_is_asked_for_one_at_a_time(file: Path) -> None:
    network = Baked(1)
    loaded = load_onnx(exported(network, file, batch=1, dynamic=False), DIGITS)
    assert loaded.alone
    assert same_network(loaded, network.inner, DIGITS)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_that_is_written_nowhere_else_is_freed(batch: int, file: Path) -> None:
    network = small()
    loaded = load_onnx(exported(network, file, batch=batch, dynamic=False), DIGITS)
    assert not loaded.alone
    assert same_network(loaded, network, DIGITS)


def test_a_network_for_several_images_at_once_is_refused(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    exported(Baked(4), file, batch=4, dynamic=False)
    capfd.readouterr()
    error = refused(file)
    assert "on an image" in error.what
    assert "dynamic_axes" in error.remedy
    assert capfd.readouterr() == ("", ""), "onnxruntime says it too"


def test_a_network_that_mixes_the_images_of_a_batch_is_refused(file: Path) -> None:
    mean = helper.make_node("ReduceMean", ["product"], ["mean"], axes=[0])
    drawn(file, **linear(mean, helper.make_node("Sub", ["product", "mean"], ["logits"])))
    assert "other images" in refused(file).what


# Logits.


def test_a_softmax_at_the_end_is_cut(file: Path) -> None:
    network = small()
    loaded = load_onnx(exported(nn.Sequential(network, nn.Softmax(1)), file), DIGITS)
    assert same_network(loaded, network, DIGITS)
    assert torch.allclose(loaded(images(DIGITS)).softmax(1), by_onnxruntime(file, images(DIGITS)), atol=1e-6)


def test_a_softmax_is_cut_where_only_shapes_follow(file: Path) -> None:
    reshape = nn.Sequential(nn.Unflatten(1, (10, 1, 1)), nn.Softmax(1), nn.Flatten())
    network = small()
    assert same_network(load_onnx(exported(nn.Sequential(network, reshape), file), DIGITS), network, DIGITS)


def test_a_softmax_that_is_certain_leaves_gradients(file: Path) -> None:
    network = small()
    with torch.no_grad():
        network[-1].weight.mul_(1e4)  # type: ignore[index]
    loaded = load_onnx(exported(nn.Sequential(network, nn.Softmax(1)), file), DIGITS)
    assert by_onnxruntime(file, images(DIGITS)).amax(1).max() == 1
    assert loaded(images(DIGITS)).abs().max() > 100


def test_a_log_softmax_is_left_for_it_gives_logits(file: Path) -> None:
    network = small(nn.LogSoftmax(1))
    assert same_network(load_onnx(exported(network, file), DIGITS), network, DIGITS)


def test_probabilities_from_elsewhere_are_refused(file: Path) -> None:
    nodes = [
        helper.make_node("Exp", ["product"], ["powers"]),
        helper.make_node("ReduceSum", ["powers", "axis"], ["sum"]),
        helper.make_node("Div", ["powers", "sum"], ["logits"]),
    ]
    drawn(file, **linear(*nodes, axis=np.array([1])))
    error = refused(file)
    assert "probabilities" in error.what
    assert "softmax" in error.remedy


# What does not fit.


def test_other_images_are_refused_by_shape(file: Path) -> None:
    exported(small(), file)
    for problem in (Problem(3, 8, 8, 10), Problem(1, 8, 9, 10), Problem(1, 28, 28, 10)):
        error = refused(file, problem)
        assert "(any, 1, 8, 8)" in error.what
        assert f"(batch, {problem.channels}, {problem.height}, {problem.width})" in error.remedy
    drawn(file, **linear(shape=("batch", 64)))
    assert "(any, 64)" in refused(file).what


def test_a_size_that_a_file_leaves_open_is_the_problems(file: Path) -> None:
    drawn(file, **linear(shape=("batch", "channels", "height", "width")))
    assert load_onnx(file, DIGITS)(images(DIGITS)).shape == (5, 10)
    assert "on an image" in refused(file, COLOUR).what


def test_other_classes_are_refused(file: Path) -> None:
    exported(small(), file)
    error = refused(file, Problem(1, 8, 8, 7))
    assert "(10,) for an image; the data have 7 classes" in error.what
    assert "7 logits" in error.remedy


def test_an_output_of_another_rank_is_refused(file: Path) -> None:
    node = helper.make_node("Unsqueeze", ["product", "axis"], ["logits"])
    drawn(file, **linear(node, axis=np.array([2]), axes=("batch", 10, 1)))
    assert "(10, 1) for an image" in refused(file).what


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.UINT8, TensorProto.FLOAT16])
def test_an_input_of_another_type_is_refused(kind: int, file: Path) -> None:
    cast = helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT)
    nodes = linear()["nodes"]
    nodes[0].input[0] = "floats"
    drawn(file, **linear(kind=kind) | {"nodes": [cast, *nodes]})
    error = refused(file)
    assert TensorProto.DataType.Name(kind).lower() in error.what
    assert "float32" in error.remedy


def test_an_output_of_another_type_is_refused(file: Path) -> None:
    cast = helper.make_node("Cast", ["product"], ["logits"], to=TensorProto.DOUBLE)
    assert "float64" in refused(drawn(file, **linear(cast, gives=TensorProto.DOUBLE))).what


def test_several_inputs_or_outputs_are_refused(file: Path) -> None:
    model = graph(**linear())
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ("batch", 64)))
    file.write_bytes(model.SerializeToString())
    assert "2 outputs: logits, flat" in refused(file).what
    model = graph(**linear())
    model.graph.input.append(helper.make_tensor_value_info("mask\x1b[2J", TensorProto.FLOAT, (1,)))
    file.write_bytes(model.SerializeToString())
    assert r"2 inputs: images, mask\x1b[2J" in refused(file).what


def test_numbers_that_are_not_finite_are_refused(file: Path) -> None:
    drawn(file, **linear() | {"weight": torch.full((64, 10), float("nan"))})
    assert "not finite" in refused(file).what


def test_infinite_gradients_are_refused(file: Path) -> None:
    zero = helper.make_node("Sub", ["product", "product"], ["zero"])
    root = helper.make_node("Sqrt", ["zero"], ["root"])
    drawn(file, **linear(zero, root, helper.make_node("Add", ["root", "product"], ["logits"])))
    assert "gradients are not finite" in refused(file).what


# Operators.


def test_what_gradients_do_not_pass_is_refused(file: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["product"], ["whole"], to=TensorProto.INT32),
        helper.make_node("Cast", ["whole"], ["logits"], to=TensorProto.FLOAT),
    ]
    error = refused(drawn(file, **linear(*nodes)))
    assert "cannot be differentiated" in error.what
    assert "differentiable" in error.remedy


def test_a_network_whose_gradients_are_zero_is_for_the_audit_to_judge(file: Path) -> None:
    network = load_onnx(drawn(file, **linear(helper.make_node("Round", ["product"], ["logits"]))), DIGITS)
    assert not input_gradients(network, images(DIGITS)).any()


def quantised() -> list[NodeProto]:
    return [
        helper.make_node("QuantizeLinear", ["product", "scale"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "scale"], ["logits"]),
    ]


def test_operators_that_onnx2torch_lacks_are_named_all_at_once(file: Path) -> None:
    error = refused(drawn(file, **linear(*quantised(), scale=np.float32(0.1))))
    assert "QuantizeLinear, DequantizeLinear" in error.what
    assert "opset_version" in error.remedy


def test_operators_of_others_and_subgraphs_are_refused_before_anything_runs_them(file: Path) -> None:
    foreign = helper.make_node("EPContext", ["product"], ["logits"], domain="com.microsoft")
    assert "com.microsoft.EPContext" in refused(drawn(file, **linear(foreign))).what
    made_up = helper.make_node("Rel\x07u", ["product"], ["logits"])
    assert r"Rel\x07u" in refused(drawn(file, **linear(made_up))).what
    branch = helper.make_graph([], "branch", [], [])
    choice = helper.make_node("If", ["product"], ["logits"], then_branch=branch, else_branch=branch)
    assert "If" in refused(drawn(file, **linear(choice))).what


def test_a_use_of_an_operator_that_older_sets_lack_is_refused(file: Path) -> None:
    nodes = [
        helper.make_node("AveragePool", ["images"], ["maps"], kernel_shape=[2, 2], dilations=[2, 2]),
        helper.make_node("Flatten", ["maps"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    drawn(file, nodes, opset=22, weight=normal(36, 10))
    assert "AveragePool with dilations [2, 2]" in refused(file).what
    changes = newer(22)
    changes["nodes"][:0] = [
        helper.make_node("Shape", ["images"], ["height"], start=2, end=3),
        helper.make_node("Sub", ["height", "five"], ["computed"]),
    ]
    changes["nodes"][8].input[1] = "computed"
    drawn(file, **changes, five=np.array([5]))
    assert "ReduceMean over computed axes" in refused(file).what


def test_an_operator_that_onnx2torch_computes_otherwise_is_refused(file: Path) -> None:
    nodes = [
        helper.make_node(
            "Resize",
            ["images", "", "scales"],
            ["large"],
            mode="nearest",
            nearest_mode="ceil",
            coordinate_transformation_mode="asymmetric",
        ),
        helper.make_node("Flatten", ["large"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    drawn(file, nodes, scales=np.array([1, 1, 2, 2], np.float32), weight=normal(256, 10))
    error = refused(file)
    assert "otherwise than by onnxruntime: logits differ by up to" in error.what


def test_an_older_or_unknown_operator_set_is_refused(file: Path) -> None:
    for opset in (6, 999):
        model = graph(**linear())
        model.opset_import[0].version = opset
        file.write_bytes(model.SerializeToString())
        assert f"operator set {opset}" in refused(file).what
    del model.opset_import[:]
    file.write_bytes(model.SerializeToString())
    assert "operator set 0" in refused(file).what


def test_a_network_without_weights_is_refused(file: Path) -> None:
    nodes = [helper.make_node("ReduceMean", ["images"], ["logits"], axes=[1, 2], keepdims=0)]
    assert "no weights" in refused(drawn(file, nodes), Problem(1, 8, 8, 8)).what


# Files.


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.onnx", tmp_path, tmp_path / "no\0thing"):
        with pytest.raises(UserError, match="no such file") as error:
            load_onnx(path, DIGITS)
        assert error.value.where == str(path)


def test_a_file_that_may_not_be_read_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    exported(small(), file)
    monkeypatch.setattr(Path, "read_bytes", locked)
    assert "Permission denied" in refused(file).what


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x05K\x01.", b"PK\x03\x04", bytes(100)])
def test_what_is_no_onnx_is_refused(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    assert "network" in (error := refused(file)).what or "no ONNX, or corrupt" in error.what


def test_weights_by_pickle_are_refused(file: Path) -> None:
    torch.save(small().state_dict(), file)
    assert "no ONNX, or corrupt" in refused(file).what


def test_weights_of_another_size_than_they_say_are_refused(file: Path) -> None:
    model = graph(**linear())
    model.graph.initializer[0].raw_data = b"1234"
    file.write_bytes(model.SerializeToString())
    assert "no ONNX, or corrupt" in refused(file).what


def test_a_file_of_more_than_2_gb_is_refused_unread(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(2**31)  # takes no room on the disk
    error = refused(file)
    assert "2,147,483,648 bytes" in error.what
    assert "2 GB" in error.remedy


def test_a_damaged_file_does_not_take_the_memory(file: Path) -> None:
    pad = helper.make_node("Pad", ["images", "pads"], ["padded"])
    flat = helper.make_node("Flatten", ["padded"], ["flat"])
    end = helper.make_node("MatMul", ["flat", "weight"], ["logits"])
    pads = np.array([0, 0, 0, 0, 0, 0, 0, 2**40])
    drawn(file, [pad, flat, end], pads=pads, weight=normal(64, 10))
    assert "numbers for one image" in refused(file).what


# Code.


def test_a_files_names_are_not_run(file: Path, tmp_path: Path) -> None:
    """onnx2torch has torch.fx write a node's name into a function, and run it."""
    trace = tmp_path / "trace"
    touch = f'getattr(getattr(__import__("pathlib"), "Path")("{trace}"), "touch")()'
    name = f'training") in (1, 0) and {touch} or getattr(self, "nothing'
    model = graph(**linear())
    for node in model.graph.node:
        node.name = name
        node.doc_string = name
    file.write_bytes(model.SerializeToString())
    with pytest.raises(AttributeError):
        convert(model)(images(DIGITS))
    assert trace.exists(), "what is shown to be harmless here does no harm anyway"
    trace.unlink()
    load_onnx(file, DIGITS)(images(DIGITS))
    assert not trace.exists()


def test_every_name_may_be_any_text(file: Path) -> None:
    model = graph(**linear())
    text = 'a"b\n)(self.\\x00 import é'
    for node in model.graph.node:
        node.name = text
        node.input[:] = [text + value for value in node.input]
        node.output[:] = [text + value for value in node.output]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.name = text + value.name
    file.write_bytes(model.SerializeToString())
    expected = images(DIGITS).flatten(1) @ (normal(64, 10) / 8)
    assert torch.allclose(load_onnx(file, DIGITS)(images(DIGITS)), expected, atol=1e-5)


def test_names_of_values_that_are_names_of_nodes_are_kept_apart(file: Path) -> None:
    model = graph(**linear())
    names = {"images": "MatMul", "flat": "Identity", "weight": "Flatten", "product": "input_1"}
    for node in model.graph.node:
        node.input[:] = [names.get(value, value) for value in node.input]
        node.output[:] = [names.get(value, value) for value in node.output]
    for value in (*model.graph.input, *model.graph.initializer):
        value.name = names[value.name]
    file.write_bytes(model.SerializeToString())
    expected = images(DIGITS).flatten(1) @ (normal(64, 10) / 8)
    assert torch.allclose(load_onnx(file, DIGITS)(images(DIGITS)), expected, atol=1e-5)


# Weights beside the file.


def apart(network: nn.Module, path: Path, location: str = "weights.bin") -> Path:
    """The network in a file, its weights in another."""
    model = onnx.load(exported(network, path))
    onnx.save(model, path, save_as_external_data=True, location=location, size_threshold=0)
    return path


def moved(path: Path, **entries: str) -> Path:
    """The file with other words on where its weights are."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        kept = {entry.key: entry.value for entry in tensor.external_data} | entries
        del tensor.external_data[:]
        for key, value in kept.items():
            tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_file_are_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small()
    apart(network, file)
    assert (file.parent / "weights.bin").stat().st_size > 2000
    assert same_network(load_onnx(file, DIGITS), network, DIGITS)
    monkeypatch.chdir(file.parent)
    assert same_network(load_onnx(Path(file.name), DIGITS), network, DIGITS)


def test_weights_in_a_folder_below_are_read(file: Path) -> None:
    apart(small(), file)
    (file.parent / "below").mkdir()
    (file.parent / "weights.bin").rename(file.parent / "below" / "weights.bin")
    assert load_onnx(moved(file, location="below/weights.bin"), DIGITS)(images(DIGITS)).shape == (5, 10)


def test_weights_that_are_not_all_there_are_refused(file: Path) -> None:
    apart(small(), file)
    weights = file.parent / "weights.bin"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    error = refused_weights(file)
    assert "too short" in error.what
    weights.unlink()
    assert "missing" in refused_weights(file).what
    weights.mkdir()
    assert "missing" in refused_weights(file).what


def refused_weights(path: Path, location: str = "weights.bin") -> UserError:
    error = refused(path)
    assert error.where == f"{path}: weights in {location}"
    assert "beside it" in error.remedy
    return error


@pytest.mark.parametrize(
    "entries",
    [{"offset": "-4"}, {"length": "-4"}, {"offset": "99999999"}, {"offset": "one"}, {"length": "9" * 30}],
)
def test_wrong_places_in_the_file_of_weights_are_refused(entries: dict[str, str], file: Path) -> None:
    apart(small(), file)
    assert refused_weights(moved(file, **entries))


@pytest.mark.parametrize("way", ["up", "absolute", "link", "folder"])
def test_nothing_outside_the_files_folder_is_read(way: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = apart(small(), folder / "network.onnx")
    secret = tmp_path / "secret.bin"
    (folder / "weights.bin").rename(secret)
    if way == "link":
        (folder / "weights.bin").symlink_to(secret)
    if way == "folder":
        (folder / "way").symlink_to(tmp_path)
    location = {
        "up": "../secret.bin",
        "absolute": str(secret),
        "link": "weights.bin",
        "folder": "way/secret.bin",
    }
    error = refused_weights(moved(file, location=location[way]), location[way])
    assert "outside" in error.what


def test_nothing_outside_the_files_folder_is_read_for_a_constant(file: Path) -> None:
    tensor = TensorProto(name="two", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/hostname")
    two = helper.make_node("Constant", [], ["two"], value=tensor)
    drawn(file, **linear(two, helper.make_node("Mul", ["product", "two"], ["logits"])))
    assert "outside" in refused_weights(file, "../../etc/hostname").what


def test_places_that_no_system_knows_are_refused(file: Path) -> None:
    apart(small(), file)
    assert refused(moved(file, location="a\0b"))
    assert refused(moved(file, location="a" * 5000))
    assert refused(moved(file, location=""))


def test_weights_of_more_than_2_gb_are_refused_unread(file: Path) -> None:
    apart(small(), file)
    with (file.parent / "weights.bin").open("ab") as stream:
        stream.truncate(2**31)
    moved(file, offset="0", length=str(2**31))
    assert "2,147,4" in refused(file).what


# The extra.


@pytest.mark.parametrize("name", ["onnx", "onnx2torch", "onnxruntime"])
def test_without_the_extra_it_is_named(name: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported(small(), file)
    for module in ("onnx.graph", "onnx.lowering", "onnx.network"):
        monkeypatch.delitem(sys.modules, f"contragrad.{module}", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    error = refused(file)
    assert "onnxruntime" in error.what
    assert "contragrad[onnx]" in error.remedy


# Damage.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged")


@pytest.fixture(scope="module")
def intact(folder: Path) -> tuple[bytes, ...]:
    """A file of old operators and one of new ones, small, so that most of their bytes mean something."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))
    options: dict[str, Any] = {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
    older = exported(initialised(network), folder / "older.onnx", **options)
    return older.read_bytes(), graph(**newer(22)).SerializeToString()


def network_or_user_error(content: bytes, folder: Path) -> None:
    path = folder / "damaged.onnx"
    path.write_bytes(content)
    try:
        network = load_onnx(path, DIGITS)
    except UserError as error:
        said = error
    else:
        assert network(images(DIGITS)).shape == (5, 10)
        return
    assert str(path) in said.where
    assert said.remedy


@given(content=st.binary(max_size=300))
def test_random_bytes_are_refused(content: bytes, folder: Path) -> None:
    network_or_user_error(content, folder)


@given(data=st.data())
def test_a_truncated_file_is_refused(data: st.DataObject, intact: tuple[bytes, ...], folder: Path) -> None:
    content = data.draw(st.sampled_from(intact))
    network_or_user_error(content[: data.draw(st.integers(0, len(content) - 1))], folder)


@given(data=st.data())
def test_a_file_with_flipped_bits_is_refused_or_a_network(
    data: st.DataObject, intact: tuple[bytes, ...], folder: Path
) -> None:
    content = bytearray(data.draw(st.sampled_from(intact)))
    for bit in data.draw(st.sets(st.integers(0, 8 * len(content) - 1), min_size=1, max_size=4)):
        content[bit // 8] ^= 1 << bit % 8
    network_or_user_error(bytes(content), folder)
