"""What lies in a run folder: how each thing is made of the last, and found again.

    splits -> reference, sources -> directions, adversarial examples -> material, context

The driver makes every artefact before a worker needs it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from contragrad.attacks.examples import craft
from contragrad.data.dataset import Dataset, Examples, Splits, pixels, split
from contragrad.errors import UnusableSourceError, UserError
from contragrad.fingerprint import stream_seed
from contragrad.fitness import Context
from contragrad.networks.architectures import construct
from contragrad.networks.inference import all_reference_directions
from contragrad.networks.network import Normalisation, placed
from contragrad.networks.objectives import OBJECTIVES, Material
from contragrad.reference import architecture, fill, load_weights
from contragrad.run_folder.workspace import Workspace, directions_name, source_architecture
from contragrad.settings.choices import Objective
from contragrad.settings.config import AttackSettings

AGAIN = "contragrad resume makes it again"


def store_splits(workspace: Workspace, dataset: Dataset) -> Splits:
    """Divides the data set and stores it where the workers map it."""
    config = workspace.config

    def compute() -> dict[str, Tensor]:
        if config.fitness_split == "test":
            parts = {"train": dataset.train, "test": dataset.test}
        else:
            divided = split(dataset, config.data.validation_fraction, config.seed)
            parts = {"train": divided.train, "validation": divided.validation, "test": divided.test}
        return {
            f"{name}.{field}": getattr(part, field)
            for name, part in parts.items()
            for field in ("images", "labels")
        }

    return _as_splits(workspace, workspace.artefacts.obtain("splits", workspace.split_name, compute))


def load_splits(workspace: Workspace) -> Splits:
    """The stored division; with the fitness on the test set, its validation images are the test's."""
    return _as_splits(workspace, workspace.artefacts.load("splits", workspace.split_name))


def _as_splits(workspace: Workspace, tensors: dict[str, Tensor]) -> Splits:
    """The division that tensors hold, which a run folder from somebody else may have anything for."""
    problem = workspace.problem

    def part(name: str) -> Examples:
        images, labels = (tensors.get(f"{name}.{field}", torch.empty(0)) for field in ("images", "labels"))
        if (
            images.shape != (len(labels), problem.channels, problem.height, problem.width)
            or images.dtype not in (torch.uint8, torch.float32)
            or labels.dtype != torch.int64
            or not ((labels >= 0) & (labels < problem.classes)).all()
        ):
            raise UserError(
                f"an artefact does not hold the study's {name} images",
                where=str(workspace.artefacts.path("splits", workspace.split_name)),
                remedy=f"the file removed: {AGAIN}",
            )
        return Examples(images, labels)

    validation = "validation" if "validation.images" in tensors else "test"
    return Splits(part("train"), part(validation), part("test"))


def filled(network: nn.Module, workspace: Workspace, name: str) -> nn.Module:
    """The network with the weights of the artefact of that name.

    Raises:
        UserError: if they are missing, damaged or another network's.
    """
    where = str(workspace.artefacts.path("network", name))
    fill(network, workspace.artefacts.load("network", name), where, f"the file removed: {AGAIN}")
    return network


def normalisation(examples: Examples) -> Normalisation:
    """Mean and standard deviation of each channel of the images."""
    count = 0
    total = squares = torch.zeros(examples.images.shape[1], dtype=torch.float64)
    for images in torch.split(examples.images, 5000):
        values = pixels(images).double()
        count += values.numel() // values.shape[1]
        total = total + values.sum((0, 2, 3))
        squares = squares + values.square().sum((0, 2, 3))
    mean = total / count
    # An image set of one shade has no deviation to divide by.
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt().clamp_min(1 / 255)
    return Normalisation(tuple(mean.float().tolist()), tuple(deviation.float().tolist()))


def untrained_reference(workspace: Workspace, splits: Splits) -> nn.Module:
    """The reference's architecture with fresh weights, or with the user's if they are given."""
    network = _fresh_reference(workspace, splits)
    if (weights := workspace.config.reference.weights) is not None:
        load_weights(network, Path(weights).expanduser())
    return network


def _fresh_reference(workspace: Workspace, splits: Splits) -> nn.Module:
    seed = stream_seed(workspace.config.seed, "reference")
    text = architecture(workspace.config.reference)
    return construct(text, workspace.problem, normalisation(splits.train), seed)


def load_reference(workspace: Workspace, splits: Splits) -> nn.Module:
    """The fixed reference, frozen, on the workspace's device; the file of given weights may be gone."""
    network = _fresh_reference(workspace, splits)
    filled(network, workspace, workspace.reference_name)
    return placed(network.requires_grad_(False).eval(), workspace.device)


def untrained_source(workspace: Workspace, splits: Splits, place: int) -> nn.Module:
    """A source's architecture with fresh weights."""
    source = workspace.config.training.sources[place]
    text = source_architecture(workspace.config.reference, source)
    return construct(text, workspace.problem, normalisation(splits.train), workspace.seed_of_source(place))


def load_source(workspace: Workspace, splits: Splits, place: int) -> nn.Module:
    """A source, frozen, on the workspace's device."""
    source = workspace.config.training.sources[place]
    if source == "reference":
        return load_reference(workspace, splits)
    network = untrained_source(workspace, splits, place)
    if source != "key":
        filled(network, workspace, workspace.source_names()[place])
    return placed(network.requires_grad_(False).eval(), workspace.device)


