"""What a study's memo notes beside evaluations: what it began with, and who looked at the test images."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contragrad import __version__
from contragrad.engine.memo import WRITER, Memo
from contragrad.errors import UserError
from contragrad.evolution.shapes import problem_from_json
from contragrad.fingerprint import Plain
from contragrad.outside import from_json
from contragrad.run_folder.workspace import DATABASE, Workspace
from contragrad.settings import config_file
from contragrad.settings.config import StudyConfig

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

_ELSEWHERE = "a new run folder; of reproduce, another --out"


def require_continuation(before: Mapping[str, Plain], config: StudyConfig, folder: Path) -> None:
    """Checks that a study goes on with the settings that it began with.

    Args:
        before: the settings it has, by dotted key; one that is not among them is new to contragrad.
        config: those it is to go on with.
        folder: its run folder.

    Raises:
        UserError: naming a setting that may not change, or fewer generations.
    """
    after = config_file.dotted(config)
    for key, value in after.items():
        if key in before and value != before[key] and not key.startswith(CHANGEABLE):
            raise UserError(
                f"a study that has begun keeps its settings: this one has {before[key]}, not {value}",
                where=f"{key}, in {folder}",
                remedy=_ELSEWHERE,
            )
    generations = before.get("search.generations", 0)
    if isinstance(generations, int) and config.search.generations < generations:
        raise UserError(
            f"a study is not made shorter: this one has {generations} already",
            where=f"search.generations, in {folder}",
            remedy=f"{generations} or more, or {_ELSEWHERE}",
        )


def _require_settings(memo: Memo, config: StudyConfig, folder: Path) -> None:
    """Checks the settings against those noted, which an edited study file does not change."""
    noted = _noted(memo, SETTINGS)
    if noted is None:
        return
    if not isinstance(noted, dict):
        raise _damaged(SETTINGS, "it is no mapping")
    require_continuation(noted, config, folder)


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


def require_origin(memo: Memo, workspace: Workspace) -> None:
    """Checks what was noted of what a memo's evaluations are named by; writes nothing.

    Raises:
        UserError: if the settings, the data or the reference's weights are not those that the study began
            with.
    """
    _require_settings(memo, workspace.config, workspace.folder)
    for key, (found, where) in _origin(workspace).items():
        if memo.get_meta(key) not in (None, found):
            raise UserError(
                f"the {key} are not those that this study began with",
                where=f"{where}, in {workspace.folder}",
                remedy=f"the original files, or {_ELSEWHERE}",
            )


def _origin(workspace: Workspace) -> dict[str, tuple[str, str]]:
    """What is noted of data, weights and problem, and what in the settings says it."""
    config = workspace.config
    return {
        DATA: (workspace.data, f"data.source {config.data.source}, data.path {config.data.path}"),
        WEIGHTS: (workspace.weights or "", f"reference.weights {config.reference.weights}"),
        PROBLEM: (json.dumps(asdict(workspace.problem)), "data"),
    }


def note_origin(memo: Memo, workspace: Workspace) -> None:
    """Notes in the memo what its evaluations are named by, after `require_origin`.

    Raises:
        UserError: as it does.
    """
    require_origin(memo, workspace)
    for key, (found, _) in _origin(workspace).items():
        if memo.get_meta(key) is None:
            memo.set_meta(key, found)
    memo.set_meta(WRITER, __version__)
    settings = config_file.dotted(workspace.config)
    memo.set_meta(
        SETTINGS, json.dumps({key: settings[key] for key in settings if not key.startswith(CHANGEABLE)})
    )


def noted_workspace(memo: Memo, folder: Path, config: StudyConfig) -> Workspace | None:
    """The workspace of a run folder by what was noted; None if its study has not begun.

    Raises:
        UserError: if the settings are not those that the study began with, or a note is damaged.
    """
    _require_settings(memo, config, folder)
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


def note_look(memo: Memo, networks: Mapping[str, str]) -> int:
    """Notes that these networks were measured on the test images; how many sets of networks were, so far.

    The tables of one study show some of its networks each, which is one look. Another network under a name
    that was measured before is a second one: the study was lengthened after its table was seen.

    Args:
        memo: the study's.
        networks: what they are called in tables, and their fingerprints.
    """
    looks = looks_of(memo)
    for look in looks:
        if all(look.get(name, network) == network for name, network in networks.items()):
            look |= networks
            break
    else:
        looks.append(dict(networks))
    memo.set_meta(SEEN, json.dumps(looks))
    return len(looks)


def looks_of(memo: Memo) -> list[dict[str, str]]:
    """The sets of networks that were measured on the test images, by name.

    Raises:
        UserError: if the note is damaged.
    """
    found = _noted(memo, SEEN) or []
    if not isinstance(found, list) or not all(isinstance(look, dict) for look in found):
        raise _damaged(SEEN, "it is no list of mappings")
    return found
