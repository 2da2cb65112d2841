"""A table's figures for one seed: networks trained where they are not, examples crafted, answers counted."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from torch import nn

from contragrad import table4
from contragrad.defences import FILTERS, Filtered
from contragrad.errors import UserError
from contragrad.evaluate import Share
from contragrad.fingerprint import stream_seed
from contragrad.networks.inference import predict
from contragrad.progress import Progress
from contragrad.recipes import RECIPES, Found
from contragrad.refine import FullTraining
from contragrad.reproduce import experiment
from contragrad.reproduce.definition import Column, Definition
from contragrad.reproduce.epsilon import calibrate
from contragrad.reproduce.experiment import Place, Setup
from contragrad.reproduce.measures import cell
from contragrad.tasks import task_name
from contragrad.workspace import adversarial_of, load_reference, material, normalisation

Figures = dict[str, dict[str, Share]]
"""Network -> column -> figure."""

REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one seed gives: the figures, and the calibrated epsilon if a column has one."""

    figures: Figures
    calibrated: Fraction | None


def measured(definition: Definition, setup: Setup, progress: Progress) -> Measured:
    """A table's figures with one seed, every network trained and every example crafted that is not there."""
    randomly = any(RECIPES[name].of == "random" for name in definition.networks)
    found = experiment.searched(setup, definition.experiment, progress, randomly=randomly)
    figures: Figures = {name: {} for name in definition.networks}
    calibrated = None
    for data in definition.data:
        with experiment.opened(setup, definition.experiment, data, progress) as place:
            columns = [column for column in definition.columns if column.data == data]
            own, epsilon = _of_data(definition, columns, place, found, progress)
            calibrated = epsilon or calibrated
            for name, cells in own.items():
                figures[name] |= cells
    return Measured(figures=figures, calibrated=calibrated)


def _of_data(
    definition: Definition, columns: list[Column], place: Place, found: Found, progress: Progress
) -> tuple[Figures, Fraction | None]:
    networks = dict(_networks(definition, columns, place, found, progress))
    progress.stage("measuring on the test images")
    test, calibrated = place.splits.test, None
    answers = {name: predict(network, test.images) for name, network in networks.items()}
    figures: Figures = {name: {} for name in definition.networks if name in networks}
    for column in columns:
        source = column.source or REFERENCE
        if source not in networks:
            raise UserError(
                f"the training of {source} diverged, on which examples are crafted",
                where=definition.name,
                remedy="other training settings",
            )
        seen = answers
        if column.source is not None:
            attack = place.workspace.config.attack
            if column.calibrated:
                calibrated = calibrate(place, column, definition.networks[REFERENCE][column.name])
            attack = column.crafted_by(attack, calibrated)
            network = (_name(source, place), networks[source])
            images = adversarial_of(place.workspace, place.splits, "test", source=network, attack=attack)
            seen = {name: predict(networks[name], images) for name in figures}
        for name, cells in figures.items():
            cells[column.name] = cell(
                column.measure, test.labels, seen[name], clean=answers[name], source=answers[source]
            )
    return figures, calibrated


def _networks(
    definition: Definition, columns: list[Column], place: Place, found: Found, progress: Progress
) -> Iterator[tuple[str, nn.Module]]:
    """The networks of the table's rows and the sources of its columns, by name."""
    workspace = place.workspace
    recipes = {name: RECIPES[name] for name in definition.networks}
    trainings = {name: recipe.training(name, workspace.config, found) for name, recipe in recipes.items()}
    tasks = [task for task in trainings.values() if task is not None]
    sources = {column.source for column in columns} - {None, REFERENCE}
    tasks += [source_training(str(source), place) for source in sorted(map(str, sources))]
    for objective in {task.objective for task in tasks}:
        material(workspace, objective)  # workers find it there
    trained = table4.train(workspace, tasks, place.executor, progress)
    reference = load_reference(workspace, place.splits)
    yield REFERENCE, reference
    normal = normalisation(place.splits.train)
    for task in trained:
        yield task.name, table4.trained_network(workspace, normal, task)
    for name, recipe in recipes.items():
        if recipe.filter is not None:
            yield name, Filtered(reference, FILTERS[recipe.filter])


def source_training(source: str, place: Place) -> FullTraining:
    """How a network that examples are crafted on is trained: with cross-entropy, as the reference is.

    Source: section 4.1.2; the paper does not say how its four networks are trained.
    """
    config = place.workspace.config
    return FullTraining(
        name=source,
        architecture=f"torchvision {source}",
        objective="cross-entropy",
        epochs=config.reference.epochs,
        seed=stream_seed(config.seed, "source", source),
    )


def _name(source: str, place: Place) -> str:
    """The fingerprint of a source's weights."""
    if source == REFERENCE:
        return place.workspace.reference_name
    return task_name(source_training(source, place), place.workspace)
