"""What a plan is made into, a table or one of the figures, and how each is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import RenderableType

from contragrad.files import named, write_text
from contragrad.reproduce import figure3, figure4, table
from contragrad.reproduce.definition import Definition
from contragrad.reproduce.figure3 import FIGURE3
from contragrad.reproduce.figure4 import FIGURE4
from contragrad.reproduce.figures import measured
from contragrad.reproduce.grounds import Ground
from contragrad.reproduce.provenance import Content
from contragrad.reproduce.setups import Setup
from contragrad.reproduce.text import as_text, in_a_file
from contragrad.watch.events import Watcher


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
        replaces: whether it holds something else, of other settings, data or rows.
    """

    definition: Definition
    setups: tuple[Setup, ...]
    grounds: tuple[Ground, ...]
    identity: str
    path: Path
    there: Content | None
    replaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What is made of plans.

    Args:
        file: its JSON.
        make: makes it and writes its files, that one last.
        text_of: what is printed of its JSON.
        pictures: the files that belong to it beside the JSON and the text.
        extras: packages that it takes beside contragrad's own.
    """

    file: str
    make: Callable[[Plan, Watcher], Content]
    text_of: Callable[[Content], RenderableType]
    pictures: Callable[[Content], list[str]] = lambda content: []
    extras: tuple[str, ...] = ()


def product_of(definition: Definition) -> Product:
    """A table, unless the definition is a figure's."""
    return _FIGURES.get(definition.name, _TABLE)


def keep_text(plan: Plan, content: Content) -> None:
    """Writes what is printed of it beside it, unless it is there."""
    text = in_a_file(product_of(plan.definition).text_of(content))
    path = _folder(plan) / plan.path.with_suffix(".txt").name
    if not path.is_file() or path.read_bytes() != text.encode():
        write_text(path, text)


def _table(plan: Plan, watch: Watcher) -> Content:
    found = [measured(plan.definition, setup, watch) for setup in plan.setups]
    shown = table.content(plan.definition, plan.grounds, found, identity=plan.identity)
    keep_text(plan, shown)
    table.write(shown, plan.path)
    return shown


def _figure3(plan: Plan, watch: Watcher) -> Content:
    found = [figure3.maps_of(plan.definition, setup, watch) for setup in plan.setups]
    shown = figure3.content(plan.definition, plan.grounds, found, identity=plan.identity)
    figure3.picture(found[0], plan.setups[0].seed, _folder(plan) / figure3.PICTURE)
    keep_text(plan, shown)
    table.write(shown, plan.path)
    return shown


def _figure4(plan: Plan, watch: Watcher) -> Content:
    drawn = figure4.architectures(plan.setups, watch)
    shown = figure4.content(plan.grounds, drawn, identity=plan.identity)
    figure4.pictures(drawn, plan.grounds[0].workspace.problem, _folder(plan))
    keep_text(plan, shown)
    table.write(shown, plan.path)
    return shown


def _folder(plan: Plan) -> Path:
    """The folder, which is made once there is something to lie in it."""
    folder = plan.path.parent
    with named(folder, "the folder cannot be made"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


_TABLE = Product(file="table.json", make=_table, text_of=as_text)

_FIGURES = {
    FIGURE3.name: Product(
        file="figure3.json",
        make=_figure3,
        text_of=figure3.as_text,
        pictures=lambda content: [figure3.PICTURE],
        extras=("captum", "matplotlib"),
    ),
    FIGURE4.name: Product(
        file="figure4.json",
        make=_figure4,
        text_of=figure4.as_text,
        pictures=figure4.files,
        extras=("matplotlib",),
    ),
}
