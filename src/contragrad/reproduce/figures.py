"""A table's figures for one seed: networks trained where they are not, examples crafted, answers counted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from contragrad import table4
from contragrad.config import AttackSettings, StudyConfig
from contragrad.defences import FILTERS, Filtered
from contragrad.evaluate import Share
from contragrad.fingerprint import stream_seed
from contragrad.history import note_look
from contragrad.networks.inference import predict
from contragrad.progress import Progress
from contragrad.recipes import RECIPES, Found
from contragrad.refine import FullTraining
from contragrad.reproduce import experiment
from contragrad.reproduce.definition import Column, Definition
from contragrad.reproduce.epsilon import Calibration, calibrate
from contragrad.reproduce.experiment import Place, Setup
from contragrad.reproduce.measures import cell
from contragrad.tasks import task_name
from contragrad.workspace import adversarial_of, load_reference, material, normalisation

Figures = dict[str, dict[str, Share | str]]
"""Network -> column -> figure, or why there is none."""

REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crafted:
    """What a column's examples are, and how strong: who does not fool their own source fools nobody.

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
    """

    figures: Figures
    crafted: dict[str, Crafted]
    calibration: Calibration | None
    looks: int


def measured(definition: Definition, setup: Setup, progress: Progress) -> Measured:
    """A table's figures with one seed, every network trained and every example crafted that is not there."""
    randomly = any(RECIPES[name].of == "random" for name in definition.networks)
    found = experiment.searched(setup, definition.experiment, progress, randomly=randomly)
    parts = []
    for data in definition.data:
        with experiment.opened(setup, definition.experiment, data, progress) as place:
            columns = [column for column in definition.columns if column.data == data]
            parts.append(_of_data(definition, columns, place, found, progress))
    figures: Figures = {name: {} for name in definition.networks}
    for part in parts:
        for name, cells in part.figures.items():
            figures[name] |= cells
    return Measured(
        figures=figures,
        crafted={name: each for part in parts for name, each in part.crafted.items()},
        calibration=next((part.calibration for part in parts if part.calibration), None),
        looks=max(part.looks for part in parts),
    )


def _of_data(
    definition: Definition, columns: list[Column], place: Place, found: Found, progress: Progress
) -> Measured:
    trained = _trained(definition, columns, place, found, progress)
    networks = dict(_networks(definition, trained, place))
    progress.stage("measuring on the test images")
    test, calibration = place.splits.test, None
    clean = {name: predict(network, test.images) for name, network in networks.items()}
    figures: Figures = {name: {} for name in definition.networks}
    crafted = {}
    for column in columns:
        source, answers = column.source or REFERENCE, clean
        if column.source in networks:
            if column.calibrated:
                calibration = calibrate(place, column, definition.networks[REFERENCE][column.name])
            own = place.workspace.config.attack
            attack = column.crafted_by(own, calibration.epsilon if calibration else None)
            network = (_name(source, place), networks[source])
            images = adversarial_of(place.workspace, place.splits, "test", source=network, attack=attack)
            shown = networks.keys() & {source, *definition.networks}
            answers = {name: predict(networks[name], images) for name in shown}
            itself = {"clean": clean[source], "source": clean[source]}
            crafted[column.name] = Crafted(
                attack=attack,
                clean=cell("accuracy", test.labels, clean[source], **itself),
                fooled=cell("fooling rate", test.labels, answers[source], **itself),
            )
        for name, cells in figures.items():
            diverged = [each for each in (source, name) if each not in networks]
            cells[column.name] = (
                f"the training of {diverged[0]} diverged"
                if diverged
                else cell(column.measure, test.labels, answers[name], clean=clean[name], source=clean[source])
            )
    looks = note_look(place.memo, table4.names(place.workspace, trained))
    return Measured(figures=figures, crafted=crafted, calibration=calibration, looks=looks)


def _trained(
    definition: Definition, columns: list[Column], place: Place, found: Found, progress: Progress
) -> tuple[FullTraining, ...]:
    """The trainings, all done, less those that diverged."""
    workspace = place.workspace
    tasks = trainings(definition.networks, columns, workspace.config, found)
    for objective in {task.objective for task in tasks}:
        material(workspace, objective)  # workers find it there
    return table4.train(workspace, tasks, place.executor, progress)


def _networks(
    definition: Definition, trained: Sequence[FullTraining], place: Place
) -> Iterator[tuple[str, nn.Module]]:
    """The networks by name: the reference, the trained ones, and those that are the reference's filtered."""
    workspace = place.workspace
    reference = load_reference(workspace, place.splits)
    yield REFERENCE, reference
    normal = normalisation(place.splits.train)
    for task in trained:
        yield task.name, table4.trained_network(workspace, normal, task)
    for name in definition.networks:
        if chosen := RECIPES[name].filter:
            yield name, Filtered(reference, FILTERS[chosen])


def trainings(
    networks: Iterable[str], columns: Iterable[Column], config: StudyConfig, found: Found
) -> list[FullTraining]:
    """The trainings of a table's rows and of its columns' sources; the reference's is no part of them."""
    tasks = [RECIPES[name].training(name, config, found) for name in networks]
    sources = {column.source for column in columns if column.source and column.source != REFERENCE}
    return [
        *(task for task in tasks if task is not None),
        *(source_training(source, config) for source in sorted(sources)),
    ]


def source_training(source: str, config: StudyConfig) -> FullTraining:
    """How a network that examples are crafted on is trained: with cross-entropy, as the reference is.

    Source: section 4.1.2; the paper does not say how its four networks are trained.
    """
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
    return task_name(source_training(source, place.workspace.config), place.workspace)
