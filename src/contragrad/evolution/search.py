"""Algorithm 1 as a pure program: what to train next, and what its outcome changes.

    ask(state) -> Trial
    tell(state, trial, outcome) -> State

A state is frozen and random numbers are named by (generation, slot, child), so a state can be forked and
played ahead on guesses (`evolution/lookahead.py`).
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from contragrad.errors import UserError
from contragrad.evolution.genome import Genome
from contragrad.evolution.mutation import mutate
from contragrad.evolution.population import given_population, initial_population, random_genome
from contragrad.evolution.shapes import Problem
from contragrad.evolution.spectrum import closest, spectrum
from contragrad.evolution.trial import Measured, Outcome, Rung, Trial
from contragrad.fingerprint import stream, stream_seed
from contragrad.settings.search import SearchSettings


@dataclass(frozen=True, slots=True)
class Member:
    """What stands in a slot of the population."""

    trial: Trial
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class State:
    """Where a search stands.

    In generation 0 the initial candidates are trained; from 1 on, `parents` are the genomes that stood in
    the slots when the slot's turn came, or when the generation began, as the schedule has it. All of a
    slot's children are mutated from its parent.
    """

    settings: SearchSettings
    problem: Problem
    seed: int
    initial: tuple[Genome, ...]
    population: tuple[Member, ...] = ()
    generation: int = 0
    slot: int = 0
    child: int = 0
    parents: tuple[Genome, ...] = ()
    step: int = 0

    @property
    def finished(self) -> bool:
        """Whether every generation is done."""
        return self.generation > self.settings.generations


def start(settings: SearchSettings, problem: Problem, seed: int) -> State:
    """The search before its first trial.

    One that begins with given genomes has streams of random numbers by them: it may go on where a search of
    the same seed has ended.

    Raises:
        UserError: if no initial population keeps the minimum distance, or the given one is wrong.
    """
    if settings.initial:
        own = stream_seed(seed, "begun with", *settings.initial)
        return State(settings, problem, own, given_population(settings, problem))
    return State(settings, problem, seed, initial_population(settings, problem, seed))


def ask(state: State) -> Trial:
    """What the search trains next."""
    settings = state.settings
    count = epochs(settings, state.generation)
    if state.generation == 0:
        return Trial(state.initial[len(state.population)], count, rungs=_rungs(settings, count))
    place = (state.generation, state.slot, state.child)
    genome = _child(state.parents[state.slot], settings, state.problem, state.seed, place)
    opponent = state.population[closest_place(state, genome)].outcome if settings.rungs else None
    return Trial(genome, count, rungs=_rungs(settings, count, opponent))


def _rungs(settings: SearchSettings, count: int, opponent: Outcome | None = None) -> tuple[Rung, ...]:
    """Where a trial of so many epochs is looked at, and what its opponent had at that share of its own."""
    reached = opponent.curve if isinstance(opponent, Measured) else (None,) * len(settings.rungs)
    if len(reached) != len(settings.rungs):
        raise UserError(
            f"an outcome has {len(reached)} rungs, and trials have {len(settings.rungs)}",
            where="the study's database",
            remedy="a backup of the database, or a new run folder",
        )
    found = []
    for share, then in zip(settings.rungs, reached, strict=True):
        epoch = max(1, round(share * count))
        # After the last epoch the fitness itself decides.
        bar = None if then is None or epoch == count else then - settings.rung_slack
        found.append(Rung(epoch, bar))
    return tuple(found)


# A lookahead asks for the same children again and again.
@lru_cache(maxsize=4096)
def _child(
    parent: Genome,
    settings: SearchSettings,
    problem: Problem,
    seed: int,
    place: tuple[int, int, int],
) -> Genome:
    if settings.variation == "random":
        # As many mutations as a descendant of the generation may have behind it, none of them selected:
        # else random search would draw from smaller networks than evolution reaches.
        random = stream(seed, "random", *place)
        genome = random_genome(settings, problem, random)
        for _ in range(place[0]):
            genome = mutate(genome, settings, problem, random)
        return genome
    return mutate(parent, settings, problem, stream(seed, "mutate", *place))


def epochs(settings: SearchSettings, generation: int) -> int:
    """Training epochs of a trial of the generation; initial candidates count with the first.

    Source: section 4, implementation details: 20 epochs, five more every 10 generations.
    """
    rises = (max(generation, 1) - 1) // settings.epochs_growth_every
    return settings.epochs + settings.epochs_growth * rises


def tell(state: State, trial: Trial, outcome: Outcome) -> State:
    """The state after `trial`, which is what `ask(state)` gave, came out as `outcome`.

    A child takes the place of the candidate closest to it by spectrum if its fitness is strictly better.

    Source: Algorithm 1, lines 3 to 11.
    """
    member = Member(trial, outcome)
    if state.generation == 0:
        population = (*state.population, member)
        state = replace(state, population=population, step=state.step + 1)
        return _turn(state, 1, 0) if len(population) == len(state.initial) else state
    population = state.population
    place = closest_place(state, trial.genome)
    if population[place].outcome.fitness < outcome.fitness:
        population = (*population[:place], member, *population[place + 1 :])
    state = replace(state, population=population, step=state.step + 1, child=state.child + 1)
    if state.child < state.settings.children:
        return state
    if state.slot + 1 < len(population):
        return _turn(state, state.generation, state.slot + 1)
    return _turn(state, state.generation + 1, 0)


def closest_place(state: State, child: Genome) -> int:
    """The slot whose candidate a child is compared with."""
    candidates = [spectrum(member.trial.genome) for member in state.population]
    return closest(spectrum(child), candidates)


def _turn(state: State, generation: int, slot: int) -> State:
    """The slot's turn: whoever stands in it now is the parent of its children.

    Deviates: with the schedule `generation`, whoever stood in it when the generation began.
    """
    parents = state.parents
    if slot == 0 or state.settings.schedule == "sequential":
        parents = tuple(member.trial.genome for member in state.population)
    return replace(state, generation=generation, slot=slot, child=0, parents=parents)
