"""A study's history, told again from its memo."""

from dataclasses import dataclass
from pathlib import Path

from contragrad.engine import study
from contragrad.engine.evaluations import remembered
from contragrad.engine.memo import Memo, SqliteMemo
from contragrad.engine.shared import FROM
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.search import State
from contragrad.run_folder.notes import looks_of, noted_workspace
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE, Workspace
from contragrad.settings import config_file
from contragrad.settings.config import StudyConfig

NAMED = 5
"""Studies in a folder that are named to somebody who took it for one."""


@dataclass(frozen=True, slots=True)
class History:
    """A study as far as it has come.

    Args:
        config: its settings.
        told: what the search has been told.
        state: where the search stands; None if it has not begun.
        looks: how many sets of networks were measured on the test images.
        elsewhere: how many of the evaluations other studies made.
    """

    config: StudyConfig
    told: tuple[study.Told, ...] = ()
    state: State | None = None
    looks: int = 0
    elsewhere: int = 0


def stored_path(folder: Path) -> Path:
    """The study file of a run folder.

    Raises:
        UserError: if the folder holds no study.
    """
    path = folder / CONFIGURATION
    if not path.is_file():
        inside = sorted((each.parent for each in folder.glob(f"*/{CONFIGURATION}")), key=_natural)
        more = f" and {len(inside) - NAMED} more" if len(inside) > NAMED else ""
        named = ", ".join(str(each) for each in inside[:NAMED])
        remedy = f"a study in it: {named}{more}" if inside else "a folder made by evolve"
        raise UserError("there is no study in this folder", where=str(folder), remedy=remedy)
    return path


def _natural(folder: Path) -> tuple[int, str]:
    """Orders round-2 before round-10."""
    number = folder.name.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() else 0, folder.name


def stored_config(folder: Path) -> StudyConfig:
    """The settings of a run folder.

    Raises:
        UserError: if the folder holds no study.
    """
    return config_file.read(stored_path(folder))


def load(folder: Path) -> History:
    """The study's history; needs neither its data nor its artefacts, and writes nothing.

    Raises:
        UserError: if the folder holds no study, or if its study file was edited.
    """
    config = stored_config(folder)
    path = folder / DATABASE
    if not path.is_file():
        return History(config)
    with SqliteMemo(path, read_only=True) as memo:
        workspace = noted_workspace(memo, folder, config)
        return History(config) if workspace is None else retold(memo, workspace)


def stored_workspace(folder: Path) -> Workspace:
    """The workspace of a run folder, by what its study has noted; its data need not be there.

    Raises:
        UserError: if the folder holds no study, one that has not begun, or one whose file was edited.
    """
    config = stored_config(folder)
    path = folder / DATABASE
    workspace = None
    if path.is_file():
        with SqliteMemo(path, read_only=True) as memo:
            workspace = noted_workspace(memo, folder, config)
    if workspace is None:
        raise UserError("the study has not begun", where=str(folder), remedy=f"contragrad resume {folder}")
    return workspace


def retold(memo: Memo, workspace: Workspace) -> History:
    """The search of the workspace's settings, as far as the memo has its outcomes."""
    config = workspace.config
    state = search.start(config.search, workspace.problem, config.seed)
    told: list[study.Told] = []
    elsewhere = 0
    while not state.finished:
        trial = search.ask(state)
        record = memo.get(workspace.evaluation_name(trial))
        if record is None:
            break
        elsewhere += FROM in record.provenance
        outcome = remembered(record)
        after = search.tell(state, trial, outcome)
        told.append(study.Told(trial, outcome, state, after))
        state = after
    return History(config, tuple(told), state, len(looks_of(memo)), elsewhere)


def placement(event: study.Told) -> str:
    """What an outcome did to the population."""
    before, after = event.before.population, event.after.population
    if event.before.generation == 0:
        return f"initial candidate {len(after)}"
    changed = [slot for slot, pair in enumerate(zip(before, after, strict=True), 1) if pair[0] is not pair[1]]
    where = f"generation {event.before.generation}, candidate {event.before.slot + 1}"
    return f"{where}: replaces candidate {changed[0]}" if changed else f"{where}: rejected"
