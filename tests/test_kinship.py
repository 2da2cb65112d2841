"""What a child has from its parent: the same convolutions, and with them their weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contragrad.evolution.genome import Conv, Genome, Strided, parse
from contragrad.evolution.kinship import unchanged
from contragrad.evolution.shapes import Problem, shapes
from contragrad.networks.network import Normalisation, build, inherit
from strategies import CIFAR, MNIST, genomes

BOTH = (1, 1), (2, 2)
PAIRS = st.tuples(genomes(), genomes())


@given(PAIRS, st.sampled_from((CIFAR, MNIST)))
def test_the_same_convolutions_are_paired_in_order_and_each_once(
    pair: tuple[Genome, Genome], problem: Problem
) -> None:
    parent, child = pair
    found = unchanged(parent, child, problem)
    for side in (0, 1):
        places = [places[side] for places in found]
        assert places == sorted(set(places))
    inputs = shapes(parent, problem), shapes(child, problem)
    for theirs, ours in found:
        block = parent.blocks[theirs - 1]
        assert isinstance(block, Conv | Strided)
        assert block == child.blocks[ours - 1]
        assert inputs[0][theirs - 1].channels == inputs[1][ours - 1].channels


@given(genomes())
def test_a_twin_has_every_convolution(genome: Genome) -> None:
    places = [place for place, block in enumerate(genome.blocks, 1) if isinstance(block, Conv | Strided)]
    assert unchanged(genome, genome, CIFAR) == tuple((place, place) for place in places)


@pytest.mark.parametrize(
    ("parent", "child", "expected"),
    [
        ("conv(8,3) conv(8,3) fc(4)", "conv(8,3) pool(max,2) conv(8,3) fc(4)", ((1, 1), (2, 3))),
        ("conv(8,3) pool(max,2) conv(4,1) fc(4)", "pool(avg,3) conv(8,3) conv(4,1) fc(4)", ((1, 2), (3, 3))),
        ("conv(8,3) conv(4,1) fc(4)", "conv(16,3) conv(4,1) fc(4)", ()),
        ("conv(8,3) strided(8,3) fc(4)", "conv(8,3) conv(8,3) fc(4)", ((1, 1),)),
        ("conv(8,3) conv(8,3) cat(1,2) fc(4)", "conv(8,3) conv(8,3) sum(1,2) fc(4)", BOTH),
    ],
)  # fmt: skip
def test_blocks_keep_their_partners_beside_a_change(
    parent: str, child: str, expected: tuple[tuple[int, int], ...]
) -> None:
    assert unchanged(parse(parent), parse(child), CIFAR) == expected


def test_a_twin_with_all_weights_inherited_answers_like_its_parent() -> None:
    genome = parse("conv(8,3) strided(8,3) conv(4,1) sum(2,3) fc(6)")
    one, other = (build(genome, CIFAR, Normalisation((0.5,) * 3, (0.2,) * 3), seed) for seed in (0, 1))
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one.train()(images)  # the running statistics are weights too
    inherit(other, one.state_dict(), unchanged(genome, genome, CIFAR))
    assert torch.equal(one.eval()(images), other.eval()(images))


def test_what_changed_keeps_its_own_weights_and_the_parents_are_not_touched() -> None:
    parent, child = parse("conv(8,3) conv(8,3) fc(6)"), parse("conv(8,3) conv(16,3) conv(8,3) fc(6)")
    normal = Normalisation((0.5,) * 3, (0.2,) * 3)
    theirs, ours, untouched = (
        build(parent, CIFAR, normal, 0),
        build(child, CIFAR, normal, 1),
        build(child, CIFAR, normal, 1),
    )
    inherit(ours, theirs.state_dict(), unchanged(parent, child, CIFAR))
    found, before, given_ = ours.state_dict(), untouched.state_dict(), theirs.state_dict()
    assert torch.equal(found["network.blocks.0.0.weight"], given_["network.blocks.0.0.weight"])
    for place in (1, 2):
        name = f"network.blocks.{place}.0.weight"
        assert torch.equal(found[name], before[name])
    # The last map is as large as the parent's, so its head fits.
    assert torch.equal(found["network.head.1.weight"], given_["network.head.1.weight"])
    assert all(map(torch.equal, given_.values(), build(parent, CIFAR, normal, 0).state_dict().values()))
