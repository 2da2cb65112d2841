"""The network that is audited, and what is known of how it was made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from contragrad.data.dataset import Splits
from contragrad.errors import UserError
from contragrad.jobs import full_trainings
from contragrad.jobs.curve import curve_of
from contragrad.jobs.refine import FullTraining
from contragrad.jobs.tasks import deployed_architecture, deployed_name, task_name
from contragrad.networks.architectures import ensemble_of, members_of
from contragrad.networks.network import Normalisation
from contragrad.reference import architecture
from contragrad.run_folder import history
from contragrad.run_folder.contents import load_reference, normalisation
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.choices import Keep, Objective

REFERENCE = "reference"

UNCHANGED = Normalisation((0.0,), (1.0,))
"""For networks that do their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The network that is audited.

    Args:
        name: what it is called.
        network: maps images in [0, 1], float32 (B, C, H, W), to logits (B, classes).
        fingerprint: names it: its weights and, where they are not all, what else its answers depend on.
        architecture: the text that `architectures.construct` takes; None if it cannot be built anew. Of an
            ensemble, that of the network that was trained to be deployed with the others.
        objective: what it was trained for, as far as an attacker who knows the recipe knows.
        epochs: for how long; where its training was to end when its curve is flat and the curve is lost, for
            how long at most.
        keep: which of its weights were kept.
        seed: its training's; None if it is not known.
        recipe_known: whether objective and epochs are known, not assumed.
        code: names what its factory makes, for networks that are trained anew from it; empty where the
            architecture's text says it all.
        refused: objectives that its architecture cannot be trained for, and why.
        weights: the file that it was read from.
        surrogates: of an ensemble, the architectures of those that it is deployed with.
    """

    name: str
    network: nn.Module
    fingerprint: str
    architecture: str | None
    objective: Objective
    epochs: int
    keep: Keep
    seed: int | None
    weights: Path
    recipe_known: bool = True
    code: str = ""
    refused: Mapping[Objective, str] = field(default_factory=dict)
    surrogates: tuple[str, ...] = ()

    @property
    def text(self) -> str | None:
        """The text of what is deployed, all of it."""
        if self.architecture is None or not self.surrogates:
            return self.architecture
        return ensemble_of([self.architecture, *self.surrogates])

    @property
    def foreign(self) -> bool:
        """Whether its code is somebody else's, so that it may fail anywhere."""
        return self.text is None or is_foreign(self.text)


def is_foreign(architecture: str) -> bool:
    """Whether such a network, or a member of such an ensemble, is made by somebody else's code."""
    return any(member.startswith("factory ") for member in members_of(architecture))


def training_of(workspace: Workspace, name: str | None) -> FullTraining | None:
    """How a study that has ended trained the network of that name in its table, or its best evolved one.

    Returns:
        None for the reference.

    Raises:
        UserError: if the study has no such network, or its weights are gone.
    """
    if name == REFERENCE:
        return None
    state = history.load(workspace.folder).state
    if state is None or not state.finished:
        raise UserError(
            "the study has not ended",
            where=str(workspace.folder),
            remedy=f"contragrad resume {workspace.folder}; for a model audited there, the model and --out",
        )
    tasks = {task.name: task for task in full_trainings.final_trainings(workspace, state)}
    wanted = name or next((task for task in tasks if task.startswith("NE+")), None)
    chosen = None if wanted is None else tasks.get(wanted)
    if chosen is None:
        raise UserError(
            f"the study has no network {name}" if name else "the study has refined no evolved network",
            where="--network",
            remedy=f"one of: {'; '.join([REFERENCE, *tasks])}",
        )
    weights = deployed_name(chosen, workspace)
    if workspace.artefacts.find("network", weights) is None:
        raise UserError(
            f"the weights of {chosen.name} are not there",
            where=str(workspace.artefacts.path("network", weights)),
            remedy=f"contragrad resume {workspace.folder}",
        )
    return chosen


def of_run(workspace: Workspace, splits: Splits, training: FullTraining | None) -> Target:
    """The network that a study's training has left; without one, its reference."""
    return _reference(workspace, splits) if training is None else _trained(workspace, splits, training)


def _reference(workspace: Workspace, splits: Splits) -> Target:
    config = workspace.config
    return Target(
        name=REFERENCE,
        network=load_reference(workspace, splits),
        fingerprint=workspace.reference_name,
        architecture=architecture(workspace.config.reference),
        objective="cross-entropy",
        epochs=config.reference.epochs,
        keep="last",
        seed=None,
        weights=workspace.artefacts.path("network", workspace.reference_name),
    )


def _trained(workspace: Workspace, splits: Splits, task: FullTraining) -> Target:
    name = deployed_name(task, workspace)
    curve = curve_of(workspace.artefacts, task_name(task, workspace))
    return Target(
        name=task.name,
        network=full_trainings.trained_network(workspace, normalisation(splits.train), task),
        fingerprint=name,
        architecture=task.architecture,
        objective=task.objective,
        epochs=task.epochs if curve is None else curve.epochs,
        keep=task.keep,
        seed=task.seed,
        weights=workspace.artefacts.path("network", name),
        recipe_known=curve is not None or task.patience is None,
        surrogates=members_of(deployed_architecture(task, workspace))[1:],
    )
