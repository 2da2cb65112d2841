"""Training a network, an epoch at a time, so that it can be stopped and taken up again exactly."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.data.dataset import Examples, pixels
from contragrad.networks.inputs import Logits, clean
from contragrad.networks.misalignment import losses
from contragrad.networks.network import memory_format
from contragrad.networks.objectives import OBJECTIVES, Material
from contragrad.networks.randomness import generator, isolated
from contragrad.settings.choices import Optimiser
from contragrad.settings.config import TrainingSettings


class DivergedError(ArithmeticError):
    """The loss was no longer a finite number."""


@dataclass(slots=True)
class Session:
    """A network in training. With its snapshot, an epoch's result depends on nothing else."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    epoch: int = 0
    memory_format: torch.memory_format = torch.contiguous_format


@dataclass(frozen=True, slots=True)
class EpochLosses:
    """Means over an epoch's images; `alignment`, its penalty, over those that had it, None if none had."""

    cross_entropy: float
    alignment: float | None

    def by_name(self) -> dict[str, float]:
        """Those that there are."""
        aligned = {} if self.alignment is None else {"alignment": self.alignment}
        return {"cross_entropy": self.cross_entropy, **aligned}


def begin(network: nn.Module, settings: TrainingSettings) -> Session:
    """A session before its first epoch; the optimiser's settings are PyTorch's defaults.

    Source: section 4, implementation details.
    """
    laid = memory_format(network)
    network = network.to(memory_format=laid)
    return Session(network, OPTIMISERS[settings.optimiser](network), memory_format=laid)


def train_epoch(
    session: Session, examples: Examples, material: Material, settings: TrainingSettings, *, seed: int
) -> EpochLosses:
    """Trains for one epoch over the examples in an order of the epoch's own.

    The loss is the objective's: cross-entropy, plus λ times a penalty where the reference's directions are
    given; with the objective `gm` that is

        L = L_CE + λ L_GM

    Where the settings say so, only every k-th step of the training has the second term, with k λ for λ, so
    that k steps have it once in full.

    Args:
        session: changed in place.
        examples: N images, on the network's device.
        material: what the objective takes beside them.
        settings: the objective, batch size, λ and k.
        seed: names the streams of the order and of whatever is drawn.

    Raises:
        DivergedError: if a loss or a weight is not finite.

    Source: eq. (2).
    Deviates: the paper has no k; with 1 every step is eq. (2).
    """
    network = session.network
    network.train()
    order = torch.randperm(len(examples), generator=generator(seed, "order", session.epoch))
    batches = _batches(order, settings.batch_size)
    parts = OBJECTIVES[settings.objective]
    inputs = clean if parts.inputs is None else parts.inputs(material.epsilon)
    totals, seen, misaligned = torch.zeros(2, dtype=torch.float64), 0, 0
    with isolated(seed, "epoch", session.epoch):
        for place, batch in enumerate(batches, start=session.epoch * len(batches)):
            batch = batch.to(examples.labels.device)
            aligned = parts.penalty is not None and place % settings.gm_every == 0
            chosen = material.at(batch, examples.labels.device, aligned=aligned)
            labels = examples.labels[batch]
            images = pixels(examples.images[batch])
            for shown in inputs(logits_of(session, settings), images, labels):
                at, beside = (images, replace(chosen, own=shown)) if parts.beside else (shown, chosen)
                totals += len(batch) * step(session, at, labels, beside, settings).cpu()
                seen += len(batch)
                misaligned += len(batch) * (chosen.directions is not None)
    session.epoch += 1
    cross_entropy, penalty = totals.tolist()
    finite = totals.isfinite().all() and all(p.isfinite().all() for p in network.parameters())
    if not finite:
        raise DivergedError(f"the loss was not finite in epoch {session.epoch}")
    return EpochLosses(cross_entropy / seen, penalty / misaligned if misaligned else None)


def step(
    session: Session, images: Tensor, labels: Tensor, material: Material, settings: TrainingSettings
) -> Tensor:
    """One optimiser step on a batch; returns its cross-entropy and its penalty, (2,), 0 without directions.

    Images that require a gradient have the loss's afterwards.
    """
    parts, logits = OBJECTIVES[settings.objective], logits_of(session, settings)
    if material.directions is None or parts.penalty is None:
        cross_entropy = F.cross_entropy(logits(images), labels)
        penalty = torch.zeros((), device=cross_entropy.device)
    else:
        directions = material.directions
        if directions.dim() == 4:
            directions = directions.contiguous(memory_format=session.memory_format)
        laid = images.contiguous(memory_format=session.memory_format)
        cross_entropy, penalty = losses(logits, laid, labels, directions, parts.penalty, material.key)
    entropies = [cross_entropy]
    if parts.fixed and (examples := material.examples()) is not None:
        entropies.append(F.cross_entropy(logits(examples), labels))
    if material.own is not None:
        entropies.append(F.cross_entropy(logits(material.own), labels))
    cross_entropy = sum(entropies[1:], start=cross_entropy) / len(entropies)
    session.optimiser.zero_grad()
    # Images that ask for no gradient may be a leaf of the graph too, and theirs would be for nothing.
    leaves: list[Tensor] = [
        parameter for parameter in session.network.parameters() if parameter.requires_grad
    ]
    if images.requires_grad:
        leaves.append(images)
    torch.autograd.backward(cross_entropy + settings.gm_every * settings.gm_weight * penalty, inputs=leaves)
    session.optimiser.step()
    return torch.stack((cross_entropy, penalty)).detach()


def logits_of(session: Session, settings: TrainingSettings) -> Logits:
    """The network in training, computing as the settings say: images (B, C, H, W) -> logits in their type."""

    def logits(images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=session.memory_format)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            found: Tensor = session.network(images)
        # The losses are worked out in the images' type.
        return found.to(images.dtype)

    return logits


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """Batches of `size`; a single image left over joins the last one, for batch statistics need two."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def snapshot(session: Session) -> dict[str, Tensor]:
    """The session as tensors on the CPU: weights, optimiser state and epoch."""
    tensors = {f"network.{name}": tensor for name, tensor in session.network.state_dict().items()}
    for place, state in session.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{place}.{name}": value for name, value in state.items() if value is not None}
    tensors["epoch"] = torch.tensor(session.epoch)
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def restore(session: Session, tensors: dict[str, Tensor]) -> None:
    """Puts the session where `snapshot` was taken."""
    session.network.load_state_dict(_under("network.", tensors))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under("optimiser.", tensors).items():
        place, _, field = name.partition(".")
        state.setdefault(int(place), {})[field] = tensor
    session.optimiser.load_state_dict(session.optimiser.state_dict() | {"state": state})
    session.epoch = int(tensors["epoch"])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


OPTIMISERS: dict[Optimiser, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "adam": lambda network: torch.optim.Adam(network.parameters()),
    "adamw": lambda network: torch.optim.AdamW(network.parameters()),
    "sgd": lambda network: torch.optim.SGD(network.parameters()),
}
