"""The network that is audited, and what is known of how it was made."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from contragrad import history, table4
from contragrad.artefacts import network_fingerprint
from contragrad.choices import Keep, Objective
from contragrad.contents import load_reference, normalisation
from contragrad.data.dataset import Splits
from contragrad.errors import UserError
from contragrad.legible import legible
from contragrad.networks.network import Normalisation, placed
from contragrad.onnx.model import load_onnx
from contragrad.reference import architecture, construct, load_weights
from contragrad.refine import FullTraining
from contragrad.tasks import task_name
from contragrad.workspace import Workspace

REFERENCE = "reference"

UNCHANGED = Normalisation((0.0,), (1.0,))
"""For networks that do their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The network that is audited.

    Args:
        name: what it is called.
        network: maps images in [0, 1], float32 (B, C, H, W), to logits (B, classes).
        fingerprint: names its weights.
        architecture: the text that `reference.construct` takes; None if it cannot be built anew.
        objective: what it was trained for, as far as an attacker who knows the recipe knows.
        epochs: for how long.
        keep: which of its weights were kept.
        seed: its training's; None if it is not known.
        recipe_known: whether objective and epochs are known, not assumed.
        weights: the file that it was read from.
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
    tasks = {task.name: task for task in table4.final_trainings(workspace, state)}
    chosen = tasks.get(name or next(task for task in tasks if task.startswith("NE+")))
    if chosen is None:
        raise UserError(
            f"the study has no network {name}",
            where="--network",
            remedy=f"one of: {', '.join([REFERENCE, *tasks])}",
        )
    weights = task_name(chosen, workspace)
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
    name = task_name(task, workspace)
    return Target(
        name=task.name,
        network=table4.trained_network(workspace, normalisation(splits.train), task),
        fingerprint=name,
        architecture=task.architecture,
        objective=task.objective,
        epochs=task.epochs,
        keep=task.keep,
        seed=task.seed,
        weights=workspace.artefacts.path("network", name),
    )


def require_file(given: str, weights: Path | None) -> None:
    """Refuses what can be refused of a model without its data.

    Raises:
        UserError: if it is no such model, if a file or weights are missing, or are given for an ONNX file.
    """
    if _is_onnx(given):
        if weights is not None:
            raise UserError("an ONNX file holds its weights", where="--weights", remedy="leave it out")
        _require_there(Path(given).expanduser(), given)
    elif ":" not in given:
        raise UserError(
            "such a file cannot be audited",
            where=given,
            remedy="model.onnx, package.module:function with --weights, or a run folder",
        )
    elif weights is None:
        raise UserError(
            "the factory's network has no weights", where="--weights", remedy="a safetensors file"
        )
    else:
        _require_there(weights.expanduser(), f"--weights: {weights}")


def _is_onnx(given: str) -> bool:
    return Path(given).suffix == ".onnx"


def _require_there(path: Path, where: str) -> None:
    if not path.is_file():
        raise UserError("there is no such file", where=where, remedy="its path")


def of_file(workspace: Workspace, given: str, weights: Path | None) -> Target:
    """Anyone's network: an ONNX file, or a factory `package.module:function` with its weights.

    The recipe an attacker knows is that of the settings: the objective, and as many epochs as the reference.

    Raises:
        UserError: if it cannot be had, or does not fit the data.
    """
    config = workspace.config
    require_file(given, weights)
    path = Path(given).expanduser()
    if weights is None:
        network, text, path_of_weights = load_onnx(path, workspace.problem), None, path
    else:
        text = f"factory {given}"
        with _blamed(given):
            network = construct(text, workspace.problem, UNCHANGED, config.seed)
        with _blamed(f"--weights: {weights}"):
            load_weights(network, weights.expanduser())
        path_of_weights = weights
    network = placed(network.requires_grad_(False).eval(), workspace.device)
    return Target(
        name=legible(path.stem if text is None else given),
        network=network,
        fingerprint=network_fingerprint(network),
        architecture=text,
        objective=config.training.objective,
        epochs=config.reference.epochs,
        keep="last",
        seed=None,
        weights=path_of_weights,
        recipe_known=False,
    )


@contextmanager
def _blamed(where: str) -> Iterator[None]:
    """What is said of a reference is said of the model that is audited."""
    try:
        yield
    except UserError as error:
        what = error.what.replace("the reference's factory", "the model's factory").replace(
            "the reference", "the model"
        )
        remedy = error.remedy.replace("that the reference names", "of the model")
        raise UserError(what, where=where, remedy=remedy) from error
