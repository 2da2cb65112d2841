"""`contragrad reproduce`: from a table's name to the table, over seeds."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from contragrad.errors import UserError
from contragrad.extras import require
from contragrad.files import named, write_text
from contragrad.jobs.recipes import RECIPES
from contragrad.legible import legible
from contragrad.reproduce import figure3, figure4, grounds, protocols, table
from contragrad.reproduce.attackable import require_attackable
from contragrad.reproduce.definition import Definition
from contragrad.reproduce.definition_file import read, read_own
from contragrad.reproduce.experiment import Setup
from contragrad.reproduce.figure3 import FIGURE3
from contragrad.reproduce.figure4 import FIGURE4
from contragrad.reproduce.figures import measured
from contragrad.reproduce.grounds import Ground
from contragrad.reproduce.provenance import Content, said_of_protocol
from contragrad.reproduce.text import as_text, in_a_file, printed
from contragrad.settings.choices import Scale
from contragrad.studies import shipped
from contragrad.watch.events import Idle, Said, Stage, Watcher

RECIPES_TABLE = "recipes"
"""Not the paper's, and no part of `all`."""

EXTRAS = {FIGURE3.name: ("captum", "matplotlib"), FIGURE4.name: ("matplotlib",)}
"""What a figure needs that contragrad does without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A table or figure to make.

    Args:
        definition: what it shows; figures have no columns.
        setups: a study for each seed.
        grounds: their names and data.
        identity: what it is known by.
        path: the file that is written last, and says that it is there.
        there: what it holds already, if that is the same.
    """

    definition: Definition
    setups: tuple[Setup, ...]
    grounds: tuple[Ground, ...]
    identity: str
    path: Path
    there: Content | None


def reproduce(
    what: str,
    setup: Setup,
    seeds: Sequence[int],
    console: Console,
    watch: Watcher,
    *,
    beside: Setup | None = None,
) -> None:
    """Makes a table or figure, `all`, or the table of a definition file, prints and writes it.

    A table that is there, of the same definition, settings and data, is printed and not made again; whatever
    a killed run has trained is found again.

    Args:
        what: which.
        setup: how.
        seeds: a study for each.
        console: who is shown.
        watch: who is told.
        beside: the same by the paper's protocol, if it is to be made too; what it adds to a table's figures
            is printed, and written beside its table.

    Raises:
        UserError: for an unknown name, or for whatever in the settings, the data or the folder is wrong,
            before the first of them is begun.
    """
    wanted = _definitions(what, setup.scale)
    watch(Stage("reading the data"))
    setups = (setup,) if beside is None else (setup, beside)
    plans = [[plan(definition, each, seeds) for each in setups] for definition in wanted]
    for of_both in plans:
        made = []
        for each in of_both:
            watch(Stage(_title(each)))
            made.append(_make(each, console, watch))
        if beside is not None and of_both[0].definition.columns:
            _compare(made, of_both[-1], console)


def _definitions(what: str, scale: Scale) -> list[Definition]:
    if what.endswith(".yaml"):
        return [read_own(Path(what), shipped.choices())]
    shipped.require_known(what)
    wanted = [name for name in shipped.choices() if name != RECIPES_TABLE] if what == shipped.ALL else [what]
    figures = {FIGURE3.name: figure3.figure_of(scale), FIGURE4.name: FIGURE4}
    return [figures.get(name) or read(name) for name in wanted]


def plan(definition: Definition, setup: Setup, seeds: Sequence[int]) -> Plan:
    """What is to be made, after all that could refuse it.

    Raises:
        UserError: for whatever is wrong.
    """
    _require_installed(definition)
    setups = tuple(replace(setup, seed=seed) for seed in seeds)
    of = grounds.grounds(definition, setups)
    identity = grounds.identity(definition, of)
    folder = setup.base / definition.name / f"seeds-{'-'.join(map(str, seeds))}"
    path = folder / (f"{definition.name}.json" if definition.name in shipped.figures() else "table.json")
    there = table.read(path)
    if there is None or there.get("identity") != identity or not _all_there(definition, folder, there):
        for ground in of:
            if ground.setup == setups[0]:
                require_attackable(definition, ground)
        _require_writable(folder)
        there = None
    return Plan(definition=definition, setups=setups, grounds=of, identity=identity, path=path, there=there)


