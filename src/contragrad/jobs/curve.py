"""How a training in full went, epoch by epoch, and when its curve is flat."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isnan, nan
from typing import Self

import torch
from torch import Tensor

from contragrad.artefacts import Artefacts
from contragrad.networks.training import EpochLosses

CURVE = "curve."


@dataclass(slots=True)
class Curve:
    """What each epoch came to; not a number where it is not known.

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
        """The epoch of the highest fitness, from 1, the first one on ties; None if none was measured."""
        known = [value for value in self.fitness if not isnan(value)]
        return 1 + self.fitness.index(max(known)) if known else None

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
    """The curve of the training of the network of that name; None if it was not kept."""
    found = artefacts.find("curve", name)
    if found is None or found.keys() != Curve().tensors().keys():
        return None
    lengths = {tuple(values.shape) for values in found.values()}
    if len(lengths) != 1 or len(shape := lengths.pop()) != 1:
        return None
    return Curve.restored(found, shape[0])
