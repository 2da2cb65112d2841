"""What is to be made, after all that could refuse it: studies, packages, attacks and folders."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from contragrad.engine.memo import SqliteMemo
from contragrad.errors import UserError
from contragrad.extras import require
from contragrad.files import named
from contragrad.jobs import entry
from contragrad.jobs.recipes import RECIPES
from contragrad.reproduce import grounds, table
from contragrad.reproduce.attackable import require_attackable
from contragrad.reproduce.definition import Definition
from contragrad.reproduce.products import Plan, product_of
from contragrad.reproduce.provenance import Content
from contragrad.reproduce.setups import Setup
from contragrad.run_folder.notes import require_origin
from contragrad.run_folder.workspace import DATABASE, Workspace


def planned(definition: Definition, setup: Setup, seeds: Sequence[int]) -> Plan:
    """What is to be made, after all that could refuse it.

    Raises:
        UserError: for whatever is wrong.
    """
    _require_installed(definition)
    setups = tuple(replace(setup, seed=seed) for seed in seeds)
    of = grounds.grounds(definition, setups)
    identity = grounds.identity(definition, of)
    folder = setup.base / definition.name / f"seeds-{'-'.join(map(str, seeds))}"
    path = folder / product_of(definition).file
    there = found = table.read(path)
    if there is None or there.get("identity") != identity or not _all_there(definition, folder, there):
        for ground in of:
            _require_own_study(ground.workspace)
            if ground.setup == setups[0]:
                require_attackable(definition, ground)
        _require_writable(path)
        there = None
    return Plan(
        definition=definition,
        setups=setups,
        grounds=of,
        identity=identity,
        path=path,
        there=there,
        replaces=found is not None and found.get("identity") != identity,
    )


def _require_own_study(workspace: Workspace) -> None:
    """Refuses a run folder that is there and is another study's, by what it has noted."""
    if workspace.folder.exists():
        entry.require_continuable(workspace.config, workspace.folder)
        if os.path.lexists(path := workspace.folder / DATABASE):
            with SqliteMemo(path, read_only=True) as memo:
                require_origin(memo, workspace)


def _all_there(definition: Definition, folder: Path, content: Content) -> bool:
    """Whether its pictures are there; a table's text is written anew from what it holds."""
    return all((folder / name).is_file() for name in product_of(definition).pictures(content))


def _require_installed(definition: Definition) -> None:
    filters = {RECIPES[name].filter for name in definition.networks}
    needed = (*product_of(definition).extras, *(("kornia",) if "bilateral" in filters else ()))
    require(needed, "paper", job=definition.name, where="reproduce")


def _require_writable(path: Path) -> None:
    folder = path.parent
    with named(folder, "the folder cannot be made"):
        # A link that leads nowhere is there too, and in the way.
        above = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if path.is_dir():
        raise UserError("a folder is in the file's place", where=str(path), remedy="another --out")
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        what = "has no writing rights" if above.is_dir() else "is no folder"
        raise UserError(
            f"the folder cannot be made: {above} {what}", where=str(folder), remedy="another --out"
        )
