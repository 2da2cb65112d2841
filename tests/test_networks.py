"""Genomes as networks: they build, run and train; their cost is what was worked out without them."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from contragrad.data.dataset import Examples
from contragrad.evolution.genome import Genome, parse
from contragrad.evolution.shapes import Problem, cost, shapes
from contragrad.networks.blocks import Summation
from contragrad.networks.network import Normalisation, Normalised, build, parameter_count
from contragrad.networks.objectives import Material
from contragrad.networks.training import begin, train_epoch
from contragrad.settings.config import TrainingSettings
from strategies import CIFAR, MNIST, ODD, genomes, grown_genomes

UNCHANGED = Normalisation((0.0,), (1.0,))


def network_of(genome: Genome, problem: Problem) -> Normalised:
    return build(genome, problem, UNCHANGED, seed=0)


@settings(max_examples=60)
@given(genomes(), st.sampled_from((CIFAR, MNIST, ODD)))
def test_cost_and_shapes_are_those_of_the_built_network(genome: Genome, problem: Problem) -> None:
    network = network_of(genome, problem)
    network.eval()
    maps: list[tuple[int, ...]] = []
    inner: Any = network.network
    for block in inner.blocks:
        block.register_forward_hook(lambda _m, _i, output: maps.append(tuple(output.shape[1:])))
    with FlopCounterMode(display=False) as counter:
        logits = network(torch.rand(1, problem.channels, problem.height, problem.width))
    assert logits.shape == (1, problem.classes)
    expected = cost(genome, problem)
    assert parameter_count(network) == expected.parameters
    assert counter.get_total_flops() == expected.flops
    for shape, found in zip(shapes(genome, problem)[1:], maps, strict=True):
        assert found[0] == shape.channels
        assert found[1] * found[2] == shape.pixels(problem)


@settings(max_examples=20)
@given(grown_genomes(), st.sampled_from((CIFAR, MNIST)), st.integers(2, 5))
def test_what_mutation_reaches_trains_with_gm(genome: Genome, problem: Problem, count: int) -> None:
    network = network_of(genome, problem)
    shape = (count, problem.channels, problem.height, problem.width)
    generator = torch.Generator().manual_seed(0)
    examples = Examples(torch.rand(shape, generator=generator), torch.arange(count) % problem.classes)
    directions = F.normalize(torch.randn(shape, generator=generator).flatten(1)).view(shape)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    # Batches of 2: an odd count leaves a single image over, which batch statistics cannot take.
    losses = train_epoch(
        begin(network, TrainingSettings(batch_size=2)),
        examples,
        Material(directions),
        TrainingSettings(batch_size=2),
        seed=0,
    )
    assert losses.alignment is not None
    assert -1 <= losses.alignment <= 1
    assert losses.cross_entropy > 0
    moved = [not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True)]
    assert any(moved)


def test_a_sum_pads_the_smaller_channel_count_with_zeros() -> None:
    few, many = torch.ones(1, 2, 4, 4), torch.full((1, 3, 4, 4), 10.0)
    for total in (Summation()(few, many), Summation()(many, few)):
        assert total[0, :, 0, 0].tolist() == [11, 11, 10]


class Recorded(nn.Module):
    """Keeps what it is given, and gives back the first of it."""

    def forward(self, *maps: Tensor) -> Tensor:
        self.given = maps
        return maps[0]


def test_a_block_reads_the_larger_map_halved_until_it_has_the_smallers_size() -> None:
    problem = Problem(1, 5, 5, 2)
    network = network_of(parse("conv(1,1) strided(1,1) strided(1,1) sum(1,3) fc(4)"), problem).eval()
    inner: Any = network.network
    large = torch.arange(25.0).view(1, 1, 5, 5)
    inner.blocks[0] = nn.Identity()
    inner.blocks[1] = nn.AvgPool2d(1, stride=2)
    inner.blocks[2] = nn.AvgPool2d(1, stride=2)
    inner.blocks[3] = Recorded()
    network(large)
    # 5 pixels become 3, then 2; what is left over at the edge is averaged by itself.
    once = torch.tensor([[3.0, 5.0, 6.5], [13.0, 15.0, 16.5], [20.5, 22.5, 24.0]])
    twice = torch.tensor([[once[:2, :2].mean(), once[:2, 2].mean()], [once[2, :2].mean(), once[2, 2]]])
    assert torch.allclose(inner.blocks[3].given[0][0, 0], twice)
    assert inner.blocks[3].given[1].shape == (1, 1, 2, 2)


def _normalised(maps: Tensor, layer: nn.BatchNorm2d) -> Tensor:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return F.relu(F.batch_norm(maps, layer.running_mean, layer.running_var, layer.weight, layer.bias))


def test_blocks_compute_what_their_documentation_says() -> None:
    genome = parse("conv(2,3) strided(2,3) pool(avg,2) cat(2,3) fc(5)")
    network = network_of(genome, MNIST).eval()
    inner: Any = network.network
    images = torch.rand(2, 1, 28, 28)
    conv, strided = inner.blocks[0], inner.blocks[1]
    one = _normalised(F.conv2d(images, conv[0].weight, padding=1), conv[1])
    two = _normalised(F.conv2d(one, strided[0].weight, stride=2, padding=1), strided[1])
    three = F.avg_pool2d(two, 2)
    joined = torch.cat([F.avg_pool2d(two, 2), three], 1)
    head = inner.head
    expected = head[3](F.relu(head[1](joined.flatten(1))))
    assert torch.allclose(network(images), expected, atol=1e-6)


def test_a_network_is_named_by_its_seed_and_leaves_the_global_generator_alone() -> None:
    genome = parse("conv(4,3) fc(4)")
    torch.manual_seed(1)
    one = build(genome, MNIST, UNCHANGED, seed=5)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))
    torch.manual_seed(2)
    same, other = build(genome, MNIST, UNCHANGED, seed=5), build(genome, MNIST, UNCHANGED, seed=6)
    assert all(map(torch.equal, one.state_dict().values(), same.state_dict().values()))
    weight = "network.blocks.0.0.weight"
    assert not torch.equal(one.state_dict()[weight], other.state_dict()[weight])


def test_normalisation_is_inside_the_network() -> None:
    inner = nn.Flatten()
    network = Normalised(inner, Normalisation((0.5, 0.25), (0.5, 2.0)))
    images = torch.tensor([1.0, 0.25]).view(1, 2, 1, 1)
    assert network(images).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("text", ["conv(8,3) fc(4)", "strided(8,5) pool(max,3) conv(4,1) sum(1,3) fc(4)"])
def test_the_head_reads_maps_of_bounded_size(text: str) -> None:
    wide = Problem(3, 224, 200, 5)
    network = network_of(parse(text), wide)
    assert network(torch.rand(2, 3, 224, 200)).shape == (2, 5)
