"""A table by the paper's protocol beside the one whose selection sees no test image: what the choice adds."""

from collections.abc import Mapping, Sequence
from math import hypot
from statistics import mean, stdev

from rich.console import Group
from rich.table import Table
from rich.text import Text

from contragrad.legible import legible
from contragrad.reproduce.measures import RATES
from contragrad.reproduce.provenance import Content
from contragrad.reproduce.remarks import setting
from contragrad.reproduce.strength import described

SPREAD = (
    "(a to b): the 95 % interval of what stands before it, of the sampling of the test images, as if the two "
    "tables' were different ones"
)

CAUSES = (
    "trainings differ by chance too; a network that no search has chosen shows what all of this but the "
    "selection on the test images adds"
)


def difference(separate: Content, paper: Content) -> Content:
    """What the paper's protocol adds to each figure, and how much more than to the baseline's.

    A seed whose examples in a column are of other attacks, as an epsilon that is calibrated may be another,
    is left out of the column, and a column without any seed that is left altogether.

    Args:
        separate: the table whose networks were selected on the validation images.
        paper: the same table, of the same seeds, whose networks were selected on the test images.
    """
    unlike = {name: _unlike(separate, paper, name) for name in separate["columns"]}
    columns = [name for name, whys in unlike.items() if None in whys]
    pairs = {
        network: {
            name: _pairs(row[name]["measured"], paper["networks"][network][name]["measured"], unlike[name])
            for name in columns
        }
        for network, row in separate["networks"].items()
    }
    added = {
        network: {name: [each and _added(*each) for each in seeds] for name, seeds in row.items()}
        for network, row in pairs.items()
    }
    baseline = separate["baseline"]
    return {
        "table": separate["table"],
        "scale": separate["scale"],
        "seeds": separate["seeds"],
        "baseline": baseline,
        "settings": {
            key: {"separate": ours, "paper": theirs}
            for key, ours, theirs in _settings(separate, paper)
            if ours != theirs
        },
        "counted": [min(counts), max(counts)] if (counts := _counts(separate, paper, unlike)) else [],
        "images": {"separate": separate["data"][0]["images"], "paper": paper["data"][0]["images"]},
        "left_out": {
            name: {str(seed): why for seed, why in zip(separate["seeds"], whys, strict=True) if why}
            for name, whys in unlike.items()
            if any(whys)
        },
        "networks": {
            network: {
                name: _summary(row[name], added[baseline][name] if baseline and network != baseline else None)
                | {"cells": [each and _cell(*each) for each in pairs[network][name]]}
                for name in columns
            }
            for network, row in added.items()
        },
        "rates": [name for name in columns if separate["columns"][name]["measure"] in RATES],
    }


def _unlike(separate: Content, paper: Content, name: str) -> list[str | None]:
    """Of each seed, why its figures in a column are not compared; None if they are.

    Of a worst case it is the reason of the first of its columns that has one.
    """
    column = separate["columns"][name]
    if of := column.get("worst_of"):
        members = zip(*(_unlike(separate, paper, each) for each in of), strict=True)
        return [next(filter(None, whys), None) for whys in members]
    if column["source"] is None:
        return [None] * len(separate["seeds"])
    pairs = zip(column["crafted"], paper["columns"][name]["crafted"], strict=True)
    return [_other_examples(*pair) for pair in pairs]


def _other_examples(separate: Content | None, paper: Content | None) -> str | None:
    """What the examples are of in both tables, unless it is the same attack."""
    said = ["no examples" if each is None else described(each["attack"]) for each in (separate, paper)]
    if separate is None and paper is None:
        return said[0]
    return None if said[0] == said[1] else " -> ".join(said)


def _settings(separate: Content, paper: Content) -> list[tuple[str, object, object]]:
    """Each setting that either table tells, by both; what a table does not tell is as the paper has it.

    An older table may tell what a newer one, of the paper's own value, does not: that is left out.
    """
    tables = (separate, paper)
    published = {key: each["paper"] for table in tables for key, each in table["differs"].items()}
    own = [
        table["left_open"] | {key: each["here"] for key, each in table["differs"].items()} for table in tables
    ]
    keys = dict.fromkeys((*own[0], *own[1]))
    return [
        (key, *(each.get(key, published.get(key)) for each in own))
        for key in keys
        if key in published or all(key in each for each in own)
    ]


def _pairs(
    separate: Sequence[Content], paper: Sequence[Content], unlike: Sequence[str | None]
) -> list[tuple[Content, Content] | None]:
    """Both shares of each seed; None where one of the two has no figure, or they are not to be compared."""
    return [
        (ours, theirs) if ours.get("count") and theirs.get("count") and why is None else None
        for ours, theirs, why in zip(separate, paper, unlike, strict=True)
    ]


