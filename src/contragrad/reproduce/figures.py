"""A table's figures for one seed: networks trained where they are not, examples crafted, answers counted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from contragrad.evaluate import Share
from contragrad.jobs.recipes import RECIPES, SEARCHES, Found
from contragrad.reproduce import experiment
from contragrad.reproduce.asking import Asking
from contragrad.reproduce.curves import Courses
from contragrad.reproduce.definition import ROW_SOURCES, Column, DataName, Definition
from contragrad.reproduce.epsilon import Calibration, calibrate
from contragrad.reproduce.experiment import Place
from contragrad.reproduce.measures import cell
from contragrad.reproduce.paired import Pair, paired
from contragrad.reproduce.questions import CLEAN, Questions
from contragrad.reproduce.setups import Setup
from contragrad.reproduce.trainings import REFERENCE
from contragrad.run_folder.notes import note_look
from contragrad.settings.config import AttackSettings
from contragrad.watch.events import Watcher

Figure = TypeVar("Figure")

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
        calibration: the calibrated epsilons, by data set.
        looks: how many sets of networks were measured on the test images so far.
        own: how often the source of a row is fooled itself, by network and column, where it is the row's own.
        pairs: each network beside the baseline, by column and network, of accuracies.
        courses: of trainings whose best epoch was kept.
        alike: rows that are one network, as where two searches have found the same.
        epochs: of each training, at most.
    """

    figures: Figures
    crafted: dict[str, Crafted]
    calibration: Mapping[DataName | None, Calibration]
    looks: int
    own: dict[str, dict[str, Share]] = field(default_factory=dict)
    pairs: dict[str, dict[str, Pair]] = field(default_factory=dict)
    courses: Courses = field(default_factory=dict)
    alike: tuple[tuple[str, ...], ...] = ()
    epochs: Mapping[str, int] = field(default_factory=dict)


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
    return Measured(
        figures=_joined(part.figures for part in parts),
        crafted={name: each for part in parts for name, each in part.crafted.items()},
        calibration={data: each for part in parts for data, each in part.calibration.items()},
        looks=max(part.looks for part in parts),
        own=_joined(part.own for part in parts),
        pairs={column: pairs for part in parts for column, pairs in part.pairs.items()},
        courses={data: each for part in parts for data, each in part.courses.items()},
        alike=tuple(dict.fromkeys(each for part in parts for each in part.alike)),
        epochs={name: epochs for part in parts for name, epochs in part.epochs.items()},
    )


def _joined(parts: Iterable[Mapping[str, Mapping[str, Figure]]]) -> dict[str, dict[str, Figure]]:
    """What several data sets have by network and column, in one."""
    found: dict[str, dict[str, Figure]] = {}
    for part in parts:
        for name, cells in part.items():
            found.setdefault(name, {}).update(cells)
    return found


def _of_data(
    definition: Definition, columns: list[Column], place: Place, found: Found, watch: Watcher
) -> Measured:
    calibration = _calibration(definition, columns, place)
    questions = Questions(definition, columns, place.workspace, place.memo, found, calibration)
    Asking(questions, place, watch).ask()
    figures = {
        name: {column.name: _cell(questions, name, column) for column in columns}
        for name in definition.networks
    }
    rights = {column.name: _rights(questions, column) for column in columns if column.measure == "accuracy"}
    for worst, members in definition.worst_cases.items():
        if members[0] in rights:  # all of one data set
            rights[worst] = _in_all([rights[each] for each in members])
            for name, cells in figures.items():
                cells[worst] = _worst(rights[worst].get(name), [cells[each] for each in members])
    strengths = {
        column.name: _strengths(questions, column) for column in columns if column.source is not None
    }
    own = [column.name for column in columns if column.source in ROW_SOURCES]
    return Measured(
        figures=figures,
        crafted={column: _weakest(each.values()) for column, each in strengths.items() if each},
        calibration={} if calibration is None else {columns[0].data: calibration},
        looks=note_look(place.memo, questions.trained()),
        own={
            name: {column: strengths[column][name].fooled for column in own if name in strengths[column]}
            for name in definition.networks
        },
        pairs={column: _pairs(right, definition.baseline) for column, right in rights.items()},
        courses={columns[0].data: questions.courses()},
        alike=questions.alike(),
        epochs=questions.epochs(),
    )


def _calibration(definition: Definition, columns: Sequence[Column], place: Place) -> Calibration | None:
    """The calibrated epsilon of a data set, if a column of it has one."""
    for column in columns:
        if column.calibrated:  # a data set has one at most
            return calibrate(place, column, definition.networks[REFERENCE][column.name])
    return None


def _gap(questions: Questions, network: str, column: Column) -> str | None:
    """Why a network has no figure in a column, if it has none."""
    shown = questions.shown(network, column)
    for each in (shown.source or REFERENCE, network):
        if why := questions.gap(each):
            return f"the training of {each} {why}"
    why = questions.without_examples(shown)
    return None if why is None else f"on {shown.source} {why}"


def _cell(questions: Questions, network: str, column: Column) -> Share | str:
    if gap := _gap(questions, network, column):
        return gap
    shown = questions.shown(network, column)
    return cell(
        column.measure,
        questions.right(network, shown),
        clean=questions.right(network, CLEAN),
        source=questions.right(shown.source or REFERENCE, CLEAN),
    )


def _rights(questions: Questions, column: Column) -> dict[str, Tensor]:
    """Whether each network that is there is right in a column, image by image."""
    return {
        name: questions.right(name, questions.shown(name, column))
        for name in questions.definition.networks
        if _gap(questions, name, column) is None
    }


def _in_all(members: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Whether each network is right in all of several columns, where it is there in all."""
    return {
        name: torch.stack([right[name] for right in members]).all(0)
        for name in members[0]
        if all(name in right for right in members)
    }


def _worst(right: Tensor | None, cells: Sequence[Share | str]) -> Share | str:
    """A worst case's figure, or the first reason why one of its columns has none."""
    return next(each for each in cells if isinstance(each, str)) if right is None else Share.of(right)


def _strengths(questions: Questions, column: Column) -> dict[str, Crafted]:
    """How strong a column's examples are for each network that has a figure in it."""
    found = {}
    for name in questions.definition.networks:
        shown = questions.shown(name, column)
        if shown.source is None or shown.attack is None or _gap(questions, name, column):
            continue
        clean = questions.right(shown.source, CLEAN)
        fooled = cell("fooling rate", questions.right(shown.source, shown), clean=clean, source=clean)
        found[name] = Crafted(attack=shown.attack, clean=Share.of(clean), fooled=fooled)
    return found


def _weakest(strengths: Iterable[Crafted]) -> Crafted:
    return min(strengths, key=lambda each: each.fooled.share or 0.0)


def _pairs(right: Mapping[str, Tensor], baseline: str | None) -> dict[str, Pair]:
    """Each network that is there beside the baseline."""
    if baseline is None or baseline not in right:
        return {}
    return {name: paired(own, right[baseline]) for name, own in right.items() if name != baseline}
