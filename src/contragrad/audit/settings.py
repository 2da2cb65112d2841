"""How deep an audit goes."""

from dataclasses import dataclass
from fractions import Fraction
from math import inf

from contragrad.errors import UserError

CURVE = (Fraction(1, 4), Fraction(1, 2), Fraction(2), Fraction(4), Fraction(8))
"""Multiples of epsilon at which accuracy is measured too, beside 0, 1 and the whole range of a pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """How deep an audit goes.

    Args:
        epsilon: radius of the L_inf attacks, in pixel units.
        images: test images that are attacked, drawn at random.
        steps: gradient steps of the attacks on single networks.
        restarts: random starts of the white-box attack.
        queries: answers that a query attack may ask for, for each image.
        distilled: answers that an attacker may ask for to train a copy on, in all.
        surrogates: networks that an attacker who knows the recipe trains.
        l2_epsilon: radius of the L_2 attacks, in pixel units.
        tolerated: the share of correctly classified images that an attacker may fool and still be withstood.
        minutes: the time that it may take; without a limit, everything is run.
    """

    epsilon: Fraction = Fraction(8, 255)
    images: int = 1000
    steps: int = 40
    restarts: int = 5
    queries: int = 1000
    distilled: int = 5000
    surrogates: int = 3
    l2_epsilon: Fraction = Fraction(1, 2)
    tolerated: float = 0.2
    minutes: float | None = None

    def __post_init__(self) -> None:
        for name in ("images", "steps", "restarts", "queries", "distilled", "surrogates"):
            if getattr(self, name) < 1:
                raise UserError(f"{getattr(self, name)} is too small", where=f"--{name}", remedy="1 or more")
        if not 0 < self.tolerated < 0.5:
            raise UserError(
                f"{self.tolerated} is no share that an attacker who is withstood may fool",
                where="--tolerated",
                remedy="more than 0, less than 0.5, from which on a network counts as defeated; 0.2 for 20 %",
            )
        if not 0 < self.epsilon <= 1:
            raise UserError(
                f"{self.epsilon} is no radius",
                where="--epsilon",
                remedy="more than 0, up to 1; 8/255 if you meant 8 grey levels",
            )
        if self.l2_epsilon <= 0:
            raise UserError(f"{self.l2_epsilon} is no radius", where="--l2-epsilon", remedy="more than 0")
        if self.minutes is not None and not 0 < self.minutes < inf:
            raise UserError(
                f"{self.minutes} minutes are no budget",
                where="--budget",
                remedy="more than 0; left out, there is no limit",
            )
