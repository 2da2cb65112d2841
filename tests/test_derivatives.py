"""The modules whose derivatives are written here equal PyTorch's, and leave no work to be done twice."""

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from contragrad.evolution.genome import parse
from contragrad.evolution.shapes import HEAD_EDGE
from contragrad.networks.batchnorm import BatchNormReLU
from contragrad.networks.blocks import Concatenation, Summation
from contragrad.networks.convolution import Convolution
from contragrad.networks.linear import apply_linear
from contragrad.networks.network import Normalisation, build, memory_format
from contragrad.networks.objectives import Material
from contragrad.networks.pooling import AveragePool, MaxPool
from contragrad.networks.training import begin, step
from contragrad.settings.config import TrainingSettings
from strategies import CIFAR

FORMATS = (torch.contiguous_format, torch.channels_last)


def _sum_of_pytorch(first: Tensor, second: Tensor) -> Tensor:
    widest = max(first.shape[1], second.shape[1])
    one, two = (F.pad(maps, (0, 0, 0, 0, 0, widest - maps.shape[1])) for maps in (first, second))
    return one + two


def _batch_norm(maps: Tensor) -> Tensor:
    return F.batch_norm(maps, None, None, training=True).relu()


Case = tuple[str, nn.Module, Callable[..., Tensor], tuple[tuple[int, ...], ...]]

torch.manual_seed(0)
WIDE, NARROW, POINT = Convolution(2, 3, 3, 1), Convolution(3, 2, 5, 2), Convolution(3, 2, 1, 2)
CASES: list[Case] = [
    ("convolution", WIDE, lambda x: F.conv2d(x, WIDE.weight.double(), padding=1), ((2, 2, 5, 4),)),
    ("strided", NARROW, lambda x: F.conv2d(x, NARROW.weight.double(), stride=2, padding=2), ((2, 3, 5, 4),)),
    ("strided point", POINT, lambda x: F.conv2d(x, POINT.weight.double(), stride=2), ((2, 3, 5, 4),)),
    ("norm", BatchNormReLU(3), _batch_norm, ((4, 3, 3, 2),)),
    ("max 2", MaxPool(2), lambda x: F.max_pool2d(x, 2, ceil_mode=True), ((2, 3, 5, 4),)),
    ("max 3", MaxPool(3), lambda x: F.max_pool2d(x, 3, 2, padding=1), ((2, 3, 5, 4),)),
    ("average 2", AveragePool(2), lambda x: F.avg_pool2d(x, 2, ceil_mode=True), ((2, 3, 5, 4),)),
    ("average 3", AveragePool(3), lambda x: F.avg_pool2d(x, 3, 2, padding=1), ((2, 3, 5, 4),)),
    ("sum", Summation(), _sum_of_pytorch, ((2, 3, 3, 2), (2, 3, 3, 2))),
    ("sum, second narrower", Summation(), _sum_of_pytorch, ((2, 3, 3, 2), (2, 1, 3, 2))),
    ("sum, first narrower", Summation(), _sum_of_pytorch, ((2, 2, 3, 2), (2, 3, 3, 2))),
    ("cat", Concatenation(), lambda *x: torch.cat(x, 1), ((2, 3, 3, 2), (2, 1, 3, 2))),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
each_format = pytest.mark.parametrize("memory_format", FORMATS, ids=str)


def maps_of(case: Case, memory_format: torch.memory_format, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(shape, generator=generator, dtype=dtype) for shape in case[3]]
    return [part.to(memory_format=memory_format).requires_grad_() for part in maps]


@each_case
@each_format
def test_value_and_both_derivatives_equal_pytorchs(case: Case, memory_format: torch.memory_format) -> None:
    _, module, theirs, _ = case
    found = []
    for function in (module.double(), theirs):
        maps = maps_of(case, memory_format, torch.float64)
        value = function(*maps)
        weight = torch.linspace(-1, 1, value.numel(), dtype=torch.float64).view_as(value)
        first = torch.autograd.grad((value.square() * weight).sum(), maps, create_graph=True)
        cubes = torch.stack([part.pow(3).sum() for part in first])
        second = torch.autograd.grad(cubes.sum(), maps)
        found.append([value, *first, *second])
    for ours, other in zip(*found, strict=True):
        assert torch.allclose(ours, other, atol=1e-10)


@each_case
@each_format
def test_gradcheck_and_gradgradcheck(case: Case, memory_format: torch.memory_format) -> None:
    module = case[1].double()
    maps = maps_of(case, memory_format, torch.float64)
    weights = list(module.parameters())

    def function(*inputs: Tensor) -> Tensor:
        names = [name for name, _ in module.named_parameters()]
        given = dict(zip(names, inputs[len(maps) :], strict=True))
        result: Tensor = torch.func.functional_call(module, given, inputs[: len(maps)])
        return result

    assert torch.autograd.gradcheck(function, (*maps, *weights))
    assert torch.autograd.gradgradcheck(function, (*maps, *weights))


class Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts convolutions, and notes new maps larger than the head's in PyTorch's default memory format."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.convolutions = 0
        self.misplaced: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.convolutions += 1
        if func is torch.ops.aten.convolution_backward.default:
            self.convolutions += sum(args[10][:2])
        made = isinstance(result, Tensor) and func._schema.returns[0].alias_info is None
        large = made and result.dim() == 4 and result.shape[1] > 3 and result.shape[3] > HEAD_EDGE
        if large and not result.is_contiguous(memory_format=torch.channels_last):
            self.misplaced.append(str(func))
        return result


EVOLVED = (
    "conv(8,3) pool(max,2) conv(8,3) sum(2,3) conv(16,3) cat(4,5) sum(1,6) pool(avg,3) strided(8,3) fc(4)"
)


def test_a_point_with_a_stride_never_reaches_the_kernel_that_corrupts_the_heap() -> None:
    """OneDNN's strided 1 x 1 weight gradient; see `is_unsafe`."""

    class Strides(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> object:
            if func is torch.ops.aten.convolution.default:
                assert args[1].shape[2:] != (1, 1) or args[3] == [1, 1]
            if func is torch.ops.aten.convolution_backward.default:
                assert args[2].shape[2:] != (1, 1) or args[4] == [1, 1]
            return func(*args, **(kwargs or {}))

    settings = TrainingSettings()
    genome = parse("strided(4,1) strided(4,3) strided(8,1) fc(4)")
    session = begin(build(genome, CIFAR, Normalisation((0.5,) * 3, (0.2,) * 3), seed=0), settings)
    images = torch.rand(4, 3, 32, 32)
    with Strides():  # type: ignore[no-untyped-call]
        step(session, images, torch.arange(4), Material(torch.randn_like(images)), settings)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv2d(3, 8, 1, stride=2), torch.contiguous_format),
        (nn.Conv2d(24, 8, 1, stride=2), torch.contiguous_format),
        (nn.Conv2d(64, 128, 1, stride=2), torch.channels_last),
        (nn.Conv2d(3, 8, 1), torch.channels_last),
        (nn.Conv2d(3, 8, 3, stride=2), torch.channels_last),
        (Convolution(3, 8, 1, 2), torch.channels_last),
    ],
)
def test_a_network_with_an_unsafe_layer_is_laid_out_the_slow_way(
    layer: nn.Module, expected: torch.memory_format
) -> None:
    assert memory_format(nn.Sequential(layer)) == expected
    assert begin(nn.Sequential(layer), TrainingSettings()).memory_format == expected


