"""What a worker can be asked to do: evaluate a trial, or train a network in full."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from torch import nn

from contragrad.evolution.trial import Trial, outcome_to_json
from contragrad.fingerprint import Plain, fingerprint
from contragrad.fitness import Context, Report, evaluate, measure
from contragrad.jobs.refine import FullTraining, Origin, train_fully
from contragrad.networks.architectures import construct, ensemble_of
from contragrad.networks.objectives import OBJECTIVES
from contragrad.run_folder.contents import context, material
from contragrad.run_folder.workspace import Workspace, directions_name, source_architecture
from contragrad.settings.choices import Objective, is_surrogate

Task = Trial | FullTraining


def prepare(workspace: Workspace, folder: Path | None = None) -> Callable[[Task, Report], dict[str, Plain]]:
    """A worker's function for the tasks of one study; what they share is loaded with the first.

    Args:
        workspace: the study's.
        folder: where this worker has its files, if not in the workspace's folder; see `reads` and `makes`.
    """
    workspace = workspace if folder is None else replace(workspace, folder=folder)

    @cache
    def shared() -> Context:
        return context(workspace)

    def perform(task: Task, report: Report) -> dict[str, Plain]:
        match task:
            case Trial():
                return outcome_to_json(evaluate(task, shared(), report))
            case FullTraining():
                return _train(task, workspace, shared(), report)

    return perform


def _train(task: FullTraining, workspace: Workspace, shared: Context, report: Report) -> dict[str, Plain]:
    network = construct(task.architecture, shared.problem, shared.normalisation, task.seed)

    def fitness(trained: nn.Module) -> float:
        return measure(trained, shared.fitness, shared.adversarial).fitness

    why = train_fully(
        network.to(shared.device),
        task,
        name=task_name(task, workspace),
        examples=shared.train,
        material=(
            shared.material
            if (own := against(task, workspace)) == workspace
            else material(own, task.objective)
        ),
        training=shared.training,
        checkpoint_every=workspace.config.refine.checkpoint_every,
        artefacts=workspace.artefacts,
        report=report,
        score=fitness if task.keep == "best" else None,
    )
    return {} if why is None else {"infeasible": why}


def reads(task: Task, workspace: Workspace) -> tuple[str, ...]:
    """The files that a worker reads for a task, by their names in the run folder."""
    training = workspace.config.training
    files = {workspace.artefacts.path("splits", workspace.split_name)}
    files |= _adversarial_files(workspace, workspace.config.fitness_split)
    files |= _material_files(workspace, training.objective)
    if isinstance(task, FullTraining):
        files |= _material_files(against(task, workspace), task.objective)
    return _names(files, workspace)


def makes(task: Task, workspace: Workspace) -> tuple[str, ...]:
    """The files that a task leaves, and goes on from, by their names in the run folder."""
    if isinstance(task, Trial):
        return ()
    name = task_name(task, workspace)
    kinds = ("checkpoint", "network", "curve", "diverged")
    return _names({workspace.artefacts.path(kind, name) for kind in kinds}, workspace)


def _material_files(workspace: Workspace, objective: Objective) -> set[Path]:
    parts, path = OBJECTIVES[objective], workspace.artefacts.path
    names = workspace.source_names() if parts.penalty else ()
    directed = {path("directions", directions_name(workspace, name)) for name in names}
    return directed | (_adversarial_files(workspace, "train") if parts.fixed else set())


def _adversarial_files(workspace: Workspace, part: str) -> set[Path]:
    return {workspace.artefacts.path("adversarial", name) for name in workspace.adversarial_names(part)}


def _names(files: set[Path], workspace: Workspace) -> tuple[str, ...]:
    return tuple(sorted(str(file.relative_to(workspace.folder)) for file in files))


def task_name(task: Task, workspace: Workspace) -> str:
    """The fingerprint under which a task's result is remembered."""
    match task:
        case Trial():
            return workspace.evaluation_name(task)
        case FullTraining():
            return task.fingerprint(
                workspace.config.training, workspace.split_name, _origin(against(task, workspace), workspace)
            )


def deployed_name(task: FullTraining, workspace: Workspace) -> str:
    """The fingerprint of what is deployed: the trained network, or it together with its surrogates."""
    own = task_name(task, workspace)
    surrogates = surrogate_names(task, workspace)
    return ensemble_name([own, *surrogates.values()]) if surrogates else own


def ensemble_name(members: Sequence[str]) -> str:
    """The fingerprint of an ensemble, by those of its members."""
    return fingerprint("ensemble/1", list(members))


def deployed_architecture(task: FullTraining, workspace: Workspace) -> str:
    """The architecture of what is deployed, as the text that `construct` takes."""
    own = against(task, workspace).config
    joined = [
        source_architecture(own.reference, own.training.sources[place])
        for place in surrogate_names(task, workspace)
    ]
    return ensemble_of([task.architecture, *joined]) if joined else task.architecture


def surrogate_names(task: FullTraining, workspace: Workspace) -> dict[int, str]:
    """The surrogates that a network is deployed with: their places among its sources, and their names."""
    own = against(task, workspace)
    sources = own.config.training.sources if task.together else ()
    names = own.source_names()
    return {place: names[place] for place, source in enumerate(sources) if is_surrogate(source)}


def against(task: FullTraining, workspace: Workspace) -> Workspace:
    """The workspace with the objective and the sources of a training."""
    return workspace.against(task.objective, task.sources, task.source_seed, task.gm_weight)


def _origin(own: Workspace, study: Workspace) -> Origin:
    """Names what a full training may take: its own sources, and the study's, which judge its epochs."""
    return Origin(
        reference=own.reference_name,
        adversarial=own.adversarial_name("train"),
        fitness=study.adversarial_names(study.config.fitness_split),
        epsilon=own.config.attack.epsilon,
        sources=() if own.config.training.sources == ("reference",) else own.source_names(),
    )
