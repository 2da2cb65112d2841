"""A table for people: published beside measured, and what must be known of it."""

import io

from rich.console import Console, Group, RenderableType
from rich.text import Text

from contragrad.legible import legible
from contragrad.reproduce import curves, measures, paired, remarks
from contragrad.reproduce.blocks import block
from contragrad.reproduce.epsilon import GREYS
from contragrad.reproduce.provenance import Content
from contragrad.reproduce.setups import EVOLVED_ON
from contragrad.reproduce.strength import (
    MARK,
    UNMARKED,
    WEAK,
    calibrations,
    examples,
    is_calibrated,
    is_weak,
    own_sources,
)
from contragrad.run_folder.notes import LOOKS


def as_text(table: Content) -> Group:
    """The table for people: published beside measured, in per cent."""
    blocks = _blocks(table)
    caption = Text(_caption(table), "table.caption")
    pairs = paired.tables(table)
    lines = remarks.of_scale(table) + measures.lines(table)
    lines += [examples(name, column) for name, column in table["columns"].items() if column["source"]]
    lines += own_sources(table)
    if any(is_weak(table, row, column) for row in table["networks"].values() for column in row):
        lines.append(WEAK)
    lines += [
        f"{name}: {UNMARKED}" for name, column in table["columns"].items() if is_calibrated(table, column)
    ]
    lines += [
        f"{name}: images that are right in each of {', '.join(column['worst_of'])}"
        for name, column in table["columns"].items()
        if "worst_of" in column
    ]
    if pairs:
        lines.append(paired.NOTE)
    lines += _missing(table)
    lines += _alike(table)
    lines += _calibrated(table)
    lines += curves.planned(table) + curves.lines(table)
    lines += remarks.lines(table)
    if table["looks"] > 1:
        lines.append(LOOKS.format(table["looks"]))
    # A definition of somebody's own has texts of theirs, as has a file that is there.
    return Group(*blocks, caption, *pairs, Text(legible("\n".join(lines), lines=True)))


def _blocks(table: Content) -> list[Group]:
    """The figures: a block for each data set, so that lines are as short as they can be."""
    columns: dict[str | None, list[str]] = {}
    for name, column in table["columns"].items():
        columns.setdefault(column["data"], []).append(name)
    found = []
    for data, names in columns.items():
        of = f"; {data or EVOLVED_ON}" if len(columns) > 1 else ""
        rows = {
            network: [_figure(row[name], weak=is_weak(table, row, name)) for name in names]
            for network, row in table["networks"].items()
        }
        found.append(block(f"{remarks.heading(table, table['table'])}{of}", names, rows))
    return found


def _caption(table: Content) -> str:
    """What a cell shows."""
    counts = _counts(table)
    images = " to ".join(f"{count:,}" for count in sorted({counts[0], counts[-1]})) if counts else "no"
    if len(table["seeds"]) == 1:
        return f"published, then measured, in %; [{table['intervals']}]: {images} images"
    return (
        "published, then measured, in %: mean, ± standard deviation and (range) over seeds "
        f"{', '.join(map(str, table['seeds']))}; {images} images; each seed's own interval stands in "
        f"table.json and reaches {100 * _furthest(table):.1f} points from its figure at most "
        f"({table['intervals']})"
    )


def _furthest(table: Content) -> float:
    """How far an interval reaches from its seed's share, at most."""
    entries = (entry for row in table["networks"].values() for entry in row.values())
    cells = (cell for entry in entries for cell in _counted(entry))
    reaches = (abs(bound - cell["hits"] / cell["count"]) for cell in cells for bound in cell["interval"])
    return max(reaches, default=0.0)


def _calibrated(table: Content) -> list[str]:
    """Each calibrated epsilon, and what it was chosen by."""
    lines = []
    for seed, found in zip(table["seeds"], table["calibration"], strict=True):
        several = calibrations(found)
        for each in several:
            of = f" of {each['data']}" if len(several) > 1 else ""
            clamped = ", which no ε reaches that was tried" if each["clamped"] else ""
            lines.append(
                f"calibrated ε{of}, seed {seed}: {each['greys']}/{GREYS}, where the reference classifies "
                f"{100 * each['reached']:.1f} % of the {each['images']} images correctly; published "
                f"{100 * each['target']:.1f} %{clamped}"
            )
    return lines


def _missing(table: Content) -> list[str]:
    """Why figures are missing, each reason once."""
    reasons = {
        f"no figure: {cell['missing']}, seed {seed}": None
        for row in table["networks"].values()
        for entry in row.values()
        for seed, cell in zip(table["seeds"], entry["measured"], strict=True)
        if "missing" in cell
    }
    return list(reasons)


def _alike(table: Content) -> list[str]:
    """Rows that are one network with a seed; older tables do not say."""
    return [
        f"one and the same network, seed {seed}: {' and '.join(group)}"
        for seed, groups in zip(table["seeds"], table.get("alike", []), strict=False)
        for group in groups
    ]


def _counts(table: Content) -> list[int]:
    """The numbers of images that figures are shares of, in order."""
    entries = (entry for row in table["networks"].values() for entry in row.values())
    return sorted(cell["count"] for entry in entries for cell in _counted(entry))


def _counted(entry: Content) -> list[Content]:
    """The seeds' shares of any images at all."""
    return [cell for cell in entry["measured"] if cell.get("count")]


def _figure(entry: Content, *, weak: bool) -> str:
    return f"{_plain_figure(entry)} {MARK}" if weak else _plain_figure(entry)


def _plain_figure(entry: Content) -> str:
    published = "–" if entry["published"] is None else f"{100 * entry['published']:.1f}"
    if entry["mean"] is None:
        return f"{published} | –"
    figure = f"{published} | {100 * entry['mean']:.1f}"
    if len(entry["measured"]) == 1:
        low, high = (100 * bound for bound in entry["interval"])
        return f"{figure} [{low:.1f}, {high:.1f}]"
    if entry["deviation"] is None:
        return figure
    least, most = (100 * bound for bound in entry["range"])
    return f"{figure} ± {100 * entry['deviation']:.1f} ({least:.1f}–{most:.1f})"


def in_a_file(shown: RenderableType) -> str:
    """What a text for people looks like in a file."""
    file = io.StringIO()
    Console(file=file, width=240, color_system=None, force_terminal=False).print(shown)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"
