"""What an audit has found: how the target stands against each attacker, and why that may say nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from contragrad.attacks.library import Norm
from contragrad.audit.attackers import ATTACKERS, QUERIES, RECIPE, REFERENCE, REVERSED, WHITE_BOX
from contragrad.audit.facts import Tried
from contragrad.audit.masked import out_of_reach, rivals
from contragrad.audit.measured import Measured
from contragrad.audit.statistics import mean_interval, said
from contragrad.audit.strength import weakness
from contragrad.evaluate import Share

Standing = Literal["withstood", "inconclusive", "weakened", "defeated", "not run"]

ENOUGH_QUERIES = 1000
"""Answers below which it is too early to call a query attack withstood."""

NO_GRADIENT = 0.01
"""Share of images without a gradient from which on gradients count as hidden."""

ENOUGH_PROBED = 100
"""Images below which a share that is measured on them shows nothing of a percent."""

DEFEATED = 0.5
"""Share of correctly classified images from which on an attacker who fools them has defeated the network."""

NAMED = 3
"""Of what was not tried, how many are named where it is a doubt; the card lists all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings(Measured):
    """What was measured, and how the target stands by it."""

    def in_linf(self, key: str) -> tuple[Tried, ...]:
        """An attacker's own attempts in the L_inf ball: of L_2 see `l2_fooled`."""
        return tuple(each for each in self.tried.get(key, ()) if each.norm == "linf")

    def deciding(self, key: str) -> tuple[Tried, ...]:
        """The examples that decide how the target stands against an attacker.

        They are his own in the L_inf ball. Who has the network can do whatever others can: against him count
        all that were found in his ball, by what only checks need too.
        """
        own = self.in_linf(key)
        if key != WHITE_BOX or not own:
            return own
        return tuple(
            each
            for each in self.every
            if each.norm == "linf" and each.attempt.attack.epsilon <= self.settings.epsilon
        )

    def standing(self, key: str) -> Standing:
        """How the target stands against an attacker; inconclusive if he would be withstood, with a doubt."""
        if not self.tried.get(key):
            return "not run"
        found = standing(self.fooled(self.deciding(key)), self.settings.tolerated)
        return "inconclusive" if found == "withstood" and self.doubt(key) else found

    def doubt(self, key: str) -> str:
        """Why it says nothing that an attacker who was run fools few; empty if it does say something."""
        return "; ".join(self._doubts(key)) if self.tried.get(key) else ""

    def _doubts(self, key: str) -> Iterator[str]:
        fooled, so_far = self.fooled(self.deciding(key)), self.fooled_so_far(key)
        found = standing(fooled, self.settings.tolerated)
        if found == "inconclusive":
            yield f"too few images: {said(fooled)}"
        if key == WHITE_BOX:
            yield from self._not_tried(key)
            if self.misled:
                yield self.misled
            return
        if found == "withstood" and so_far and standing(so_far, self.settings.tolerated) != "withstood":
            yield f"he and all before him fool {said(so_far)} together"
        if key == QUERIES:
            yield from self._not_tried(key)
            if self.settings.queries < ENOUGH_QUERIES:
                yield f"{self.settings.queries} queries, and not {ENOUGH_QUERIES:,}"
            return
        if key in RECIPE and not self.facts.recipe_known:
            yield f"the recipe is not known, {self.facts.objective} of {self.facts.epochs} epochs is assumed"
        if key == REVERSED and not self.turned:
            low, high = self.mean_cosine
            yield f"no gradients were turned: mean cosine with the reference's {low:+.2f} to {high:+.2f}"
        if not self.bounded:
            yield from self._not_tried(key)
            yield from self._weak(key, "linf")

    def _not_tried(self, key: str) -> Iterator[str]:
        if untried := self.untried(key):
            more = f" and {len(untried) - NAMED} more" if len(untried) > NAMED else ""
            yield f"not tried: {', '.join(untried[:NAMED])}{more}"

    def _weak(self, key: str, norm: Norm) -> Iterator[str]:
        # Steps down the source's loss are not meant to fool it, and are worth what those up it are.
        crafted = self.tried.get(REFERENCE if key == REVERSED else key, ())
        if why := weakness(self, crafted, norm):
            yield why
        if key == REVERSED:
            return  # nobody has an ordinary network step down the reference's loss
        alike = self.no_better([each for each in crafted if each.norm == norm])
        if alike is None:
            yield "not compared with an ordinary network"
        elif alike:
            yield "an ordinary network does as well"

    @property
    def l2_fooled(self) -> Share | None:
        """Of the correctly classified, those that L_2 examples fool, made up or down the reference's loss."""
        within = [each for tried in self.tried.values() for each in tried if each.norm == "l2"]
        return self.fooled(within) if within else None

    @property
    def l2_standing(self) -> Standing:
        """How the target stands against the reference's L_2 examples, made up or down its loss."""
        if (fooled := self.l2_fooled) is None:
            return "not run"
        found = standing(fooled, self.settings.tolerated)
        return "inconclusive" if found == "withstood" and self.l2_doubt else found

    @property
    def l2_doubt(self) -> str:
        """Why it says nothing that the reference's L_2 examples fool few; empty if it does say something."""
        within = [each for each in self.tried.get(REFERENCE, ()) if each.norm == "l2"]
        return "; ".join(self._weak(REFERENCE, "l2")) if within else "not tried"

    @property
    def bounded(self) -> bool:
        """Whether the white box is withstood, and with it whoever has less, in its ball."""
        return self.standing(WHITE_BOX) == "withstood"

    @property
    def misled(self) -> str:
        """Why the target's gradients may be no good to an attacker; empty if they are good."""
        probes = self.probes
        if probes.zero_gradients + probes.broken_gradients > NO_GRADIENT:
            return "gradients are zero or not finite"
        if not probes.deterministic:
            return "the network answers otherwise the second time"
        if why := out_of_reach(self):
            return why
        if beyond := [rival for rival in rivals(self) if rival.exceeds]:
            first = beyond[0]
            return f"gradients mislead it: {first.name} fools {said(first.beyond)} that PGD does not"
        if probes.images < ENOUGH_PROBED:
            return f"gradients were measured on {probes.images} images alone"
        return ""

    @property
    def mean_cosine(self) -> tuple[float, float]:
        """The 95 % interval of the mean cosine of the target's input gradients with the reference's."""
        return mean_interval(self.probes.aligned[REFERENCE])

    @property
    def turned(self) -> bool:
        """Whether the target's gradients point away from the reference's."""
        return self.mean_cosine[1] < 0

    @property
    def withstood(self) -> str | None:
        """The key of the strongest attacker who is withstood, as are all weaker ones that tell anything.

        Never who steps down the reference's loss: he is strong only where gradients were turned.
        See `unknown_below` for those that tell nothing.
        """
        found = None
        for attacker in ATTACKERS:
            standing = self.standing(attacker.key)
            if standing in ("weakened", "defeated"):
                break
            if standing == "withstood" and attacker.key != REVERSED:
                found = attacker.key
        return found

    @property
    def unknown_below(self) -> list[str]:
        """Of the attackers weaker than the strongest who is withstood, those who tell nothing.

        Not who steps down the reference's loss where no gradients were turned, for nobody does so there.
        """
        if self.withstood is None:
            return []
        keys = [attacker.key for attacker in ATTACKERS if self.turned or attacker.key != REVERSED]
        weaker = keys[: keys.index(self.withstood)]
        return [key for key in weaker if self.standing(key) in ("inconclusive", "not run")]

    @property
    def defeated_by(self) -> str | None:
        """The key of the weakest attacker who defeats the target."""
        return next(
            (attacker.key for attacker in ATTACKERS if self.standing(attacker.key) == "defeated"), None
        )


def standing(fooled: Share, tolerated: float) -> Standing:
    """What the interval of the share that is fooled says, or the share alone where that is not tolerated.

    Inconclusive if so few images leave open whether what is tolerated is kept to.
    No image to fool is no ground to call a network anything but defeated.
    """
    if fooled.interval is None:
        return "defeated"
    low, high = fooled.interval
    if high <= tolerated:
        return "withstood"
    if fooled.hits <= tolerated * fooled.count:
        return "inconclusive"
    return "defeated" if low >= DEFEATED else "weakened"
