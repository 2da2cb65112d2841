"""What a worker can be asked to do: evaluate a trial, or train a network in full."""

from collections.abc import Callable
from functools import cache

from torch import nn

from contragrad.evolution.trial import Trial, outcome_to_json
from contragrad.fingerprint import Plain
from contragrad.fitness import Context, Report, evaluate, measure
from contragrad.reference import construct
from contragrad.refine import FullTraining, train_fully
from contragrad.workspace import Workspace, context

Task = Trial | FullTraining


def prepare(workspace: Workspace) -> Callable[[Task, Report], dict[str, Plain]]:
    """A worker's function for the tasks of one study; what they share is loaded with the first."""

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

    return train_fully(
        network.to(shared.device),
        task,
        name=task_name(task, workspace),
        examples=shared.train,
        directions=shared.directions if task.gm else None,
        training=shared.training,
        checkpoint_every=workspace.config.refine.checkpoint_every,
        artefacts=workspace.artefacts,
        report=report,
        score=fitness if task.keep == "best" else None,
    )


def task_name(task: Task, workspace: Workspace) -> str:
    """The fingerprint under which a task's result is remembered."""
    match task:
        case Trial():
            return workspace.evaluation_name(task)
        case FullTraining():
            config = workspace.config
            return task.fingerprint(
                config.training,
                workspace.reference_name,
                workspace.split_name,
                workspace.adversarial_name(config.fitness_split),
            )
