"""The loop: ask, look up or evaluate, tell. Stop it anywhere; run it again to resume."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from contragrad.engine import executors
from contragrad.engine.evaluations import REMEDY, Doubted, remembered, task_text
from contragrad.engine.executors import Executor, Finished, GivenUp, Progressed, WorkerLostError
from contragrad.engine.memo import Memo
from contragrad.engine.work import Result
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.lookahead import Ahead, play_ahead
from contragrad.evolution.search import State
from contragrad.evolution.trial import Outcome, Trial, outcome_to_json
from contragrad.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class Told:
    """The search has used a trial's outcome."""

    trial: Trial
    outcome: Outcome
    before: State
    after: State


Event = Told | executors.Event


def run(
    state: State,
    *,
    memo: Memo,
    executor: Executor,
    key_of: Callable[[Trial], str],
    on_event: Callable[[Event], None] = lambda event: None,
) -> State:
    """The search's final state.

    It is the same for any number of workers, any order in which they finish, and after any kill and
    resume with the same memo: outcomes are used in the order of the search, wherever they come from. A trial
    that is given up has an outcome like any other, once there are results again.

    Raises:
        UserError: if the memo's trajectory is not this search's.
        WorkerLostError: if one trial after the other is given up.
    """
    # A lookahead asks for the same trials again and again; what is not known yet, others may have put since.
    known: dict[Trial, Outcome] = {}

    def look_up(trial: Trial) -> Outcome | None:
        if trial not in known and (record := memo.get(key_of(trial))) is not None:
            known[trial] = remembered(record)
        return known.get(trial)

    running: dict[str, Trial] = {}
    doubted = Doubted(memo)
    ahead = Ahead(state)

    def learn(outcomes: Mapping[Trial, Outcome]) -> None:
        nonlocal ahead
        known.update(outcomes)
        for trial, outcome in outcomes.items():
            ahead = ahead.without(trial) if ahead.holds(trial, outcome) else Ahead(state)

    while not state.finished:
        trial = search.ask(state)
        outcome = look_up(trial)
        if outcome is not None:
            learn({trial: outcome})
            after = search.tell(state, trial, outcome)
            _guard(memo, after)
            on_event(Told(trial, outcome, state, after))
            state = after
            continue
        ahead = play_ahead(ahead, look_up, executor.slots + len(doubted.records))
        wanted = [trial for trial in ahead.bars if trial not in doubted.records]
        if doubted.records and not wanted and not running:
            learn(doubted.settled())  # there is nothing left to try that could clear the machine
            continue
        _offer(wanted, running, executor, key_of)
        for event in _results_first(executor.wait()):
            if not isinstance(event, Progressed):
                if event.key not in running:
                    continue  # what another search has left running
                learn(doubted.heard(event, running.pop(event.key)))
            on_event(event)
    return state


def _results_first(events: Iterable[executors.Event]) -> list[executors.Event]:
    """The same, so that no result is lost where one task too many is given up."""
    return sorted(events, key=lambda event: isinstance(event, GivenUp))


def _offer(
    wanted: Iterable[Trial], running: dict[str, Trial], executor: Executor, key_of: Callable[[Trial], str]
) -> None:
    """Starts the wanted trials that are not running, as far as there are free workers."""
    begun = set(running.values())
    for trial in wanted:
        if trial not in begun:
            key = key_of(trial)
            if not executor.offer(key, trial):
                return
            running[key] = trial


def outcomes(
    trials: Sequence[Trial],
    *,
    memo: Memo,
    executor: Executor,
    key_of: Callable[[Trial], str],
    on_event: Callable[[Event], None] = lambda event: None,
) -> list[Outcome]:
    """The outcomes of trials that no search asks for, in their order; the memo's, as far as it has them.

    Raises:
        WorkerLostError: if one trial after the other is given up.
    """
    keys = {key_of(trial): trial for trial in trials}
    known = {trial: remembered(found) for key, trial in keys.items() if (found := memo.get(key)) is not None}
    doubted = Doubted(memo)

    def note(event: executors.Event) -> None:
        if not isinstance(event, Progressed):
            known.update(doubted.heard(event, keys[event.key]))
        on_event(event)

    _perform([(key, trial) for key, trial in keys.items() if trial not in known], executor, note)
    known.update(doubted.settled())
    return [known[trial] for trial in trials]


def run_tasks(
    tasks: Iterable[tuple[str, object]],
    *,
    executor: Executor,
    on_event: Callable[[Event], None] = lambda event: None,
) -> dict[str, Result]:
    """Every task's result by its key, performed as many at a time as the executor can.

    Raises:
        WorkerLostError: if a task is given up.
    """
    by_key = dict(tasks)
    results: dict[str, Result] = {}

    def note(event: executors.Event) -> None:
        match event:
            case Finished(key, result):
                results[key] = result
            case GivenUp(key, reason):
                raise WorkerLostError(f"{by_key[key]} was given up: {reason}\n  try: {REMEDY}")
        on_event(event)

    _perform(by_key.items(), executor, note)
    return results


def _perform(
    tasks: Iterable[tuple[str, object]],
    executor: Executor,
    on_event: Callable[[executors.Event], None],
) -> None:
    """Has tasks of different keys performed, until each has come to a result or was given up."""
    waiting = list(tasks)
    missing = {key for key, _ in waiting}
    while missing:
        # A key is missing no more if it came from a speculation that was still running.
        waiting = [(key, task) for key, task in waiting if key in missing and not executor.offer(key, task)]
        for event in _results_first(executor.wait()):
            # A search's speculation may still be running, and is nobody's any more.
            if event.key not in missing:
                continue
            if not isinstance(event, Progressed):
                missing.discard(event.key)
            on_event(event)


STEP = "state"


def _guard(memo: Memo, state: State) -> None:
    """Notes where the search stands; on a resume, checks that it comes by where it stood.

    The trajectory is not stored but told again from the memo, so a change of the search's code or
    settings would go unnoticed without it.
    """
    step, found = standing(state)
    stored = memo.get_meta(step)
    if stored is None:
        memo.set_meta(step, found)
    elif stored != found:
        raise UserError(
            f"at step {state.step} the search does not stand where it stood when the study was begun",
            where="study.yaml, or the version of contragrad",
            remedy="the settings and the version that the study was begun with, or a new run folder",
        )


def standing(state: State) -> tuple[str, str]:
    """The name of the memo's note of where the search stands, and what is to be noted.

    The number of generations may grow: where the search stands does not depend on it.
    """
    variation = state.settings.variation
    # Random search may stand in the memo beside the evolution that it is compared with.
    step = f"{STEP} {state.step}" if variation == "mutation" else f"{STEP} {variation} {state.step}"
    population = [(task_text(member.trial), outcome_to_json(member.outcome)) for member in state.population]
    place = (state.step, state.generation, state.slot, state.child)
    settings = replace(state.settings, generations=0)
    return step, fingerprint("state/2", settings, state.problem, state.seed, place, population)
