"""Hypothesis strategies: problems, settings, genomes grown by the operators or built freely, states."""

from random import Random
from typing import Any

from hypothesis import strategies as st

from contragrad.evolution.genome import POOL_KERNELS, Block, Cat, Conv, Genome, Pool, Strided, Sum, fault
from contragrad.evolution.mutation import mutate
from contragrad.evolution.population import random_genome
from contragrad.evolution.search import State, ask, start, tell
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Abandoned, Infeasible, Measured, Outcome, Stopped, Trial
from contragrad.settings.search import Limits, SearchSettings
from performers import raced

CIFAR = Problem(3, 32, 32, 10)
MNIST = Problem(1, 28, 28, 10)
ODD = Problem(3, 33, 17, 3)


def small_settings(**changes: Any) -> SearchSettings:
    """Settings under which genomes are small, so that a test can look at many."""
    small: dict[str, Any] = {
        "minimum_distance": 1.0,
        "generations": 2,
        "mutations_min": 1,
        "mutations_max": 2,
        "initial_blocks_max": 6,
        "channels": (4, 8),
        "kernels": (1, 3),
        "hidden": 4,
    }
    return SearchSettings(**small | changes)


def problems() -> st.SearchStrategy[Problem]:
    edge = st.integers(1, 40)
    return st.sampled_from((CIFAR, MNIST, ODD)) | st.builds(Problem, st.integers(1, 4), edge, edge, classes())


def classes() -> st.SearchStrategy[int]:
    return st.integers(2, 10)


@st.composite
def search_settings(draw: st.DrawFn) -> SearchSettings:
    """Small settings that always have an initial population."""
    fewest = draw(st.integers(1, 3))
    return small_settings(
        population=draw(st.integers(1, 4)),
        children=draw(st.integers(1, 3)),
        minimum_distance=draw(st.sampled_from((0.0, 1.0))),
        generations=draw(st.integers(0, 3)),
        mutations_min=fewest,
        mutations_max=fewest + draw(st.integers(0, 2)),
        initial_blocks_min=draw(st.integers(1, 4)),
        initial_blocks_max=draw(st.integers(5, 7)),
        epochs=draw(st.integers(1, 20)),
        epochs_growth=draw(st.integers(0, 5)),
        epochs_growth_every=draw(st.integers(1, 3)),
        variation=draw(st.sampled_from(("mutation", "random"))),
        schedule=draw(st.sampled_from(("sequential", "generation"))),
        rungs=draw(st.sampled_from(((), (0.5,), (0.2, 0.6)))),
        rung_slack=draw(st.sampled_from((0.0, 0.25))),
        limits=Limits(blocks=draw(st.integers(7, 12))),
    )


def grown(seed: int, rounds: int, settings: SearchSettings, problem: Problem) -> Genome:
    """A random genome after some rounds of mutation."""
    random = Random(seed)
    genome = random_genome(settings, problem, random)
    for _ in range(rounds):
        genome = mutate(genome, settings, problem, random)
    return genome


def grown_genomes(problem: Problem = CIFAR, **changes: Any) -> st.SearchStrategy[Genome]:
    seeds = st.integers(0, 2**32)
    return st.builds(grown, seeds, st.integers(0, 8), st.just(small_settings(**changes)), st.just(problem))


@st.composite
def raw_genomes(draw: st.DrawFn, *, wild: bool = True) -> Genome:
    """Blocks that may be dead; where wild, sizes and sources may be wrong too."""
    sizes = st.integers(0 if wild else 1, 9)
    kernels = st.integers(0, 5) if wild else st.sampled_from((1, 3, 5))
    pools = st.integers(1, 4) if wild else st.sampled_from(POOL_KERNELS)
    unary = (
        st.builds(Conv, sizes, kernels)
        | st.builds(Strided, sizes, kernels)
        | st.builds(Pool, st.sampled_from(("max", "avg")), pools)
    )
    blocks: list[Block] = []
    for place in range(1, draw(st.integers(1, 9)) + 1):
        if place < 3 or draw(st.booleans()):
            blocks.append(draw(unary))
            continue
        lowest, highest = (-1, place + 1) if wild and draw(st.integers(0, 4)) == 0 else (1, place - 1)
        second = draw(st.just(place - 1) | st.integers(lowest + 1, highest))
        first = draw(st.integers(lowest, highest if wild and highest > place else second - 1))
        join = Sum if draw(st.booleans()) else Cat
        blocks.append(join(first, second))
    return Genome(tuple(blocks), draw(st.integers(0 if wild else 1, 9)))


def free_genomes() -> st.SearchStrategy[Genome]:
    """Valid genomes of any wiring, whether or not the operators would get there soon."""
    return raw_genomes(wild=False).filter(lambda genome: fault(genome) is None)


def genomes() -> st.SearchStrategy[Genome]:
    return grown_genomes() | free_genomes()


def outcomes() -> st.SearchStrategy[Outcome]:
    """Outcomes coarse enough to tie often."""
    accuracy = st.integers(0, 4).map(lambda quarters: quarters / 4)
    measured = st.builds(Measured, accuracy, accuracy)
    return (
        measured
        | st.builds(Stopped, st.integers(1, 9), accuracy)
        | st.builds(Infeasible, st.text(max_size=5))
        | st.builds(Abandoned, st.text(max_size=5))
    )


def of(trial: Trial, outcome: Outcome) -> Outcome:
    """The outcome, or what the trial comes to at its rungs before it."""
    return raced(trial, outcome) if isinstance(outcome, Measured) else outcome


@st.composite
def states(draw: st.DrawFn) -> State:
    """A search that has come some way, or to its end."""
    state = start(draw(search_settings()), draw(problems()), draw(st.integers(0, 2**32)))
    for outcome in draw(st.lists(outcomes(), max_size=30)):
        if state.finished:
            break
        state = tell(state, trial := ask(state), of(trial, outcome))
    return state
