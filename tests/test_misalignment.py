"""The GM loss against known answers, and its gradients against float64 autograd."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.evolution.genome import parse
from contragrad.networks.batchnorm import BatchNormReLU
from contragrad.networks.convolution import Convolution
from contragrad.networks.misalignment import alignment, log_odds, losses, reference_directions, unit
from contragrad.networks.network import Normalisation, build
from contragrad.networks.pooling import AveragePool, MaxPool
from strategies import MNIST

GENOME = parse("conv(4,3) pool(max,2) conv(4,3) sum(2,3) strided(6,3) cat(4,5) pool(avg,3) fc(8)")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(weights: Tensor) -> nn.Module:
    """A two-class network whose input gradient is along `weights` for every image of class 1."""
    layer = nn.Linear(weights.numel(), 2, bias=False, dtype=weights.dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.stack([weights, -weights]))
    return nn.Sequential(nn.Flatten(), layer)


@given(st.floats(0, math.pi))
def test_two_linear_networks_are_aligned_by_the_cosine_of_their_angle(angle: float) -> None:
    images, labels = torch.rand(3, 1, 1, 2, dtype=torch.float64), torch.ones(3, dtype=torch.long)
    reference = linear(torch.tensor([1.0, 0.0], dtype=torch.float64))
    child = linear(torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64))
    directions = reference_directions(reference, images, labels)
    _, gm = losses(child, images, labels, directions)
    assert gm.item() == pytest.approx(math.cos(angle), abs=1e-12)


def test_a_network_is_aligned_with_itself_and_opposed_to_its_negative() -> None:
    weights = torch.randn(6, generator=generator(), dtype=torch.float64)
    images, labels = torch.rand(4, 1, 2, 3, dtype=torch.float64), torch.tensor([0, 1, 0, 1])
    directions = reference_directions(linear(weights), images, labels)
    for child, expected in ((weights, 1.0), (-weights, -1.0)):
        _, gm = losses(linear(child), images, labels, directions)
        assert gm.item() == pytest.approx(expected, abs=1e-12)


@given(st.floats(1e-25, 1e25), st.integers(0, 99))
def test_a_direction_does_not_depend_on_length_even_where_squares_underflow(scale: float, seed: int) -> None:
    gradients = torch.randn(2, 3, 4, generator=generator(seed))
    assert torch.allclose(unit(gradients * scale), unit(gradients), atol=1e-5)
    assert torch.allclose(unit(gradients).flatten(1).norm(dim=1), torch.ones(2), atol=1e-5)


def test_a_zero_gradient_has_alignment_zero_and_passes_no_derivative_on() -> None:
    gradients = torch.zeros(2, 1, 2, 2)
    gradients[1, 0, 0, 0] = 3.0
    gradients.requires_grad_()
    directions = unit(torch.ones(2, 1, 2, 2))
    found = alignment(gradients, directions)
    assert found.tolist() == [0.0, 0.5]
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert gradients.grad is not None
    assert gradients.grad.isfinite().all()
    assert not gradients.grad[0].any()
    assert gradients.grad[1].any()


def test_a_zero_direction_of_the_reference_counts_as_zero() -> None:
    gradients = torch.randn(2, 1, 2, 2, generator=generator(), requires_grad=True)
    found = alignment(gradients, torch.zeros(2, 1, 2, 2))
    assert found.tolist() == [0.0, 0.0]


def test_gradcheck_of_the_alignment() -> None:
    gradients = torch.randn(3, 1, 2, 3, generator=generator(), dtype=torch.float64, requires_grad=True)
    directions = unit(torch.randn(3, 1, 2, 3, generator=generator(1), dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda g: alignment(g, directions), (gradients,))


def test_log_odds_are_those_of_the_softmax_and_twice_differentiable() -> None:
    logits = torch.randn(5, 4, generator=generator(), dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 0])
    p = logits.softmax(1).gather(1, labels[:, None]).squeeze(1)
    assert torch.allclose(log_odds(logits, labels), torch.log((1 - p) / p))
    assert torch.allclose(F.softplus(log_odds(logits, labels)).mean(), F.cross_entropy(logits, labels))
    assert torch.autograd.gradcheck(lambda x: F.softplus(log_odds(x, labels)), (logits,))
    assert torch.autograd.gradgradcheck(lambda x: F.softplus(log_odds(x, labels)), (logits,))


def test_directions_survive_a_certain_network() -> None:
    """In float32, cross-entropy's own gradient loses the label's logit at a margin of 20."""
    logits_of = nn.Linear(6, 3)
    with torch.no_grad():
        logits_of.weight.copy_(torch.randn(3, 6, generator=generator()))
        logits_of.bias.copy_(torch.tensor([20.0, 0.0, -1.0]))
    network = nn.Sequential(nn.Flatten(), logits_of)
    images, labels = torch.rand(8, 1, 2, 3, generator=generator()), torch.zeros(8, dtype=torch.long)
    found = reference_directions(network, images, labels)
    exact = reference_directions(network.double(), images.double(), labels)
    assert torch.allclose(found.double(), exact, atol=1e-5)


def naive(network: nn.Module, images: Tensor, labels: Tensor, directions: Tensor) -> Tensor:
    """The GM step as most people would write it."""
    images = images.clone().requires_grad_()
    cross_entropy = F.cross_entropy(network(images), labels)
    (gradients,) = torch.autograd.grad(cross_entropy, images, create_graph=True)
    cosine = F.cosine_similarity(gradients.flatten(1), directions.flatten(1), eps=1e-30)
    return cross_entropy + 0.7 * cosine.mean()


def plain(network: nn.Module) -> nn.Module:
    """The network with PyTorch's own modules, sharing nothing."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, BatchNormReLU):
                norm = nn.BatchNorm2d(child.num_features)
                norm.load_state_dict(child.state_dict())
                setattr(module, name, nn.Sequential(norm, nn.ReLU()))
            if isinstance(child, Convolution):
                sizes = child.in_channels, child.out_channels, child.kernel_size[0], child.stride[0]
                own = nn.Conv2d(*sizes, padding=sizes[2] // 2, bias=False)
                own.load_state_dict(child.state_dict())
                setattr(module, name, own)
            if isinstance(child, MaxPool):
                kernel, padding, ceil = child.window
                setattr(module, name, nn.MaxPool2d(kernel, 2, padding, ceil_mode=ceil))
            if isinstance(child, AveragePool):
                kernel, padding, ceil = child.window
                setattr(module, name, nn.AvgPool2d(kernel, 2, padding, ceil_mode=ceil))
    return network


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-4)])
def test_parameter_gradients_equal_float64_autograd(dtype: torch.dtype, tolerance: float) -> None:
    shape = (6, 1, 28, 28)
    images = torch.rand(shape, generator=generator(), dtype=torch.float64)
    labels = torch.arange(6)
    directions = unit(torch.randn(shape, generator=generator(1), dtype=torch.float64))
    normal = Normalisation((0.3,), (0.4,))
    exact = plain(build(GENOME, MNIST, normal, seed=3)).double()
    naive(exact, images, labels, directions).backward()  # type: ignore[no-untyped-call]
    ours = build(GENOME, MNIST, normal, seed=3).to(dtype)
    cross_entropy, gm = losses(ours, images.to(dtype), labels, directions.to(dtype))
    (cross_entropy + 0.7 * gm).backward()  # type: ignore[no-untyped-call]
    pairs = list(zip(exact.parameters(), ours.parameters(), strict=True))
    assert len(pairs) > 10
    for expected, found in pairs:
        assert expected.grad is not None
        assert found.grad is not None
        scale = expected.grad.abs().max()
        assert (expected.grad - found.grad.double()).abs().max() <= tolerance * scale


def test_batch_norm_relu_is_batch_norm_and_relu() -> None:
    ours, theirs = BatchNormReLU(3), nn.BatchNorm2d(3)
    for layer in (ours, theirs):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([0.5, -1.3, 2.0]))
            layer.bias.copy_(torch.tensor([0.3, 0.2, -0.1]))
    for seed in range(3):
        maps = torch.randn(4, 3, 5, 5, generator=generator(seed))
        assert torch.allclose(ours(maps), theirs(maps).relu(), atol=1e-6)
    for mine, own in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert torch.allclose(mine, own)
    maps = torch.randn(1, 3, 5, 5, generator=generator(9))
    assert torch.equal(ours.eval()(maps), theirs.eval()(maps).relu())


def test_batch_statistics_of_one_value_are_refused() -> None:
    with pytest.raises(ValueError, match="more than one value"):
        BatchNormReLU(3)(torch.rand(1, 3, 1, 1))
