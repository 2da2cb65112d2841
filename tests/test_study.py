"""The loop over a memo: workers, their order, kills and resumes change nothing but the time."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contragrad.engine import study
from contragrad.engine.evaluations import IN_A_ROW
from contragrad.engine.executors import (
    Event,
    Executor,
    Finished,
    GivenUp,
    InProcess,
    Processes,
    Progressed,
    WorkerLostError,
)
from contragrad.engine.memo import DictMemo, Memo, Record, SqliteMemo
from contragrad.engine.study import Told, run, run_tasks
from contragrad.engine.work import Work
from contragrad.errors import UserError
from contragrad.evolution.search import State, ask, start, tell
from contragrad.evolution.trial import Abandoned, Outcome, Trial, outcome_from_json, outcome_to_json
from contragrad.fingerprint import fingerprint
from contragrad.settings.search import SearchSettings
from performers import CALLS, Call, complain, die, echo, toy
from strategies import CIFAR, search_settings, small_settings


def key_of(trial: Trial) -> str:
    return fingerprint("test/1", repr(trial))


def sequential(state: State, outcome: Callable[[Trial], Outcome] = toy) -> list[State]:
    """The search's states one after the other, each trial evaluated when it is asked for."""
    states = [state]
    while not state.finished:
        state = tell(state, ask(state), outcome(ask(state)))
        states.append(state)
    return states


def one_in(share: int) -> Callable[[Trial], bool]:
    """Whether a trial is deadly, which so many are."""
    return lambda trial: int(key_of(trial), 16) % share == 0


def borne(deadly: Callable[[Trial], bool]) -> Callable[[Trial], Outcome]:
    """What comes of a trial where those that are deadly are given up."""
    return lambda trial: Abandoned("1 worker died") if deadly(trial) else toy(trial)


class Killed(BaseException):
    """The driver is gone."""


@dataclass
class Fuse:
    """Kills the driver at the given moment, counted over all that it does; never if that is None."""

    left: int | None = None

    @contextmanager
    def around(self) -> Iterator[None]:
        """A moment before the block and one after it."""
        self.burn()
        yield
        self.burn()

    def burn(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


Order = Callable[[int], int]
"""Which of so many running tasks is done next."""


@dataclass
class Scattered:
    """An executor without workers, whose tasks are done in whatever order, several at a time or none."""

    slots: int
    random: Random
    order: Order = lambda running: 0
    fuse: Fuse = field(default_factory=Fuse)
    deadly: Callable[[Trial], bool] = lambda trial: False
    running: dict[str, Trial] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    ended: list[Event] = field(default_factory=list)
    """In the order in which a driver takes it, results first."""

    def offer(self, key: str, task: object) -> bool:
        assert isinstance(task, Trial)
        with self.fuse.around():
            if key in self.running or len(self.running) >= self.slots:
                return False
            self.running[key] = task
            self.taken.append(key)
            return True

    def wait(self) -> list[Event]:
        assert self.running, "the driver waits for nothing"
        with self.fuse.around():
            events: list[Event] = [
                Progressed(key, {"epoch": 1.0}) for key in self.running if self.random.random() < 0.2
            ]
            for _ in range(self.random.choice((0, 1, 1, 2))):
                if self.running:
                    key = list(self.running)[self.order(len(self.running))]
                    events.append(self.end(key, self.running.pop(key)))
            ended = [event for event in events if not isinstance(event, Progressed)]
            self.ended += sorted(ended, key=lambda event: isinstance(event, GivenUp))
            return events

    def end(self, key: str, trial: Trial) -> Finished | GivenUp:
        if self.deadly(trial):
            return GivenUp(key, "1 worker died")
        return Finished(key, outcome_to_json(toy(trial)), 1.0)

    def close(self) -> None:
        self.running.clear()


@dataclass
class Frail:
    """A memo whose driver may be killed before and after everything it does."""

    memo: Memo
    fuse: Fuse

    def get(self, key: str) -> Record | None:
        with self.fuse.around():
            return self.memo.get(key)

    def put(self, record: Record) -> Record:
        with self.fuse.around():
            return self.memo.put(record)

    def get_meta(self, key: str) -> str | None:
        with self.fuse.around():
            return self.memo.get_meta(key)

    def set_meta(self, key: str, content: str) -> None:
        with self.fuse.around():
            self.memo.set_meta(key, content)


def orders(random: Random) -> dict[str, Order]:
    return {
        "first": lambda running: 0,
        "last": lambda running: running - 1,
        "any": random.randrange,
    }


ORDERS = st.sampled_from(sorted(orders(Random())))
SEEDS = st.integers(0, 2**32)


@given(search_settings(), SEEDS, st.integers(1, 7), ORDERS, SEEDS)
def test_slots_and_the_order_of_completion_change_nothing(
    settings: SearchSettings, seed: int, slots: int, order: str, chance: int
) -> None:
    random = Random(chance)
    states = sequential(start(settings, CIFAR, seed))
    executor, memo = Scattered(slots, random, orders(random)[order]), DictMemo()
    seen: list[study.Event] = []
    assert run(states[0], memo=memo, executor=executor, key_of=key_of, on_event=seen.append) == states[-1]
    assert len(set(executor.taken)) == len(executor.taken)
    needed = {key_of(ask(state)) for state in states[:-1]}
    assert needed <= {key for key in executor.taken if memo.get(key)}
    assert slots > 1 or needed == set(executor.taken)
    told = [event for event in seen if isinstance(event, Told)]
    assert [event.before for event in told] == states[:-1]
    assert [event.after for event in told] == states[1:]
    assert all((event.trial, event.outcome) == (ask(event.before), toy(event.trial)) for event in told)


@given(
    search_settings(),
    SEEDS,
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 150)), max_size=6),
    ORDERS,
    SEEDS,
)
def test_kills_at_any_moment_change_nothing(
    settings: SearchSettings, seed: int, kills: list[tuple[int, int]], order: str, chance: int
) -> None:
    random = Random(chance)
    beginning = start(settings, CIFAR, seed)
    memo = DictMemo()
    for slots, moment in [*kills, (random.randint(1, 4), None)]:
        fuse = Fuse(moment)
        executor = Scattered(slots, random, orders(random)[order], fuse)
        known = set(memo._records)

        def on_event(event: study.Event, fuse: Fuse = fuse) -> None:
            fuse.burn()

        try:
            final = run(
                beginning, memo=Frail(memo, fuse), executor=executor, key_of=key_of, on_event=on_event
            )
        except Killed:
            continue
        finally:
            assert len(set(executor.taken)) == len(executor.taken)
            assert not known & set(executor.taken), "what the memo knows was evaluated again"
        assert final == sequential(beginning)[-1]


