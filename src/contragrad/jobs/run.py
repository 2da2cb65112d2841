"""The main job: from a configuration to a table, through a run folder that is never lost.

data -> reference -> adversarial examples -> search -> refine, baselines -> test -> table
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from contragrad import evaluate
from contragrad.data.dataset import Dataset, Splits
from contragrad.engine import executors, study
from contragrad.engine.lock import lock_folder
from contragrad.engine.memo import Memo
from contragrad.engine.shared import remembering
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.search import State
from contragrad.evolution.trial import Trial
from contragrad.fitness import measure
from contragrad.jobs import entry, full_trainings, workers
from contragrad.jobs.material import make_reference, make_sources
from contragrad.jobs.recipes import TOGETHER
from contragrad.report import outcome_text
from contragrad.run_folder.contents import load_reference, material, of_sources, store_splits
from contragrad.run_folder.history import retold, stored_path
from contragrad.run_folder.notes import LOOKS, note_look, note_origin
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE, TABLE, Workspace
from contragrad.settings import config_file
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
    evaluations,
    nobody,
)
from contragrad.watch.scene import counted, kind_of


def create(config: StudyConfig, folder: Path, watch: Watcher) -> tuple[evaluate.Row, ...]:
    """Runs a new study in a folder that it makes, and returns its table.

    Raises:
        UserError: if the folder exists, or for whatever in the configuration or the data is wrong; the
            folder is made only once the data are sound.
    """
    entry.require_deployable(config)
    if folder.exists():
        raise UserError(
            "the run folder exists", where=str(folder), remedy=f"contragrad resume {folder}, or another --out"
        )
    dataset, workspace = entry.entered(config, folder, watch)
    return complete(workspace, dataset, watch)


def resume(folder: Path, overrides: Sequence[str], watch: Watcher) -> tuple[evaluate.Row, ...]:
    """Takes up a study where it was left, and ends where it would have ended.

    The overrides may say where it runs, and lengthen it; its settings are kept with them.

    Raises:
        UserError: if the folder holds no study, if an override would make another study of it, or if its
            data have changed.
    """
    config = config_file.read(stored_path(folder), overrides)
    entry.require_deployable(config)
    dataset, workspace = entry.entered(config, folder, watch)
    return complete(workspace, dataset, watch)


def complete(workspace: Workspace, dataset: Dataset, watch: Watcher) -> tuple[evaluate.Row, ...]:
    """Takes an entered study to its end, and returns its table."""
    with opened(workspace, dataset, watch) as (memo, splits):
        make_shared(workspace, splits, watch)
        _known(workspace, memo, watch)
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
    """A run folder under its lock, with its memo and the division of its data; `make_shared` makes the rest.

    Raises:
        UserError: if the folder is in use, or holds another study.
    """
    config, folder = workspace.config, workspace.folder
    with lock_folder(folder), workers.cluster_of(config), remembering(folder / DATABASE, config.memo) as memo:
        note_origin(memo, workspace)
        config_file.write(config, folder / CONFIGURATION)
        watch(Opened(folder, config))
        workspace.artefacts.sweep()
        yield memo, store_splits(workspace, dataset)


def make_shared(workspace: Workspace, splits: Splits, watch: Watcher) -> nn.Module:
    """Makes what evaluations share in an open run folder: the sources, and what the objective takes of them.

    The examples for the fitness are among it, by which the reference is measured, and that is said: by the
    paper's protocol, examples at the test images.

    Returns:
        The reference.

    Raises:
        UnusableSourceError: if the training of a source diverges, or its gradients are not finite.
    """
    config = workspace.config
    make_reference(workspace, splits, watch)
    make_sources(workspace, splits, watch)
    watch(Stage(f"crafting {config.attack.name} examples"))
    material(workspace, config.training.objective)
    attacked = of_sources(workspace, splits, config.fitness_split)
    reference = load_reference(workspace, splits)
    own = measure(reference, splits.validation, attacked)
    watch(Said(f"the reference on the {config.fitness_split} images: {outcome_text(own)}"))
    return reference


def evolve_unknown(
    workspace: Workspace,
    memo: Memo,
    executor: executors.Executor,
    watch: Watcher,
    make: Callable[[], object],
) -> State:
    """As `evolve`, where what evaluations share is made only if one of them is not known.

    Args:
        workspace: whose search it is.
        memo: what is known.
        executor: does what is not.
        watch: who is told; not again of a search that is known to its end.
        make: makes what they share.
    """
    if not _known(workspace, memo, watch).finished:
        make()
        return evolve(workspace, memo, executor, watch)
    # Gone through again, for that holds it to what the study noted of its steps.
    return evolve(workspace, memo, executor, nobody)


def _known(workspace: Workspace, memo: Memo, watch: Watcher) -> State:
    """Where the search stands by what the memo has, which is said."""
    state = retold(memo, workspace).state
    assert state is not None
    if state.step:
        watch(Said(f"{kind_of(state)}: {state.step} of {counted(evaluations(state), 'evaluation')} known"))
    return state


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
