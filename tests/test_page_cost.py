"""What a search has cost, by the records of its database."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from contragrad.engine.memo import Record, SqliteMemo
from contragrad.evolution.search import ask
from contragrad.evolution.trial import Outcome, Stopped, outcome_to_json
from contragrad.fingerprint import Plain
from contragrad.page.cost import Tally, counted, read
from contragrad.run_folder import history
from contragrad.run_folder.workspace import DATABASE
from pages import CONFIG, TOTAL, studied

MACHINE = {"machine": "Linux", "python": "3.11", "torch": "2.14", "contragrad": "0.1.0"}


def record(key: str, outcome: dict[str, Plain], *, epochs: int = 10, ended: int = 10) -> Record:
    """An evaluation of two seconds that ended at so many seconds past noon."""
    return Record(
        key=key,
        task=f"conv(4,3) fc(4) epochs={epochs} replicate=0",
        outcome=outcome,
        seconds=2.0,
        provenance=MACHINE | {"finished": f"2026-11-26T12:00:{ended:02d}+00:00"},
    )


MEASURED: dict[str, Plain] = {"clean_accuracy": 0.5, "adversarial_accuracy": 0.25}


def test_records_are_counted_by_who_asked_for_them() -> None:
    records = [
        record("a", MEASURED, ended=10),
        record("b", {"stopped": 3, "reached": 0.1}, ended=11),
        record("c", {"infeasible": "diverged: NaN"}, ended=12),
        record("guess", MEASURED, epochs=7, ended=40),
        record("random", MEASURED, epochs=5, ended=20),
        # Other jobs' records are no evaluations.
        record("right", {"right": "ff", "images": 8}),
        replace(record("gap", {"infeasible": "diverged"}), task="NE+GM 1"),
    ]
    cost = counted(records, asked=["a", "b", "a", "c", "a"], compared={"a", "random"}, data="the data")
    assert cost.used == Tally(evaluations=3, epochs=13, seconds=6.0)
    assert cost.unused == Tally(evaluations=1, epochs=7, seconds=2.0)
    assert cost.compared == Tally(evaluations=1, epochs=5, seconds=2.0)
    assert cost.repeated == 2
    assert cost.spared == 7
    assert cost.first == datetime(2026, 11, 26, 12, 0, 8, tzinfo=UTC)
    assert cost.last == datetime(2026, 11, 26, 12, 0, 40, tzinfo=UTC)
    assert cost.environments == {("Linux", "3.11", "2.14", "0.1.0"): 5}


def test_a_study_is_counted_as_it_was_told(tmp_path: Path) -> None:
    told = studied(tmp_path)
    cost = read(tmp_path, told)
    names = {(event.trial, epochs(event.outcome, event.trial.epochs)) for event in told}
    assert len(told) == TOTAL
    assert cost.used.evaluations == len(names)
    assert cost.used.epochs == sum(trained for _, trained in names)
    assert cost.repeated == TOTAL - len(names)
    assert cost.unused == cost.compared == Tally()
    assert cost.data == "the data"


def epochs(outcome: Outcome, planned: int) -> int:
    stored = outcome_to_json(outcome)
    if isinstance(outcome, Stopped):
        return outcome.epoch
    return 0 if "infeasible" in stored else planned


def test_a_guess_that_was_wrong_and_random_search_stand_apart(tmp_path: Path) -> None:
    told = studied(tmp_path)
    workspace = history.stored_workspace(tmp_path)
    last = told[-1].trial
    randomly = replace(CONFIG, search=replace(CONFIG.search, variation="random"))
    with SqliteMemo(tmp_path / DATABASE) as memo:
        guess = replace(last, epochs=last.epochs + 1)
        memo.put(record(workspace.evaluation_name(guess), MEASURED, epochs=guess.epochs))
        # Random search has the initial candidates of the evolution, and then children of its own.
        state = history.retold(memo, replace(workspace, config=randomly)).state
        assert state is not None
        assert state.generation == 1
        drawn = ask(state)
        memo.put(record(workspace.evaluation_name(drawn), MEASURED, epochs=drawn.epochs))
    cost = read(tmp_path, told)
    assert cost.unused == Tally(evaluations=1, epochs=guess.epochs, seconds=2.0)
    assert cost.compared == Tally(evaluations=1, epochs=drawn.epochs, seconds=2.0)
