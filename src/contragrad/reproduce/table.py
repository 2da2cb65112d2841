"""A table over seeds, published beside measured: as a value and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev

from contragrad.attacks.library import settings_read
from contragrad.errors import UserError
from contragrad.evaluate import Share
from contragrad.files import write_text
from contragrad.outside import LONGEST_JSON, from_json, read_text
from contragrad.reproduce import curves
from contragrad.reproduce.definition import ROW_SOURCES, DataName, Definition
from contragrad.reproduce.epsilon import Calibration
from contragrad.reproduce.figures import Crafted, Measured
from contragrad.reproduce.grounds import Ground
from contragrad.reproduce.paired import entries
from contragrad.reproduce.provenance import Content, told
from contragrad.reproduce.setups import EVOLVED_ON
from contragrad.settings.checks import radius

INTERVALS = "95 % Wilson intervals, of the sampling of the test images only"


def content(
    definition: Definition, of: Sequence[Ground], found: Sequence[Measured], *, identity: str
) -> Content:
    """The table as plain JSON: for every network and column what was published, and each seed's figure."""
    beside = [{name: entries(pairs) for name, pairs in seed.pairs.items() if pairs} for seed in found]
    return {
        "table": definition.name,
        "identity": identity,
        "intervals": INTERVALS,
        **told(definition, of),
        "calibration": [
            [_calibration(data or EVOLVED_ON, each) for data, each in seed.calibration.items()]
            for seed in found
        ],
        **curves.content([seed.courses for seed in found]),
        "epochs": [dict(seed.epochs) for seed in found],
        "alike": [[list(group) for group in seed.alike] for seed in found],
        "looks": max(seed.looks for seed in found),
        "columns": {name: _column(name, definition, found) for name in definition.shown},
        "networks": {
            network: {
                name: _entry(published.get(name), [seed.figures[network][name] for seed in found])
                | _own(network, name, definition, found)
                | _beside(network, name, beside)
                for name in definition.shown
            }
            for network, published in definition.networks.items()
        },
    }


def _calibration(data: DataName, found: Calibration) -> Content:
    return {"data": data, **asdict(found), "epsilon": radius(found.epsilon), "clamped": found.clamped}


def _column(name: str, definition: Definition, found: Sequence[Measured]) -> Content:
    """What a column shows, and each seed's examples with the success that they have on their own source."""
    columns = {column.name: column for column in definition.columns}
    if of := definition.worst_cases.get(name):
        return {"measure": "accuracy", "source": None, "data": columns[of[0]].data, "worst_of": list(of)}
    column = columns[name]
    shown: Content = {"measure": column.measure, "source": column.source, "data": column.data}
    if column.source is None:
        return shown
    if column.calibrated:
        shown["calibrated"] = True
    crafted = [seed.crafted.get(column.name) for seed in found]
    return shown | {"crafted": [None if each is None else _crafted(each) for each in crafted]}


def _beside(network: str, name: str, beside: Sequence[dict[str, dict[str, Content]]]) -> Content:
    """Of an accuracy in a table with a baseline: the pairs with it, each seed's."""
    pairs = [seed.get(name, {}).get(network) for seed in beside]
    return {"beside_baseline": pairs} if any(pairs) else {}


def _own(network: str, name: str, definition: Definition, found: Sequence[Measured]) -> Content:
    """Of a row with a source of its own: how often each seed's is fooled itself; None without examples."""
    if not any(column.name == name and column.source in ROW_SOURCES for column in definition.columns):
        return {}
    fooled = [seed.own.get(network, {}).get(name) for seed in found]
    return {"source_fooling_rate": [None if share is None else _measured(share) for share in fooled]}


def _crafted(crafted: Crafted) -> Content:
    attack = crafted.attack
    step_size = None if attack.step_size is None else radius(attack.step_size)
    settings = asdict(attack) | {"epsilon": radius(attack.epsilon), "step_size": step_size}
    read = ("name", "epsilon", *settings_read(attack.name))
    return {
        "attack": {key: value if key in read else None for key, value in settings.items()},
        "source_clean_accuracy": _measured(crafted.clean),
        "source_fooling_rate": _measured(crafted.fooled),
    }


def _measured(share: Share | str) -> Content:
    if isinstance(share, str):
        return {"missing": share}
    return {"hits": share.hits, "count": share.count, "interval": share.interval}


def _entry(published: float | None, cells: Sequence[Share | str]) -> Content:
    """A figure: its mean, standard deviation and range over the seeds; an interval of a single seed alone."""
    there = [cell for cell in cells if isinstance(cell, Share) and cell.count]
    shares = [cell.share for cell in there if cell.share is not None]
    summary: Content = {"published": published, "measured": [_measured(cell) for cell in cells]}
    if not shares:
        return summary | {"mean": None, "deviation": None, "range": None, "interval": None}
    return summary | {
        "mean": mean(shares),
        "deviation": stdev(shares) if len(shares) > 1 else None,
        "range": [min(shares), max(shares)],
        # Around a mean it would say nothing of how far networks of other seeds lie apart.
        "interval": there[0].interval if len(cells) == 1 else None,
    }


def write(table: Content, path: Path) -> None:
    """Writes the table as JSON."""
    write_text(path, json.dumps(table, indent=1) + "\n")


def read(path: Path) -> Content | None:
    """The table that `write` wrote; None if there is none, or none that can be read."""
    try:
        found = from_json(read_text(path, LONGEST_JSON, "the table cannot be read", ""))
    except (UserError, ValueError):
        return None
    return found if isinstance(found, dict) else None
