"""A study told again from its memo, what a memo says of its origin, and what an outcome did."""

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contragrad import __version__
from contragrad.engine import study
from contragrad.engine.executors import InProcess
from contragrad.engine.memo import WRITER, DictMemo, SqliteMemo
from contragrad.engine.study import Told
from contragrad.engine.work import Work
from contragrad.errors import UserError
from contragrad.evolution.search import State, ask, start, tell
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Infeasible, Measured, Outcome, Trial
from contragrad.run_folder.history import History, load, placement, stored_config, stored_workspace
from contragrad.run_folder.notes import note_look, note_origin
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE, Workspace
from contragrad.settings import config_file
from contragrad.settings.config import RefineSettings, StudyConfig
from strategies import CIFAR, small_settings

SEARCH = small_settings(population=3, children=2, generations=2)
CONFIG = StudyConfig(seed=5, search=SEARCH, refine=RefineSettings(networks=1))
TOTAL = 3 + 2 * 3 * 2
TOYS = Work("performers:toys", None)


def workspace(folder: Path, weights: str | None = None) -> Workspace:
    return Workspace(folder=folder, config=CONFIG, data="the data", problem=CIFAR, weights=weights)


class StoppedError(Exception):
    """Stands for a kill."""


def studied(there: Workspace, steps: int = TOTAL) -> list[Told]:
    """Begins a study in the folder and leaves it after so many evaluations; what it was told."""
    config_file.write(there.config, there.folder / CONFIGURATION)
    told: list[Told] = []

    def on_event(event: study.Event) -> None:
        if isinstance(event, Told):
            told.append(event)
            if len(told) == steps < TOTAL:
                raise StoppedError

    state = start(there.config.search, there.problem, there.config.seed)
    with closing(InProcess(TOYS)) as executor, SqliteMemo(there.folder / DATABASE) as memo:
        note_origin(memo, there)
        with suppress(StoppedError):
            study.run(state, memo=memo, executor=executor, key_of=there.evaluation_name, on_event=on_event)
    return told


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("weights", [None, "some weights"])
def test_a_finished_study_is_told_again_as_it_was(weights: str | None, tmp_path: Path) -> None:
    told = studied(workspace(tmp_path, weights))
    before = bytes_of(tmp_path)
    found = load(tmp_path)
    assert found.config == CONFIG
    assert len(found.told) == TOTAL
    assert found.told == tuple(told)
    assert found.state == told[-1].after
    assert found.state.finished
    assert bytes_of(tmp_path) == before


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 9, TOTAL - 1])
def test_a_study_that_was_left_is_told_as_far_as_it_came(steps: int, tmp_path: Path) -> None:
    told = studied(workspace(tmp_path), steps)
    found = load(tmp_path)
    assert len(found.told) == steps
    assert found.told == tuple(told)
    assert found.state == told[-1].after
    assert not found.state.finished


def test_a_study_is_told_up_to_its_first_missing_evaluation(tmp_path: Path) -> None:
    there = workspace(tmp_path)
    told = studied(there)
    with closing(SqliteMemo(tmp_path / DATABASE)) as memo:
        memo._connection.execute(
            "delete from evaluation where key = ?", (there.evaluation_name(told[7].trial),)
        )
    names = [there.evaluation_name(event.trial) for event in told]
    missing = names.index(names[7])
    found = load(tmp_path)
    assert found.told == tuple(told[:missing])
    assert found.state == told[missing].before


def test_other_settings_than_the_study_began_with_are_named(tmp_path: Path) -> None:
    studied(workspace(tmp_path))
    other = replace(CONFIG, training=replace(CONFIG.training, gm_weight=2.0))
    config_file.write(other, tmp_path / CONFIGURATION)
    with pytest.raises(UserError, match=r"this one has 1\.0, not 2\.0") as caught:
        load(tmp_path)
    assert caught.value.where == f"training.gm_weight, in {tmp_path}"


