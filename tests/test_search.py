"""The search against Algorithm 1 as printed; looking ahead changes nothing but the time.

`algorithm_1` below is written from the paper's pseudocode; it shares mutation and the initial candidates
with the package, nothing of the search.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contragrad.evolution.genome import Genome, parse
from contragrad.evolution.lookahead import GUESS, Ahead, play_ahead
from contragrad.evolution.mutation import mutate
from contragrad.evolution.population import initial_population, random_genome
from contragrad.evolution.search import State, ask, closest_place, epochs, start, tell
from contragrad.evolution.trial import (
    Infeasible,
    Measured,
    Outcome,
    Rung,
    Stopped,
    Trial,
    outcome_from_json,
    outcome_to_json,
)
from contragrad.fingerprint import Plain, stream
from contragrad.settings.search import SearchSettings
from performers import raced
from strategies import CIFAR, outcomes, search_settings, small_settings, states


def lookahead(state: State, known: Callable[[Trial], Outcome | None], width: int) -> list[Trial]:
    """What is looked up or evaluated ahead, the certain trial first."""
    return list(play_ahead(Ahead(state), known, width).bars)


def toy(trial: Trial, levels: int = 1000) -> Outcome:
    """An outcome that depends on nothing but the trial; few levels tie often."""
    digits = int(trial.genome.hash, 16) + trial.epochs
    if digits % 7 == 0:
        return Infeasible("unlucky")
    return raced(trial, Measured(digits % levels / levels, digits // levels % levels / levels))


# Algorithm 1, from the paper.


def score(genome: Genome, length: int, levels: int) -> float:
    """Eq. (4) of the toy's accuracies; what cannot be measured is worse than anything."""
    digits = int(genome.hash, 16) + length
    if digits % 7 == 0:
        return -1.0
    return min(digits % levels, digits // levels % levels) / levels


def gap(one: Genome, other: Genome) -> float:
    """Eq. (3)."""
    kinds = (" conv(", " pool(", " strided(", " sum(", " cat(")
    counts = [[f" {genome}".count(kind) for kind in kinds] for genome in (one, other)]
    return float(np.linalg.norm(np.diff(counts, axis=0)))


Step = tuple[str, int | None]
"""A child, and the place it took if it took one."""


def algorithm_1(settings: SearchSettings, seed: int, levels: int) -> tuple[list[str], list[Step]]:
    """The population after the last generation, and each child with its place."""
    s, n, g = settings.population, settings.children, settings.generations
    length = 20
    population = list(initial_population(settings, CIFAR, seed))  # line 1
    fitness = [score(genome, length, levels) for genome in population]
    log: list[Step] = []
    for t in range(1, g + 1):  # line 2
        if t > 1 and (t - 1) % 10 == 0:
            length += 5
        for i in range(s):  # line 3
            parent = population[i]
            streams = [stream(seed, "mutate", t, i, j) for j in range(n)]
            children = [mutate(parent, settings, CIFAR, random) for random in streams]  # line 4
            for child in children:  # line 5
                trained = score(child, length, levels)  # line 6
                nearest = 0  # line 7
                for other in range(1, s):
                    if gap(population[other], child) < gap(population[nearest], child):
                        nearest = other
                if fitness[nearest] < trained:  # line 8
                    population[nearest] = child  # line 9
                    fitness[nearest] = trained
                    log.append((str(child), nearest))
                else:
                    log.append((str(child), None))
    return [str(genome) for genome in population], log  # line 14


def ask_and_tell(state: State, levels: int) -> tuple[list[str], list[Step]]:
    log: list[Step] = []
    while not state.finished:
        trial = ask(state)
        after = tell(state, trial, toy(trial, levels))
        if state.generation:
            places = [
                place
                for place, (old, new) in enumerate(zip(state.population, after.population, strict=True))
                if old is not new
            ]
            assert len(places) <= 1
            log.append((str(trial.genome), places[0] if places else None))
        state = after
    return [str(member.trial.genome) for member in state.population], log


@pytest.mark.parametrize(
    ("s", "n", "d", "g", "first_seed"),
    [
        (1, 1, 0, 4, 0),
        (2, 3, 3, 3, 40),
        (3, 1, 2, 3, 80),
        (4, 2, 2, 2, 120),
        (5, 2, 1, 2, 160),
        (2, 1, 1, 12, 200),
    ],
)
def test_search_is_algorithm_1(s: int, n: int, d: int, g: int, first_seed: int) -> None:
    settings = small_settings(
        population=s, children=n, minimum_distance=float(d), generations=g, mutations_max=5, epochs=20
    )
    own_slot = other_slot = 0
    for seed in range(first_seed, first_seed + 40):
        levels = (3, 1000)[seed % 2]
        expected, steps = algorithm_1(settings, seed, levels)
        found, log = ask_and_tell(start(settings, CIFAR, seed), levels)
        assert log == steps
        assert found == expected
        assert len(log) == s * n * g
        for step, (_, place) in enumerate(log):
            own_slot += place == step // n % s
            other_slot += place not in (None, step // n % s)
    assert own_slot
    assert other_slot or s == 1


def test_search_is_algorithm_1_with_the_papers_settings() -> None:
    settings = SearchSettings(generations=12)
    expected, steps = algorithm_1(settings, 3, 1000)
    found, log = ask_and_tell(start(settings, CIFAR, 3), 1000)
    assert (found, log) == (expected, steps)


# What Algorithm 1 says, line by line, on populations made by hand.

CONVS = parse("conv(4,1) fc(4)")
POOLS = parse("conv(4,1) pool(max,2) pool(max,2) pool(max,2) pool(max,2) fc(4)")
NEAR_CONVS = parse("conv(8,3) fc(4)")
NEAR_POOLS = parse("conv(4,1) pool(max,2) pool(max,2) pool(max,2) fc(4)")


def measured(fitness: float) -> Measured:
    return Measured(fitness, 1.0)


def trained(genomes: tuple[Genome, ...], results: tuple[Outcome, ...], children: int = 2) -> State:
    """A search whose initial candidates are these, at the first child of generation 1."""
    settings = small_settings(population=len(genomes), children=children)
    state = State(settings, CIFAR, 5, genomes)
    for outcome in results:
        state = tell(state, ask(state), outcome)
    assert (state.generation, state.slot, state.child) == (1, 0, 0)
    return state


def texts(state: State) -> list[str]:
    return [str(member.trial.genome) for member in state.population]


def child_of(genome: Genome, state: State, *place: int) -> Genome:
    return mutate(genome, state.settings, CIFAR, stream(state.seed, "mutate", *place))


def test_children_come_from_who_stood_in_the_slot_when_its_turn_came() -> None:
    state = trained((CONVS,), (measured(0.1),), children=3)
    for child in range(3):
        assert ask(state).genome == child_of(CONVS, state, 1, 0, child)
        state = tell(state, replace(ask(state), genome=NEAR_CONVS), measured(0.2 + child / 10))
        assert texts(state) == [str(NEAR_CONVS)]
    assert ask(state).genome == child_of(NEAR_CONVS, state, 2, 0, 0)


def test_a_slot_replaced_before_its_turn_takes_its_turn_with_the_newcomer() -> None:
    state = trained((CONVS, POOLS), (measured(0.5), measured(0.5)), children=1)
    state = tell(state, Trial(NEAR_POOLS, 1), measured(0.6))
    assert texts(state) == [str(CONVS), str(NEAR_POOLS)]
    assert state.slot == 1
    assert ask(state).genome == child_of(NEAR_POOLS, state, 1, 1, 0)


def test_random_search_draws_children_that_no_parent_decides() -> None:
    settings = small_settings(variation="random", children=3, initial_blocks_min=2, initial_blocks_max=5)
    found = []
    for first in (CONVS, POOLS):
        state = replace(
            trained((first, POOLS), (measured(0.5), measured(0.5)), children=3), settings=settings
        )
        children = []
        for _ in range(3):
            children.append(ask(state).genome)
            state = tell(state, ask(state), GUESS)
        found.append(children)
    assert found[0] == found[1]
    assert len({str(genome) for genome in found[0]}) == 3


def test_random_search_mutates_what_it_draws_as_often_as_generations_have_passed() -> None:
    settings = small_settings(variation="random", children=1, generations=3)
    state = replace(trained((CONVS, POOLS), (measured(0.5), measured(0.5)), children=1), settings=settings)
    seen = []
    while not state.finished:
        place = (state.generation, state.slot, state.child)
        random = stream(state.seed, "random", *place)
        genome = random_genome(settings, state.problem, random)
        for _ in range(state.generation):
            genome = mutate(genome, settings, state.problem, random)
        assert ask(state).genome == genome
        seen.append(place)
        state = tell(state, ask(state), GUESS)
    assert seen == [(generation, slot, 0) for generation in (1, 2, 3) for slot in (0, 1)]


def test_with_the_schedule_generation_a_newcomers_turn_comes_in_the_next_generation() -> None:
    state = trained((CONVS, POOLS), (measured(0.5), measured(0.5)), children=1)
    state = replace(state, settings=replace(state.settings, schedule="generation"))
    state = tell(state, Trial(NEAR_POOLS, 1), measured(0.6))
    assert texts(state) == [str(CONVS), str(NEAR_POOLS)]
    assert ask(state).genome == child_of(POOLS, state, 1, 1, 0)
    state = tell(state, ask(state), GUESS)
    state = tell(state, ask(state), GUESS)
    assert ask(state).genome == child_of(NEAR_POOLS, state, 2, 1, 0)


@pytest.mark.parametrize(
    ("standing", "child", "replaces"),
    [
        (measured(0.5), measured(0.6), True),
        (measured(0.5), measured(0.5), False),
        (measured(0.5), measured(0.4), False),
        (Measured(0.5, 0.9), Measured(0.9, 0.5), False),
        (Measured(0.5, 0.5), Measured(0.6, 0.4), False),
        (Measured(0.9, 0.4), Measured(0.5, 0.5), True),
        (measured(0.0), Infeasible("diverged"), False),
        (Infeasible("diverged"), measured(0.0), True),
        (Infeasible("diverged"), Infeasible("too large"), False),
    ],
)
def test_only_a_strictly_fitter_child_replaces(standing: Outcome, child: Outcome, replaces: bool) -> None:
    state = trained((CONVS, POOLS), (measured(0.0), standing))
    after = tell(state, Trial(NEAR_POOLS, 1), child)
    assert texts(after) == [str(CONVS), str(NEAR_POOLS if replaces else POOLS)]
    assert after.population[0] == state.population[0]
    assert after.population[1].outcome == (child if replaces else standing)


@pytest.mark.parametrize("twins", [(CONVS, NEAR_CONVS, POOLS), (POOLS, CONVS, NEAR_CONVS)])
def test_the_first_of_the_closest_is_compared(twins: tuple[Genome, ...]) -> None:
    child = Trial(parse("conv(8,1) conv(8,1) fc(4)"), 1)
    first = twins.index(CONVS)
    for fitnesses, replaced in (((0.9, 0.1), None), ((0.1, 0.9), first), ((0.1, 0.1), first)):
        results = [measured(0.0)] * 3
        results[first : first + 2] = map(measured, fitnesses)
        state = trained(twins, tuple(results))
        assert closest_place(state, child.genome) == first
        after = tell(state, child, measured(0.5)).population
        assert [new is not old for new, old in zip(after, state.population, strict=True)] == [
            place == replaced for place in range(3)
        ]


def test_fitness_is_the_smaller_accuracy() -> None:
    assert Measured(0.3, 0.8).fitness == Measured(0.8, 0.3).fitness == 0.3
    assert Infeasible("diverged").fitness < Measured(0.0, 0.0).fitness


def test_epochs_of_the_paper() -> None:
    schedule = [epochs(SearchSettings(), generation) for generation in range(51)]
    assert schedule[0] == 20
    assert schedule[1:] == [20] * 10 + [25] * 10 + [30] * 10 + [35] * 10 + [40] * 10


def test_a_trial_has_the_epochs_of_its_generation() -> None:
    growth = {"epochs": 7, "epochs_growth": 2, "epochs_growth_every": 2}
    settings = small_settings(population=2, children=1, generations=3, **growth)
    state = start(settings, CIFAR, 0)
    asked = []
    while not state.finished:
        asked.append(ask(state))
        state = tell(state, asked[-1], GUESS)
    assert [trial.epochs for trial in asked] == [7, 7, 7, 7, 7, 7, 9, 9]
    assert all(trial.replicate == 0 for trial in asked)
    assert state.step == 8


def test_no_generations_leave_the_initial_candidates() -> None:
    state = start(small_settings(population=3, generations=0), CIFAR, 1)
    for genome in state.initial:
        assert not state.finished
        assert ask(state).genome == genome
        state = tell(state, ask(state), measured(0.5))
    assert state.finished
    assert tuple(member.trial.genome for member in state.population) == state.initial


@given(states(), outcomes())
def test_tell_is_pure_and_never_lowers_a_fitness(state: State, outcome: Outcome) -> None:
    assume(not state.finished)
    before = repr(state)
    trial = ask(state)
    assert trial == ask(state)
    after = tell(state, trial, outcome)
    assert after == tell(state, trial, outcome)
    assert repr(state) == before
    assert after.step == state.step + 1
    for old, new in zip(state.population, after.population, strict=False):
        assert new == old or new.outcome.fitness > old.outcome.fitness


# Looking ahead.


@given(states(), st.integers(0, 12), st.randoms(use_true_random=False))
def test_lookahead_wants_unknown_trials_once(state: State, width: int, random: Random) -> None:
    luck: dict[Trial, Outcome | None] = {}

    def known(trial: Trial) -> Outcome | None:
        return luck.setdefault(trial, toy(trial) if random.random() < 0.3 else None)

    before = repr(state)
    wanted = lookahead(state, known, width)
    assert repr(state) == before
    assert len(wanted) <= width
    assert len(set(wanted)) == len(wanted)
    assert all(luck[trial] is None for trial in wanted)
    if width and not state.finished and luck[ask(state)] is None:
        assert wanted[0] == ask(state)


@given(states())
def test_where_all_guesses_are_right_a_lookahead_is_the_rest_of_the_search(state: State) -> None:
    fitnesses = [member.outcome.fitness for member in state.population]
    lost = measured(0.0) if state.generation and min(fitnesses) >= 0 else GUESS
    ahead = lookahead(state, lambda trial: None, 10**6)
    asked = []
    initial = 0
    racing = bool(state.settings.rungs)
    while not state.finished:
        initial += not state.generation
        asked.append(ask(state))
        state = tell(state, asked[-1], lost)
    rest = list(dict.fromkeys(asked))
    # Racing, it may stop before the first child, for that may be raced against an initial candidate.
    assert ahead == (rest[: max(initial, len(ahead))] if racing and initial else rest)


def test_lookahead_goes_past_what_is_known() -> None:
    state = trained((CONVS, POOLS), (measured(0.5), measured(0.5)), children=3)
    first = ask(state)
    winner = measured(0.9)
    wanted = lookahead(state, {first: winner}.get, 2)
    assert wanted == lookahead(tell(state, first, winner), {first: winner}.get, 2)
    assert [trial.genome for trial in wanted] == [child_of(CONVS, state, 1, 0, child) for child in (1, 2)]


@given(search_settings(), st.integers(0, 2**32), st.integers(1, 7), st.randoms(use_true_random=False))
def test_guesses_that_held_are_played_on_as_if_from_the_start(
    settings: SearchSettings, seed: int, width: int, random: Random
) -> None:
    state = start(settings, CIFAR, seed)
    known: dict[Trial, Outcome] = {}
    ahead = Ahead(state)
    while not state.finished:
        ahead = play_ahead(ahead, known.get, width)
        assert list(ahead.bars) == lookahead(state, known.get, width)
        trial = random.choice(list(ahead.bars))
        known[trial] = toy(trial, levels=4)
        ahead = ahead.without(trial) if ahead.holds(trial, known[trial]) else Ahead(state)
        while not state.finished and ask(state) in known:
            state = tell(state, ask(state), known[ask(state)])


def sequential(state: State) -> tuple[State, set[Trial]]:
    """The search's end, evaluating one trial at a time, and the trials it took."""
    taken = set()
    while not state.finished:
        taken.add(ask(state))
        state = tell(state, ask(state), toy(ask(state)))
    return state, taken


@given(search_settings(), st.integers(0, 2**32), st.integers(1, 7), st.integers(0, 2**32))
def test_workers_their_order_and_kills_change_nothing(
    settings: SearchSettings, seed: int, width: int, chance: int
) -> None:
    beginning = start(settings, CIFAR, seed)
    expected, taken = sequential(beginning)
    random = Random(chance)
    memo: dict[Trial, Outcome] = {}
    running: list[Trial] = []
    state = beginning
    while not state.finished:
        trial = ask(state)
        if trial in memo:
            state = tell(state, trial, memo[trial])
            continue
        ahead = lookahead(state, memo.get, width)
        running += [wanted for wanted in ahead if wanted not in running][: width - len(running)]
        if random.random() < 0.1:  # killed: all that is left is the memo
            running, state = [], beginning
            continue
        done = running.pop(random.randrange(len(running)))
        memo[done] = toy(done)
    assert state == expected
    assert taken <= set(memo)
    assert width > 1 or taken == set(memo)


# Outcomes as the memo stores them.


@given(
    outcomes()
    | st.builds(Measured, st.floats(0, 1), st.floats(0, 1), st.lists(st.floats(0, 1), max_size=3).map(tuple))
)
def test_outcomes_survive_json(outcome: Outcome) -> None:
    assert outcome_from_json(json.loads(json.dumps(outcome_to_json(outcome)))) == outcome


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"clean_accuracy": 0.5},
        {"adversarial_accuracy": 0.5},
        {"clean_accuracy": "0.5", "adversarial_accuracy": 0.5},
        {"clean_accuracy": 0.5, "adversarial_accuracy": None},
        {"clean_accuracy": True, "adversarial_accuracy": False},
        {"clean_accuracy": 0.5, "adversarial_accuracy": 0.5, "curve": [0.5, None]},
        {"clean_accuracy": 0.5, "adversarial_accuracy": 0.5, "curve": 0.5},
        {"stopped": 1},
        {"stopped": 0.5, "reached": 0.5},
        {"stopped": 1, "reached": None},
        {"infeasible": None},
        {"infeasible": ["diverged"]},
        {"reason": "diverged"},
    ],
)
def test_what_is_no_outcome_is_refused(stored: dict[str, Plain]) -> None:
    with pytest.raises(ValueError, match=r"no outcome|no fitness"):
        outcome_from_json(stored)


