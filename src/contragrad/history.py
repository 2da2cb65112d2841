"""A study's history, told again from its memo."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from contragrad import config_file
from contragrad.config import StudyConfig
from contragrad.engine import study
from contragrad.engine.memo import Memo, SqliteMemo
from contragrad.errors import UserError
from contragrad.evaluate import Row
from contragrad.evolution import search
from contragrad.evolution.search import State
from contragrad.evolution.shapes import Problem
from contragrad.fingerprint import fingerprint
from contragrad.workspace import CONFIGURATION, DATABASE, Workspace

PROBLEM = "problem"
DATA = "data"
WEIGHTS = "weights"
SEEN = "test images seen"

LOOKS = (
    "the test images were measured {} times, for different networks: choices made after the first table may "
    "have been made by it"
)


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


def note_look(memo: Memo, rows: Sequence[Row]) -> int:
    """Notes that these networks were measured on the test images; how many sets of networks were, so far.

    A study that is lengthened after its table was seen has looked at the test images more than once.
    """
    seen = _looks(memo)
    found = fingerprint("look/1", [asdict(row) for row in rows])
    if found not in seen:
        seen.append(found)
        memo.set_meta(SEEN, json.dumps(seen))
    return len(seen)


def _looks(memo: Memo) -> list[str]:
    found: list[str] = json.loads(memo.get_meta(SEEN) or "[]")
    return found


@dataclass(frozen=True, slots=True)
class History:
    """A study as far as it has come.

    Args:
        config: its settings.
        told: what the search has been told.
        state: where the search stands; None if it has not begun.
        looks: how many sets of networks were measured on the test images.
    """

    config: StudyConfig
    told: tuple[study.Told, ...] = ()
    state: State | None = None
    looks: int = 0


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
    return History(config, tuple(told), state, len(_looks(memo)))


def placement(event: study.Told) -> str:
    """What an outcome did to the population."""
    before, after = event.before.population, event.after.population
    if event.before.generation == 0:
        return f"initial candidate {len(after)}"
    changed = [slot for slot, pair in enumerate(zip(before, after, strict=True), 1) if pair[0] is not pair[1]]
    where = f"generation {event.before.generation}, candidate {event.before.slot + 1}"
    return f"{where}: replaces candidate {changed[0]}" if changed else f"{where}: rejected"
