"""The initial candidates: random genomes, pairwise at least the minimum distance apart."""

from random import Random

from contragrad.errors import UserError
from contragrad.evolution.genome import Conv, Genome, fault, parse
from contragrad.evolution.mutation import ADDITIONS, apply_one
from contragrad.evolution.shapes import Problem, excess
from contragrad.evolution.spectrum import distance, spectrum
from contragrad.fingerprint import stream
from contragrad.settings.search import SearchSettings

DRAWS = 10_000
"""Random genomes looked at before the minimum distance is taken to be out of reach."""

RESTART_AFTER = 100
"""Rejected genomes after which the first candidates are given up: they may leave no room."""


def initial_population(settings: SearchSettings, problem: Problem, seed: int) -> tuple[Genome, ...]:
    """As many genomes as the population has candidates, each pair at least d apart by eq. (3).

    Raises:
        UserError: if no such population was found.

    Source: Algorithm 1, line 1; section 4, implementation details.
    """
    random = stream(seed, "initial")
    found: list[Genome] = []
    rejected = 0
    for _ in range(DRAWS):
        genome = random_genome(settings, problem, random)
        own = spectrum(genome)
        if all(distance(own, spectrum(other)) >= settings.minimum_distance for other in found):
            found.append(genome)
            rejected = 0
        else:
            rejected += 1
        if len(found) == settings.population:
            return tuple(found)
        if rejected == RESTART_AFTER:
            found, rejected = [], 0
    raise UserError(
        f"no {settings.population} random genomes of {settings.initial_blocks_min} to "
        f"{settings.initial_blocks_max} blocks lie {settings.minimum_distance:g} apart within the limits",
        where="search.minimum_distance",
        remedy="a smaller distance or population, a larger search.initial_blocks_max, or wider search.limits",
    )


def given_population(settings: SearchSettings, problem: Problem) -> tuple[Genome, ...]:
    """The genomes that the settings name, which may lie closer than d.

    Raises:
        UserError: naming the first that is no genome, or that is over the limits.
    """
    found = []
    for place, text in enumerate(settings.initial, start=1):
        where = f"search.initial, genome {place}: {text}"
        try:
            genome = parse(text)
        except ValueError as error:
            remedy = "a genome's text, as contragrad show has it"
            raise UserError(str(error), where=where, remedy=remedy) from error
        if why := excess(genome, problem, settings.limits):
            raise UserError(why, where=where, remedy="a smaller network, or wider search.limits")
        found.append(genome)
    return tuple(found)


def random_genome(settings: SearchSettings, problem: Problem, random: Random) -> Genome:
    """A convolution to which blocks were added up to a number drawn from the settings' range.

    It stops short of that number where the limits leave room for no further block.

    Raises:
        UserError: if not even a single convolution keeps the limits.
    """
    size = random.randint(settings.initial_blocks_min, settings.initial_blocks_max)
    first = Conv(random.choice(settings.channels), random.choice(settings.kernels))
    genome = Genome((first,), settings.hidden)
    if why := fault(genome) or excess(genome, problem, settings.limits):
        smallest = Genome((Conv(min(settings.channels), min(settings.kernels)),), settings.hidden)
        if excess(smallest, problem, settings.limits):
            raise UserError(
                f"the limits leave no room for a single convolution: {why}",
                where="search.limits",
                remedy="wider limits, fewer search.channels or a smaller search.hidden",
            )
        genome = smallest
    while len(genome.blocks) < size:
        grown = apply_one(ADDITIONS, genome, settings, problem, random)
        if grown is None:
            break
        genome = grown
    return genome
