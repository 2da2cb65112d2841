"""What is trained for a table: rows, the sources of columns, and what attackers train by a row's recipe."""

from collections.abc import Iterable
from dataclasses import replace

from contragrad.fingerprint import stream_seed
from contragrad.jobs.recipes import RECIPES, Found
from contragrad.jobs.refine import FullTraining
from contragrad.networks.architectures import text_of
from contragrad.reference import architecture
from contragrad.reproduce.definition import ITSELF, ROW_SOURCES, ROW_SURROGATES, Column, Definition
from contragrad.settings.config import StudyConfig

REFERENCE = "reference"


def source_of(network: str, source: str) -> str:
    """The name of the network that a column's examples are crafted on, for a row's network."""
    if source == ITSELF:
        return network
    return f"{source} of {network}" if source in ROW_SURROGATES else source


def trainings(
    definition: Definition, columns: Iterable[Column], config: StudyConfig, found: Found
) -> list[FullTraining]:
    """The trainings of a table's rows and of its columns' sources; the reference's is no part of them."""
    rows = {name: _row(definition, name, config, found) for name in definition.networks}
    sources = {column.source for column in columns if column.source}
    attackers = [
        surrogate(name, task, config, number)
        for number, source in enumerate(ROW_SURROGATES, start=1)
        if source in sources
        for name, task in rows.items()
        if RECIPES[name].filter is None
    ]
    return [
        *(task for task in rows.values() if task is not None),
        *attackers,
        *(source_training(source, config) for source in sorted(sources - {REFERENCE, *ROW_SOURCES})),
    ]


def _row(definition: Definition, name: str, config: StudyConfig, found: Found) -> FullTraining | None:
    task = RECIPES[name].training(name, config, found)
    return task if task is None else replace(task, gm_weight=definition.weights.get(name))


def surrogate(network: str, task: FullTraining | None, config: StudyConfig, number: int = 1) -> FullTraining:
    """What an attacker trains who knows a row's recipe and architecture: everything but the random numbers.

    Args:
        network: the row.
        task: its training; None is the reference.
        config: the study's.
        number: which of several, each from other seeds and against other sources of the attacker's.
    """
    name, further = source_of(network, ROW_SURROGATES[number - 1]), () if number == 1 else (number,)
    seed = stream_seed(config.seed, "attacker", network, *further)
    if task is None:
        text = architecture(config.reference)
        epochs = config.reference.epochs
        return FullTraining(name=name, architecture=text, objective="cross-entropy", epochs=epochs, seed=seed)
    return replace(task, name=name, seed=seed, source_seed=stream_seed(config.seed, "attacker", *further))


def source_training(source: str, config: StudyConfig) -> FullTraining:
    """How a network that examples are crafted on is trained: with cross-entropy, as the reference is.

    Source: section 4.1.2; the paper does not say how its four networks are trained.
    """
    return FullTraining(
        name=source,
        architecture=text_of(source),
        objective="cross-entropy",
        epochs=config.reference.epochs,
        seed=stream_seed(config.seed, "source", source),
    )
