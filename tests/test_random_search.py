"""An evolution and the random search that it is compared with, in one memo and with one executor."""

from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contragrad.engine.executors import Event, Finished
from contragrad.engine.memo import DictMemo
from contragrad.engine.study import run, run_tasks
from contragrad.errors import UserError
from contragrad.evolution.search import State, ask, start, tell
from contragrad.evolution.trial import Measured, Trial, outcome_to_json
from contragrad.fingerprint import fingerprint
from contragrad.settings.choices import Variation
from contragrad.settings.search import SearchSettings
from performers import toy
from strategies import CIFAR, search_settings, small_settings

SEEDS = st.integers(0, 2**32)


def key_of(trial: Trial) -> str:
    return fingerprint("test/1", repr(trial))


class KilledError(Exception):
    """The driver is gone."""


@dataclass
class Toys:
    """An executor without workers that does one task at a time, and is gone after so many."""

    slots: int = 1
    left: int | None = None
    order: Random = field(default_factory=lambda: Random(0))
    running: dict[str, Trial] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)

    def offer(self, key: str, task: object) -> bool:
        assert isinstance(task, Trial)
        if key in self.running or len(self.running) >= self.slots:
            return False
        self.running[key] = task
        self.taken.append(key)
        return True

    def wait(self) -> list[Event]:
        assert self.running, "the driver waits for nothing"
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KilledError
        key = self.order.choice(list(self.running))
        return [Finished(key, outcome_to_json(toy(self.running.pop(key))), 1.0)]

    def close(self) -> None:
        self.running.clear()


def beginnings(settings: SearchSettings, seed: int) -> tuple[State, State]:
    """The evolution and the random search before their first trial."""
    kinds: tuple[Variation, Variation] = ("mutation", "random")
    evolution, random = (start(replace(settings, variation=kind), CIFAR, seed) for kind in kinds)
    return evolution, random


def sequential(state: State) -> list[State]:
    """The search's states one after the other, without a memo."""
    states = [state]
    while not state.finished:
        state = tell(state, ask(state), toy(ask(state)))
        states.append(state)
    return states


def notes(memo: DictMemo) -> dict[str, str]:
    return dict(memo._meta)


@given(search_settings(), SEEDS, st.integers(0, 1))
def test_two_searches_share_a_memo_and_end_where_each_ends_alone(
    settings: SearchSettings, seed: int, first: int
) -> None:
    both = beginnings(settings, seed)
    memo = DictMemo()
    for state in (both[first], both[1 - first]):
        assert run(state, memo=memo, executor=Toys(), key_of=key_of) == sequential(state)[-1]
    # Each is told again, with nothing left to evaluate.
    before = notes(memo)
    for state in both:
        executor = Toys()
        assert run(state, memo=memo, executor=executor, key_of=key_of) == sequential(state)[-1]
        assert not executor.taken
    assert notes(memo) == before


@given(search_settings(), SEEDS)
def test_both_have_the_same_initial_candidates_and_they_are_evaluated_once(
    settings: SearchSettings, seed: int
) -> None:
    evolution, random = beginnings(settings, seed)
    assert evolution.initial == random.initial
    memo, taken = DictMemo(), []
    for state in (evolution, random):
        executor = Toys()
        run(state, memo=memo, executor=executor, key_of=key_of)
        taken += executor.taken
    assert len(set(taken)) == len(taken)
    asked = [key_of(ask(state)) for search in (evolution, random) for state in sequential(search)[:-1]]
    assert set(taken) == set(asked)


def test_random_search_has_as_many_evaluations_as_the_evolution() -> None:
    evolution, random = map(sequential, beginnings(small_settings(population=3, generations=2), 0))
    assert len(evolution) == len(random) == 1 + 3 * (1 + 2 * 2)
    children = [[ask(state) for state in states[3:-1]] for states in (evolution, random)]
    assert [trial.epochs for trial in children[0]] == [trial.epochs for trial in children[1]]
    assert not {trial.genome for trial in children[0]} & {trial.genome for trial in children[1]}