def _pictures(definition: Definition, content: Content) -> list[str]:
    """The files that belong to a figure, which a table has none of."""
    match definition.name:
        case FIGURE3.name:
            return [figure3.PICTURE]
        case FIGURE4.name:
            return figure4.files(content)
        case _:
            return []


def _all_there(definition: Definition, folder: Path, content: Content) -> bool:
    """Whether its pictures are there; a table's text is written anew from what it holds."""
    return all((folder / name).is_file() for name in _pictures(definition, content))


def _require_installed(definition: Definition) -> None:
    filters = {RECIPES[name].filter for name in definition.networks}
    needed = (*EXTRAS.get(definition.name, ()), *(("kornia",) if "bilateral" in filters else ()))
    require(needed, "paper", job=definition.name, where="reproduce")


def _require_writable(folder: Path) -> None:
    with named(folder, "the folder cannot be made"):
        above = next(each for each in (folder, *folder.parents) if each.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        what = "has no writing rights" if above.is_dir() else "is a file"
        raise UserError(
            f"the folder cannot be made: {above} {what}", where=str(folder), remedy="another --out"
        )


def _title(plan: Plan) -> str:
    setup = plan.setups[0]
    protocol = said_of_protocol(paper=setup.paper_protocol)
    seeds = ", ".join(str(each.seed) for each in plan.setups)
    return f"{plan.definition.name}, scale {setup.scale}{protocol}, seeds {seeds}"


def _make(plan: Plan, console: Console, watch: Watcher) -> Content:
    """What is shown."""
    figures = {FIGURE3.name: (_figure3, figure3.as_text), FIGURE4.name: (_figure4, figure4.as_text)}
    make, text_of = figures.get(plan.definition.name, (_table, as_text))
    if plan.there is None and plan.setups[0].scale != "smoke" and plan.definition.name in shipped.choices():
        watch(Said(f"how long it may take: {shipped.definition(plan.definition.name)}"))
    content = plan.there or make(plan, watch)
    watch(Idle())
    console.print(text_of(content))
    if plan.there is not None and plan.definition.columns:
        try:
            _keep_text(plan, printed(content))
        except UserError as error:  # to look at a table it need not be writable
            _say(f"its text was not renewed ({error.what})", plan.path.with_name("table.txt"), console)
    for picture in _pictures(plan.definition, content):
        _say("picture", plan.path.parent / picture, console)
    _say("written" if plan.there is None else "kept as it was", plan.path, console)
    return content


def _keep_text(plan: Plan, text: str) -> None:
    """Writes what is printed of a table beside it, unless it is there."""
    path = _folder(plan) / "table.txt"
    if not path.is_file() or path.read_bytes() != text.encode():
        write_text(path, text)


def _compare(tables: Sequence[Content], paper: Plan, console: Console) -> None:
    """Shows and writes what the paper's protocol adds to the figures of the first table."""
    found = protocols.difference(*tables)
    shown, path = protocols.as_text(found), paper.path.with_name("difference.json")
    write_text(path.with_suffix(".txt"), in_a_file(shown))
    table.write(found, path)
    console.print(shown)
    _say("written", path, console)


def _table(plan: Plan, watch: Watcher) -> Content:
    found = [measured(plan.definition, setup, watch) for setup in plan.setups]
    shown = table.content(plan.definition, plan.grounds, found, identity=plan.identity)
    _keep_text(plan, printed(shown))
    table.write(shown, plan.path)
    return shown


def _figure3(plan: Plan, watch: Watcher) -> Content:
    found = [figure3.maps_of(plan.definition, setup, watch) for setup in plan.setups]
    shown = figure3.content(plan.definition, plan.grounds, found, identity=plan.identity)
    figure3.picture(found[0], plan.setups[0].seed, _folder(plan) / figure3.PICTURE)
    table.write(shown, plan.path)
    return shown


def _figure4(plan: Plan, watch: Watcher) -> Content:
    drawn = figure4.architectures(plan.setups, watch)
    shown = figure4.content(plan.grounds, drawn, identity=plan.identity)
    figure4.pictures(drawn, plan.grounds[0].workspace.problem, _folder(plan))
    table.write(shown, plan.path)
    return shown


def _folder(plan: Plan) -> Path:
    """The folder, which is made once there is something to lie in it."""
    folder = plan.path.parent
    with named(folder, "the folder cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _say(what: str, path: Path, console: Console) -> None:
    console.print(legible(f"{what}: {path}"), markup=False, highlight=False, soft_wrap=True)
