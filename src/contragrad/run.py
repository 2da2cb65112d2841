"""The main job: from a configuration to a table, through a run folder that is never lost.

data -> reference -> adversarial examples -> search -> refine, baselines -> test -> table
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from contragrad import config_file, evaluate, table4
from contragrad.config import StudyConfig
from contragrad.data.balance import remarks
from contragrad.data.dataset import Dataset, Splits, split
from contragrad.data.sources import load
from contragrad.engine import executors, study
from contragrad.engine.lock import lock_folder
from contragrad.engine.memo import Memo, SqliteMemo
from contragrad.engine.work import Work
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.search import State
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Trial
from contragrad.files import new_folder
from contragrad.fingerprint import file_fingerprint, stream_seed
from contragrad.fitness import measure
from contragrad.history import (
    LOOKS,
    note_look,
    note_origin,
    require_continuation,
    stored_config,
    stored_path,
)
from contragrad.networks.inference import resolve_device
from contragrad.networks.objectives import Material
from contragrad.reference import architecture, require_usable
from contragrad.refine import FullTraining, train_fully
from contragrad.report import outcome_text
from contragrad.tasks import against
from contragrad.watch.announcing import Announcing
from contragrad.watch.events import (
    Begun,
    Ended,
    Opened,
    Planned,
    Results,
    Said,
    Searching,
    Stage,
    Watcher,
    epoch_of,
)
from contragrad.workspace import (
    CONFIGURATION,
    DATABASE,
    TABLE,
    Workspace,
    directions,
    load_reference,
    material,
    material_of,
    of_sources,
    source_architecture,
    store_splits,
    untrained_reference,
    untrained_source,
)


def create(config: StudyConfig, folder: Path, watch: Watcher) -> tuple[evaluate.Row, ...]:
    """Runs a new study in a folder that it makes, and returns its table.

    Raises:
        UserError: if the folder exists, or for whatever in the configuration or the data is wrong; the
            folder is made only once the data are sound.
    """
    if folder.exists():
        raise UserError(
            "the run folder exists", where=str(folder), remedy=f"contragrad resume {folder}, or another --out"
        )
    dataset, workspace = entered(config, folder, watch)
    return _run(workspace, dataset, watch)


def resume(folder: Path, overrides: Sequence[str], watch: Watcher) -> tuple[evaluate.Row, ...]:
    """Takes up a study where it was left, and ends where it would have ended.

    The overrides may say where it runs, and lengthen it; its settings are kept with them.

    Raises:
        UserError: if the folder holds no study, if an override would make another study of it, or if its
            data have changed.
    """
    config = config_file.read(stored_path(folder), overrides)
    dataset, workspace = entered(config, folder, watch)
    return _run(workspace, dataset, watch)


def entered(config: StudyConfig, folder: Path, watch: Watcher) -> tuple[Dataset, Workspace]:
    """The data and the run folder of a study, which is made if it is not there.

    Raises:
        UserError: if the folder holds another study, or for whatever in the configuration or the data is
            wrong; the folder is made only once the data are sound.
    """
    there = folder.exists()
    if there:
        require_continuation(config_file.dotted(stored_config(folder)), config)
    watch(Stage("reading the data"))
    dataset, workspace = open_data(config, folder)
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
    dataset = load(config.data)
    problem = Problem(*dataset.shape, dataset.classes)
    weights = config.reference.weights
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
    """Fails now, before anything is written, if the reference cannot be had."""
    network = untrained_reference(workspace, Splits(dataset.train, dataset.test, dataset.test))
    settings = workspace.config.reference
    where = f"reference.factory: {settings.factory}" if settings.factory else "reference.architecture"
    require_usable(network, workspace.problem, where)


def _run(workspace: Workspace, dataset: Dataset, watch: Watcher) -> tuple[evaluate.Row, ...]:
    with opened(workspace, dataset, watch) as (memo, splits):
        with executor_of(workspace) as executor:
            final = evolve(workspace, memo, executor, watch)
            tasks = table4.final_trainings(workspace, final)
            trained = table4.train(workspace, tasks, executor, watch)
        watch(Stage("measuring on the test images"))
        rows = table4.measure(workspace, splits, trained)
        looks = note_look(memo, table4.names(workspace, trained))
        evaluate.write(rows, workspace.folder / TABLE)
    if looks > 1:
        watch(Stage(LOOKS.format(looks)))
    watch(Results(rows))
    return rows


@contextmanager
def opened(workspace: Workspace, dataset: Dataset, watch: Watcher) -> Iterator[tuple[Memo, Splits]]:
    """A run folder under its lock, with its memo; reference, directions and adversarial examples are made.

    Raises:
        UserError: if the folder is in use, or holds another study.
    """
    config, folder = workspace.config, workspace.folder
    with lock_folder(folder), SqliteMemo(folder / DATABASE) as memo:
        note_origin(memo, workspace)
        config_file.write(config, folder / CONFIGURATION)
        watch(Opened(folder, config))
        workspace.artefacts.sweep()
        splits = store_splits(workspace, dataset)
        _make_reference(workspace, splits, watch)
        make_sources(workspace, splits, watch)
        watch(Stage(f"crafting {config.attack.name} examples on the reference"))
        directions(workspace, splits)
        material(workspace, config.training.objective)
        attacked = of_sources(workspace, splits, config.fitness_split)
        own = measure(load_reference(workspace, splits), splits.validation, attacked)
        watch(Stage(f"the reference on the {config.fitness_split} images: {outcome_text(own)}"))
        yield memo, splits


def make_material(
    workspace: Workspace, splits: Splits, tasks: Sequence[FullTraining], watch: Watcher
) -> None:
    """Makes what trainings take beside the images, where workers find it.

    Raises:
        UserError: if the training of a source diverges.
    """
    for task in tasks:
        own = against(task, workspace)
        make_sources(own, splits, watch)
        material(own, task.objective)


def make_sources(workspace: Workspace, splits: Splits, watch: Watcher) -> None:
    """Trains the networks beside the reference that the objective takes, as far as they are not there.

    Raises:
        UserError: if a training diverges.
    """
    config = workspace.config
    for place, (source, name) in enumerate(
        zip(config.training.sources, workspace.source_names(), strict=True)
    ):
        if source in ("reference", "key") or workspace.artefacts.find("network", name) is not None:
            continue
        objective = config.training.objective if source == "surrogate" else "cross-entropy"
        epochs = config.reference.epochs
        watch(
            Stage(f"training source {place + 1}, {source}, {epochs} epochs", (Planned(name, source, epochs),))
        )
        task = FullTraining(
            name=source,
            architecture=source_architecture(config.reference, source),
            objective=objective,
            epochs=epochs,
            seed=workspace.seed_of_source(place),
        )
        _train_here(
            workspace,
            splits,
            task,
            name,
            material_of(workspace, objective, place) if source == "surrogate" else Material(),
            untrained_source(workspace, splits, place),
            watch,
        )


def _make_reference(workspace: Workspace, splits: Splits, watch: Watcher) -> None:
    artefacts, name = workspace.artefacts, workspace.reference_name
    if artefacts.find("network", name) is not None:
        watch(Stage("the reference is there"))
        return
    network = untrained_reference(workspace, splits).to(workspace.device)
    if workspace.weights is not None:
        watch(Stage("the reference's weights are given"))
        artefacts.save("network", name, dict(network.state_dict()))
        return
    config = workspace.config
    text = architecture(config.reference)
    epochs = config.reference.epochs
    planned = Planned(name, "reference", epochs)
    watch(Stage(f"training the reference, {epochs} epochs: {text}", (planned,)))
    seed = stream_seed(config.seed, "reference")
    task = FullTraining(
        name="reference",
        architecture=text,
        objective="cross-entropy",
        epochs=epochs,
        seed=seed,
    )
    _train_here(workspace, splits, task, name, Material(), network, watch)


def _train_here(
    workspace: Workspace,
    splits: Splits,
    task: FullTraining,
    name: str,
    material: Material,
    network: nn.Module,
    watch: Watcher,
) -> None:
    """Trains a network in the driver, with all cores."""
    config = workspace.config
    result = train_fully(
        network.to(workspace.device),
        task,
        name=name,
        examples=splits.train,
        material=material,
        training=config.training,
        checkpoint_every=config.refine.checkpoint_every,
        artefacts=workspace.artefacts,
        report=lambda message: watch(epoch_of(name, task.name, message)),
    )
    watch(Ended(name))
    if "infeasible" in result:
        raise UserError(
            f"the training of {task.name} {result['infeasible']}", where=task.name, remedy="another seed"
        )


def worker_count(workspace: Workspace) -> int:
    """Worker processes: as many as the settings say, or one for each core, or one for an accelerator."""
    if workspace.config.workers:
        return workspace.config.workers
    return (os.cpu_count() or 1) if workspace.device.type == "cpu" else 1


@contextmanager
def executor_of(workspace: Workspace) -> Iterator[executors.Executor]:
    """Worker processes for the workspace's tasks, stopped when the block ends."""
    work = Work(setup="contragrad.tasks:prepare", argument=workspace)
    executor = executors.Processes(work, workers=worker_count(workspace), threads=1)
    try:
        yield executor
    finally:
        executor.close()


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
