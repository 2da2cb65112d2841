"""Entering a study: its data are read, and its folder is made if nothing of them or its sources is wrong."""

from pathlib import Path

from contragrad.attacks.examples import require_craftable
from contragrad.data.balance import remarks
from contragrad.data.dataset import Dataset, Splits, split
from contragrad.data.sources import load
from contragrad.engine.shared import require_shareable
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.genome import parse
from contragrad.evolution.shapes import Problem
from contragrad.files import new_folder
from contragrad.fingerprint import file_fingerprint
from contragrad.jobs import workers
from contragrad.networks.inference import resolve_device
from contragrad.networks.objectives import OBJECTIVES, joined
from contragrad.reference import architecture, require_usable
from contragrad.run_folder.contents import untrained_reference, untrained_source
from contragrad.run_folder.history import stored_config
from contragrad.run_folder.notes import require_continuation
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE, Workspace, source_architecture
from contragrad.settings import config_file
from contragrad.settings.choices import is_surrogate, surrogate_genome
from contragrad.settings.config import StudyConfig
from contragrad.watch.events import Said, Stage, Watcher
from contragrad.watch.scene import counted


def require_deployable(config: StudyConfig) -> None:
    """Refuses a study whose networks are to be deployed with surrogates that it has not.

    Raises:
        UserError: if there is none among its sources.
    """
    training = config.training
    if not config.refine.together:
        return
    if not OBJECTIVES[training.objective].takes_sources:
        takes = ", ".join(name for name, parts in OBJECTIVES.items() if parts.takes_sources)
        raise UserError(
            f"{training.objective} is trained against no source that could be deployed with it",
            where="refine.together",
            remedy=f"a new study with training.objective: {takes}",
        )
    if not any(map(is_surrogate, training.sources)):
        raise UserError(
            f"{training.objective} against {', '.join(training.sources)} has no surrogate to deploy with it",
            where="refine.together",
            remedy="a new study with training.sources: [reference, surrogate], or coevolve --rounds 2",
        )


def entered(
    config: StudyConfig, folder: Path, watch: Watcher, read: tuple[Dataset, Workspace] | None = None
) -> tuple[Dataset, Workspace]:
    """The data and the run folder of a study, which is made if it is not there.

    Args:
        config: the study's settings.
        folder: its run folder.
        watch: who is told.
        read: what `open_data` gave of them, if it was asked before.

    Raises:
        UserError: if the folder holds another study, or for whatever in the configuration or the data is
            wrong; the folder is made only once the data are sound.
    """
    require_shareable(config.memo, folder / DATABASE)
    there = folder.exists()
    if there:
        before, after = require_continuable(config, folder).search.generations, config.search.generations
        if after > before:
            lengthened = f"{counted(before, 'generation')} before, {after} from now on, and no fewer again"
            watch(Said(f"{folder}: {lengthened}"))
    if read is None:
        watch(Stage("reading the data"))
        read = open_data(config, folder)
    dataset, workspace = read
    for remark in remarks(dataset):
        watch(Said(f"{dataset.name}: {remark}"))
    if not there:
        search.start(config.search, workspace.problem, config.seed)
        if config.fitness_split == "validation":
            split(dataset, config.data.validation_fraction, config.seed)
        _untrained(workspace, dataset)
        with new_folder(folder) as fresh:
            config_file.write(config, fresh / CONFIGURATION)
    return dataset, workspace


def require_continuable(config: StudyConfig, folder: Path) -> StudyConfig:
    """Refuses to go on with the study of a run folder by settings that are not its own.

    Returns:
        Those that it has.

    Raises:
        UserError: if it may not, or if there is none.
    """
    before = stored_config(folder)
    require_continuation(config_file.dotted(before), config, folder)
    return before


def open_data(config: StudyConfig, folder: Path) -> tuple[Dataset, Workspace]:
    """A study's data, and the workspace that they make of a run folder; writes nothing.

    Raises:
        UserError: if the device is not there, or the data or the reference's weights cannot be read.
    """
    resolve_device(config.device)
    workers.require_cluster(config)
    dataset = load(config.data, joined(config.training))
    problem = Problem(*dataset.shape, dataset.classes)
    weights = config.reference.weights
    if weights is not None and not Path(weights).expanduser().is_file():  # a device has no end
        raise UserError("there is no such file", where=f"reference.weights: {weights}", remedy="its path")
    try:
        name = None if weights is None else file_fingerprint(Path(weights).expanduser())
    except OSError as error:
        raise UserError(
            f"the weights cannot be read: {error.strerror}", where=f"reference.weights: {weights}"
        ) from error
    workspace = Workspace(
        folder=folder, config=config, data=dataset.fingerprint, problem=problem, weights=name
    )
    return dataset, workspace


def _untrained(workspace: Workspace, dataset: Dataset) -> None:
    """Fails now, before anything is written, if a source cannot be had or attacked, the reference first."""
    splits = Splits(dataset.train, dataset.test, dataset.test)
    config, shape = workspace.config, dataset.shape
    reference = untrained_reference(workspace, splits)
    factory = config.reference.factory
    where = f"reference.factory: {factory}" if factory else "reference.architecture"
    require_usable(reference, workspace.problem, where)
    for source in config.training.sources:
        if (genome := surrogate_genome(source)) is None:
            continue
        try:
            parse(genome)
        except ValueError as error:
            where = f"training.sources: {source}"
            raise UserError(str(error), where=where, remedy="surrogate, or with a genome's text") from error
    require_craftable(reference, shape, config.attack, where="the reference")
    tried = {architecture(config.reference)}
    for place, source in enumerate(config.training.sources):
        # Whether an attack can read a network is a matter of its architecture.
        if (text := source_architecture(config.reference, source)) not in tried:
            tried.add(text)
            network = untrained_source(workspace, splits, place)
            require_craftable(network, shape, config.attack, where=f"training.sources: {source}")
