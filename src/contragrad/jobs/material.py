"""What trainings are against, made before them: the reference, the other sources, and their material."""

from collections.abc import Sequence

from torch import nn

from contragrad.data.dataset import Splits
from contragrad.errors import UnusableSourceError
from contragrad.fingerprint import stream_seed
from contragrad.jobs.refine import FullTraining, train_fully
from contragrad.jobs.tasks import against
from contragrad.networks.objectives import OBJECTIVES, Material
from contragrad.reference import architecture
from contragrad.run_folder.contents import material, material_of, untrained_reference, untrained_source
from contragrad.run_folder.workspace import Workspace, source_architecture
from contragrad.settings.choices import is_surrogate
from contragrad.watch.events import Ended, Planned, Stage, Watcher, epoch_of
from contragrad.watch.scene import counted


def make_reference(workspace: Workspace, splits: Splits, watch: Watcher) -> None:
    """Trains the reference, or stores the weights that are given, if it is not there.

    Raises:
        UnusableSourceError: if the training diverges.
    """
    artefacts, name = workspace.artefacts, workspace.reference_name
    if artefacts.find("network", name) is not None:
        watch(Stage("the reference is there"))
        return
    network = untrained_reference(workspace, splits).to(workspace.device)
    if workspace.weights is not None:
        watch(Stage("the reference's weights are given"))
        artefacts.save("network", name, dict(network.state_dict()))
        return
    config = workspace.config
    text = architecture(config.reference)
    epochs = config.reference.epochs
    planned = Planned(name, "reference", epochs)
    watch(Stage(f"training the reference, {counted(epochs, 'epoch')}: {text}", (planned,)))
    seed = stream_seed(config.seed, "reference")
    task = FullTraining(
        name="reference",
        architecture=text,
        objective="cross-entropy",
        epochs=epochs,
        seed=seed,
    )
    _train_here(workspace, splits, task, name, Material(), network, watch)


def make_material(
    workspace: Workspace, splits: Splits, tasks: Sequence[FullTraining], watch: Watcher
) -> None:
    """Makes what trainings take beside the images, where workers find it.

    Raises:
        UnusableSourceError: if the training of a source diverges, or its gradients are not finite.
    """
    for task in tasks:
        own = against(task, workspace)
        if OBJECTIVES[task.objective].takes_sources:
            make_sources(own, splits, watch)
        material(own, task.objective)


def make_sources(workspace: Workspace, splits: Splits, watch: Watcher) -> None:
    """Trains the networks beside the reference that the objective takes, as far as they are not there.

    Raises:
        UnusableSourceError: if a training diverges.
    """
    for place, task in missing_sources(workspace).items():
        name, text = workspace.source_names()[place], f"training source {place + 1}, {task.name}"
        watch(Stage(f"{text}, {counted(task.epochs, 'epoch')}", (Planned(name, task.name, task.epochs),)))
        own = material_of(workspace, task.objective, place) if is_surrogate(task.name) else Material()
        _train_here(workspace, splits, task, name, own, untrained_source(workspace, splits, place), watch)


def missing_sources(workspace: Workspace) -> dict[int, FullTraining]:
    """How the sources beside the reference are trained that are not there, by their places."""
    config = workspace.config
    sources = enumerate(zip(config.training.sources, workspace.source_names(), strict=True))
    return {
        place: FullTraining(
            name=source,
            architecture=source_architecture(config.reference, source),
            objective=config.training.objective if is_surrogate(source) else "cross-entropy",
            epochs=config.reference.epochs,
            seed=workspace.seed_of_source(place),
        )
        for place, (source, name) in sources
        if source not in ("reference", "key") and workspace.artefacts.find("network", name) is None
    }


def _train_here(
    workspace: Workspace,
    splits: Splits,
    task: FullTraining,
    name: str,
    material: Material,
    network: nn.Module,
    watch: Watcher,
) -> None:
    """Trains a network in the driver, with all cores."""
    config = workspace.config
    why = train_fully(
        network.to(workspace.device),
        task,
        name=name,
        examples=splits.train,
        material=material,
        training=config.training,
        checkpoint_every=config.refine.checkpoint_every,
        artefacts=workspace.artefacts,
        report=lambda message: watch(epoch_of(name, task.name, message)),
    )
    watch(Ended(name))
    if why is not None:
        raise UnusableSourceError(
            f"the training of {task.name} {why}", where=task.name, remedy="another seed"
        )
