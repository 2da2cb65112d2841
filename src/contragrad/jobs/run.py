"""The main job: from a configuration to a table, through a run folder that is never lost.

data -> reference -> adversarial examples -> search -> refine, baselines -> test -> table
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from contragrad import evaluate
from contragrad.attacks.examples import require_craftable
from contragrad.data.balance import remarks
from contragrad.data.dataset import Dataset, Splits, split
from contragrad.data.sources import load
from contragrad.engine import executors, study
from contragrad.engine.lock import lock_folder
from contragrad.engine.memo import Memo
from contragrad.engine.shared import remembering, require_shareable
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.genome import parse
from contragrad.evolution.search import State
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Trial
from contragrad.files import new_folder
from contragrad.fingerprint import file_fingerprint
from contragrad.fitness import measure
from contragrad.jobs import full_trainings, workers
from contragrad.jobs.material import make_reference, make_sources
from contragrad.jobs.recipes import TOGETHER
from contragrad.networks.inference import resolve_device
from contragrad.networks.objectives import OBJECTIVES, joined
from contragrad.reference import architecture, require_usable
from contragrad.report import outcome_text
from contragrad.run_folder.contents import (
    load_reference,
    material,
    of_sources,
    store_splits,
    untrained_reference,
    untrained_source,
)
from contragrad.run_folder.history import stored_config, stored_path
from contragrad.run_folder.notes import LOOKS, note_look, note_origin, require_continuation
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE, TABLE, Workspace, source_architecture
from contragrad.settings import config_file
from contragrad.settings.choices import is_surrogate, surrogate_genome
from contragrad.settings.config import StudyConfig
from contragrad.watch.announcing import Announcing
from contragrad.watch.events import (
    Begun,
    Ended,
    Opened,
    Results,
    Said,
    Searching,
    Stage,
    Watcher,
    epoch_of,
)


def create(config: StudyConfig, folder: Path, watch: Watcher) -> tuple[evaluate.Row, ...]:
    """Runs a new study in a folder that it makes, and returns its table.

    Raises:
        UserError: if the folder exists, or for whatever in the configuration or the data is wrong; the
            folder is made only once the data are sound.
    """
    require_deployable(config)
    if folder.exists():
        raise UserError(
            "the run folder exists", where=str(folder), remedy=f"contragrad resume {folder}, or another --out"
        )
    dataset, workspace = entered(config, folder, watch)
    return complete(workspace, dataset, watch)


def resume(folder: Path, overrides: Sequence[str], watch: Watcher) -> tuple[evaluate.Row, ...]:
    """Takes up a study where it was left, and ends where it would have ended.

    The overrides may say where it runs, and lengthen it; its settings are kept with them.

    Raises:
        UserError: if the folder holds no study, if an override would make another study of it, or if its
            data have changed.
    """
    config = config_file.read(stored_path(folder), overrides)
    require_deployable(config)
    dataset, workspace = entered(config, folder, watch)
    return complete(workspace, dataset, watch)


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
        require_continuation(config_file.dotted(stored_config(folder)), config)
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


def complete(workspace: Workspace, dataset: Dataset, watch: Watcher) -> tuple[evaluate.Row, ...]:
    """Takes an entered study to its end, and returns its table."""
    with opened(workspace, dataset, watch) as (memo, splits):
        with workers.executor_of(workspace) as executor:
            final = evolve(workspace, memo, executor, watch)
            tasks = full_trainings.planned_trainings(workspace, final)
            trained = full_trainings.train(workspace, tasks, executor, watch)
        watch(Stage("measuring on the test images"))
        rows = full_trainings.measure(workspace, splits, trained)
        # An ensemble in the place of a network is another choice, and so another look.
        names = full_trainings.names(workspace, trained)
        looks = note_look(memo, {name.removesuffix(TOGETHER): own for name, own in names.items()})
        evaluate.write(rows, workspace.folder / TABLE)
    if looks > 1:
        watch(Said(LOOKS.format(looks)))
    watch(Results(rows))
    return rows


@contextmanager
def opened(workspace: Workspace, dataset: Dataset, watch: Watcher) -> Iterator[tuple[Memo, Splits]]:
    """A run folder under its lock, with its memo; the sources and what the objective takes of them are made.

    Raises:
        UserError: if the folder is in use, or holds another study.
    """
    config, folder = workspace.config, workspace.folder
    with lock_folder(folder), workers.cluster_of(config), remembering(folder / DATABASE, config.memo) as memo:
        note_origin(memo, workspace)
        config_file.write(config, folder / CONFIGURATION)
        watch(Opened(folder, config))
        workspace.artefacts.sweep()
        splits = store_splits(workspace, dataset)
        make_reference(workspace, splits, watch)
        make_sources(workspace, splits, watch)
        watch(Stage(f"crafting {config.attack.name} examples"))
        material(workspace, config.training.objective)
        attacked = of_sources(workspace, splits, config.fitness_split)
        own = measure(load_reference(workspace, splits), splits.validation, attacked)
        watch(Said(f"the reference on the {config.fitness_split} images: {outcome_text(own)}"))
        yield memo, splits


def evolve(workspace: Workspace, memo: Memo, executor: executors.Executor, watch: Watcher) -> State:
    """The search to its end, as far as the memo does not have it already."""
    config = workspace.config
    state = search.start(config.search, workspace.problem, config.seed)
    watch(Searching(state, executor.slots))
    trials: dict[str, Trial] = {}

    def announce(key: str, trial: Trial) -> None:
        trials[key] = trial
        watch(Begun(key, key[:6], trial.epochs, trial))

    def on_event(event: study.Event) -> None:
        match event:
            case study.Told():
                watch(event)
            case executors.Progressed(key, message) if key in trials:
                watch(epoch_of(key, key[:6], message, trials[key]))
            case executors.Finished(key, _, seconds):
                watch(Ended(key, seconds))
            case executors.GivenUp(key):
                watch(Ended(key))
            case _:
                pass  # what another search has left running

    return study.run(
        state,
        memo=memo,
        executor=Announcing(executor, announce),
        key_of=workspace.evaluation_name,
        on_event=on_event,
    )
