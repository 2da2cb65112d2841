"""The networks of the paper's Table 4: trained in full after the search, then measured on the test images.

The test set is looked at here and nowhere else, unless the fitness is the paper's.
"""

from collections.abc import Sequence
from functools import partial

from contragrad import evaluate
from contragrad.data.dataset import Splits
from contragrad.engine import executors, study
from contragrad.evolution.search import State
from contragrad.fingerprint import stream_seed
from contragrad.fitness import trial_seed
from contragrad.networks.network import placed
from contragrad.progress import Progress, epoch_text
from contragrad.reference import HAND_ENGINEERED, architecture, construct
from contragrad.refine import FullTraining
from contragrad.tasks import task_name
from contragrad.workspace import Workspace, adversarial, load_reference, normalisation


def final_trainings(workspace: Workspace, state: State) -> tuple[FullTraining, ...]:
    """The networks of the paper's Table 4 that are trained with GM: the baselines, then the evolved.

    All are trained for as many epochs as the evolved networks together with their refinement.
    """
    config = workspace.config
    ranked = sorted(state.population, key=lambda member: -member.outcome.fitness)[: config.refine.networks]
    epochs = max(member.trial.epochs for member in ranked) + config.refine.epochs
    seed = partial(stream_seed, config.seed, "baseline")
    baseline = partial(
        FullTraining, objective=config.training.objective, epochs=epochs, keep=config.refine.keep
    )
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


def train(
    workspace: Workspace, state: State, executor: executors.Executor, progress: Progress
) -> tuple[FullTraining, ...]:
    """Trains what is not trained yet; returns the trainings whose networks are there."""
    tasks = final_trainings(workspace, state)
    names = {task_name(task, workspace): task for task in tasks}
    artefacts = workspace.artefacts
    missing = {name: task for name, task in names.items() if artefacts.find("network", name) is None}
    if not missing:
        progress.stage("the networks are trained")
        return tasks
    progress.stage(f"training {len(missing)} networks in full, {tasks[0].epochs} epochs each")
    left = set(missing)
    progress.left(f"{len(left)} networks left")

    def on_event(event: study.Event) -> None:
        match event:
            case executors.Progressed():
                progress.running(event.key, epoch_text(names[event.key].name, event.message))
            case executors.Finished():
                left.discard(event.key)
                progress.left(f"{len(left)} networks left")
                progress.done(event.key, f"trained {names[event.key].name} in {event.seconds:.0f} s")

    results = study.run_tasks(list(missing.items()), executor=executor, on_event=on_event)
    for name, result in results.items():
        if "infeasible" in result:
            progress.done(name, f"{names[name].name} is left out: {result['infeasible']}")
    return tuple(task for task in tasks if "infeasible" not in results.get(task_name(task, workspace), {}))


def measure(
    workspace: Workspace, splits: Splits, trained: Sequence[FullTraining]
) -> tuple[evaluate.Row, ...]:
    """The table: the reference first, then the trained networks."""
    attacked = adversarial(workspace, splits, "test")
    text = architecture(workspace.config.reference)
    reference = load_reference(workspace, splits)

    def weights(name: str) -> str:
        return str(workspace.artefacts.path("network", name).relative_to(workspace.folder))

    own = weights(workspace.reference_name)
    rows = [evaluate.row("reference", text, own, reference, splits.test, attacked)]
    normal = normalisation(splits.train)
    for task in trained:
        network = construct(task.architecture, workspace.problem, normal, task.seed)
        name = task_name(task, workspace)
        network.load_state_dict(workspace.artefacts.load("network", name))
        network = placed(network, workspace.device)
        rows.append(evaluate.row(task.name, task.architecture, weights(name), network, splits.test, attacked))
    return tuple(rows)
