"""What an audit has measured, as plain values and masks over images, and the shares that they come to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from contragrad.audit.attackers import ATTACKERS, pgd
from contragrad.audit.bouts import fitting, left_out_as
from contragrad.audit.facts import Compared, Facts, Tried
from contragrad.audit.probes import Probes
from contragrad.audit.settings import AuditSettings
from contragrad.audit.sources import ANOTHER, NO_STRANGER
from contragrad.audit.statistics import SIGNIFICANT, mcnemar
from contragrad.evaluate import Share


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
        missing: the sources that were not had, what was not tried, and why.
        too_long: of them, those that there was no time for, and the seconds that each would take.
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
    too_long: Mapping[str, float] = field(default_factory=dict)
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

    def no_better(self, tried: Sequence[Tried]) -> bool | None:
        """Whether nothing tells the target from an ordinary network that was shown the same examples.

        Of images that both classify correctly, by McNemar's test.

        Returns:
            None if there is no such network, or if it was shown none of the examples.
        """
        shown = [each for each in tried if len(each.held.ordinary)]
        other = self._ordinary_survivors(shown)
        if other is None:
            return None
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
        untried: list[str] = []
        for bout in bouts:
            always = fitting(bout, {})
            if tried.isdisjoint(bout.attempts):
                named = [left_out_as(key, each) for each in (bout, always)]
                untried.append(next((name for name in named if name in self.missing), named[0]))
                continue
            for attempt in bout.attempts:
                name = left_out_as(key, bout, [attempt])
                if attempt not in tried and (attempt in always.attempts or name in self.missing):
                    untried.append(name)
        return [name for name in dict.fromkeys(untried) if self.missing.get(name) not in NO_STRANGER]

    def fooled_so_far(self, key: str) -> Share | None:
        """Of the images that the target classifies correctly, what he and all weaker ones fool, in L_inf.

        Returns:
            None if he was not run.
        """
        if not self.tried.get(key):
            return None
        so_far: list[Tried] = []
        for attacker in ATTACKERS:
            so_far += (each for each in self.tried.get(attacker.key, ()) if each.norm == "linf")
            if attacker.key == key:
                break
        return self.fooled(so_far)

    @property
    def every(self) -> tuple[Tried, ...]:
        """All attempts, those that only checks need too."""
        return (*(each for tried in self.tried.values() for each in tried), *self.extra)

    def find(self, source: str, **what: object) -> list[Tried]:
        """All attempts on a source whose attempt or attack has these values."""
        return [
            each
            for each in self.every
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

    def by_epsilon(self, source: str) -> list[Tried]:
        """PGD on a source with the audit's steps, from its first start, by growing epsilon."""
        steps = self.settings.steps
        found = self.find(source, name="linf-pgd", way="gradient", restart=0, steps=steps)
        return sorted(found, key=lambda each: each.attempt.attack.epsilon)