# Racing.


def test_without_racing_trials_have_no_rungs() -> None:
    state = start(small_settings(), CIFAR, seed=0)
    while not state.finished:
        trial = ask(state)
        assert trial.rungs == ()
        state = tell(state, trial, toy(trial))


@given(states())
def test_a_childs_bars_are_what_its_opponent_had_at_the_same_shares(state: State) -> None:
    assume(not state.finished)
    settings, trial = state.settings, ask(state)
    assert [rung.epoch for rung in trial.rungs] == [
        max(1, round(share * trial.epochs)) for share in settings.rungs
    ]
    opponent = None
    if state.generation:
        opponent = state.population[closest_place(state, trial.genome)].outcome
    for place, rung in enumerate(trial.rungs):
        if isinstance(opponent, Measured) and rung.epoch < trial.epochs:
            assert rung.bar == opponent.curve[place] - settings.rung_slack
        else:
            assert rung.bar is None


@given(states(), st.integers(1, 9))
def test_what_was_stopped_replaces_nothing(state: State, epoch: int) -> None:
    assume(not state.finished and state.generation)
    after = tell(state, ask(state), Stopped(epoch, 1.0))
    assert after.population == state.population


def test_no_child_is_raced_against_a_guess() -> None:
    state = start(small_settings(rungs=(0.5,), population=3), CIFAR, seed=0)
    initial = [Trial(genome, 20, rungs=(Rung(10),)) for genome in state.initial]
    assert lookahead(state, lambda trial: None, 50) == initial
    known = {trial: Measured(0.5, 0.5, (0.25,)) for trial in initial}
    further = lookahead(state, known.get, 5)
    assert len(further) == 5
    assert {rung.bar for trial in further for rung in trial.rungs} == {0.25}
    # The search asks for just these while the guesses hold.
    for trial in initial:
        state = tell(state, trial, known[trial])
    for trial in further:
        assert ask(state) == trial
        state = tell(state, trial, Stopped(10, 0.1))
