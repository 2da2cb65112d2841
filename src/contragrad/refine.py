"""Training a network in full: the reference, the baselines, and the evolved networks after the search."""

from dataclasses import dataclass

from torch import Tensor, nn

from contragrad.artefacts import Artefacts
from contragrad.config import TrainingSettings
from contragrad.data.dataset import Examples
from contragrad.fingerprint import Plain, fingerprint
from contragrad.fitness import Report
from contragrad.networks.network import parameter_count
from contragrad.networks.training import DivergedError, begin, restore, snapshot, train_epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class FullTraining:
    """A network to train in full.

    Args:
        name: what it is called in tables.
        architecture: the text that `reference.construct` takes.
        gm: train with the GM loss against the reference, not with cross-entropy alone.
        epochs: all its training epochs.
        seed: names the streams of its weights and its order of images.
    """

    name: str
    architecture: str
    gm: bool
    epochs: int
    seed: int

    def fingerprint(self, training: TrainingSettings, reference: str, splits: str) -> str:
        """Names the trained network; its name in tables is no part of it."""
        against = (reference, training.gm_weight) if self.gm else None
        recipe = (self.architecture, self.epochs, self.seed, training.batch_size, training.optimiser)
        return fingerprint("network/1", *recipe, against, splits)


def train_fully(
    network: nn.Module,
    task: FullTraining,
    *,
    name: str,
    examples: Examples,
    directions: Tensor | None,
    training: TrainingSettings,
    checkpoint_every: int,
    artefacts: Artefacts,
    report: Report,
) -> dict[str, Plain]:
    """Trains the network and stores its weights as the artefact `network-<name>`.

    A checkpoint every so many epochs holds weights and optimiser: training that was interrupted goes on
    from the last one and ends in exactly the same weights.

    Returns:
        The artefact's name and the network's trainable parameters, or why the training is infeasible.

    Source: section 4, implementation details: the refinement of the evolved networks.
    Deviates: the refinement goes on in one training, the optimiser's state kept; the paper does not say.
    """
    session = begin(network, training)
    if (saved := artefacts.find("checkpoint", name)) is not None:
        restore(session, saved)
    device = next(network.parameters()).device
    examples = Examples(examples.images.to(device), examples.labels.to(device))
    directions = None if directions is None else directions.to(device)
    try:
        while session.epoch < task.epochs:
            losses = train_epoch(session, examples, directions, training, seed=task.seed)
            report({"epoch": session.epoch, "epochs": task.epochs, "cross_entropy": losses.cross_entropy})
            if session.epoch % checkpoint_every == 0 and session.epoch < task.epochs:
                artefacts.save("checkpoint", name, snapshot(session))
    except DivergedError as error:
        return {"infeasible": f"diverged: {error}"}
    weights = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    artefacts.save("network", name, weights)
    artefacts.remove("checkpoint", name)
    return {"network": name, "parameters": parameter_count(network)}