def test_a_gm_step_has_twice_a_plain_steps_convolutions_and_copies_no_map() -> None:
    layers = 4
    settings = TrainingSettings()
    session = begin(build(parse(EVOLVED), CIFAR, Normalisation((0.5,) * 3, (0.2,) * 3), seed=0), settings)
    images, labels = torch.rand(4, 3, 32, 32), torch.arange(4)
    with Calls() as plain:
        step(session, images, labels, Material(), settings)
    with Calls() as gm:
        step(session, images, labels, Material(torch.randn_like(images)), settings)
    # No step needs the gradient by the images of what it descends.
    assert plain.convolutions == 3 * layers - 1
    assert gm.convolutions == 6 * layers - 1
    assert not plain.misplaced
    assert not gm.misplaced


def test_a_step_leaves_no_tensor_to_the_garbage_collector() -> None:
    """Tensors in a circle of references stay until a collection, which counts objects and not bytes."""
    settings = TrainingSettings()
    session = begin(build(parse(EVOLVED), CIFAR, Normalisation((0.5,) * 3, (0.2,) * 3), seed=0), settings)
    images, labels = torch.rand(4, 3, 32, 32), torch.arange(4)
    directions = torch.randn_like(images)
    step(session, images, labels, Material(directions), settings)
    gc.collect()
    gc.disable()
    try:
        before = sum(issubclass(type(found), Tensor) for found in gc.get_objects())
        for _ in range(3):
            step(session, images, labels, Material(directions), settings)
        assert sum(issubclass(type(found), Tensor) for found in gc.get_objects()) == before
    finally:
        gc.enable()


def test_a_linear_map_and_its_adjoint_are_each_others_derivative() -> None:
    matrix = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    x, y = torch.ones(3, requires_grad=True), torch.tensor([1.0, -1.0], requires_grad=True)
    (value,) = apply_linear(lambda v: (matrix @ v,), lambda v: (matrix.T @ v,), x)
    assert value.tolist() == [6, 15]
    (by_x,) = torch.autograd.grad(value @ y, x, create_graph=True)
    assert by_x.tolist() == [-3, -3, -3]
    (by_y,) = torch.autograd.grad(by_x.sum(), y)
    assert by_y.tolist() == [6, 15]
