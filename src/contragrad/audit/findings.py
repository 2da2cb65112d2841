"""What an audit has found, as plain values and masks over images, and the figures that follow from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from scipy.stats import binomtest
from torch import Tensor

from contragrad.audit.attackers import ATTACKERS, REFERENCE, WHITE_BOX, pgd
from contragrad.audit.bouts import fitting, left_out_as
from contragrad.audit.facts import Compared, Facts, Tried
from contragrad.audit.probes import Probes
from contragrad.audit.settings import AuditSettings
from contragrad.audit.sources import ANOTHER, NO_STRANGER
from contragrad.evaluate import Share

Standing = Literal["withstood", "inconclusive", "weakened", "defeated", "not run"]

STRONG = 0.9
"""Share of its own images that some source must be fooled on for its examples to be worth withstanding."""

ENOUGH_QUERIES = 1000
"""Answers below which it is too early to call a query attack withstood."""

NO_GRADIENT = 0.01
"""Share of images without a gradient from which on gradients count as hidden."""

SIGNIFICANT = 0.05
"""P-value from which on two networks count as alike."""

DEFEATED = 0.5
"""Share of correctly classified images from which on an attacker who fools them has defeated the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that checks and the card are made of.

    Args:
        facts: about the target.
        settings: how deep the audit was to go.
        clean: whether the target is right on the images, bool (N,).
        source_clean: the same of every source, by name.
        tried: each attacker's attempts, by his key.
        extra: attempts that only checks need: more steps, other epsilons, noise.
        compared: other networks beside the target: its twin, others of the same recipe.
        missing: the sources that were not had, and why.
        probes: what was measured on the target itself.
    """

    facts: Facts
    settings: AuditSettings
    clean: Tensor
    source_clean: Mapping[str, Tensor]
    tried: Mapping[str, tuple[Tried, ...]]
    extra: tuple[Tried, ...] = ()
    compared: Mapping[str, Compared] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    probes: Probes

    @property
    def images(self) -> int:
        """How many were attacked."""
        return len(self.clean)

    def survivors(self, tried: Iterable[Tried]) -> Tensor:
        """Whether the target is right on an image and on all of its examples, bool (N,): the worst case."""
        found = self.clean.clone()
        for each in tried:
            found &= each.held.right
        return found

    def fooled(self, tried: Iterable[Tried]) -> Share:
        """Of the images that the target classifies correctly, those of which some example fools it."""
        return Share.of(~self.survivors(tried), self.clean)

    def source_fooled(self, each: Tried) -> Share:
        """Of the images that the source classifies correctly, those whose example fools it."""
        return Share.of(~each.held.source, self.source_clean[each.attempt.source])

    def ordinary_fooled(self, tried: Iterable[Tried]) -> Share | None:
        """Of the images that an ordinary network classifies correctly, those of which some example fools it.

        Returns:
            None if there is no such network, or if it was shown none of the examples.
        """
        found = self._ordinary_survivors(tried)
        return None if found is None else Share.of(~found, self.source_clean[ANOTHER])

    def _ordinary_survivors(self, tried: Iterable[Tried]) -> Tensor | None:
        shown = [each.held.ordinary for each in tried if len(each.held.ordinary)]
        if not shown or ANOTHER not in self.source_clean:
            return None
        return torch.stack([self.source_clean[ANOTHER], *shown]).all(0)

    def no_better(self, tried: Sequence[Tried]) -> bool:
        """Whether nothing tells the target from an ordinary network that was shown the same examples.

        Of images that both classify correctly, by McNemar's test.
        """
        shown = [each for each in tried if len(each.held.ordinary)]
        other = self._ordinary_survivors(shown)
        if other is None:
            return False
        both = self.clean & self.source_clean[ANOTHER]
        mine, other = self.survivors(shown)[both], other[both]
        return int(mine.sum()) <= int(other.sum()) or mcnemar(mine, other) >= SIGNIFICANT

    def transferred(self, each: Tried) -> Share:
        """Of the images that both classify correctly and the source is fooled on, those that fool both."""
        counted = self.clean & self.source_clean[each.attempt.source] & ~each.held.source
        return Share.of(~each.held.right, counted)

    def untried(self, key: str) -> list[str]:
        """What an attacker was to try and did not, as `missing` calls it; what is no source of his is not."""
        (attacker,) = (each for each in ATTACKERS if each.key == key)
        tried = {each.attempt for each in self.tried.get(key, ())}
        # SGM is tried on some architectures alone, and nobody says so of the others.
        bouts = (*attacker.bouts(self.settings), *attacker.joined_bouts(self.settings))
        always = {bout: fitting(bout, {}) for bout in bouts}
        named = {bout: [left_out_as(key, each) for each in (bout, always[bout])] for bout in bouts}
        untried = [
            next((name for name in named[bout] if name in self.missing), named[bout][0])
            for bout in bouts
            if not tried >= set(always[bout].attempts)
        ]
        return [name for name in untried if self.missing.get(name) not in NO_STRANGER]

    def standing(self, key: str) -> Standing:
        """How the target stands against an attacker; inconclusive if he would be withstood, with a doubt."""
        tried = self.tried.get(key, ())
        if not tried:
            return "not run"
        found = standing(self.fooled(tried), self.settings.tolerated)
        return "inconclusive" if found == "withstood" and self.doubt(key) else found

    def doubt(self, key: str) -> str:
        """Why it says nothing that an attacker who was run fools few; empty if it does say something."""
        if key == "queries":
            few = self.settings.queries < ENOUGH_QUERIES
            return f"{self.settings.queries} queries, and not {ENOUGH_QUERIES:,}" if few else ""
        if key == WHITE_BOX:
            untried = self.untried(key)
            return f"not tried: {', '.join(untried)}" if untried else self.misled
        # Steps down the source's loss are not meant to fool it, and are worth what those up it are.
        strength = self.tried.get(REFERENCE if key == "reversed" else key, ())
        own = [self.source_fooled(each).share or 0.0 for each in strength if each.norm == "linf"]
        if self.bounded:
            return ""
        if not own:
            return "the reference itself was not attacked"
        if max(own) < STRONG:
            return f"sources are fooled on at most {100 * max(own):.1f} % of their own"
        # Nobody has an ordinary network step down the reference's loss.
        alike = key != "reversed" and self.no_better(self.tried.get(key, ()))
        return "an ordinary network does as well" if alike else ""

    def fooled_so_far(self, key: str) -> Share | None:
        """Of the images that the target classifies correctly, what he and all weaker ones together fool.

        Returns:
            None if he was not run.
        """
        if not self.tried.get(key):
            return None
        so_far: list[Tried] = []
        for attacker in ATTACKERS:
            so_far += self.tried.get(attacker.key, ())
            if attacker.key == key:
                break
        return self.fooled(so_far)

    @property
    def bounded(self) -> bool:
        """Whether the white box is withstood, and with it whoever has less, in its ball."""
        return self.standing(WHITE_BOX) == "withstood"

    @property
    def misled(self) -> str:
        """Why the target's gradients are no good to an attacker; empty if they are."""
        probes = self.probes
        if probes.zero_gradients + probes.broken_gradients > NO_GRADIENT:
            return "gradients are zero or not finite"
        if not probes.deterministic:
            return "the network answers otherwise the second time"
        more = self.stronger_than_white_box
        return f"gradients mislead it: {more} fools more" if more else ""

    @property
    def stronger_than_white_box(self) -> str | None:
        """Of those who have less, who fools most, if that is more than the white box does."""
        others = self.fooled_with_less
        if not others:
            return None
        strongest = max(others, key=lambda key: others[key].hits)
        best = self.fooled(self.tried.get(WHITE_BOX, ()))
        # One image may be chance: each has many attempts.
        return strongest if others[strongest].hits > best.hits + NO_GRADIENT * best.count else None

    @property
    def fooled_with_less(self) -> dict[str, Share]:
        """What attackers who have less than the network fool in the white box's ball, by their keys.

        Examples in another ball count for nobody: a larger one says nothing of gradients.
        """
        within = {
            key: [each for each in tried if each.norm == "linf"]
            for key, tried in self.tried.items()
            if key != WHITE_BOX
        }
        return {key: self.fooled(tried) for key, tried in within.items() if tried}

    def find(self, source: str, **what: object) -> list[Tried]:
        """All attempts on a source whose attempt or attack has these values."""
        every = (*(each for tried in self.tried.values() for each in tried), *self.extra)
        return [
            each
            for each in every
            if each.attempt.source == source
            and all(
                getattr(each.attempt if hasattr(each.attempt, name) else each.attempt.attack, name) == value
                for name, value in what.items()
            )
        ]

    def plain(self, source: str) -> Tried | None:
        """PGD on a source with the audit's epsilon and steps, from its first start."""
        found = self.find(source, attack=pgd(self.settings), way="gradient", restart=0)
        return found[0] if found else None

    @property
    def withstood(self) -> str | None:
        """The key of the strongest attacker who is withstood, as are all weaker ones that tell anything.

        See `unknown_below` for those that do not.
        """
        found = None
        for attacker in ATTACKERS:
            standing = self.standing(attacker.key)
            if standing in ("weakened", "defeated"):
                break
            found = attacker.key if standing == "withstood" else found
        return found

    @property
    def unknown_below(self) -> list[str]:
        """Of the attackers weaker than the strongest who is withstood, those who tell nothing."""
        if self.withstood is None:
            return []
        keys = [attacker.key for attacker in ATTACKERS]
        weaker = keys[: keys.index(self.withstood)]
        return [key for key in weaker if self.standing(key) in ("inconclusive", "not run")]

    @property
    def defeated_by(self) -> str | None:
        """The key of the weakest attacker who defeats the target."""
        return next(
            (attacker.key for attacker in ATTACKERS if self.standing(attacker.key) == "defeated"), None
        )


def standing(fooled: Share, tolerated: float) -> Standing:
    """Withstood or defeated if the interval of the share that is fooled says so, weakened in between.

    No image to fool is no ground to call a network anything but defeated.
    """
    if fooled.interval is None:
        return "defeated"
    low, high = fooled.interval
    if high <= tolerated:
        return "withstood"
    return "defeated" if low >= DEFEATED or fooled.share == 1 else "weakened"


def mcnemar(first: Tensor, second: Tensor) -> float:
    """The exact p-value of McNemar's test that two networks are right equally often on the same images.

    Args:
        first: whether the one is right, bool (N,).
        second: whether the other is.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)