def test_a_longer_study_is_told_as_far_as_it_has_come(tmp_path: Path) -> None:
    told = studied(workspace(tmp_path))
    longer = replace(CONFIG, search=replace(CONFIG.search, generations=CONFIG.search.generations + 1))
    config_file.write(longer, tmp_path / CONFIGURATION)
    found = load(tmp_path)
    assert [event.trial for event in found.told] == [event.trial for event in told]
    assert found.state is not None
    assert not found.state.finished


def test_a_study_that_has_not_begun_to_search_has_no_state(tmp_path: Path) -> None:
    config_file.write(CONFIG, tmp_path / CONFIGURATION)
    assert load(tmp_path) == History(CONFIG)
    assert not (tmp_path / DATABASE).exists()
    SqliteMemo(tmp_path / DATABASE).close()  # its origin is not noted yet
    assert load(tmp_path) == History(CONFIG)


def test_a_study_that_was_killed_before_its_database_had_tables_has_not_begun(tmp_path: Path) -> None:
    config_file.write(CONFIG, tmp_path / CONFIGURATION)
    (tmp_path / DATABASE).touch()
    assert load(tmp_path) == History(CONFIG)
    with pytest.raises(UserError, match="the study has not begun"):
        stored_workspace(tmp_path)
    assert (tmp_path / DATABASE).stat().st_size == 0
    with SqliteMemo(tmp_path / DATABASE, read_only=True) as memo:
        assert memo.records() == ()
        assert memo.get("anything") is None


def test_a_folder_without_a_study_is_named(tmp_path: Path) -> None:
    ways: tuple[Callable[[Path], object], ...] = (load, stored_config)
    for way in ways:
        with pytest.raises(UserError, match="no study") as caught:
            way(tmp_path)
        assert caught.value.where == str(tmp_path)
    assert not list(tmp_path.iterdir())


# What evaluations are named by beside the settings.


@pytest.mark.parametrize("weights", [None, "some weights"])
def test_an_origin_is_noted_and_the_same_one_is_taken(weights: str | None) -> None:
    memo, there = DictMemo(), workspace(Path("nowhere"), weights)
    note_origin(memo, there)
    noted = dict(memo._meta)
    assert noted[WRITER] == __version__
    note_origin(memo, there)
    note_origin(memo, replace(there, folder=Path("elsewhere"), config=replace(CONFIG, workers=3)))
    assert memo._meta == noted


