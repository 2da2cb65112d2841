"""Training a network in full: the reference, the baselines, and the evolved networks after the search."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import inf

import torch
from torch import Tensor, nn

from contragrad.artefacts import Artefacts
from contragrad.data.dataset import Examples
from contragrad.fingerprint import fingerprint
from contragrad.fitness import Report
from contragrad.jobs.curve import Curve
from contragrad.networks.inference import device_of
from contragrad.networks.objectives import OBJECTIVES, Material
from contragrad.networks.training import DivergedError, begin, restore, snapshot, train_epoch
from contragrad.settings.choices import Keep, Objective, Source
from contragrad.settings.config import TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a training takes that others made.

    Args:
        reference: names the reference.
        adversarial: names its adversarial examples at the training images.
        fitness: names the adversarial examples that the fitness is measured on, one source's after another.
        epsilon: their radius.
        sources: names the networks that stand in the reference's place, if there are others.
    """

    reference: str
    adversarial: str
    fitness: tuple[str, ...]
    epsilon: Fraction
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FullTraining:
    """A network to train in full.

    Args:
        name: what it is called in tables.
        architecture: the text that `architectures.construct` takes.
        objective: what it is trained for.
        epochs: all its training epochs.
        seed: names the streams of its weights and its order of images.
        keep: the weights that are kept, see `RefineSettings`.
        patience: epochs without a better fitness after which it ends, see `RefineSettings`.
        sources: the networks it is trained against, see `TrainingSettings`; None are the study's.
        source_seed: whose sources of these names, see `Workspace`.
        together: whether it is deployed with the surrogates it was trained against, as an ensemble.
        gm_weight: the weight of its objective's penalty, λ; None is the study's.
    """

    name: str
    architecture: str
    objective: Objective
    epochs: int
    seed: int
    keep: Keep = "last"
    patience: int | None = None
    sources: tuple[Source, ...] | None = None
    source_seed: int | None = None
    together: bool = False
    gm_weight: float | None = None

    def __post_init__(self) -> None:
        if self.patience is not None and self.keep != "best":
            raise ValueError("a curve is told to be flat by its best epoch")

    def weighted(self, training: TrainingSettings) -> TrainingSettings:
        """A study's settings with the training's own weight of the penalty, if it has one."""
        return training if self.gm_weight is None else replace(training, gm_weight=self.gm_weight)

    def fingerprint(self, training: TrainingSettings, splits: str, origin: Origin) -> str:
        """Names the trained network's weights; its name in tables is no part of it.

        Args:
            training: how networks are trained.
            splits: names the division of the data.
            origin: names what the objective may take.
        """
        parts = OBJECTIVES[self.objective]
        lazy = () if training.gm_every == 1 else (training.gm_every,)
        against: list[object] = []
        if parts.penalty is not None:
            against += [origin.reference, self.weighted(training).gm_weight, *lazy]
        # The objectives that older names knew were GM and none, and stood in them by their parts alone.
        if self.objective not in ("gm", "cross-entropy"):
            against.append(self.objective)
        if parts.fixed:
            against.append(origin.adversarial)
        if parts.takes_sources and origin.sources:
            against.append(origin.sources)
        if parts.inputs is not None:
            against.append(origin.epsilon)
        recipe = (self.architecture, self.epochs, self.seed, *training.without_gm)
        # The best epoch is chosen by the fitness, so it depends on what that is measured on.
        kept: tuple[object, ...] = () if self.keep == "last" else (self.keep, *origin.fitness)
        if self.patience is not None:
            kept += ("patience", self.patience)
        return fingerprint("network/1", *recipe, against or None, splits, *kept)


@dataclass(slots=True)
class Best:
    """The weights of the best epoch so far."""

    score: float = -inf
    weights: dict[str, Tensor] = field(default_factory=dict)

    def note(self, network: nn.Module, score: float) -> None:
        """Keeps the network's weights if they are better than all before."""
        if score > self.score:
            self.score = score
            self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    def snapshot(self) -> dict[str, Tensor]:
        """Its state as tensors; none before the first epoch."""
        found = {f"{BEST}{name}": tensor for name, tensor in self.weights.items()}
        return found and found | {BEST: torch.tensor(self.score, dtype=torch.float64)}

    @classmethod
    def restored(cls, tensors: dict[str, Tensor]) -> "Best":
        """What `snapshot` was taken of."""
        named = {name.removeprefix(BEST): t for name, t in tensors.items() if name.startswith(BEST)}
        return cls(float(named.pop("")), named) if named else cls()


BEST = "best."


def diverged(artefacts: Artefacts, name: str) -> str | None:
    """Why the training of the network of that name is infeasible; None if it is not known to be."""
    found = artefacts.find("diverged", name)
    if found is None or (text := found.get("reason")) is None or text.dtype != torch.uint8:
        return None
    return bytes(text.flatten().tolist()).decode(errors="replace")


def train_fully(
    network: nn.Module,
    task: FullTraining,
    *,
    name: str,
    examples: Examples,
    material: Material,
    training: TrainingSettings,
    checkpoint_every: int,
    artefacts: Artefacts,
    report: Report,
    score: Callable[[nn.Module], float] | None = None,
) -> str | None:
    """Trains the network and stores its weights as the artefact `network-<name>`.

    A checkpoint every so many epochs holds weights and optimiser: training that was interrupted goes on
    from the last one and ends in exactly the same weights. Where a score is given, the weights of the
    epoch with the highest are stored, the first one on ties, and with a patience the training ends when its
    curve is flat. The curve is stored as `curve-<name>`. That a training diverged is stored too, for it would
    again: it is not begun a second time.

    Returns:
        None, or why the training is infeasible.

    Source: section 4, implementation details: the refinement of the evolved networks.
    Deviates: the refinement goes on in one training, the optimiser's state kept; the paper does not say. The
        epoch with the best score may be kept, the paper's networks are those after the last; that accuracies
        "converge to a stable value" may be asked, where the paper takes 1,000 epochs for it.
    """
    if (reason := diverged(artefacts, name)) is not None:
        return reason
    training = replace(task.weighted(training), objective=task.objective)
    session, best, curve = begin(network, training), Best(), Curve()
    if (saved := artefacts.find("checkpoint", name)) is not None:
        restore(session, saved)
        best, curve = Best.restored(saved), Curve.restored(saved, session.epoch)
    device = device_of(network)
    examples = Examples(examples.images.to(device), examples.labels.to(device))
    try:
        while session.epoch < task.epochs and not curve.is_flat(task.patience):
            losses = train_epoch(session, examples, material, training, seed=task.seed)
            reached = None if score is None else score(network)
            if reached is not None:
                best.note(network, reached)
            curve.add(losses, reached)
            told = losses.by_name() if reached is None else losses.by_name() | {"fitness": reached}
            report({"epoch": session.epoch, "epochs": task.epochs, **told})
            if session.epoch % checkpoint_every == 0 and session.epoch < task.epochs:
                artefacts.save("checkpoint", name, snapshot(session) | best.snapshot() | curve.tensors())
    except DivergedError as error:
        reason = f"diverged: {error}"
        text = torch.tensor(list(reason.encode()), dtype=torch.uint8)
        artefacts.save("diverged", name, {"reason": text})
        artefacts.remove("checkpoint", name)
        return reason
    artefacts.save("curve", name, curve.tensors())
    artefacts.save("network", name, best.weights or dict(network.state_dict()))
    artefacts.remove("checkpoint", name)
    return None
