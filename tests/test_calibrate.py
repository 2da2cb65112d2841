"""Which λ a data set wants: outcomes from the memo first, and what a person and a script read of them."""

import io
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from contragrad.cli import main
from contragrad.engine import study
from contragrad.engine.evaluations import remembered
from contragrad.engine.executors import Event, Finished, InProcess, Progressed
from contragrad.engine.memo import DictMemo, Record
from contragrad.engine.work import Work
from contragrad.errors import UserError
from contragrad.evolution.genome import parse
from contragrad.evolution.trial import Infeasible, Measured, Outcome, Stopped, Trial, outcome_to_json
from contragrad.fingerprint import fingerprint
from contragrad.jobs import entry
from contragrad.jobs.calibrate import Tried, as_json, as_table, calibrate
from contragrad.networks.objectives import OBJECTIVES
from contragrad.settings import config_file
from contragrad.settings.choices import Objective
from performers import toy
from strategies import outcomes


def key_of(trial: Trial) -> str:
    return fingerprint("test/1", repr(trial))


def trial(number: int) -> Trial:
    """The trial of a genome that is told by the number."""
    return Trial(parse(f"conv({number},3) fc(4)"), 2)


@dataclass
class Toys:
    """An executor without workers; the task that was begun last is done first."""

    slots: int = 2
    running: dict[str, Trial] = field(default_factory=dict)
    taken: list[Trial] = field(default_factory=list)

    def offer(self, key: str, task: object) -> bool:
        assert isinstance(task, Trial)
        assert key == key_of(task)
        if key in self.running or len(self.running) >= self.slots:
            return False
        self.running[key] = task
        self.taken.append(task)
        return True

    def wait(self) -> list[Event]:
        key, task = self.running.popitem()
        return [Progressed(key, {"epoch": 1.0}), Finished(key, outcome_to_json(toy(task)), 1.0)]

    def close(self) -> None:
        self.running.clear()


def remember(memo: DictMemo, task: Trial, outcome: Outcome) -> None:
    memo.put(
        Record(key=key_of(task), task="known", outcome=outcome_to_json(outcome), seconds=1.0, provenance={})
    )


# Outcomes that no search asks for.

NUMBERS = st.lists(st.integers(1, 8), max_size=8)


@given(NUMBERS, st.sets(st.integers(1, 8)), st.integers(1, 3))
def test_the_memo_is_asked_first_and_each_missing_trial_is_evaluated_once(
    numbers: list[int], known: set[int], slots: int
) -> None:
    memo, executor = DictMemo(), Toys(slots)
    for number in known:
        remember(memo, trial(number), Stopped(1, number / 10))
    seen: list[study.Event] = []
    trials = [trial(number) for number in numbers]
    found = study.outcomes(trials, memo=memo, executor=executor, key_of=key_of, on_event=seen.append)
    assert found == [Stopped(1, number / 10) if number in known else toy(trial(number)) for number in numbers]
    missing = [trial(number) for number in dict.fromkeys(numbers) if number not in known]
    assert executor.taken == missing
    finished = [event.key for event in seen if isinstance(event, Finished)]
    assert sorted(finished) == sorted(map(key_of, missing))
    # The second time nothing is left to do.
    idle = Toys(slots)
    assert study.outcomes(trials, memo=memo, executor=idle, key_of=key_of) == found
    assert not idle.taken


def test_what_is_evaluated_is_remembered_with_its_origin() -> None:
    memo = DictMemo()
    study.outcomes([trial(1)], memo=memo, executor=Toys(), key_of=key_of)
    record = memo.get(key_of(trial(1)))
    assert record is not None
    assert remembered(record) == toy(trial(1))
    assert record.task == f"{trial(1).genome} epochs=2 replicate=0"
    assert {"host", "torch", "contragrad", "finished"} <= set(record.provenance)


def test_no_trials_have_no_outcomes() -> None:
    assert study.outcomes([], memo=DictMemo(), executor=Toys(), key_of=key_of) == []


def test_what_was_evaluated_before_a_kill_is_kept() -> None:
    class KilledError(Exception):
        """The driver is gone."""

    def kill(event: study.Event) -> None:
        if isinstance(event, Finished):
            raise KilledError

    memo, trials = DictMemo(), [trial(1), trial(2), trial(3)]
    for left in (2, 1):
        with pytest.raises(KilledError):
            study.outcomes(trials, memo=memo, executor=Toys(), key_of=key_of, on_event=kill)
        assert sum(memo.get(key_of(each)) is None for each in trials) == left
    executor = Toys()
    study.outcomes(trials, memo=memo, executor=executor, key_of=key_of)
    assert len(executor.taken) == 1


def test_trials_go_through_the_executor_of_a_driver_without_workers() -> None:
    with closing(InProcess(Work("performers:toys", None))) as executor:
        found = study.outcomes([trial(1), trial(2)], memo=DictMemo(), executor=executor, key_of=key_of)
    assert found == [toy(trial(1)), toy(trial(2))]