def test_kills_at_every_moment_change_nothing() -> None:
    beginning = start(small_settings(population=2, children=2, generations=1), CIFAR, 0)
    expected = sequential(beginning)[-1]
    moment = 0
    while True:
        memo = DictMemo()
        for fuse in (Fuse(moment), Fuse()):
            random = Random(moment)
            executor = Scattered(2, random, orders(random)["any"], fuse)
            try:
                final = run(beginning, memo=Frail(memo, fuse), executor=executor, key_of=key_of)
            except Killed:
                continue
            assert final == expected
            if fuse.left is not None:
                assert moment > 50
                return
        moment += 1


# Trials that are given up.


@given(search_settings(), SEEDS, st.integers(1, 5), ORDERS, SEEDS, st.integers(1, 12))
def test_what_is_given_up_is_an_outcome_like_any_other_once_something_else_has_come_to_one(
    settings: SearchSettings, seed: int, slots: int, order: str, chance: int, share: int
) -> None:
    random = Random(chance)
    beginning = start(settings, CIFAR, seed)
    deadly = one_in(share)
    executor, memo = Scattered(slots, random, orders(random)[order], deadly=deadly), DictMemo()
    try:
        final = run(beginning, memo=memo, executor=executor, key_of=key_of)
    except WorkerLostError:
        last = [event for event in executor.ended[-IN_A_ROW:] if isinstance(event, GivenUp)]
        assert len(last) == IN_A_ROW
        # Where each had to be known before the next could be tried, only the last is not remembered.
        assert memo.get(last[-1].key) is None
        assert settings.rungs or not any(memo.get(event.key) for event in last)
        return
    ends = [isinstance(event, GivenUp) for event in executor.ended]
    assert not any(all(ends[place : place + IN_A_ROW]) for place in range(len(ends) - IN_A_ROW + 1))
    assert final == sequential(beginning, borne(deadly))[-1]
    assert len(set(executor.taken)) == len(executor.taken)
    again = run(beginning, memo=memo, executor=Nobody(), key_of=key_of)
    assert again == final


