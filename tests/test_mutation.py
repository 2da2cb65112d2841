"""Mutation: what each operator does, and that every child is a network within the limits."""

import random as global_random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contragrad.evolution import mutation
from contragrad.evolution.genome import Block, Conv, Genome, fault, parse
from contragrad.evolution.mutation import (
    ADDITIONS,
    DELETIONS,
    EDITS,
    MUTATIONS,
    SKIPS,
    UNARY,
    Operator,
    apply_one,
    mutate,
)
from contragrad.evolution.population import random_genome
from contragrad.evolution.shapes import Problem, cost, excess
from contragrad.evolution.spectrum import spectrum
from contragrad.fingerprint import stream
from contragrad.settings.search import Limits, SearchSettings
from strategies import CIFAR, MNIST, ODD, free_genomes, grown, problems, search_settings, small_settings

KINDS: tuple[type[Block], ...] = (*UNARY, *SKIPS)
PLACE = {"Conv": 0, "Pool": 1, "Strided": 2, "Sum": 3, "Cat": 4}
"""Where a kind's count stands in a spectrum."""

OPERATORS = [
    pytest.param(operator, kind, change, id=f"{name}-{kind.__name__}")
    for name, change, operators in (("add", 1, ADDITIONS), ("edit", 0, EDITS), ("delete", -1, DELETIONS))
    for operator, kind in zip(operators, KINDS, strict=True)
]

SETTINGS = SearchSettings()


def steps(one: Genome, other: Genome) -> tuple[int, ...]:
    """What the spectrum gained."""
    return tuple(b - a for a, b in zip(spectrum(one), spectrum(other), strict=True))


def rich(count: int) -> list[Genome]:
    """Genomes with blocks of every kind."""
    found: list[Genome] = []
    seed = 0
    while len(found) < count:
        genome = grown(seed, 5, SETTINGS, CIFAR)
        if all(spectrum(genome)):
            found.append(genome)
        seed += 1
    return found


RICH = rich(60)


def test_every_operator_is_tested() -> None:
    assert tuple(case.values[0] for case in OPERATORS) == MUTATIONS
    assert len(set(map(id, MUTATIONS))) == 15


@pytest.mark.parametrize(("operator", "kind", "change"), OPERATORS)
def test_a_proposal_does_what_its_operator_says(operator: Operator, kind: type[Block], change: int) -> None:
    random = Random(7)
    expected = tuple(change * (place == PLACE[kind.__name__]) for place in range(5))
    valid = 0
    for genome in RICH * 5:
        child = operator(genome, SETTINGS, random)
        if child is None:
            # Nothing is proposed only where a skip block finds no two sources or an edit changes nothing.
            assert change == 0 or (change == 1 and kind in SKIPS)
            continue
        assert steps(genome, child) == expected
        assert child.hidden == genome.hidden
        if change == 0:
            edited = [(a, b) for a, b in zip(genome.blocks, child.blocks, strict=True) if a != b]
            assert [(type(a), type(b)) for a, b in edited] == [(kind, kind)]
        valid += fault(child) is None
    assert valid > 20


@pytest.mark.parametrize(("operator", "kind", "change"), OPERATORS)
def test_an_operator_leaves_the_other_blocks_in_order(
    operator: Operator, kind: type[Block], change: int
) -> None:
    def others(longer: Genome, shorter: Genome) -> bool:
        """Whether the shorter is the longer without one block, the wiring of skip blocks aside."""
        long = [type(block) if isinstance(block, SKIPS) else block for block in longer.blocks]
        short = [type(block) if isinstance(block, SKIPS) else block for block in shorter.blocks]
        return any(long[:place] + long[place + 1 :] == short for place in range(len(long)))

    random = Random(8)
    for genome in RICH:
        child = operator(genome, SETTINGS, random)
        if child is not None and change:
            assert others(child, genome) if change == 1 else others(genome, child)


