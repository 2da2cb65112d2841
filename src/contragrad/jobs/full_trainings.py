"""Networks trained in full, for audits, reproduced tables, and a study's own table, which is measured here.

A study's search ends before the test images are looked at, unless the fitness is the paper's.
"""

from collections.abc import Mapping, Sequence

from torch import nn

from contragrad import evaluate
from contragrad.artefacts import Artefacts
from contragrad.data.dataset import Splits
from contragrad.engine import executors, study
from contragrad.engine.work import Result
from contragrad.evolution.search import State
from contragrad.fingerprint import Plain
from contragrad.jobs.curve import curve_of
from contragrad.jobs.recipes import Found, main_job_of
from contragrad.jobs.refine import FullTraining, diverged
from contragrad.jobs.tasks import (
    against,
    deployed_architecture,
    deployed_name,
    surrogate_names,
    task_name,
)
from contragrad.networks.architectures import construct
from contragrad.networks.ensemble import Ensemble
from contragrad.networks.network import Normalisation, placed
from contragrad.reference import architecture
from contragrad.run_folder.contents import (
    adversarial,
    filled,
    load_reference,
    load_source,
    load_splits,
    normalisation,
)
from contragrad.run_folder.workspace import Workspace
from contragrad.watch.announcing import Announcing
from contragrad.watch.events import Begun, Ended, Planned, Said, Stage, Watcher, epoch_of
from contragrad.watch.scene import counted


def planned_trainings(workspace: Workspace, state: State) -> tuple[FullTraining, ...]:
    """The trainings of the networks of the paper's Table 4: the baselines', then the evolved networks'."""
    config, found = workspace.config, Found(state.population)
    recipes = main_job_of(config, state.population)
    trainings = (recipe.training(name, config, found) for name, recipe in recipes.items())
    return tuple(training for training in trainings if training is not None)


def final_trainings(workspace: Workspace, state: State) -> tuple[FullTraining, ...]:
    """Those of them that are not known to diverge: of a study that has ended, those of its table."""
    planned, artefacts = planned_trainings(workspace, state), workspace.artefacts
    return tuple(task for task in planned if diverged(artefacts, task_name(task, workspace)) is None)


def train(
    workspace: Workspace, tasks: Sequence[FullTraining], executor: executors.Executor, watch: Watcher
) -> tuple[FullTraining, ...]:
    """Trains what is neither trained nor known to diverge; returns the trainings whose networks are there."""
    named, artefacts = {task_name(task, workspace): task for task in tasks}, workspace.artefacts
    missing = {name: task for name, task in named.items() if artefacts.find("network", name) is None}
    lost: dict[str, Plain] = {
        name: reason for name in missing if (reason := diverged(artefacts, name)) is not None
    }
    missing = {name: task for name, task in missing.items() if name not in lost}
    if missing:
        results = _perform(missing, artefacts, executor, watch)
        lost |= {name: result["infeasible"] for name, result in results.items() if "infeasible" in result}
    else:
        watch(Said("the networks are trained"))
    there = []
    for task in tasks:  # two of them may have one name
        if (name := task_name(task, workspace)) in lost:
            watch(Said(f"{task.name} is left out: {lost[name]}"))
        else:
            there.append(task)
    return tuple(there)


def _perform(
    missing: Mapping[str, FullTraining], artefacts: Artefacts, executor: executors.Executor, watch: Watcher
) -> dict[str, Result]:
    """What trainings come to, by their names."""
    epochs = max(task.epochs for task in missing.values())
    planned = tuple(Planned(name, task.name, task.epochs) for name, task in missing.items())
    text = f"training {counted(len(missing), 'network')} in full, at most {counted(epochs, 'epoch')} each"
    watch(Stage(text, planned, executor.slots))

    def on_event(event: study.Event) -> None:
        match event:
            case executors.Progressed(key, message):
                watch(epoch_of(key, missing[key].name, message))
            case executors.Finished(key, result, seconds):
                task = missing[key]
                lost = "infeasible" in result
                came = f"{task.name} diverged after" if lost else f"trained {task.name} in"
                flat = "" if lost else _flat(task, artefacts, key)
                watch(Ended(key, seconds, f"{came} {seconds:.0f} s{flat}"))

    def announce(key: str, task: FullTraining) -> None:
        watch(Begun(key, task.name, task.epochs))

    announcing = Announcing(executor, announce)
    return study.run_tasks(list(missing.items()), executor=announcing, on_event=on_event)


def _flat(task: FullTraining, artefacts: Artefacts, name: str) -> str:
    """Whether a training that was to end when its curve is flat has come to that, in words."""
    if task.patience is None or (curve := curve_of(artefacts, name)) is None:
        return ""
    flat = f"flat after {curve.epochs} epochs" if curve.is_flat(task.patience) else "not flat yet"
    return f", its curve {flat}"


def names(workspace: Workspace, trained: Sequence[FullTraining]) -> dict[str, str]:
    """What trained networks are called, and the fingerprints of what is deployed."""
    return {task.name: deployed_name(task, workspace) for task in trained}


def measure(
    workspace: Workspace, splits: Splits, trained: Sequence[FullTraining]
) -> tuple[evaluate.Row, ...]:
    """The table: the reference first, then what was trained, each with all its weights in one file."""
    attacked = adversarial(workspace, splits, "test")
    text = architecture(workspace.config.reference)
    reference = load_reference(workspace, splits)

    def weights(name: str) -> str:
        return str(workspace.artefacts.path("network", name).relative_to(workspace.folder))

    own = weights(workspace.reference_name)
    rows = [evaluate.row("reference", text, own, reference, splits.test, attacked)]
    normal = normalisation(splits.train)
    for task in trained:
        network, name = trained_network(workspace, normal, task), deployed_name(task, workspace)
        # Members of an ensemble lie apart; a network alone was just read from its file.
        if task.together and workspace.artefacts.find("network", name) is None:
            workspace.artefacts.save("network", name, dict(network.state_dict()))
        text = deployed_architecture(task, workspace)
        rows.append(evaluate.row(task.name, text, weights(name), network, splits.test, attacked))
    return tuple(rows)


def trained_network(workspace: Workspace, normal: Normalisation, task: FullTraining) -> nn.Module:
    """What a training left to deploy, on the workspace's device: its network, alone or with surrogates."""
    network = construct(task.architecture, workspace.problem, normal, task.seed)
    network = placed(filled(network, workspace, task_name(task, workspace)), workspace.device)
    if places := surrogate_names(task, workspace):
        own, splits = against(task, workspace), load_splits(workspace)
        return Ensemble([network, *(load_source(own, splits, place) for place in places)]).eval()
    return network
