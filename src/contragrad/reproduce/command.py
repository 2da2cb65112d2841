"""`contragrad reproduce`: from a table's name to the table, over seeds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from contragrad.errors import UserError
from contragrad.files import write_text
from contragrad.progress import Progress
from contragrad.reproduce import drawings, provenance, table
from contragrad.reproduce.definition import names, read
from contragrad.reproduce.experiment import Setup
from contragrad.reproduce.figures import measured

FIGURES = ("figure3", "figure4")


def choices() -> list[str]:
    """What can be reproduced, one by one."""
    return [*names(), *FIGURES]


def reproduce(what: str, setup: Setup, seeds: Sequence[int], console: Console, progress: Progress) -> None:
    """Makes a table or figure, or `all`, prints it, and writes it below the setup's folder.

    A table that is there, of the same definition and settings, is printed and not made again; whatever a
    killed run has trained is found again.

    Raises:
        UserError: for an unknown name, or for whatever in the settings or the data is wrong.
    """
    wanted = choices() if what == "all" else [what]
    if unknown := set(wanted) - set(choices()):
        raise UserError(
            f"the paper has no {min(unknown)} here", where="reproduce", remedy=f"all, {', '.join(choices())}"
        )
    for name in wanted:
        folder = setup.base / name
        progress.stage(f"{name}, scale {setup.scale}, seeds {', '.join(map(str, seeds))}")
        if name in FIGURES:
            _figure(name, replace(setup, seed=seeds[0]), folder, console, progress)
        else:
            _table(name, [replace(setup, seed=seed) for seed in seeds], folder, console, progress)


def _table(name: str, setups: list[Setup], folder: Path, console: Console, progress: Progress) -> None:
    definition, path = read(name), folder / "table.json"
    there = table.read(path)
    of = provenance.grounds(definition, setups)
    identity = provenance.identity(definition, of)
    if there is None or there.get("identity") != identity:
        found = [measured(definition, setup, progress) for setup in setups]
        there = table.content(definition, of, found, identity=identity)
        folder.mkdir(parents=True, exist_ok=True)
        table.write(there, path)
        write_text(folder / "table.txt", table.printed(there))
    console.print(table.as_text(there))
    console.print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)


def _figure(name: str, setup: Setup, folder: Path, console: Console, progress: Progress) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if name == "figure3":
        content = drawings.figure3(setup, folder, progress)
        for network, distance in content["measured"].items():
            console.print(
                f"total pixel distance of {network} from the reference: published "
                f"{content['published'][network]:.3f}, measured {distance:.3f}",
                highlight=False,
            )
        paths = [folder / "figure3.png"]
    else:
        paths = drawings.figure4(setup, folder, progress)
    for path in paths:
        console.print(f"written: {path}", markup=False, highlight=False, soft_wrap=True)
