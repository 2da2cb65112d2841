"""`contragrad reproduce`: from a table's name to the table, over seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rich.console import Console

from contragrad.errors import UserError
from contragrad.files import write_text
from contragrad.legible import legible
from contragrad.reproduce import figure3, protocols, table
from contragrad.reproduce.definition import Definition, Experiment
from contragrad.reproduce.definition_file import read, read_own
from contragrad.reproduce.figure3 import FIGURE3
from contragrad.reproduce.figure4 import FIGURE4
from contragrad.reproduce.planning import planned
from contragrad.reproduce.products import Plan, keep_text, product_of
from contragrad.reproduce.provenance import Content
from contragrad.reproduce.remarks import said_of_protocol
from contragrad.reproduce.setups import Setup
from contragrad.reproduce.text import in_a_file
from contragrad.settings.choices import Scale
from contragrad.studies import shipped
from contragrad.watch.events import Idle, Said, Stage, Watcher

RECIPES_TABLE = "recipes"
"""Not the paper's, and no part of `all`."""


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
    plans = [[planned(definition, each, seeds) for each in setups] for definition in wanted]
    for of_both in plans:
        made = []
        for each in of_both:
            watch(Stage(_title(each)))
            made.append(_make(each, console, watch))
        if beside is not None and of_both[0].definition.columns:
            _compare(made, of_both[-1], console)


def _definitions(what: str, scale: Scale) -> list[Definition]:
    if what.endswith(".yaml"):
        # Studies lie in the same place, by their experiment.
        return [read_own(Path(what), (*shipped.choices(), *get_args(Experiment)))]
    shipped.require_known(what)
    wanted = [name for name in shipped.choices() if name != RECIPES_TABLE] if what == shipped.ALL else [what]
    figures = {FIGURE3.name: figure3.figure_of(scale), FIGURE4.name: FIGURE4}
    return [figures.get(name) or read(name) for name in wanted]


def _title(plan: Plan) -> str:
    setup = plan.setups[0]
    protocol = said_of_protocol(paper=setup.paper_protocol)
    seeds = ", ".join(str(each.seed) for each in plan.setups)
    return f"{plan.definition.name}, scale {setup.scale}{protocol}, seeds {seeds}"


def _make(plan: Plan, console: Console, watch: Watcher) -> Content:
    """What is shown."""
    product = product_of(plan.definition)
    if plan.there is None and plan.setups[0].scale != "smoke" and plan.definition.name in shipped.choices():
        watch(Said(f"how long it may take: {shipped.definition(plan.definition.name)}"))
    content = plan.there or product.make(plan, watch)
    watch(Idle())
    console.print(product.text_of(content))
    if plan.there is not None:
        try:
            keep_text(plan, content)
        except UserError as error:  # to look at it, its folder need not be writable
            _say(f"its text was not renewed ({error.what})", plan.path.with_suffix(".txt"), console)
    for picture in product.pictures(content):
        _say("picture", plan.path.parent / picture, console)
    written = "written, in the place of one of other settings or data" if plan.replaces else "written"
    _say(written if plan.there is None else "kept as it was", plan.path, console)
    return content


def _compare(tables: Sequence[Content], paper: Plan, console: Console) -> None:
    """Shows and writes what the paper's protocol adds to the figures of the first table."""
    found = protocols.difference(*tables)
    shown, path = protocols.as_text(found), paper.path.with_name("difference.json")
    write_text(path.with_suffix(".txt"), in_a_file(shown))
    table.write(found, path)
    console.print(shown)
    _say("written", path, console)


def _say(what: str, path: Path, console: Console) -> None:
    console.print(legible(f"{what}: {path}"), markup=False, highlight=False, soft_wrap=True)
