"""A study's history, told again from its memo."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contragrad import __version__, config_file
from contragrad.config import StudyConfig
from contragrad.engine import study
from contragrad.engine.evaluations import remembered
from contragrad.engine.memo import WRITER, Memo, SqliteMemo
from contragrad.engine.shared import FROM
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.search import State
from contragrad.evolution.shapes import problem_from_json
from contragrad.fingerprint import Plain
from contragrad.outside import from_json
from contragrad.workspace import CONFIGURATION, DATABASE, Workspace

PROBLEM = "problem"
DATA = "data"
WEIGHTS = "weights"
SETTINGS = "settings"
SEEN = "networks measured on the test images"

LOOKS = (
    "the test images were measured {} times, for different networks: choices made after the first table may "
    "have been made by it"
)


CHANGEABLE = (
    "data.path",
    "data.download",
    "reference.weights",
    "device",
    "workers",
    "executor",
    "address",
    "worker_gpus",
    "memo",
    "search.generations",
    "refine.",
)
"""Where the files lie, where it runs, and how long; files are known by their content."""


def require_continuation(before: Mapping[str, Plain], config: StudyConfig) -> None:
    """Checks that a study goes on with the settings that it began with.

    Args:
        before: the settings it has, by dotted key; one that is not among them is new to contragrad.
        config: those it is to go on with.

    Raises:
        UserError: naming a setting that may not change, or fewer generations.
    """
    after = config_file.dotted(config)
    for key, value in after.items():
        if key in before and value != before[key] and not key.startswith(CHANGEABLE):
            raise UserError(
                f"a study that has begun keeps its settings: this one has {before[key]}, not {value}",
                where=key,
                remedy="a new run folder",
            )
    generations = before.get("search.generations", 0)
    if isinstance(generations, int) and config.search.generations < generations:
        raise UserError(
            f"this study has {generations} generations already",
            where="search.generations",
            remedy=f"{generations} or more",
        )


def _require_settings(memo: Memo, config: StudyConfig) -> None:
    """Checks the settings against those noted, which an edited study file does not change."""
    noted = _noted(memo, SETTINGS)
    if noted is None:
        return
    if not isinstance(noted, dict):
        raise _damaged(SETTINGS, "it is no mapping")
    require_continuation(noted, config)


def _noted(memo: Memo, key: str) -> Any:
    """The value of a note in JSON; None if there is none.

    Raises:
        UserError: if it is damaged.
    """
    text = memo.get_meta(key)
    try:
        return None if text is None else from_json(text)
    except ValueError as error:
        raise _damaged(key, str(error)) from error


def _damaged(key: str, why: str) -> UserError:
    return UserError(
        f"a note of the study is damaged: {why}",
        where=f"the note {key} in {DATABASE}",
        remedy="a backup of the database, or a new run folder",
    )


def note_origin(memo: Memo, workspace: Workspace) -> None:
    """Notes in the memo what its evaluations are named by, or checks it.

    Raises:
        UserError: if the settings, the data or the reference's weights are not those that the study began
            with.
    """
    config = workspace.config
    _require_settings(memo, config)
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
    memo.set_meta(WRITER, __version__)
    settings = config_file.dotted(config)
    memo.set_meta(
        SETTINGS, json.dumps({key: settings[key] for key in settings if not key.startswith(CHANGEABLE)})
    )


def note_look(memo: Memo, networks: Mapping[str, str]) -> int:
    """Notes that these networks were measured on the test images; how many sets of networks were, so far.

    The tables of one study show some of its networks each, which is one look. Another network under a name
    that was measured before is a second one: the study was lengthened after its table was seen.

    Args:
        memo: the study's.
        networks: what they are called in tables, and their fingerprints.
    """
    looks = _looks(memo)
    for look in looks:
        if all(look.get(name, network) == network for name, network in networks.items()):
            look |= networks
            break
    else:
        looks.append(dict(networks))
    memo.set_meta(SEEN, json.dumps(looks))
    return len(looks)


def _looks(memo: Memo) -> list[dict[str, str]]:
    found = _noted(memo, SEEN) or []
    if not isinstance(found, list) or not all(isinstance(look, dict) for look in found):
        raise _damaged(SEEN, "it is no list of mappings")
    return found


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
        inside = sorted(each.parent.name for each in folder.glob(f"*/{CONFIGURATION}"))
        remedy = f"one of the studies in it: {', '.join(inside)}" if inside else "a folder made by evolve"
        raise UserError("there is no study in this folder", where=str(folder), remedy=remedy)
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
        UserError: if the folder holds no study, or if its study file was edited.
    """
    config = stored_config(folder)
    path = folder / DATABASE
    if not path.is_file():
        return History(config)
    with SqliteMemo(path, read_only=True) as memo:
        workspace = _workspace(memo, folder, config)
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
            workspace = _workspace(memo, folder, config)
    if workspace is None:
        raise UserError("the study has not begun", where=str(folder), remedy=f"contragrad resume {folder}")
    return workspace


def _workspace(memo: Memo, folder: Path, config: StudyConfig) -> Workspace | None:
    _require_settings(memo, config)
    data, stored = memo.get_meta(DATA), _noted(memo, PROBLEM)
    if data is None or stored is None:
        return None
    try:
        problem = problem_from_json(stored)
    except ValueError as error:
        raise _damaged(PROBLEM, str(error)) from error
    return Workspace(
        folder=folder,
        config=config,
        data=data,
        problem=problem,
        weights=memo.get_meta(WEIGHTS) or None,
    )


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
    return History(config, tuple(told), state, len(_looks(memo)), elsewhere)


def placement(event: study.Told) -> str:
    """What an outcome did to the population."""
    before, after = event.before.population, event.after.population
    if event.before.generation == 0:
        return f"initial candidate {len(after)}"
    changed = [slot for slot, pair in enumerate(zip(before, after, strict=True), 1) if pair[0] is not pair[1]]
    where = f"generation {event.before.generation}, candidate {event.before.slot + 1}"
    return f"{where}: replaces candidate {changed[0]}" if changed else f"{where}: rejected"
