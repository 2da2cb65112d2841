"""A table's figures for one seed: networks trained where they are not, examples crafted, answers counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from contragrad.evaluate import Share
from contragrad.jobs.recipes import RECIPES, SEARCHES, Found
from contragrad.reproduce import experiment
from contragrad.reproduce.asking import CLEAN, Asking
from contragrad.reproduce.definition import ROW_SOURCES, Column, Definition
from contragrad.reproduce.epsilon import Calibration
from contragrad.reproduce.experiment import Place, Setup
from contragrad.reproduce.measures import cell
from contragrad.reproduce.paired import Pair, paired
from contragrad.reproduce.trainings import REFERENCE
from contragrad.run_folder.notes import note_look
from contragrad.settings.config import AttackSettings
from contragrad.watch.events import Watcher

Figures = dict[str, dict[str, Share | str]]
"""Network -> column -> figure, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crafted:
    """What a column's examples are, and how strong: who does not fool their own source fools nobody.

    Where each row has a source of its own, the weakest of them is told.

    Args:
        attack: by which they were crafted.
        clean: the source's accuracy on the clean images.
        fooled: of the images that the source classifies correctly, the share that it no longer does.
    """

    attack: AttackSettings
    clean: Share
    fooled: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one seed gives.

    Args:
        figures: of the table, or of its columns of one data set.
        crafted: by column, of those whose examples could be crafted.
        calibration: the calibrated epsilon, if a column has one.
        looks: how many sets of networks were measured on the test images so far.
        own: how often the source of a row is fooled itself, by network and column, where it is the row's own.
        pairs: each network beside the baseline, by column and network, of accuracies.
    """

    figures: Figures
    crafted: dict[str, Crafted]
    calibration: Calibration | None
    looks: int
    own: dict[str, dict[str, Share]] = field(default_factory=dict)
    pairs: dict[str, dict[str, Pair]] = field(default_factory=dict)


def measured(definition: Definition, setup: Setup, watch: Watcher) -> Measured:
    """A table's figures with one seed, every network trained and every example crafted that is not there."""
    wanted = {RECIPES[name].of for name in definition.networks}
    others = [name for name in SEARCHES if name in wanted]
    found = experiment.searched(setup, definition.experiment, watch, *others)
    parts = []
    for data in definition.data:
        epsilon = definition.epsilon_of(data)
        with experiment.opened(setup, definition.experiment, data, watch, epsilon=epsilon) as place:
            columns = [column for column in definition.columns if column.data == data]
            parts.append(_of_data(definition, columns, place, found, watch))
    figures: Figures = {name: {} for name in definition.networks}
    own: dict[str, dict[str, Share]] = {name: {} for name in definition.networks}
    for part in parts:
        for name, cells in part.figures.items():
            figures[name] |= cells
        for name, fooled in part.own.items():
            own[name] |= fooled
    return Measured(
        figures=figures,
        crafted={name: each for part in parts for name, each in part.crafted.items()},
        calibration=next((part.calibration for part in parts if part.calibration), None),
        looks=max(part.looks for part in parts),
        own=own,
        pairs={column: pairs for part in parts for column, pairs in part.pairs.items()},
    )


def _of_data(
    definition: Definition, columns: list[Column], place: Place, found: Found, watch: Watcher
) -> Measured:
    asking = Asking(definition, columns, place, found, watch)
    asking.ask()
    figures: Figures = {name: {} for name in definition.networks}
    own: dict[str, dict[str, Share]] = {name: {} for name in definition.networks}
    crafted: dict[str, Crafted] = {}
    rights: dict[str, dict[str, Tensor]] = {}
    for column in columns:
        if column.measure == "accuracy":
            rights[column.name] = {}
        for name, cells in figures.items():
            shown = asking.shown(name, column)
            source = shown.source or REFERENCE
            gaps = [f"the training of {each} {why}" for each in (source, name) if (why := asking.gap(each))]
            if gaps:
                cells[column.name] = gaps[0]
                continue
            clean, right = asking.right(source, CLEAN), asking.right(name, shown)
            if column.name in rights:
                rights[column.name][name] = right
            cells[column.name] = cell(column.measure, right, clean=asking.right(name, CLEAN), source=clean)
            if shown.attack is not None:
                strength = Crafted(
                    attack=shown.attack,
                    clean=Share.of(clean),
                    fooled=cell("fooling rate", asking.right(source, shown), clean=clean, source=clean),
                )
                if column.source in ROW_SOURCES:
                    own[name][column.name] = strength.fooled
                crafted[column.name] = min(
                    crafted.get(column.name, strength), strength, key=lambda each: each.fooled.share or 0.0
                )
    for worst, of in definition.worst_cases.items():
        members = [column.name for column in columns if column.name in of]
        if members:
            rights[worst] = {}
            for name, cells in figures.items():
                gaps = [gap for each in members if isinstance(gap := cells[each], str)]
                if gaps:
                    cells[worst] = gaps[0]
                    continue
                right = rights[worst][name] = torch.stack([rights[each][name] for each in members]).all(0)
                cells[worst] = Share.of(right)
    pairs = {column: _pairs(right, definition.baseline) for column, right in rights.items()}
    looks = note_look(place.memo, asking.trained())
    return Measured(
        figures=figures,
        crafted=crafted,
        calibration=asking.calibration,
        looks=looks,
        own=own,
        pairs=pairs,
    )


def _pairs(right: Mapping[str, Tensor], baseline: str | None) -> dict[str, Pair]:
    """Each network that is there beside the baseline."""
    if baseline is None or baseline not in right:
        return {}
    return {name: paired(own, right[baseline]) for name, own in right.items() if name != baseline}
