"""Of a search, what evaluations share is made only if one of them is not known."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from contragrad.engine.executors import Executor, InProcess
from contragrad.engine.memo import DictMemo
from contragrad.engine.study import Told
from contragrad.engine.work import Work
from contragrad.errors import UserError
from contragrad.evolution.search import State
from contragrad.evolution.shapes import Problem
from contragrad.jobs.run import evolve_unknown
from contragrad.run_folder.workspace import Workspace
from contragrad.settings import config_file
from contragrad.watch.events import Event, Said

WORDS = ("population=3", "generations=2", "children=1")
CONFIG = config_file.read(None, [f"--search.{word}" for word in WORDS])
EVOLUTION = Workspace(folder=Path(), config=CONFIG, data="data", problem=Problem(1, 8, 8, 4), weights=None)
RANDOM = replace(EVOLUTION, config=replace(CONFIG, search=replace(CONFIG.search, variation="random")))
EVALUATIONS = 3 + 2 * 3 * 1


@pytest.fixture
def executor() -> Iterator[Executor]:
    with closing(InProcess(Work("performers:toys", None))) as toys:
        yield toys


def searched(
    workspace: Workspace, memo: DictMemo, executor: Executor
) -> tuple[State, list[int], list[Event]]:
    """Where it ends, how much was told whenever the shared things were made, and what was told."""
    told: list[Event] = []
    made: list[int] = []

    def make() -> None:
        made.append(sum(isinstance(event, Told) for event in told))

    return evolve_unknown(workspace, memo, executor, told.append, make), made, told


def test_it_is_made_once_before_the_first_evaluation_and_not_for_what_is_known(executor: Executor) -> None:
    memo = DictMemo()
    first, made, told = searched(EVOLUTION, memo, executor)
    assert made == [0]
    assert len([event for event in told if isinstance(event, Told)]) == EVALUATIONS
    again, made, told = searched(EVOLUTION, memo, executor)
    assert again == first
    assert made == []
    assert told == [Said(f"evolving: {EVALUATIONS} of {EVALUATIONS} evaluations known")]


def test_a_random_search_beside_an_evolution_that_is_known_is_not_known_itself(executor: Executor) -> None:
    memo = DictMemo()
    searched(EVOLUTION, memo, executor)
    _, made, told = searched(RANDOM, memo, executor)
    assert made == [0]
    assert told[0] == Said(f"random search: 3 of {EVALUATIONS} evaluations known")
    assert searched(RANDOM, memo, executor)[1] == searched(EVOLUTION, memo, executor)[1] == []


def test_a_search_that_lacks_one_evaluation_makes_what_it_shares(executor: Executor) -> None:
    memo = DictMemo()
    whole, _, told = searched(EVOLUTION, memo, executor)
    last = [event for event in told if isinstance(event, Told)][-1]
    del memo._records[EVOLUTION.evaluation_name(last.trial)]
    again, made, _ = searched(EVOLUTION, memo, executor)
    assert (again, made) == (whole, [0])


def test_a_known_search_is_still_held_to_where_it_stood(executor: Executor) -> None:
    memo = DictMemo()
    searched(EVOLUTION, memo, executor)
    memo.set_meta("state 5", "another")
    with pytest.raises(UserError, match="at step 5 the search does not stand where it stood"):
        searched(EVOLUTION, memo, executor)