def test_kills_at_every_moment_change_nothing_where_trials_are_given_up() -> None:
    beginning = start(small_settings(population=2, children=2, generations=1), CIFAR, 0)
    ordinary = sequential(beginning)
    deadly = {ask(ordinary[place]) for place in (0, 3)}.__contains__
    expected = sequential(beginning, borne(deadly))
    assert 0 < sum(deadly(ask(state)) for state in expected[:-1]) < len(expected) - 2
    moment = 0
    while True:
        memo = DictMemo()
        for fuse in (Fuse(moment), Fuse()):
            random = Random(moment)
            executor = Scattered(2, random, orders(random)["any"], fuse, deadly)
            try:
                final = run(beginning, memo=Frail(memo, fuse), executor=executor, key_of=key_of)
            except Killed:
                continue
            assert final == expected[-1]
            if fuse.left is not None:
                assert moment > 40
                return
        moment += 1


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_where_everything_is_given_up_the_study_stops_and_remembers_nothing(slots: int) -> None:
    beginning = start(small_settings(population=5, children=2), CIFAR, 1)
    memo = DictMemo()
    broken = Scattered(slots, Random(0), deadly=lambda trial: True)
    with pytest.raises(WorkerLostError, match=f"{IN_A_ROW} trials in a row were given up") as caught:
        run(beginning, memo=memo, executor=broken, key_of=key_of)
    assert "1 worker died" in str(caught.value)
    assert "try: more free memory" in str(caught.value)
    assert not memo._records
    mended = Scattered(slots, Random(0))
    assert run(beginning, memo=memo, executor=mended, key_of=key_of) == sequential(beginning)[-1]


@pytest.mark.parametrize("slots", [1, 3])
def test_the_last_trials_of_a_search_are_given_up_though_nothing_comes_after_them(slots: int) -> None:
    beginning = start(small_settings(population=2, children=1, generations=1), CIFAR, 3)
    *_, before, last, _ = sequential(beginning)
    end = {ask(before), ask(last)}
    executor = Scattered(slots, Random(0), deadly=end.__contains__)
    memo = DictMemo()
    final = run(beginning, memo=memo, executor=executor, key_of=key_of)
    assert final == sequential(beginning, borne(end.__contains__))[-1]
    for trial in end:
        record = memo.get(key_of(trial))
        assert record is not None
        assert record.outcome == {"given_up": "1 worker died"}
        assert str(trial.genome) in record.task


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(1, 3), SEEDS)
def test_outcomes_that_no_search_asks_for_may_be_given_up(fates: list[bool], slots: int, chance: int) -> None:
    genome = start(small_settings(population=1), CIFAR, 0).initial[0]
    trials = [Trial(genome, epochs) for epochs in range(1, len(fates) + 1)]

    def deadly(trial: Trial) -> bool:
        return fates[trial.epochs - 1]

    memo, executor = DictMemo(), Scattered(slots, Random(chance), deadly=deadly)
    try:
        found = study.outcomes(trials, memo=memo, executor=executor, key_of=key_of)
    except WorkerLostError:
        assert sum(fates) >= IN_A_ROW
        return
    assert found == [borne(deadly)(trial) for trial in trials]
    assert study.outcomes(trials, memo=memo, executor=Nobody(), key_of=key_of) == found


def test_a_task_that_is_no_trial_is_not_given_up(tmp_path: Path) -> None:
    task = Call(die, tmp_path / "begun")
    with (
        closing(Processes(CALLS, workers=1, threads=1, tries=2)) as executor,
        pytest.raises(WorkerLostError, match="2 workers died") as caught,
    ):
        run_tasks([("one", Call(echo)), ("deadly", task)], executor=executor)
    assert str(task) in str(caught.value)


TOYS = Work("performers:toys", None)
EXECUTORS: dict[str, Callable[[], Executor]] = {
    "in process": lambda: InProcess(TOYS),
    "one process": lambda: Processes(TOYS, workers=1, threads=1),
    "three processes": lambda: Processes(TOYS, workers=3, threads=1),
}


@pytest.mark.parametrize("kind", EXECUTORS)
def test_every_executor_ends_in_the_same_state(kind: str, tmp_path: Path) -> None:
    states = sequential(start(small_settings(population=3, children=2), CIFAR, 1))
    with closing(EXECUTORS[kind]()) as executor, SqliteMemo(tmp_path / "study.db") as memo:
        assert run(states[0], memo=memo, executor=executor, key_of=key_of) == states[-1]
        for state in states[:-1]:
            record = memo.get(key_of(ask(state)))
            assert record is not None
            assert outcome_from_json(record.outcome) == toy(ask(state))
            assert str(ask(state).genome) in record.task
            assert {"host", "torch", "contragrad"} <= set(record.provenance)


@dataclass
class Nobody:
    """An executor for a search whose evaluations are all known."""

    slots: int = 2

    def offer(self, key: str, task: object) -> bool:
        raise AssertionError(f"{task} is not known")

    def wait(self) -> list[Event]:
        raise AssertionError("there is nothing to wait for")

    def close(self) -> None:
        pass


def finished_search(**changes: int) -> tuple[list[State], DictMemo]:
    """A search's states, and the memo that it leaves."""
    states = sequential(start(small_settings(population=2, children=2, **changes), CIFAR, 3))
    memo = DictMemo()
    run(states[0], memo=memo, executor=Scattered(1, Random(0)), key_of=key_of)
    return states, memo


