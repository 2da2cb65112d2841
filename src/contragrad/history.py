"""A study's history, told again from its memo."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from contragrad import config_file
from contragrad.config import StudyConfig
from contragrad.engine import study
from contragrad.engine.memo import Memo, SqliteMemo
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.search import State
from contragrad.evolution.shapes import Problem
from contragrad.workspace import CONFIGURATION, DATABASE, Workspace

PROBLEM = "problem"
DATA = "data"
WEIGHTS = "weights"


def note_origin(memo: Memo, workspace: Workspace) -> None:
    """Notes in the memo what its evaluations are named by beside the settings, or checks it.

    Raises:
        UserError: if the data or the reference's weights are not those that the study began with.
    """
    config = workspace.config
    origin = {
        DATA: (workspace.data, f"data.source {config.data.source}, data.path {config.data.path}"),
        WEIGHTS: (workspace.weights or "", f"reference.weights {config.reference.weights}"),
        PROBLEM: (json.dumps(asdict(workspace.problem)), "data"),
    }
    for key, (found, where) in origin.items():
        stored = memo.get_meta(key)
        if stored is None:
            memo.set_meta(key, found)
        elif stored != found:
            raise UserError(
                f"the {key} are not those that this study began with",
                where=where,
                remedy="the original files, or a new run folder",
            )


@dataclass(frozen=True, slots=True)
class History:
    """A study as far as it has come; the state is None if it has not begun to search."""

    config: StudyConfig
    told: tuple[study.Told, ...] = ()
    state: State | None = None


def stored_path(folder: Path) -> Path:
    """The study file of a run folder.

    Raises:
        UserError: if the folder holds no study.
    """
    path = folder / CONFIGURATION
    if not path.is_file():
        raise UserError(
            "there is no study in this folder", where=str(folder), remedy="a folder made by evolve"
        )
    return path


def stored_config(folder: Path) -> StudyConfig:
    """The settings of a run folder.

    Raises:
        UserError: if the folder holds no study.
    """
    return config_file.read(stored_path(folder))


def load(folder: Path) -> History:
    """The study's history; needs neither its data nor its artefacts, and writes nothing.

    Raises:
        UserError: if the folder holds no study.
    """
    config = stored_config(folder)
    path = folder / DATABASE
    if not path.is_file():
        return History(config)
    with SqliteMemo(path, read_only=True) as memo:
        data, problem = memo.get_meta(DATA), memo.get_meta(PROBLEM)
        if data is None or problem is None:
            return History(config)
        workspace = Workspace(
            folder=folder,
            config=config,
            data=data,
            problem=Problem(**json.loads(problem)),
            weights=memo.get_meta(WEIGHTS) or None,
        )
        return _told(memo, workspace)


def _told(memo: Memo, workspace: Workspace) -> History:
    config = workspace.config
    state = search.start(config.search, workspace.problem, config.seed)
    told: list[study.Told] = []
    while not state.finished:
        trial = search.ask(state)
        record = memo.get(workspace.evaluation_name(trial))
        if record is None:
            break
        outcome = study.remembered(record)
        after = search.tell(state, trial, outcome)
        told.append(study.Told(trial, outcome, state, after))
        state = after
    return History(config, tuple(told), state)


def placement(event: study.Told) -> str:
    """What an outcome did to the population."""
    before, after = event.before.population, event.after.population
    if event.before.generation == 0:
        return f"initial candidate {len(after)}"
    changed = [slot for slot, pair in enumerate(zip(before, after, strict=True), 1) if pair[0] is not pair[1]]
    where = f"generation {event.before.generation}, candidate {event.before.slot + 1}"
    return f"{where}: replaces candidate {changed[0]}" if changed else f"{where}: rejected"
