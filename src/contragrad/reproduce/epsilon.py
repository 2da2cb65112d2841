"""The epsilon that the paper does not give: the one at which the reference is as often right as published."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from contragrad.networks.inference import predict
from contragrad.reproduce import answers
from contragrad.reproduce.definition import Column
from contragrad.reproduce.experiment import Place
from contragrad.run_folder.contents import adversarial_of
from contragrad.settings.checks import radius

GREYS = 255
STRONGEST = 32
"""Grey levels up to which epsilon is calibrated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """An epsilon, and what it was chosen by.

    Args:
        greys: epsilon in grey levels.
        target: the published adversarial accuracy of the reference.
        reached: that of the reference here, with this epsilon.
        images: those it was measured on.
    """

    greys: int
    target: float
    reached: float
    images: Literal["validation", "training"]

    @property
    def epsilon(self) -> Fraction:
        """In pixel units."""
        return Fraction(self.greys, GREYS)

    @property
    def clamped(self) -> bool:
        """Whether the target lies beyond what was tried."""
        return (self.greys == 1 and self.reached < self.target) or (
            self.greys == STRONGEST and self.reached > self.target
        )


def calibrate(place: Place, column: Column, published: float) -> Calibration:
    """The epsilon, in whole grey levels, at which the reference is most nearly as often right as published.

    It is chosen on the validation images, or, where the paper's protocol leaves none, on all training images,
    which the reference knows; never on the test images. What it answered is remembered.

    Raises:
        UserError: if an answer was remembered wrongly, or the reference cannot be made or attacked.
    """
    workspace, splits = place.workspace, place.splits
    held_out = workspace.config.fitness_split == "validation"
    part = "validation" if held_out else "train"

    def right(greys: int) -> float:
        attack = column.crafted_by(workspace.config.attack, Fraction(greys, GREYS))
        names = workspace.reference_name, workspace.adversarial_name(part, attack=attack)
        found = answers.recall(place.memo, *names)
        if found is None:
            reference = place.reference()
            begun = time.monotonic()
            labels = getattr(splits, part).labels.cpu()
            attacked = adversarial_of(workspace, splits, part, attack=attack)
            found = predict(reference, attacked) == labels
            what = f"reference on the {part} images, {attack.name} {radius(attack.epsilon)} on reference"
            answers.remember(place.memo, *names, found, what=what, seconds=time.monotonic() - begun)
        return found.double().mean().item()

    greys = nearest(right, published)
    images: Literal["validation", "training"] = "validation" if held_out else "training"
    return Calibration(greys=greys, target=published, reached=right(greys), images=images)


def nearest(falling: Callable[[int], float], value: float) -> int:
    """The place in 1 to `STRONGEST` at which a falling function is nearest to the value, by bisection."""
    low, high = 1, STRONGEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if falling(middle) >= value else (low, middle)
    return min((low, high), key=lambda place: abs(falling(place) - value))