@pytest.mark.parametrize(("operator", "kind", "change"), OPERATORS[5:])
def test_nothing_to_edit_or_delete(operator: Operator, kind: type[Block], change: int) -> None:
    without = parse("strided(4,1) fc(4)" if kind is Conv else "conv(4,1) fc(4)")
    assert all(operator(without, SETTINGS, Random(seed)) is None for seed in range(20))


FEW = SearchSettings(channels=(4,), kernels=(1,), hidden=4)
V = "conv(4,1)"


@pytest.mark.parametrize(
    ("operator", "text", "children"),
    [
        # Before, between, or after the blocks: a skip block that follows the new one reads it.
        (
            ADDITIONS[0],
            f"{V} {V} sum(1,2)",
            {f"{V} {V} {V} sum(2,3)", f"{V} {V} {V} sum(1,3)", f"{V} {V} sum(1,2) {V}"},
        ),
        (
            ADDITIONS[2],
            f"{V} {V} cat(1,2)",
            {
                f"strided(4,1) {V} {V} cat(2,3)",
                f"{V} strided(4,1) {V} cat(1,3)",
                f"{V} {V} strided(4,1) cat(1,3)",
                f"{V} {V} cat(1,2) strided(4,1)",
            },
        ),
        (
            ADDITIONS[3],
            f"{V} {V} {V}",
            {f"{V} {V} sum(1,2) {V}", f"{V} {V} {V} sum(1,3)", f"{V} {V} {V} sum(2,3)"},
        ),
        (
            ADDITIONS[4],
            f"{V} {V} sum(1,2)",
            {f"{V} {V} cat(1,2) sum(1,3)", f"{V} {V} sum(1,2) cat(1,3)", f"{V} {V} sum(1,2) cat(2,3)"},
        ),
        (EDITS[0], V, set()),
        (
            EDITS[1],
            f"{V} pool(max,2)",
            {f"{V} pool(max,3)", f"{V} pool(avg,2)", f"{V} pool(avg,3)"},
        ),
        # sum(1,2) would leave block 3 unread.
        (EDITS[3], f"{V} {V} {V} sum(1,3)", {f"{V} {V} {V} sum(2,3)"}),
        (DELETIONS[0], V, set()),
        # Without either convolution the sum would read one block twice, or the image.
        (DELETIONS[0], f"{V} {V} sum(1,2)", set()),
        (DELETIONS[0], f"{V} {V} {V} cat(1,3)", {f"{V} {V} cat(1,2)"}),
        (DELETIONS[1], f"pool(max,2) {V} {V} sum(2,3)", {f"{V} {V} sum(1,2)"}),
        # The second sum then reads what the first one followed.
        (DELETIONS[3], f"{V} {V} sum(1,2) {V} cat(3,4)", {f"{V} {V} {V} cat(2,3)"}),
        (DELETIONS[4], f"{V} {V} {V} sum(2,3) cat(1,4)", {f"{V} {V} {V} sum(2,3)"}),
    ],
)
def test_all_the_valid_proposals(operator: Operator, text: str, children: set[str]) -> None:
    genome = parse(f"{text} fc(4)")
    found = {
        str(child)
        for seed in range(150)
        if (child := operator(genome, FEW, Random(seed))) is not None and fault(child) is None
    }
    assert found == {f"{child} fc(4)" for child in children}


@given(search_settings(), problems(), st.integers(0, 2**32))
def test_children_are_networks_within_the_limits(
    settings: SearchSettings, problem: Problem, seed: int
) -> None:
    random = Random(seed)
    genome = random_genome(settings, problem, random)
    for _ in range(25):
        genome = mutate(genome, settings, problem, random)
        assert fault(genome) is None
        assert excess(genome, problem, settings.limits) is None
        assert parse(str(genome)) == genome


@given(free_genomes(), st.integers(0, 2**32))
def test_children_of_any_network_are_networks(genome: Genome, seed: int) -> None:
    for problem in (MNIST, ODD):
        child = mutate(genome, SETTINGS, problem, Random(seed))
        assert child == genome or (fault(child), excess(child, problem, SETTINGS.limits)) == (None, None)


