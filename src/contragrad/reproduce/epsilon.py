"""The epsilon that the paper does not give: the one at which the reference is as often right as published."""

from collections.abc import Callable
from fractions import Fraction

from contragrad.fitness import accuracy
from contragrad.reproduce.definition import Column
from contragrad.reproduce.experiment import Place
from contragrad.workspace import adversarial_of, load_reference

GREYS = 255
STRONGEST = 32
"""Grey levels up to which epsilon is calibrated."""


def calibrate(place: Place, column: Column, published: float) -> Fraction:
    """The epsilon, in whole grey levels, at which the reference is most nearly as often right as published.

    It is chosen on the images that the fitness is measured on.
    """
    workspace, splits = place.workspace, place.splits
    part, fitness = workspace.config.fitness_split, splits.validation
    reference = load_reference(workspace, splits)

    def right(greys: int) -> float:
        attack = column.crafted_by(workspace.config.attack, Fraction(greys, GREYS))
        return accuracy(reference, adversarial_of(workspace, splits, part, attack=attack), fitness.labels)

    return Fraction(nearest(right, published), GREYS)


def nearest(falling: Callable[[int], float], value: float) -> int:
    """The place in 1 to `STRONGEST` at which a falling function is nearest to the value, by bisection."""
    low, high = 1, STRONGEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if falling(middle) >= value else (low, middle)
    return min((low, high), key=lambda place: abs(falling(place) - value))