CHANGES: dict[str, tuple[str | None, dict[str, Any], str]] = {
    "data": (None, {"data": "other data"}, "data.source"),
    "weights": ("some weights", {"weights": "other weights"}, "reference.weights"),
    "weights that are gone": ("some weights", {"weights": None}, "reference.weights"),
    "weights that were not": (None, {"weights": "some weights"}, "reference.weights"),
    "height": (None, {"problem": replace(CIFAR, height=31)}, "data"),
    "classes": (None, {"problem": replace(CIFAR, classes=11)}, "data"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_origin_is_refused_and_not_noted(change: str) -> None:
    weights, changes, where = CHANGES[change]
    memo, there = DictMemo(), workspace(Path("nowhere"), weights)
    note_origin(memo, there)
    noted = dict(memo._meta)
    with pytest.raises(UserError, match="not those that this study began with") as caught:
        note_origin(memo, replace(there, **changes))
    assert where in caught.value.where
    assert caught.value.remedy
    assert memo._meta == noted


def test_a_study_of_another_problem_is_told_by_the_problem_it_began_with(tmp_path: Path) -> None:
    there = replace(workspace(tmp_path), problem=Problem(1, 9, 7, 3))
    told = studied(there)
    assert load(tmp_path).told == tuple(told)
    assert told[0].before.problem == there.problem


# How often the test images were looked at.


def looks(*sets: dict[str, str]) -> list[int]:
    """How many looks there are after each of these sets of networks was measured."""
    memo = DictMemo()
    return [note_look(memo, networks) for networks in sets]


FOUR = {"reference+GM": "a", "NE+GM 1": "b", "NE+GM 2": "c"}


def test_the_tables_of_one_study_are_one_look() -> None:
    some, others = {"NE+GM 1": "b"}, {"reference+GM": "a", "free adversarial training": "d"}
    assert looks(FOUR, FOUR) == [1, 1]
    assert looks(some, FOUR, others, {}, some) == [1] * 5


def test_another_network_in_a_names_place_is_another_look() -> None:
    refined = FOUR | {"NE+GM 1": "longer"}
    assert looks(FOUR, refined, FOUR, refined) == [1, 2, 2, 2]
    assert looks(FOUR, refined, {"NE+GM 1": "longest"}) == [1, 2, 3]
    # What is measured later belongs to the look that it does not contradict.
    more = {"NE+GM 1": "longer", "fast adversarial training": "e"}
    assert looks(FOUR, refined, more, refined | more) == [1, 2, 2, 2]


def test_looks_are_kept_in_the_study_s_database(tmp_path: Path) -> None:
    there = workspace(tmp_path)
    studied(there)
    assert load(tmp_path).looks == 0
    for network, expected in (("b", 1), ("b", 1), ("longer", 2)):
        with closing(SqliteMemo(tmp_path / DATABASE)) as memo:
            assert note_look(memo, {"NE+GM 1": network}) == expected
        assert load(tmp_path).looks == expected


# What an outcome did to the population.


def state_of(*fitnesses: float) -> State:
    """The beginning of generation 1, the candidates having these fitnesses."""
    state = start(replace(SEARCH, population=len(fitnesses)), CIFAR, 0)
    for fitness in fitnesses:
        state = tell(state, ask(state), Measured(fitness, fitness))
    return state


def told(state: State, outcome: Outcome, trial: Trial | None = None) -> Told:
    trial = trial or ask(state)
    return Told(trial, outcome, state, tell(state, trial, outcome))


def test_initial_candidates_are_counted_from_1() -> None:
    state = start(replace(SEARCH, population=3), CIFAR, 0)
    texts = []
    while state.generation == 0:
        event = told(state, Infeasible("unlucky"))
        texts.append(placement(event))
        state = event.after
    assert texts == ["initial candidate 1", "initial candidate 2", "initial candidate 3"]


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_a_child_that_wins_replaces_the_candidate_closest_to_it(slot: int) -> None:
    state = state_of(0.5, 0.5, 0.5)
    trial = Trial(state.population[slot].trial.genome, epochs=20)  # none is closer than its equal
    event = told(state, Measured(1.0, 1.0), trial)
    assert placement(event) == f"generation 1, candidate 1: replaces candidate {slot + 1}"
    assert event.after.population[slot].outcome == Measured(1.0, 1.0)


@pytest.mark.parametrize("outcome", [Measured(0.5, 0.5), Measured(0.4, 1.0), Infeasible("unlucky")], ids=str)
def test_a_child_that_is_no_better_is_rejected(outcome: Outcome) -> None:
    assert placement(told(state_of(0.5, 0.5, 0.5), outcome)) == "generation 1, candidate 1: rejected"


def test_a_child_equal_to_what_it_replaces_has_replaced_it() -> None:
    state = state_of(0.5)
    member = state.population[0]
    event = told(state, Measured(1.0, 1.0), member.trial)
    assert placement(event) == "generation 1, candidate 1: replaces candidate 1"


def test_a_placement_names_whose_child_it_was_in_which_generation() -> None:
    state, places = state_of(0.5, 0.5), []
    while not state.finished:
        event = told(state, Infeasible("unlucky"))
        places.append(placement(event))
        state = event.after
    turns = [(generation, slot) for generation in (1, 2) for slot in (1, 1, 2, 2)]
    assert places == [f"generation {generation}, candidate {slot}: rejected" for generation, slot in turns]


def test_a_study_s_placements_are_of_every_kind(tmp_path: Path) -> None:
    texts = [placement(event) for event in studied(workspace(tmp_path))]
    assert texts[:3] == [f"initial candidate {number}" for number in (1, 2, 3)]
    assert any("replaces" in text for text in texts)
    assert any("rejected" in text for text in texts)
