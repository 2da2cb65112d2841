"""A block of a printed table: a heading, and a line for each network."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from contragrad.legible import legible


def block(title: str, columns: Sequence[str], rows: Mapping[str, Iterable[str]]) -> Group:
    """The networks' cells below their columns; in a narrow place they are folded, and no figure is cut.

    Args:
        title: stands above it.
        columns: beside that of the networks' names.
        rows: each network's cells, by its name.
    """
    shown = Table()
    shown.add_column("network", overflow="fold")
    for column in columns:
        shown.add_column(Text(legible(column)), justify="right", overflow="fold")
    for network, cells in rows.items():
        shown.add_row(Text(legible(network)), *map(Text, cells))
    return Group(Text(legible(title), "table.title"), shown)
