"""The main job: from a configuration to a table, through a run folder that is never lost.

data -> reference -> adversarial examples -> search -> refine, baselines -> test -> table
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from contragrad import config_file, evaluate
from contragrad.config import StudyConfig
from contragrad.data.dataset import Dataset, Splits
from contragrad.data.sources import load
from contragrad.engine import executors, study
from contragrad.engine.lock import lock_folder
from contragrad.engine.memo import Memo, SqliteMemo
from contragrad.engine.work import Work
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.search import State
from contragrad.evolution.shapes import Problem
from contragrad.fingerprint import file_fingerprint, stream_seed
from contragrad.fitness import trial_seed
from contragrad.progress import Progress
from contragrad.reference import HAND_ENGINEERED, architecture, construct
from contragrad.refine import FullTraining, train_fully
from contragrad.tasks import task_name
from contragrad.workspace import (
    Workspace,
    adversarial,
    directions,
    load_reference,
    normalisation,
    store_splits,
    untrained_reference,
)

CONFIGURATION = "study.yaml"
DATABASE = "study.db"
TABLE = "table.json"


def create(config: StudyConfig, folder: Path, progress: Progress) -> tuple[evaluate.Row, ...]:
    """Runs a new study in a folder that it makes, and returns its table.

    Raises:
        UserError: if the folder exists, or for whatever in the configuration or the data is wrong; the
            folder is made only once the data are sound.
    """
    if folder.exists():
        raise UserError(
            "the run folder exists", where=str(folder), remedy=f"contragrad resume {folder}, or another --out"
        )
    progress.stage("reading the data")
    dataset, workspace = _open(config, folder)
    search.start(config.search, workspace.problem, config.seed)
    _untrained(workspace, dataset)
    (folder / "artefacts").mkdir(parents=True)
    config_file.write(config, folder / CONFIGURATION)
    return _run(workspace, dataset, progress)


def resume(folder: Path, overrides: Sequence[str], progress: Progress) -> tuple[evaluate.Row, ...]:
    """Takes up a study where it was left, and ends where it would have ended.

    Raises:
        UserError: if the folder holds no study, or its data have changed.
    """
    config = stored_config(folder, overrides)
    progress.stage("reading the data")
    dataset, workspace = _open(config, folder)
    return _run(workspace, dataset, progress)


def stored_config(folder: Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """The settings of a run folder."""
    path = folder / CONFIGURATION
    if not path.is_file():
        raise UserError(
            "there is no study in this folder", where=str(folder), remedy="a folder made by evolve"
        )
    return config_file.read(path, overrides)


def _open(config: StudyConfig, folder: Path) -> tuple[Dataset, Workspace]:
    dataset = load(config.data)
    problem = Problem(*dataset.shape, dataset.classes)
    weights = config.reference.weights
    try:
        name = None if weights is None else file_fingerprint(Path(weights))
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
    untrained_reference(workspace, Splits(dataset.train, dataset.test, dataset.test))


def _run(workspace: Workspace, dataset: Dataset, progress: Progress) -> tuple[evaluate.Row, ...]:
    config, folder = workspace.config, workspace.folder
    with lock_folder(folder), SqliteMemo(folder / DATABASE) as memo:
        _require_same_data(memo, workspace)
        splits = store_splits(workspace, dataset)
        _make_reference(workspace, splits, progress)
        progress.stage(f"crafting {config.attack.name} examples on the reference")
        directions(workspace, splits)
        adversarial(workspace, splits, config.fitness_split)
        with _executor(workspace) as executor:
            final = _search(workspace, memo, executor, progress)
            trained = _train_final(workspace, final, memo, executor, progress)
        progress.stage("measuring on the test images")
        rows = _measure(workspace, splits, trained)
        evaluate.write(rows, folder / TABLE)
    return rows


def _require_same_data(memo: SqliteMemo, workspace: Workspace) -> None:
    stored = memo.get_meta("data")
    if stored is None:
        memo.set_meta("data", workspace.data)
    elif stored != workspace.data:
        raise UserError(
            "the data are not those that this study began with",
            where=f"data.source {workspace.config.data.source}, data.path {workspace.config.data.path}",
            remedy="the original files, or a new run folder",
        )


def _make_reference(workspace: Workspace, splits: Splits, progress: Progress) -> None:
    artefacts, name = workspace.artefacts, workspace.reference_name
    if artefacts.find("network", name) is not None:
        progress.stage("the reference is there")
        return
    network = untrained_reference(workspace, splits).to(workspace.device)
    if workspace.weights is not None:
        progress.stage("the reference's weights are given")
        artefacts.save("network", name, dict(network.state_dict()))
        return
    config = workspace.config
    text = architecture(config.reference)
    progress.stage(f"training the reference, {config.reference.epochs} epochs: {text}")
    seed = stream_seed(config.seed, "reference")
    task = FullTraining(
        name="reference", architecture=text, gm=False, epochs=config.reference.epochs, seed=seed
    )
    result = train_fully(
        network,
        task,
        name=name,
        examples=splits.train,
        directions=None,
        training=config.training,
        checkpoint_every=config.refine.checkpoint_every,
        artefacts=artefacts,
        report=lambda message: progress.running("reference", _epoch("reference", message)),
    )
    if "infeasible" in result:
        raise UserError(
            f"the reference's training {result['infeasible']}", where="reference", remedy="another seed"
        )


@contextmanager
def _executor(workspace: Workspace) -> Iterator[executors.Executor]:
    work = Work(setup="contragrad.tasks:prepare", argument=workspace)
    workers = workspace.config.workers or (os.cpu_count() or 1 if workspace.device.type == "cpu" else 1)
    executor = executors.Processes(work, workers=workers, threads=1)
    try:
        yield executor
    finally:
        executor.close()


def _search(workspace: Workspace, memo: Memo, executor: executors.Executor, progress: Progress) -> State:
    config = workspace.config
    settings = config.search
    state = search.start(settings, workspace.problem, config.seed)
    total = settings.population * (1 + settings.generations * settings.children)
    progress.stage(
        f"evolving: {settings.population} candidates, {settings.generations} generations, "
        f"{settings.children} children each, {total} evaluations"
    )

    def on_event(event: study.Event) -> None:
        match event:
            case study.Told():
                best = max(member.outcome.fitness for member in event.after.population)
                progress.told(
                    event.after.step, total, event.outcome, taken=placed(event), best=max(best, 0.0)
                )
            case executors.Progressed():
                progress.running(event.key, _epoch(event.key[:6], event.message))
            case executors.Finished():
                progress.forget(event.key)

    return study.run(state, memo=memo, executor=executor, key_of=workspace.evaluation_name, on_event=on_event)


def placed(event: study.Told) -> str:
    """What an outcome did to the population."""
    before, after = event.before.population, event.after.population
    if event.before.generation == 0:
        return f"initial candidate {len(after)}"
    changed = [slot for slot, pair in enumerate(zip(before, after, strict=True), 1) if pair[0] is not pair[1]]
    where = f"generation {event.before.generation}, candidate {event.before.slot + 1}"
    return f"{where}: replaces candidate {changed[0]}" if changed else f"{where}: rejected"


def final_trainings(workspace: Workspace, state: State) -> tuple[FullTraining, ...]:
    """The networks of the paper's Table 4 that are trained with GM: the baselines, then the evolved.

    All are trained for as many epochs as the evolved networks together with their refinement.
    """
    config = workspace.config
    ranked = sorted(state.population, key=lambda member: -member.outcome.fitness)[: config.refine.networks]
    epochs = max(member.trial.epochs for member in ranked) + config.refine.epochs
    seed = partial(stream_seed, config.seed, "baseline")
    baseline = partial(FullTraining, gm=True, epochs=epochs)
    evolved = (
        baseline(name=f"NE+GM {rank}", architecture=str(member.trial.genome), seed=trial_seed(member.trial))
        for rank, member in enumerate(ranked, start=1)
    )
    return (
        baseline(name="reference+GM", architecture=architecture(config.reference), seed=seed("reference")),
        baseline(
            name="hand-engineered+GM",
            architecture=str(HAND_ENGINEERED["hand-engineered-b"]),
            seed=seed("hand-engineered"),
        ),
        *evolved,
    )


def _train_final(
    workspace: Workspace,
    state: State,
    memo: Memo,
    executor: executors.Executor,
    progress: Progress,
) -> tuple[FullTraining, ...]:
    tasks = final_trainings(workspace, state)
    names = {task_name(task, workspace): task for task in tasks}
    artefacts = workspace.artefacts
    missing = {name: task for name, task in names.items() if artefacts.find("network", name) is None}
    progress.stage(f"training {len(missing)} networks in full, {tasks[0].epochs} epochs each")
    progress.left(f"{len(missing)} networks left")

    def on_event(event: study.Event) -> None:
        match event:
            case executors.Progressed():
                progress.running(event.key, _epoch(names[event.key].name, event.message))
            case executors.Finished():
                progress.done(event.key, f"trained {names[event.key].name} in {event.seconds:.0f} s")

    results = study.run_tasks(list(missing.items()), executor=executor, on_event=on_event)
    for name, result in results.items():
        if "infeasible" in result:
            progress.done(name, f"{names[name].name} is left out: {result['infeasible']}")
    return tuple(task for name, task in names.items() if "infeasible" not in results.get(name, {}))


def _measure(
    workspace: Workspace, splits: Splits, trained: Sequence[FullTraining]
) -> tuple[evaluate.Row, ...]:
    attacked = adversarial(workspace, splits, "test")
    text = architecture(workspace.config.reference)
    reference = load_reference(workspace, splits)
    rows = [evaluate.row("reference", text, reference, splits.test, attacked)]
    normal = normalisation(splits.train)
    for task in trained:
        network = construct(task.architecture, workspace.problem, normal, task.seed)
        network.load_state_dict(workspace.artefacts.load("network", task_name(task, workspace)))
        network.to(workspace.device)
        rows.append(evaluate.row(task.name, task.architecture, network, splits.test, attacked))
    return tuple(rows)


def _epoch(name: str, message: dict[str, float]) -> str:
    return f"{name} epoch {message['epoch']:.0f}/{message['epochs']:.0f}"


def replay(folder: Path) -> tuple[StudyConfig, list[study.Told], State]:
    """A study's history as far as it has come, without training or writing anything.

    Raises:
        UserError: if the folder holds no study, or its data cannot be read.
    """
    config = stored_config(folder)
    _, workspace = _open(config, folder)
    with SqliteMemo(folder / DATABASE) as memo:
        state = search.start(config.search, workspace.problem, config.seed)
        told: list[study.Told] = []
        while not state.finished:
            trial = search.ask(state)
            record = memo.get(workspace.evaluation_name(trial))
            if record is None:
                break
            outcome = search.outcome_from_json(record.outcome)
            after = search.tell(state, trial, outcome)
            told.append(study.Told(trial, outcome, state, after))
            state = after
    return config, told, state
