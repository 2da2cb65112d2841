"""Networks of a table that are really trained: what one costs the others whose source diverged."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from contragrad.data.dataset import Dataset, Examples
from contragrad.engine.executors import Finished
from contragrad.engine.memo import DictMemo
from contragrad.errors import UserError
from contragrad.evaluate import Share
from contragrad.evolution.genome import parse as genome
from contragrad.evolution.search import Member
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Measured as Outcome
from contragrad.evolution.trial import Trial
from contragrad.jobs.recipes import RECIPES, Found
from contragrad.jobs.tasks import against, prepare
from contragrad.reproduce import answers
from contragrad.reproduce.asking import Asking
from contragrad.reproduce.definition_file import parse
from contragrad.reproduce.experiment import Place
from contragrad.reproduce.figures import _of_data
from contragrad.reproduce.questions import CLEAN, Questions
from contragrad.run_folder.contents import load_reference, load_splits, store_splits, untrained_reference
from contragrad.run_folder.workspace import Workspace
from contragrad.settings import config_file
from contragrad.watch.events import nobody

TABLE = parse(
    "own",
    """
title: two rows that are trained against others than the reference, and one that is not
experiment: reduced-data
columns: {clean: , attacked: {source: reference}}
networks: {"reference+orthogonal, several": , reference+GM: , "reference+fixed-adversarial, several": }
""",
)
FOUND = Found([Member(Trial(genome("conv(4,3) fc(8)"), 1), Outcome(0.5, 0.5))])


@dataclass
class Here:
    """An executor that does everything at once, in this process."""

    perform: Callable[..., Any]
    slots: int = 1
    taken: list[str] = field(default_factory=list)
    done: list[Finished] = field(default_factory=list)

    def offer(self, key: str, task: Any) -> bool:
        self.taken.append(task.name)
        self.done.append(Finished(key, self.perform(task, lambda message: None), 0.0))
        return True

    def wait(self) -> list[Finished]:
        done, self.done = self.done, []
        return done

    def close(self) -> None:
        pass


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A study of small images with an untrained reference."""
    images = torch.randint(
        0, 256, (60, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    labels = torch.arange(60) % 4
    data = Dataset(Examples(images[:40], labels[:40]), Examples(images[40:], labels[40:]), 4, "x")
    words = ("reference.epochs=1", "attack.steps=1", "refine.epochs=1", "refine.networks=1", "device=cpu")
    config = config_file.read(None, [f"--{word}" for word in words])
    there = Workspace(folder=tmp_path, config=config, data="data", problem=Problem(1, 8, 8, 4), weights=None)
    splits = store_splits(there, data)
    weights = dict(untrained_reference(there, splits).state_dict())
    there.artefacts.save("network", there.reference_name, weights)
    executor: Any = Here(prepare(there))
    return Place(
        workspace=there,
        splits=load_splits(there),
        memo=DictMemo(),
        executor=executor,
        reference=lambda: load_reference(there, load_splits(there)),
    )


def test_the_fitness_by_epoch_outlives_the_weights(place: Place) -> None:
    refine = replace(place.workspace.config.refine, epochs=9, keep="best", patience=2)
    config = replace(place.workspace.config, refine=refine)
    workspace = replace(place.workspace, config=config)
    executor: Any = Here(prepare(workspace))
    place = replace(place, workspace=workspace, executor=executor)
    found = _of_data(TABLE, list(TABLE.columns), place, FOUND, nobody)
    assert found.courses[None].keys() == TABLE.networks.keys()
    for course in found.courses[None].values():
        assert (course.planned, course.patience) == (10, 2)
        epochs, best = len(course.fitness), course.fitness.index(max(course.fitness))
        assert all(0 <= each <= 1 for each in course.fitness)
        assert epochs == 10 or epochs - best - 1 == 2
    for path in workspace.folder.glob("artefacts/*"):
        if path.name.startswith(("curve", "network")) and workspace.reference_name not in path.name:
            path.unlink()
    again = _of_data(TABLE, list(TABLE.columns), place, FOUND, nobody)
    assert again == found
    assert len(executor.taken) == len(TABLE.networks)


@pytest.mark.parametrize(
    "stored", [None, [], "0.5", [None], ["0.5"], [True], [2], [1.5], [-0.5], [0.5, None], [10**400]], ids=str
)
def test_a_fitness_that_was_remembered_wrongly_is_named(stored: Any) -> None:
    memo = DictMemo()
    answers.remember_fitness(memo, "a", [0.25, 0.5], what="NE+GM 1")
    assert answers.recall_fitness(memo, "a") == (0.25, 0.5)
    assert answers.recall_fitness(memo, "b") is None
    ((key, record),) = memo._records.items()
    memo._records[key] = replace(record, outcome={"fitness": stored})
    with pytest.raises(UserError, match=r"the training of NE\+GM 1 was remembered wrongly"):
        answers.recall_fitness(memo, "a")


def test_a_source_that_diverged_costs_the_rows_alone_that_are_trained_against_it(place: Place) -> None:
    task = RECIPES["reference+orthogonal, several"].training("any", place.workspace.config, FOUND)
    assert task is not None
    name = against(task, place.workspace).source_names()[1]
    reason = torch.tensor(list(b"diverged: early"), dtype=torch.uint8)
    place.workspace.artefacts.save("diverged", name, {"reason": reason})
    found = _of_data(TABLE, list(TABLE.columns), place, FOUND, nobody)
    for row in ("reference+orthogonal, several", "reference+fixed-adversarial, several"):
        gap = f"the training of {row} was not begun: the training of another-seed diverged: early"
        assert found.figures[row] == {"clean": gap, "attacked": gap}
    assert all(isinstance(share, Share) for share in found.figures["reference+GM"].values())
    executor: Any = place.executor
    assert executor.taken == ["reference+GM"]
    # Nor is it begun again.
    again = Questions(TABLE, TABLE.columns, place.workspace, place.memo, FOUND)
    Asking(again, place, nobody).ask()
    assert executor.taken == ["reference+GM"]
    assert len(again.right("reference+GM", CLEAN)) == 20