def test_a_finished_search_is_told_again_from_its_memo() -> None:
    states, memo = finished_search()
    seen: list[study.Event] = []
    final = run(states[0], memo=memo, executor=Nobody(), key_of=key_of, on_event=seen.append)
    assert final == states[-1]
    assert [event.after for event in seen if isinstance(event, Told)] == states[1:]


def test_a_search_that_is_over_does_nothing() -> None:
    states, _ = finished_search()
    assert run(states[-1], memo=DictMemo(), executor=Nobody(), key_of=key_of) == states[-1]


def refused(state: State, memo: Memo, step: int) -> None:
    """The search goes on to this step, and stops there."""
    seen: list[study.Event] = []
    with pytest.raises(UserError, match=f"at step {step} ") as caught:
        run(
            state,
            memo=memo,
            executor=Scattered(1, Random(0)),
            key_of=key_of,
            on_event=seen.append,
        )
    assert caught.value.remedy
    assert sum(isinstance(event, Told) for event in seen) == step - 1


def test_another_seed_or_other_settings_are_refused() -> None:
    states, memo = finished_search()
    notes = dict(memo._meta)
    refused(start(states[0].settings, CIFAR, 4), memo, step=1)
    refused(start(replace(states[0].settings, hidden=5), CIFAR, 3), memo, step=1)
    assert memo._meta == notes


def test_a_search_may_have_more_generations_than_when_it_was_begun() -> None:
    states, memo = finished_search(generations=1)
    longer = start(replace(states[0].settings, generations=3), CIFAR, 3)
    executor = Scattered(1, Random(0))
    assert run(longer, memo=memo, executor=executor, key_of=key_of) == sequential(longer)[-1]


def test_an_outcome_that_was_another_is_refused_at_its_step() -> None:
    states, memo = finished_search(generations=1)
    for step, state in enumerate(states[:2], 1):
        key = key_of(ask(state))
        found = memo.get(key)
        assert found is not None
        other = DictMemo()
        other._meta = memo._meta
        other._records = memo._records | {key: replace(found, outcome={"infeasible": "other"})}
        refused(states[0], other, step)


def test_a_record_that_holds_no_outcome_is_named() -> None:
    states, memo = finished_search(generations=0)
    key = key_of(ask(states[0]))
    found = memo.get(key)
    assert found is not None
    memo._records[key] = replace(found, outcome={"fitness": 1})
    with pytest.raises(UserError, match="remembered wrongly") as caught:
        run(states[0], memo=memo, executor=Nobody(), key_of=key_of)
    assert key in caught.value.where


def test_a_memo_without_notes_is_noted_anew() -> None:
    states, memo = finished_search()
    bare = DictMemo()
    bare._records = memo._records
    assert run(states[0], memo=bare, executor=Nobody(), key_of=key_of) == states[-1]
    assert bare._meta == memo._meta
    assert len(bare._meta) == len(states) - 1


# Tasks that are no search.


@pytest.mark.parametrize("kind", EXECUTORS)
def test_every_task_has_its_result(kind: str) -> None:
    states = sequential(start(small_settings(population=3), CIFAR, 2))
    trials = {key_of(ask(state)): ask(state) for state in states[:-1]}
    with closing(EXECUTORS[kind]()) as executor:
        results = run_tasks(trials.items(), executor=executor)
    assert results == {key: outcome_to_json(toy(trial)) for key, trial in trials.items()}


@given(st.integers(1, 4), ORDERS, SEEDS, st.integers(0, 6), st.integers(0, 3))
def test_tasks_are_done_once_whatever_was_running(
    slots: int, order: str, chance: int, count: int, left: int
) -> None:
    random = Random(chance)
    genome = start(small_settings(population=1), CIFAR, 0).initial[0]
    trials = {key_of(trial): trial for trial in (Trial(genome, epochs) for epochs in range(1, count + 1))}
    executor = Scattered(slots, random, orders(random)[order])
    # What a search left running: some of it is nobody's, and one may be a task of ours.
    for epochs in range(count, count + left):
        executor.offer(key_of(Trial(genome, epochs)), Trial(genome, epochs))
    seen: list[study.Event] = []
    tasks = [*trials.items(), *trials.items()]
    results = run_tasks(tasks, executor=executor, on_event=seen.append)
    assert results == {key: outcome_to_json(toy(trial)) for key, trial in trials.items()}
    assert len(set(executor.taken)) == len(executor.taken)
    finished = [event.key for event in seen if isinstance(event, Finished)]
    assert sorted(finished) == sorted(trials)
    assert all(isinstance(event, Finished | Progressed) and event.key in trials for event in seen)


def test_no_tasks_need_no_executor() -> None:
    assert run_tasks([], executor=Nobody()) == {}


def test_a_tasks_error_comes_out() -> None:
    with pytest.raises(UserError, match="what is wrong"):
        run_tasks([("one", Call(echo)), ("wrong", Call(complain))], executor=InProcess(CALLS))
