"""Shapes, parameters and FLOPs against figures worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contragrad.evolution.genome import Genome, parse, sources
from contragrad.evolution.shapes import (
    HEAD_EDGE,
    Cost,
    Problem,
    Shape,
    cost,
    costs,
    excess,
    halved,
    head_inputs,
    head_shape,
    shapes,
)
from contragrad.settings.search import Limits
from strategies import CIFAR, MNIST, ODD, genomes, problems

ROOMY = Limits(blocks=100, parameters=10**12, flops=10**12)

PLAIN = parse("conv(16,3) fc(64)")
SUMMED = parse("conv(8,5) pool(max,2) strided(4,3) sum(1,3) fc(10)")
JOINED = parse("strided(4,1) conv(6,3) cat(1,2) conv(5,1) pool(avg,3) fc(3)")


@pytest.mark.parametrize(
    ("genome", "problem", "parameters", "flops"),
    [
        # 3x3x3x16 + 2x16; the head reads 16x8x8.
        (
            PLAIN,
            CIFAR,
            (432 + 32) + 64 * (1024 + 1) + 10 * (64 + 1),
            2 * 432 * 32 * 32 + 2 * 64 * 1024 + 2 * 10 * 64,
        ),
        # 28 -> 14 -> 7 pixels; the sum has the 8 channels of block 1 on the 7x7 map of block 3.
        (
            SUMMED,
            MNIST,
            (200 + 16) + (288 + 8) + 10 * (8 * 49 + 1) + 10 * (10 + 1),
            2 * 200 * 784 + 2 * 288 * 49 + 2 * 10 * 392 + 2 * 10 * 10,
        ),
        # 33x17 -> 17x9 -> 9x5, and the head halves to 5x3; the concatenation has 10 channels.
        (
            JOINED,
            ODD,
            (12 + 8) + (216 + 12) + (50 + 10) + 3 * (5 * 15 + 1) + 3 * (3 + 1),
            2 * 12 * 153 + 2 * 216 * 153 + 2 * 50 * 153 + 2 * 3 * 75 + 2 * 3 * 3,
        ),
    ],
)
def test_cost_by_hand(genome: Genome, problem: Problem, parameters: int, flops: int) -> None:
    assert cost(genome, problem) == Cost(parameters, flops)


def test_shapes_by_hand() -> None:
    assert shapes(SUMMED, MNIST) == (Shape(1, 0), Shape(8, 0), Shape(8, 1), Shape(4, 2), Shape(8, 2))
    assert [shape.channels for shape in shapes(JOINED, ODD)] == [3, 4, 6, 10, 5, 5]
    assert [shape.pixels(ODD) for shape in shapes(JOINED, ODD)] == [561, 153, 153, 153, 153, 45]
    assert (head_inputs(PLAIN, CIFAR), head_inputs(SUMMED, MNIST), head_inputs(JOINED, ODD)) == (
        1024,
        392,
        75,
    )


@pytest.mark.parametrize(
    ("pixels", "halvings", "edge"), [(32, 0, 32), (32, 2, 8), (33, 1, 17), (33, 2, 9), (17, 5, 1), (1, 3, 1)]
)
def test_halved(pixels: int, halvings: int, edge: int) -> None:
    assert halved(pixels, halvings) == edge


@given(st.integers(1, 5000), st.integers(0, 14))
def test_halved_is_rounding_up_again_and_again(pixels: int, halvings: int) -> None:
    edge = pixels
    for _ in range(halvings):
        edge = (edge + 1) // 2
    assert halved(pixels, halvings) == edge >= 1


@given(genomes(), problems())
def test_skip_blocks_join_at_the_smaller_map(genome: Genome, problem: Problem) -> None:
    shape = shapes(genome, problem)
    assert len(shape) == len(genome.blocks) + 1
    for place in range(1, len(shape)):
        read = sources(genome, place)
        if len(read) == 2:
            assert shape[place].pixels(problem) == min(shape[source].pixels(problem) for source in read)


@given(genomes(), problems())
def test_head_reads_a_small_map(genome: Genome, problem: Problem) -> None:
    last = shapes(genome, problem)[-1]
    read = head_shape(last, problem)
    longest = max(problem.height, problem.width)
    assert read.channels == last.channels
    assert halved(longest, read.halvings) <= HEAD_EDGE
    assert read == last or halved(longest, read.halvings - 1) > HEAD_EDGE
    assert last.channels <= head_inputs(genome, problem) <= last.channels * HEAD_EDGE**2


@given(genomes(), problems())
def test_excess_begins_beyond_the_limit(genome: Genome, problem: Problem) -> None:
    spent = cost(genome, problem)
    blocks = len(genome.blocks)
    exact = Limits(blocks=blocks, parameters=spent.parameters, flops=spent.flops)
    why = excess(genome, problem, exact)
    if why is not None:
        assert "would halve a map of one pixel" in why
        return
    for limits, unit in (
        (Limits(blocks=blocks, parameters=spent.parameters - 1, flops=spent.flops), "parameters"),
        (Limits(blocks=blocks, parameters=spent.parameters, flops=spent.flops - 1), "FLOPs"),
    ):
        assert f" {unit}, over the limit of " in (excess(genome, problem, limits) or "")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(blocks=3), "4 blocks, over the limit of 3"),
        (Limits(parameters=4551), "4,552 parameters, over the limit of 4,551"),
        (Limits(flops=300_000), "349,864 FLOPs, over the limit of 300,000"),
        (ROOMY, None),
    ],
)
def test_excess_names_the_limit(limits: Limits, message: str | None) -> None:
    assert excess(SUMMED, MNIST, limits) == message


def test_halving_one_pixel_is_an_excess() -> None:
    genome = parse("conv(4,1) pool(max,2) strided(4,1) fc(4)")
    assert excess(genome, Problem(1, 3, 4, 2), ROOMY) is None
    assert excess(genome, Problem(1, 1, 3, 2), ROOMY) is None
    assert (
        excess(genome, Problem(1, 2, 2, 2), ROOMY) == "block 3, strided(4,1), would halve a map of one pixel"
    )


def test_each_block_has_its_own_cost() -> None:
    nothing, head = Cost(0, 0), Cost(10 * (8 * 49 + 1) + 10 * (10 + 1), 2 * 10 * 392 + 2 * 10 * 10)
    assert costs(SUMMED, MNIST) == (
        Cost(200 + 16, 2 * 200 * 784),
        nothing,
        Cost(288 + 8, 2 * 288 * 49),
        nothing,
        head,
    )
