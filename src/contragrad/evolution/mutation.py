"""How children arise: blocks added, edited and deleted, several times over.

An operator takes (genome, settings, random) and proposes a genome, or None where it finds nothing to
do. Proposals that are no valid network or that pass a limit are drawn again, so every genome that
mutation reaches from a valid one is valid and within the limits.

Source: section 3.2 and the implementation details of section 4 ("aggressive mutation").
Deviates: the paper names adding, editing and deleting for the three unary blocks and only adding for
skip blocks; here skip blocks are edited and deleted too, or they could only accumulate.
"""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import get_args

from contragrad.evolution.genome import (
    POOL_KERNELS,
    Block,
    Cat,
    Conv,
    Genome,
    Pool,
    PoolKind,
    Skip,
    Strided,
    Sum,
    fault,
)
from contragrad.evolution.shapes import Problem, excess
from contragrad.settings.search import SearchSettings

ATTEMPTS = 200
"""Proposals after which a genome is taken to have no neighbour within the limits."""

Operator = Callable[[Genome, SearchSettings, Random], Genome | None]


def mutate(genome: Genome, settings: SearchSettings, problem: Problem, random: Random) -> Genome:
    """A child: the genome after a number of mutations drawn from the settings' range.

    Valid and within the limits if the genome is. A mutation that finds no valid neighbour, which takes
    limits that leave no room at all, leaves the genome as it is.
    """
    for _ in range(random.randint(settings.mutations_min, settings.mutations_max)):
        genome = apply_one(MUTATIONS, genome, settings, problem, random) or genome
    return genome


def apply_one(
    operators: tuple[Operator, ...],
    genome: Genome,
    settings: SearchSettings,
    problem: Problem,
    random: Random,
) -> Genome | None:
    """What one of the operators, drawn evenly, makes of the genome; None if nothing valid was found."""
    for _ in range(ATTEMPTS):
        child = random.choice(operators)(genome, settings, random)
        if child is not None and fault(child) is None and excess(child, problem, settings.limits) is None:
            return child
    return None


def _draw(kind: type[Block], place: int, settings: SearchSettings, random: Random) -> Block | None:
    """A random block of the kind that could stand at `place`."""
    if kind is Conv:
        return Conv(random.choice(settings.channels), random.choice(settings.kernels))
    if kind is Strided:
        return Strided(random.choice(settings.channels), random.choice(settings.kernels))
    if kind is Pool:
        return Pool(random.choice(get_args(PoolKind)), random.choice(POOL_KERNELS))
    if place < 3:
        return None
    # The block before must be read by somebody: joining it to an earlier one keeps it alive.
    join = Sum if kind is Sum else Cat
    return join(random.randrange(1, place - 1), place - 1)


def _add(kind: type[Block], genome: Genome, settings: SearchSettings, random: Random) -> Genome | None:
    place = random.randint(1, len(genome.blocks) + 1)
    block = _draw(kind, place, settings, random)
    return None if block is None else _inserted(genome, place, block)


def _edit(kind: type[Block], genome: Genome, settings: SearchSettings, random: Random) -> Genome | None:
    place = _choose(kind, genome, random)
    if place is None:
        return None
    old = genome.blocks[place - 1]
    if isinstance(old, Skip):
        first, second = sorted(random.sample(range(1, place), 2))
        new: Block | None = type(old)(first, second)
    else:
        new = _draw(kind, place, settings, random)
    if new is None or new == old:
        return None
    return Genome((*genome.blocks[: place - 1], new, *genome.blocks[place:]), genome.hidden)


def _delete(kind: type[Block], genome: Genome, settings: SearchSettings, random: Random) -> Genome | None:
    place = _choose(kind, genome, random)
    return None if place is None else _deleted(genome, place)


def _choose(kind: type[Block], genome: Genome, random: Random) -> int | None:
    places = [place for place, block in enumerate(genome.blocks, start=1) if isinstance(block, kind)]
    return random.choice(places) if places else None


def _inserted(genome: Genome, place: int, block: Block) -> Genome:
    """The genome with the block put at `place`; a skip block that then follows it reads it."""

    def moved(source: int) -> int:
        return source + (source >= place)

    after = list(_rewired(genome.blocks[place - 1 :], moved))
    if after and isinstance(after[0], Skip):
        after[:1] = _rewired(after[:1], lambda source: place if source == place - 1 else source)
    return Genome((*genome.blocks[: place - 1], block, *after), genome.hidden)


def _deleted(genome: Genome, place: int) -> Genome:
    """The genome without the block at `place`; who read it reads the block before it."""

    def moved(source: int) -> int:
        return source - (source >= place)

    return Genome((*genome.blocks[: place - 1], *_rewired(genome.blocks[place:], moved)), genome.hidden)


def _rewired(blocks: tuple[Block, ...] | list[Block], moved: Callable[[int], int]) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Skip):
            yield type(block)(*sorted((moved(block.first), moved(block.second))))
        else:
            yield block


UNARY: tuple[type[Block], ...] = (Conv, Pool, Strided)
SKIPS: tuple[type[Block], ...] = (Sum, Cat)

# The order is part of a study's identity: draws pick by place.
ADDITIONS: tuple[Operator, ...] = tuple(partial(_add, kind) for kind in (*UNARY, *SKIPS))
EDITS: tuple[Operator, ...] = tuple(partial(_edit, kind) for kind in (*UNARY, *SKIPS))
DELETIONS: tuple[Operator, ...] = tuple(partial(_delete, kind) for kind in (*UNARY, *SKIPS))
MUTATIONS: tuple[Operator, ...] = (*ADDITIONS, *EDITS, *DELETIONS)