def test_a_record_that_holds_no_outcome_is_named() -> None:
    memo = DictMemo()
    memo.put(Record(key=key_of(trial(1)), task="one", outcome={"fitness": 1}, seconds=1.0, provenance={}))
    with pytest.raises(UserError, match="the evaluation of one was remembered wrongly"):
        study.outcomes([trial(1)], memo=memo, executor=Toys(), key_of=key_of)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_objective_without_a_penalty_has_no_weight_to_calibrate(
    objective: Objective, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BegunError(Exception):
        """It was not refused."""

    def begin(*where: object) -> None:
        raise BegunError

    monkeypatch.setattr(entry, "entered", begin)
    config = config_file.read(None, [f"--training.objective={objective}"])
    nobody: Any = None
    with pytest.raises(UserError if OBJECTIVES[objective].penalty is None else BegunError) as caught:
        calibrate(config, tmp_path / "run", [1.0], nobody)
    if isinstance(caught.value, UserError):
        assert caught.value.where == "training.objective"
        assert "gm" in caught.value.remedy
        assert objective not in caught.value.remedy.split(", ")


# What comes of a weight.


@pytest.mark.parametrize(
    ("found", "fitness"),
    [
        ((Measured(0.6, 0.4),), 0.4),
        ((Measured(0.6, 0.4), Measured(0.2, 0.9)), 0.3),
        ((Measured(0.6, 0.4), Infeasible("diverged")), 0.2),
        ((Measured(0.6, 0.4), Stopped(1, 0.3)), 0.2),
        ((Infeasible("diverged"),), 0.0),
    ],
)
def test_fitness_is_the_mean_and_what_cannot_be_measured_counts_nothing(
    found: tuple[Outcome, ...], fitness: float
) -> None:
    assert Tried(1.0, found).fitness == pytest.approx(fitness)


@given(st.lists(outcomes(), min_size=1, max_size=5))
def test_fitness_is_a_share(found: list[Outcome]) -> None:
    assert 0 <= Tried(1.0, tuple(found)).fitness <= 1


GOOD = Tried(2.0, (Measured(0.6, 0.4), Measured(0.5, 0.8)))
HALF = Tried(0.25, (Measured(0.9, 0.7), Infeasible("diverged: at once")))
NONE = Tried(40.0, (Infeasible("diverged: at once"), Infeasible("diverged: at once")))


def test_scripts_get_every_outcome() -> None:
    found = as_json([HALF, GOOD, NONE])
    assert json.loads(json.dumps(found)) == [
        {
            "gm_weight": 0.25,
            "fitness": pytest.approx(0.35),
            "outcomes": [
                {"clean_accuracy": 0.9, "adversarial_accuracy": 0.7},
                {"infeasible": "diverged: at once"},
            ],
        },
        {
            "gm_weight": 2.0,
            "fitness": pytest.approx(0.45),
            "outcomes": [
                {"clean_accuracy": 0.6, "adversarial_accuracy": 0.4},
                {"clean_accuracy": 0.5, "adversarial_accuracy": 0.8},
            ],
        },
        {"gm_weight": 40.0, "fitness": 0.0, "outcomes": [{"infeasible": "diverged: at once"}] * 2},
    ]
    assert as_json([]) == []


def lines(table: Table) -> list[list[str]]:
    """The cells of every line, the header's too."""
    file = io.StringIO()
    Console(file=file, width=100, no_color=True).print(table)
    rows = [line for line in file.getvalue().splitlines() if line.startswith(("┃", "│"))]
    return [[cell.strip() for cell in row.strip("┃│").replace("┃", "│").split("│")] for row in rows]


def test_people_get_the_means_of_what_could_be_measured() -> None:
    assert lines(as_table([HALF, GOOD, NONE])) == [
        ["λ", "fitness", "clean accuracy", "adversarial accuracy"],
        ["0.25", "35.0 %", "90.0 %", "70.0 %"],
        ["2", "45.0 %", "55.0 %", "60.0 %"],
        ["40", "0.0 %", "–", "–"],
    ]


@pytest.mark.parametrize(
    ("tried", "bold"),
    [((HALF, GOOD, NONE), 1), ((GOOD, HALF), 0), ((NONE,), 0), ((HALF, GOOD, Tried(3.0, GOOD.outcomes)), 1)],
)
def test_the_best_weight_is_bold_and_the_first_one_on_ties(tried: Sequence[Tried], bold: int) -> None:
    styles = [row.style for row in as_table(tried).rows]
    assert styles == ["bold" if place == bold else None for place in range(len(tried))]


TINY = """
device: cpu
workers: 1
data: {source: digits}
reference: {epochs: 1}
training: {objective: orthogonal, sources: [reference, surrogate]}
search:
  {population: 2, children: 1, generations: 1, minimum_distance: 1, epochs: 1, channels: [8], hidden: 16,
   initial_blocks_max: 4, limits: {flops: 300000}}
"""


def test_surrogates_are_trained_with_every_weight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.yaml").write_text(TINY)
    words = ["--config", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "run"), "--json"]
    assert main(["calibrate", *words, "--weights", "0.25", "4"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["gm_weight"] for entry in found] == [0.25, 4.0]
    assert all("measured" in str(entry["outcomes"][0]) or entry["fitness"] > 0 for entry in found)
