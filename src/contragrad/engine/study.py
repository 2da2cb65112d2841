"""The loop: ask, look up or evaluate, tell. Stop it anywhere; run it again to resume."""

import platform
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version

from contragrad.engine.executors import Executor, Finished, Progressed
from contragrad.engine.memo import Memo, Record
from contragrad.engine.work import Result
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.lookahead import Ahead, play_ahead
from contragrad.evolution.search import State
from contragrad.evolution.trial import Outcome, Trial, outcome_from_json, outcome_to_json
from contragrad.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class Told:
    """The search has used a trial's outcome."""

    trial: Trial
    outcome: Outcome
    before: State
    after: State


Event = Told | Progressed | Finished


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
    resume with the same memo: outcomes are used in the order of the search, wherever they come from.

    Raises:
        UserError: if the memo's trajectory is not this search's.
    """
    # A lookahead asks for the same trials again and again.
    known: dict[Trial, Outcome | None] = {}

    def look_up(trial: Trial) -> Outcome | None:
        if trial not in known:
            record = memo.get(key_of(trial))
            known[trial] = None if record is None else remembered(record)
        return known[trial]

    running: dict[str, Trial] = {}
    ahead = Ahead(state)
    while not state.finished:
        trial = search.ask(state)
        outcome = look_up(trial)
        if outcome is not None:
            after = search.tell(state, trial, outcome)
            _guard(memo, after)
            on_event(Told(trial, outcome, state, after))
            state = after
            continue
        ahead = play_ahead(ahead, look_up, executor.slots)
        _offer(ahead.bars, running, executor, key_of)
        for event in executor.wait():
            if isinstance(event, Finished):
                if event.key not in running:
                    continue  # what another search has left running
                trial = running.pop(event.key)
                outcome = known[trial] = remembered(memo.put(_record(event, trial)))
                ahead = ahead.without(trial) if ahead.holds(trial, outcome) else Ahead(state)
            on_event(event)
    return state


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
    """The outcomes of trials that no search asks for, in their order; the memo's, as far as it has them."""
    keys = {key_of(trial): trial for trial in trials}
    known = {key: record for key in keys if (record := memo.get(key)) is not None}

    def note(event: Event) -> None:
        if isinstance(event, Finished):
            known[event.key] = memo.put(_record(event, keys[event.key]))
        on_event(event)

    missing = [(key, trial) for key, trial in keys.items() if key not in known]
    run_tasks(missing, executor=executor, on_event=note)
    return [remembered(known[key_of(trial)]) for trial in trials]


def run_tasks(
    tasks: Iterable[tuple[str, object]],
    *,
    executor: Executor,
    on_event: Callable[[Event], None] = lambda event: None,
) -> dict[str, Result]:
    """Every task's result by its key, performed as many at a time as the executor can."""
    waiting = list(tasks)
    missing = {key for key, _ in waiting}
    results: dict[str, Result] = {}
    while missing:
        # A key is missing no more if it came twice, or from a speculation that was still running.
        waiting = [(key, task) for key, task in waiting if key in missing and not executor.offer(key, task)]
        for event in executor.wait():
            # A search's speculation may still be running, and is nobody's any more.
            if event.key not in missing:
                continue
            if isinstance(event, Finished):
                results[event.key] = event.result
                missing.discard(event.key)
            on_event(event)
    return results


def remembered(record: Record) -> Outcome:
    """The outcome that a memo's record holds.

    Raises:
        UserError: if it holds none.
    """
    try:
        return outcome_from_json(record.outcome)
    except ValueError as error:
        raise UserError(
            f"the evaluation of {record.task} was remembered wrongly: {error}",
            where=f"{record.key} in the study's database",
            remedy="a backup of the database, or its row deleted: it is evaluated again",
        ) from error


@cache
def _origin() -> dict[str, str]:
    return {
        "host": socket.gethostname(),
        "machine": platform.platform(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "contragrad": version("contragrad"),
    }


def provenance() -> dict[str, str]:
    """Where and with what something is made that finishes now."""
    return _origin() | {"finished": datetime.now(UTC).isoformat(timespec="seconds")}


def _record(event: Finished, trial: Trial) -> Record:
    return Record(
        key=event.key,
        task=_task(trial),
        outcome=event.result,
        seconds=event.seconds,
        provenance=provenance(),
    )


def _task(trial: Trial) -> str:
    text = f"{trial.genome} epochs={trial.epochs} replicate={trial.replicate}"
    if any(rung.bar is not None for rung in trial.rungs):
        text += " bars=" + ",".join(f"{rung.epoch}:{rung.bar}" for rung in trial.rungs)
    return text


STEP = "state"


def _guard(memo: Memo, state: State) -> None:
    """Notes where the search stands; on a resume, checks that it comes by where it stood.

    The trajectory is not stored but told again from the memo, so a change of the search's code or
    settings would go unnoticed without it. The number of generations may grow: where the search stands does
    not depend on it.
    """
    variation = state.settings.variation
    # Random search may stand in the memo beside the evolution that it is compared with.
    step = f"{STEP} {state.step}" if variation == "mutation" else f"{STEP} {variation} {state.step}"
    stored = memo.get_meta(step)
    population = [(_task(member.trial), outcome_to_json(member.outcome)) for member in state.population]
    place = (state.step, state.generation, state.slot, state.child)
    settings = replace(state.settings, generations=0)
    found = fingerprint("state/2", settings, state.problem, state.seed, place, population)
    if stored is None:
        memo.set_meta(step, found)
    elif stored != found:
        raise UserError(
            f"at step {state.step} the search does not stand where it stood when the study was begun",
            where="study.yaml, or the version of contragrad",
            remedy="the settings and the version that the study was begun with, or a new run folder",
        )