@given(search_settings(), SEEDS, st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=6))
def test_each_is_resumed_after_kills_however_they_alternate(
    settings: SearchSettings, seed: int, kills: list[tuple[bool, int]]
) -> None:
    both = beginnings(settings, seed)
    memo, taken = DictMemo(), []
    for which, moment in [*kills, (False, None), (True, None)]:
        state, executor = both[which], Toys(left=moment)
        try:
            final = run(state, memo=memo, executor=executor, key_of=key_of)
        except KilledError:
            taken += [key for key in executor.taken if memo.get(key)]
            continue
        taken += executor.taken
        assert final == sequential(state)[-1]
    assert len(set(taken)) == len(taken), "what the memo knows was evaluated again"


def finished(seed: int = 3) -> tuple[tuple[State, State], DictMemo]:
    both = beginnings(small_settings(population=2, children=2), seed)
    memo = DictMemo()
    for state in both:
        run(state, memo=memo, executor=Toys(), key_of=key_of)
    return both, memo


@pytest.mark.parametrize("which", [0, 1], ids=["evolution", "random search"])
def test_other_settings_of_either_are_refused_beside_the_other(which: int) -> None:
    both, memo = finished()
    before = notes(memo)
    for changed in (
        start(replace(both[which].settings, hidden=5), CIFAR, 3),
        start(both[which].settings, CIFAR, 4),
    ):
        with pytest.raises(UserError, match="at step 1 "):
            run(changed, memo=memo, executor=Toys(), key_of=key_of)
    assert notes(memo) == before


@pytest.mark.parametrize("which", [0, 1], ids=["evolution", "random search"])
def test_each_may_be_lengthened_beside_the_other(which: int) -> None:
    both, memo = finished()
    longer = start(replace(both[which].settings, generations=4), CIFAR, 3)
    assert run(longer, memo=memo, executor=Toys(), key_of=key_of) == sequential(longer)[-1]
    other = both[1 - which]
    assert run(other, memo=memo, executor=Toys(), key_of=key_of) == sequential(other)[-1]


@pytest.mark.parametrize("which", [0, 1], ids=["evolution", "random search"])
def test_an_outcome_that_was_another_is_refused_in_either(which: int) -> None:
    both, memo = finished()
    step = len(both[which].initial)
    key = key_of(ask(sequential(both[which])[step]))
    found = memo.get(key)
    assert found is not None
    # Better than all, so that it changes the population.
    memo._records[key] = replace(found, outcome=outcome_to_json(Measured(1.0, 1.0)))
    if toy(ask(sequential(both[which])[step])) == Measured(1.0, 1.0):
        memo._records[key] = replace(found, outcome={"infeasible": "other"})
    with pytest.raises(UserError, match=f"at step {step + 1} "):
        run(both[which], memo=memo, executor=Toys(), key_of=key_of)
    other = both[1 - which]
    assert run(other, memo=memo, executor=Toys(), key_of=key_of) == sequential(other)[-1]


def test_the_notes_of_an_evolution_are_where_they_were_before_there_was_random_search() -> None:
    (evolution, random), memo = finished()
    steps = len(sequential(evolution)) - 1
    assert notes(memo).keys() == {
        f"state{kind} {step}" for kind in ("", " random") for step in range(1, steps + 1)
    }
    assert random.settings.variation == "random"


# With one executor, as `reproduce` runs them: what the first left running may still be there.


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_tasks_after_a_search_do_not_mind_what_it_left_running(slots: int) -> None:
    for seed in range(20):
        evolution, random = beginnings(small_settings(population=2, children=2), seed)
        executor = Toys(slots, order=Random(seed))
        run(evolution, memo=DictMemo(), executor=executor, key_of=key_of)
        trials = {key_of(ask(state)): ask(state) for state in sequential(random)[:-1]}
        results = run_tasks(trials.items(), executor=executor)
        assert results == {key: outcome_to_json(toy(trial)) for key, trial in trials.items()}


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_random_search_does_not_mind_what_the_evolution_left_running(slots: int) -> None:
    for seed in range(60):
        executor, memo = Toys(slots, order=Random(seed)), DictMemo()
        for state in beginnings(small_settings(population=2, children=2), seed):
            assert run(state, memo=memo, executor=executor, key_of=key_of) == sequential(state)[-1]