def directions(workspace: Workspace, splits: Splits, place: int = 0) -> Tensor:
    """A source's unit gradients (N, C, H, W) at the training images, computed once.

    Raises:
        UnusableSourceError: if some are not finite.
    """
    source = workspace.source_names()[place]

    def compute() -> dict[str, Tensor]:
        found = all_reference_directions(load_source(workspace, splits, place), splits.train)
        # With one of them in it, every batch's loss is NaN, and every evaluation would be called diverged.
        if lost := int((~found.isfinite().flatten(1).all(1)).sum()):
            raise UnusableSourceError(
                f"the input gradients are not finite at {lost:,} of {len(found):,} training images",
                where=_called(workspace, source),
                remedy="a network that can be differentiated at every image, those of one shade too",
            )
        return {"directions": found}

    name = directions_name(workspace, source)
    return workspace.artefacts.obtain("directions", name, compute)["directions"]


def adversarial(workspace: Workspace, splits: Splits, part: str) -> Tensor:
    """The adversarial examples of the reference at the images of `train`, `validation` or `test`."""
    return adversarial_of(workspace, splits, part)


def adversarial_of(
    workspace: Workspace,
    splits: Splits,
    part: str,
    *,
    source: tuple[str, Callable[[], nn.Module]] | None = None,
    attack: AttackSettings | None = None,
) -> Tensor:
    """Adversarial examples at the images of a split, crafted if they are not there.

    Args:
        workspace: where they are kept.
        splits: the images.
        part: `train`, `validation` or `test`.
        source: the name of the weights, and what gives the network if it is needed; None is the reference.
        attack: None is the study's.

    Raises:
        UnusableSourceError: if a gradient or an example is not finite.
        UserError: if the attack cannot be made.
    """
    name = workspace.reference_name if source is None else source[0]

    def compute() -> dict[str, Tensor]:
        examples: Examples = getattr(splits, part)
        network = load_reference(workspace, splits) if source is None else source[1]()
        seed = stream_seed(workspace.config.seed, "attack", part)
        settings = attack or workspace.config.attack
        try:
            crafted = craft(network, examples.images, examples.labels, settings, seed=seed)
        except FloatingPointError as error:
            raise UnusableSourceError(
                f"no examples can be crafted at the {part} images: {error}",
                where=_called(workspace, name),
                remedy="a network with finite gradients at every image, those of one shade too",
            ) from error
        return {"adversarial": crafted}

    stored = workspace.adversarial_name(part, name, attack)
    return workspace.artefacts.obtain("adversarial", stored, compute)["adversarial"]


def _called(workspace: Workspace, name: str) -> str:
    """What people call the network whose weights have that name."""
    if name == workspace.reference_name:
        return f"the reference, {architecture(workspace.config.reference)}"
    sources = dict(zip(workspace.source_names(), workspace.config.training.sources, strict=True))
    return f"training.sources: {sources[name]}" if name in sources else f"the network {name}"


def material(workspace: Workspace, objective: Objective) -> Material:
    """What the objective takes beside the training images, on the device; made where it is not there.

    The sources that it is made of are there already.
    """
    return material_of(workspace, objective, len(workspace.config.training.sources))


def material_of(workspace: Workspace, objective: Objective, sources: int) -> Material:
    """The same of the first so many sources alone."""
    parts, splits, device = OBJECTIVES[objective], load_splits(workspace), workspace.device
    training = workspace.config.training
    directed: dict[bool, list[Tensor]] = {True: [], False: []}
    for place in range(sources if parts.penalty else 0):
        directed[training.sources[place] == "key"].append(directions(workspace, splits, place))
    keys, others = directed[True], directed[False]
    return Material(
        directions=_joined(others).to(device) if others else None,
        adversarial=of_sources(workspace, splits, "train", sources).to(device) if parts.fixed else None,
        epsilon=float(workspace.config.attack.epsilon),
        key=keys[0].to(device) if keys else None,
    )


def of_sources(workspace: Workspace, splits: Splits, part: str, count: int | None = None) -> Tensor:
    """The adversarial examples of the first so many sources, or of all, at the images of a split.

    Returns:
        (N, C, H, W) of one source, (N, S, C, H, W) of several.
    """
    found = [
        adversarial_of(workspace, splits, part, source=(name, partial(load_source, workspace, splits, place)))
        for place, name in enumerate(workspace.source_names()[:count])
        if workspace.config.training.sources[place] != "key"
    ]
    return _joined(found)


def _joined(found: Sequence[Tensor]) -> Tensor:
    return found[0] if len(found) == 1 else torch.stack(tuple(found), 1)


def context(workspace: Workspace) -> Context:
    """What the evaluations share, of artefacts that are there already."""
    splits = load_splits(workspace)
    device = workspace.device
    part = workspace.config.fitness_split
    return Context(
        problem=workspace.problem,
        normalisation=normalisation(splits.train),
        train=Examples(splits.train.images.to(device), splits.train.labels.to(device)),
        material=material(workspace, workspace.config.training.objective),
        fitness=splits.validation,
        adversarial=of_sources(workspace, splits, part),
        training=workspace.config.training,
        limits=workspace.config.search.limits,
        device=device,
    )