def _added(ours: Content, theirs: Content) -> float:
    difference: float = theirs["hits"] / theirs["count"] - ours["hits"] / ours["count"]
    return difference


def _cell(ours: Content, theirs: Content) -> Content:
    """Both shares' images, and the interval of their difference."""
    return {"counts": [ours["count"], theirs["count"]], "interval": newcombe(ours, theirs)}


def newcombe(first: Content, second: Content) -> tuple[float, float]:
    """The 95 % interval of the second share less the first, each with its own of Wilson.

    As of different images: rather too wide where both are of the same.

    Source: Newcombe, "Interval estimation for the difference between independent proportions", 1998,
        method 10.
    """
    (low, high), (least, most) = first["interval"], second["interval"]
    before, after = (each["hits"] / each["count"] for each in (first, second))
    below, above = hypot(after - least, high - before), hypot(most - after, before - low)
    return after - before - below, after - before + above


def _counts(separate: Content, paper: Content, unlike: Mapping[str, Sequence[str | None]]) -> list[int]:
    """How many images each figure counts, of those seeds that are compared."""
    return [
        cell["count"]
        for table in (separate, paper)
        for row in table["networks"].values()
        for name, whys in unlike.items()
        for cell, why in zip(row[name]["measured"], whys, strict=True)
        if why is None and cell.get("count")
    ]


def _summary(added: Sequence[float | None], baseline: Sequence[float | None] | None) -> Content:
    there = [each for each in added if each is not None]
    summary: Content = {
        "added": list(added),
        "mean": mean(there) if there else None,
        "deviation": stdev(there) if len(there) > 1 else None,
    }
    if baseline is None:
        return summary
    pairs = [
        (own, base) for own, base in zip(added, baseline, strict=True) if own is not None and base is not None
    ]
    return summary | {"beyond_baseline": mean(own - base for own, base in pairs) if pairs else None}


def as_text(found: Content) -> Group:
    """The difference for people, in percentage points."""
    baseline = found["baseline"]
    columns = list(next(iter(found["networks"].values())))
    spread = "" if len(found["seeds"]) == 1 else ", ± standard deviation"
    more = f"; [how much more than to {baseline}]" if baseline else ""
    title = f"{found['table']}, scale {found['scale']}: what the paper's protocol adds"
    counted = " to ".join(f"{count:,}" for count in dict.fromkeys(found["counted"]))
    caption = (
        f"percentage points{counted and f' of {counted} images'}, "
        f"seeds {', '.join(map(str, found['seeds']))}{spread}{more}"
    )
    shown = Table(
        title=Text(legible(title), "table.title"),
        caption=Text(legible(caption), "table.caption"),
        title_justify="left",
    )
    shown.add_column("network", overflow="fold")
    for column in columns:
        shown.add_column(Text(legible(column)), justify="right", overflow="fold")
    for network, row in found["networks"].items():
        cells = (Text(_figure(row[column], with_counts=len(set(found["counted"])) > 1)) for column in columns)
        shown.add_row(Text(legible(network)), *cells)
    changed = [
        f"{key} {setting(key, each['separate'])} -> {setting(key, each['paper'])}"
        for key, each in found["settings"].items()
    ]
    changed += [
        f"{count:,} {part} images -> {found['images']['paper'].get(part, 0):,}"
        for part, count in found["images"]["separate"].items()
        if count != found["images"]["paper"].get(part, 0)
    ]
    lines = [f"what differs: {', '.join(changed)}"]
    if found["rates"]:
        lines.append(f"where more is worse: {', '.join(found['rates'])}")
    if len(found["seeds"]) == 1:
        lines.append(SPREAD)
    for column, whys in found["left_out"].items():
        lines.append(f"left out: {column}, {', '.join(f'seed {seed} ({why})' for seed, why in whys.items())}")
    if any(entry["mean"] is None for row in found["networks"].values() for entry in row.values()):
        lines.append("–: no seed has a figure in both tables, whose notes say why")
    return Group(shown, Text(legible("\n".join([*lines, CAUSES]), lines=True)))


def _figure(entry: Content, *, with_counts: bool) -> str:
    """A cell: the mean with its spread or interval, what is beyond the baseline's, both shares' images."""
    if entry["mean"] is None:
        return "–"
    text = _points(entry["mean"])
    cells = [cell for cell in entry["cells"] if cell]
    if entry["deviation"] is not None:
        text += f" ± {100 * entry['deviation']:.1f}"
    if len(entry["cells"]) == 1:
        low, high = cells[0]["interval"]
        text += f" ({_points(low)} to {_points(high)})"
    if (more := entry.get("beyond_baseline")) is not None:
        text += f" [{_points(more)}]"
    if with_counts:
        text += " of " + "; ".join(", ".join(f"{count:,}" for count in cell["counts"]) for cell in cells)
    return text


def _points(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:+.1f}"  # no minus before a zero
