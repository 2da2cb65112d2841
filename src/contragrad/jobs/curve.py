"""How a training in full went, epoch by epoch, and when its curve is flat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isnan, nan
from typing import Self

import torch
from torch import Tensor

from contragrad.artefacts import Artefacts
from contragrad.networks.training import EpochLosses

CURVE = "curve."

LARGEST = 1e6
"""A loss that a file can hold; real ones of trainings that come to an end are far smaller."""

MOST_EPOCHS = 100_000
"""Of a curve that a file can hold."""


@dataclass(slots=True)
class Curve:
    """What each epoch came to; not a number where it is not known.

    A network that is deployed with others is judged alone.

    Args:
        cross_entropy: its mean over the epoch's images.
        alignment: the mean of the objective's penalty.
        fitness: after the epoch, on the images that the fitness is measured on, where the best epoch is kept.
    """

    cross_entropy: list[float] = field(default_factory=list)
    alignment: list[float] = field(default_factory=list)
    fitness: list[float] = field(default_factory=list)

    def add(self, losses: EpochLosses, fitness: float | None) -> None:
        """Adds an epoch."""
        self.cross_entropy.append(losses.cross_entropy)
        self.alignment.append(nan if losses.alignment is None else losses.alignment)
        self.fitness.append(nan if fitness is None else fitness)

    @property
    def epochs(self) -> int:
        """How many there were."""
        return len(self.fitness)

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the highest fitness, from 1, the first one on ties; None if not each was measured."""
        if not self.fitness or any(map(isnan, self.fitness)):
            return None
        return 1 + self.fitness.index(max(self.fitness))

    @property
    def kept_epoch(self) -> int | None:
        """The epoch whose weights were kept: the best, or the last if none was measured; None if unknown."""
        return self.epochs if all(map(isnan, self.fitness)) else self.best_epoch

    def is_flat(self, patience: int | None) -> bool:
        """Whether so many epochs in a row had no better fitness than all before; never if that is None."""
        if patience is None or self.best_epoch is None:
            return False
        return self.epochs - self.best_epoch >= patience

    def tensors(self) -> dict[str, Tensor]:
        """The curve as tensors, float64 (epochs,) each."""
        return {
            f"{CURVE}{each.name}": torch.tensor(getattr(self, each.name), dtype=torch.float64)
            for each in fields(self)
        }

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], epochs: int) -> Self:
        """The curve of so many epochs that `tensors` gave; of an older checkpoint, none is known."""
        unknown = torch.full((epochs,), nan, dtype=torch.float64)
        return cls(*(tensors.get(f"{CURVE}{each.name}", unknown).tolist() for each in fields(cls)))


def curve_of(artefacts: Artefacts, name: str) -> Curve | None:
    """The curve of the training of the network of that name; None if there is none that can be one.

    It is not made again, for that would be the training.
    """
    try:
        found = artefacts.find("curve", name)
    except OSError:
        return None
    if found is None or found.keys() != Curve().tensors().keys():
        return None
    kinds = {(values.dtype, values.dim(), values.numel()) for values in found.values()}
    if len(kinds) != 1 or next(iter(kinds))[:2] != (torch.float64, 1):
        return None
    curve = Curve.restored(found, 0)
    losses = [*curve.cross_entropy, *curve.alignment]
    sound = is_fitness(curve.fitness) and all(isnan(loss) or abs(loss) < LARGEST for loss in losses)
    return curve if sound and curve.epochs else None


def is_fitness(values: Sequence[float]) -> bool:
    """Whether they can be fitness after each of some epochs: a share each, or not known."""
    return len(values) <= MOST_EPOCHS and all(isnan(value) or 0 <= value <= 1 for value in values)
