"""A study of which one network ends every worker that trains it: it ends, says so, and is told again."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import yaml

from contragrad.engine.executors import TRIES, Executor, Processes
from contragrad.engine.study import Told
from contragrad.engine.work import Work
from contragrad.evolution.trial import Abandoned
from contragrad.jobs import run, workers
from contragrad.run_folder import history
from contragrad.run_folder.workspace import Workspace
from contragrad.settings import config_file
from contragrad.watch.events import Event, Watcher, nobody
from contragrad.watch.jsonlines import as_json
from contragrad.watch.lines import line
from test_run import SMALL, call_here

REASON = f"{TRIES} workers died, the last by signal 11"
DEADLY = 2
"""Place of the trial among those of the search."""

SETTINGS = ("--workers=2", "--search.population=2", "--search.generations=1")

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """The driver is gone."""


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path


def evolved(study_file: Path, folder: Path, watch: Watcher = nobody) -> None:
    if folder.exists():
        run.resume(folder, (), watch)
    else:
        run.create(config_file.read(study_file, SETTINGS), folder, watch)


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers as a study has them, but for one network, which none of them survives."""

    @contextmanager
    def executor_of(workspace: Workspace) -> Iterator[Executor]:
        work = Work("performers:with_a_deadly_network", (workspace, DEADLY))
        with closing(Processes(work, workers=2, threads=1)) as executor:
            yield executor

    monkeypatch.setattr(workers, "executor_of", executor_of)


def test_a_network_that_ends_every_worker_is_given_up_and_the_study_is_not(
    study_file: Path, tmp_path: Path, deadly: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, seen = tmp_path / "whole", list[Event]()
    evolved(study_file, whole, seen.append)
    found = history.load(whole)
    assert found.state is not None
    assert found.state.finished
    assert [event.outcome == Abandoned(REASON) for event in found.told] == [
        place == DEADLY for place in range(1, 7)
    ]

    told = [event for event in seen if isinstance(event, Told)]
    genome = str(told[DEADLY - 1].trial.genome)
    assert (
        line(told[DEADLY - 1])
        == f"[2/6] given up: {REASON}; initial candidate 2; " + (line(told[DEADLY - 1]).rpartition("; ")[2])
    )
    said = as_json(told[DEADLY - 1])
    assert (said["genome"], said["outcome"]) == (genome, {"given_up": REASON})
    shown = call_here("show", whole)
    assert f"[2] initial candidate 2; given up: {REASON}" in shown.stdout.splitlines()
    assert json.loads(call_here("show", whole, "--json").stdout)["history"][DEADLY - 1]["genome"] == genome

    # Interrupted after that, and taken up by workers that would bear it: what was given up stays so.
    folder = tmp_path / "interrupted"

    def interrupt(event: Event) -> None:
        if isinstance(event, Told) and event.after.step == DEADLY + 1:
            raise Killed

    with pytest.raises(Killed):
        evolved(study_file, folder, interrupt)
    assert [event.outcome for event in history.load(folder).told][DEADLY - 1] == Abandoned(REASON)
    monkeypatch.undo()
    evolved(study_file, folder)
    assert history.load(folder).state == found.state
    assert (folder / "table.json").read_bytes() == (whole / "table.json").read_bytes()
