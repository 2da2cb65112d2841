"""What matplotlib draws for the page: architectures, and where networks look."""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import nn

from contragrad.data.dataset import Splits
from contragrad.errors import UserError
from contragrad.evaluate import Row
from contragrad.evolution.genome import Genome, parse
from contragrad.evolution.search import State
from contragrad.evolution.shapes import Problem
from contragrad.jobs import full_trainings
from contragrad.jobs.refine import FullTraining
from contragrad.jobs.tasks import deployed_name
from contragrad.networks.inference import predict
from contragrad.page.blocks import Picture
from contragrad.pictures import draw, explain
from contragrad.run_folder.contents import load_reference, load_splits, normalisation
from contragrad.run_folder.workspace import TABLE, Workspace, on_cpu

TYPES = {".png": "image/png", ".svg": "image/svg+xml"}

SHOWN = 4
"""Images on which networks are compared."""

LOOKED_AT = 200
"""Test images, the first ones, of which they are chosen."""

MOST_MAPS = 4
"""Networks side by side, the reference among them."""


def embedded(path: Path) -> str:
    """A picture's file as a data URI.

    Raises:
        OSError: if it cannot be read.
    """
    return f"data:{TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def architectures(networks: Mapping[str, str], problem: Problem, folder: Path) -> tuple[Picture, ...]:
    """Draws the networks whose text is a genome; what is not, as torchvision's are, is left out.

    Args:
        networks: name -> architecture.
        problem: what they are for.
        folder: where the drawings are written.

    Raises:
        UserError: if matplotlib is missing or a file cannot be written.
    """
    pictures = []
    for number, (name, text) in enumerate(networks.items()):
        genome = _genome(text)
        if genome is not None:
            path = folder / f"architecture-{number}.svg"
            draw.architecture(genome, problem, path)
            pictures.append(Picture(name=path.name, title=name, source=embedded(path), caption=text))
    return tuple(pictures)


def _genome(text: str) -> Genome | None:
    try:
        return parse(text)
    except ValueError:
        return None


def attributions(
    workspace: Workspace, state: State, rows: Iterable[Row], folder: Path, *, call_factory: bool = False
) -> Picture:
    """Draws integrated gradients of the reference, of its defended twin and of the evolved networks.

    The images are the first test images that most of these networks classify correctly. The networks are
    among those whose very weights the study's table has measured on the test images: it is no second look.
    The device that they were trained on need not be there.

    Args:
        workspace: the study's.
        state: where its search has ended.
        rows: its table.
        folder: where the picture is written.
        call_factory: whether the reference's factory is called, which runs its code.

    Raises:
        UserError: if the reference is a factory's that is not called, if none of the networks was measured,
            or an artefact of the study or a package is missing.

    Source: figure 3.
    """
    factory = workspace.config.reference.factory
    if factory is not None and not call_factory:
        raise UserError(
            "the reference is made by a factory, whose code a report does not run unless it is told to",
            where=factory,
            remedy=f"contragrad report {workspace.folder} --call-factory, if you trust it",
        )
    workspace = on_cpu(workspace)
    tasks = _measured(workspace, state, rows)
    splits = load_splits(workspace)
    networks = _networks(workspace, splits, tasks[: MOST_MAPS - 1])
    images, labels = splits.test.images[:LOOKED_AT], splits.test.labels[:LOOKED_AT]
    right = torch.stack([predict(network, images) == labels for network in networks.values()]).sum(0)
    chosen = right.argsort(descending=True, stable=True)[:SHOWN]
    try:
        maps = [
            explain.relative(explain.integrated_gradients(network, images[chosen], labels[chosen]))
            for network in networks.values()
        ]
    except FloatingPointError as error:
        raise UserError(str(error), remedy="another seed") from error
    path = folder / "integrated-gradients.png"
    explain.figure(images[chosen], maps, list(networks), path)
    return Picture(
        name=path.name,
        title="Integrated gradients",
        source=embedded(path),
        caption=f"The first {len(chosen)} test images, of {len(images)} looked at, that most of these "
        "networks classify correctly, and how much each pixel adds to the logit of the right class: green "
        "for it, red against it, relative to the largest. The distance is from the reference's map, 0 for "
        "the same and 2 for nothing in common.",
        paper=True,
    )


def _measured(workspace: Workspace, state: State, rows: Iterable[Row]) -> list[FullTraining]:
    """The trainings whose networks the table has, the fixed hand-engineered one's left out."""
    measured = {(row.name, Path(row.weights)) for row in rows}
    tasks = []
    for task in full_trainings.final_trainings(workspace, state):
        weights = workspace.artefacts.path("network", deployed_name(task, workspace))
        own = (task.name, weights.relative_to(workspace.folder))
        if own in measured and not task.name.startswith("hand-engineered"):
            tasks.append(task)
    if not tasks:
        raise UserError(
            "the networks that the search now ends with were not measured on the test images",
            where=str(workspace.folder / TABLE),
            remedy=f"contragrad resume {workspace.folder}",
        )
    return tasks


def _networks(workspace: Workspace, splits: Splits, tasks: Iterable[FullTraining]) -> dict[str, nn.Module]:
    """The reference, and the networks of the trainings."""
    normal = normalisation(splits.train)
    networks = {"reference": load_reference(workspace, splits)}
    for task in tasks:
        networks[task.name] = full_trainings.trained_network(workspace, normal, task)
    return networks