@pytest.mark.parametrize("tight", ["blocks", "parameters", "flops"])
def test_limits_without_room_are_never_passed(tight: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutation, "ATTEMPTS", 20)
    random = Random(9)
    moved = 0
    for seed in range(60):
        genome = grown(seed, 3, small_settings(), CIFAR)
        spent = cost(genome, CIFAR)
        exact = {"blocks": len(genome.blocks), "parameters": spent.parameters, "flops": spent.flops}[tight]
        limits = replace(Limits(), **{tight: exact})
        child = mutate(genome, small_settings(mutations_max=4, limits=limits), CIFAR, random)
        assert excess(child, CIFAR, limits) is None
        moved += child != genome
    assert moved > 30


def test_without_any_room_a_child_is_its_parent() -> None:
    genome = parse("conv(4,1) fc(4)")
    settings = replace(FEW, limits=Limits(blocks=1))
    assert apply_one(MUTATIONS, genome, settings, CIFAR, Random(0)) is None
    assert mutate(genome, settings, CIFAR, Random(0)) == genome


@pytest.mark.parametrize(("fewest", "most"), [(4, 5), (1, 3), (2, 2)])
def test_number_of_mutations(fewest: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def counted(*arguments: Any) -> Genome | None:
        nonlocal calls
        calls += 1
        return apply_one(*arguments)

    monkeypatch.setattr(mutation, "apply_one", counted)
    settings = small_settings(mutations_min=fewest, mutations_max=most)
    seen: Counter[int] = Counter()
    for seed in range(60):
        calls = 0
        mutate(RICH[seed], settings, CIFAR, Random(seed))
        seen[calls] += 1
    assert sorted(seen) == list(range(fewest, most + 1))
    assert min(seen.values()) > 10


def happened(genome: Genome, child: Genome) -> str:
    """A name for the one thing that a mutation did."""
    for name, gain in zip(PLACE, steps(genome, child), strict=True):
        if gain:
            return f"{name} {gain:+}"
    ((old, new),) = [(a, b) for a, b in zip(genome.blocks, child.blocks, strict=True) if a != b]
    changed = [name for name in old.__dataclass_fields__ if getattr(old, name) != getattr(new, name)]
    return f"{type(old).__name__} {' '.join(changed)}"


def test_everything_happens() -> None:
    once = replace(SETTINGS, mutations_min=1, mutations_max=1)
    random = Random(10)
    seen = {happened(genome, mutate(genome, once, CIFAR, random)) for genome in RICH for _ in range(80)}
    sizes = ("channels", "kernel", "channels kernel")
    assert seen == {
        *(f"{name} {gain}" for name in PLACE for gain in ("+1", "-1")),
        *(f"{name} {size}" for name in ("Conv", "Strided") for size in sizes),
        *(f"Pool {size}" for size in ("kind", "kernel", "kind kernel")),
        *(f"{name} {source}" for name in ("Sum", "Cat") for source in ("first", "second", "first second")),
    }


def test_a_child_is_named_by_its_stream() -> None:
    before = global_random.getstate()
    children = [mutate(RICH[0], SETTINGS, CIFAR, stream(1, "mutate", 1, 0, child)) for child in range(20)]
    again = [mutate(RICH[0], SETTINGS, CIFAR, stream(1, "mutate", 1, 0, child)) for child in range(20)]
    assert children == again
    assert len(set(children)) > 15
    assert global_random.getstate() == before


def test_golden_children(golden: Callable[[str, object], None]) -> None:
    genome = parse("conv(16,3) fc(128)")
    line = []
    for generation in range(1, 9):
        genome = mutate(genome, SETTINGS, CIFAR, stream(0, "mutate", generation, 0, 0))
        line.append(str(genome))
    golden("children", line)
