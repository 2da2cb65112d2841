"""An audit from its sources to its findings, as deep as its time allows; what is there is not made again."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch

from contragrad.audit import attackers, sources
from contragrad.audit.arsenal import Arsenal
from contragrad.audit.attackers import ATTACKERS, REFERENCE, TARGET, Bout
from contragrad.audit.attempts import Attempt, Field, Named, attempted
from contragrad.audit.bouts import affordable, gradients, left_out_as, rounds
from contragrad.audit.compared import compared
from contragrad.audit.facts import Facts, Tried
from contragrad.audit.findings import Findings
from contragrad.audit.pace import duration
from contragrad.audit.preconditions import require_answers, require_gradients
from contragrad.audit.probes import probe
from contragrad.data.dataset import Examples
from contragrad.networks.inference import predict
from contragrad.networks.randomness import generator
from contragrad.watch.events import Ended, Stage, Working

PROBING = 350
"""Gradients that are taken of the target and of the reference at an image when the attacks are over."""

PROBED = 0.25
"""Share of the budget that these may take; there are fewer images then."""

COMPARING = 0.25
"""Share of the budget that the ordinary network may take: attackers come first."""

FEWEST = 5
"""Images that gradients are taken of however small the budget is."""


@dataclass(slots=True, kw_only=True)
class Runner:
    """An audit under way.

    Args:
        arsenal: its sources.
        begun: when, by the monotonic clock.
        tried: what came of attempts, by attacker.
    """

    arsenal: Arsenal
    begun: float
    tried: dict[str, list[Tried]] = field(
        default_factory=lambda: {attacker.key: [] for attacker in ATTACKERS}
    )

    @property
    def seed(self) -> int:
        """The study's."""
        return self.arsenal.workspace.config.seed

    def left(self) -> float | None:
        """Seconds left of the budget, less what is measured at the end; None without one."""
        minutes = self.arsenal.settings.minutes
        if minutes is None:
            return None
        return self.begun + 60 * minutes - time.monotonic() - self.probing() * self._probe()

    def probing(self) -> int:
        """On how many images the target's gradients are measured at the end."""
        settings = self.arsenal.settings
        if settings.minutes is None:
            return settings.images
        fit = int(PROBED * 60 * settings.minutes / self._probe())
        return min(settings.images, max(FEWEST, fit))

    def _probe(self) -> float:
        """Seconds that measuring takes for an image: of each other source one gradient is taken."""
        seconds = self.arsenal.seconds_for_gradient
        others = self.arsenal.networks.keys() - {REFERENCE, TARGET}
        return PROBING * sum(map(seconds, (REFERENCE, TARGET))) + sum(map(seconds, others))

    def run(self, facts: Facts) -> Findings:
        """Every attacker, as far as the time allows."""
        arsenal, settings = self.arsenal, self.arsenal.settings
        examples = sample(arsenal.splits.test, settings.images, self.seed)
        require_answers(arsenal.networks, examples)
        require_gradients(arsenal.networks[REFERENCE].network, examples)
        arena = replace(
            arsenal.arena(examples, arsenal.networks[TARGET]),
            ordinary=self._ordinary(),
            apart=frozenset({TARGET, sources.ANOTHER, sources.ORDINARY}),
        )
        first, *later = rounds(settings, arsenal.architectures())
        waiting = self._round(first, arena)
        # Checks of the attacks are worth more than anyone's second source.
        extra = tuple(self._extra(arena))
        for late in (False, True):
            for bouts in later:
                if any(bout.late for _, bout in bouts) == late:
                    # Estimates are rough: what did not fit beside others may fit now.
                    waiting = self._round([*waiting, *bouts], arena)
            self._together(arena, late)
        arsenal.watch(Stage("measuring the network itself"))
        classes = arsenal.workspace.problem.classes
        networks = {name: each.unfailing(classes) for name, each in arsenal.networks.items()}
        labels = examples.labels.cpu()
        clean = {name: predict(each, examples.images) == labels for name, each in networks.items()}
        target, reference = networks.pop(TARGET), networks.pop(REFERENCE)
        return Findings(
            facts=facts,
            settings=settings,
            clean=clean[TARGET],
            source_clean=clean,
            tried={key: tuple(found) for key, found in self.tried.items()},
            extra=extra,
            compared=dict(compared(arsenal, examples, clean)),
            missing=arsenal.missing,
            too_long=arsenal.too_long,
            probes=probe(
                target,
                reference,
                networks,
                examples,
                attackers.pgd(settings),
                measured=self.probing(),
                seed=self.seed,
            ),
        )

    def _ordinary(self) -> Named | None:
        """The reference's architecture from another seed: what examples do to a network without a defence."""
        arsenal, name = self.arsenal, sources.ANOTHER
        if name in arsenal.tasks:
            cost, left = arsenal.seconds_to_have(name), self.left()
            if affordable([cost], None if left is None else COMPARING * left)[0]:
                arsenal.get([name])
        return arsenal.networks.get(name)

    def _together(self, arena: Field, late: bool) -> None:
        """Every attacker who joins his sources, on all of them together."""
        arsenal, settings = self.arsenal, self.arsenal.settings
        for attacker in ATTACKERS:
            if attacker.joined is None or not attacker.joined_bouts(settings):
                continue
            # A source that is had later is left out, so that all examples are of one ensemble.
            there = attacker.joined in arsenal.networks
            if there or arsenal.join(attacker.joined, attacker.sources(settings)):
                for bout in attacker.joined_bouts(settings):
                    # Of sources that could be joined only now, nothing was tried before.
                    if bout.late == late or (late and not there):
                        self._round([(attacker.key, bout)], arena)

    def _round(self, bouts: list[tuple[str, Bout]], arena: Field) -> list[tuple[str, Bout]]:
        """Bouts of several attackers: their sources trained together where they are trained, then fought.

        Returns:
            Those that did not fit into the time that is left.
        """
        arsenal = self.arsenal
        there = [(key, bout) for key, bout in bouts if arsenal.reachable(bout.source)]
        costs = [arsenal.seconds_to_have(bout.source) + self._crafting(bout, arena) for _, bout in there]
        fits = affordable(costs, self.left())
        for (key, bout), cost, fit in zip(there, costs, fits, strict=True):
            what = left_out_as(key, bout)
            arsenal.missing.pop(what, None)
            arsenal.too_long.pop(what, None)
            # Of a source that is not there it is said once that it is not.
            if not fit and not (bout.late and bout.source not in arsenal.networks):
                self._leave_out(what, cost)
        chosen = [pair for pair, fit in zip(there, fits, strict=True) if fit]
        arsenal.get([bout.source for _, bout in chosen])
        for key, bout in chosen:
            if bout.source in arsenal.networks:
                self._fight(key, bout, arena)
        return [pair for pair, fit in zip(there, fits, strict=True) if not fit]

    def _leave_out(self, what: str, cost: float) -> None:
        """Notes that there is no time for something."""
        self.arsenal.missing[what] = f"it would take about {duration(cost)}"
        self.arsenal.too_long[what] = cost

    def _fight(self, key: str, bout: Bout, arena: Field) -> None:
        watch, source = self.arsenal.watch, self.arsenal.networks[bout.source]
        failed: dict[Attempt, str] = {}
        for attempt in bout.attempts:
            watch(Working(key, f"{key}: {attempt.label} on {bout.source}"))
            held = attempted(attempt, source, arena)
            if isinstance(held, str):
                failed[attempt] = held
            else:
                self.tried[key].append(Tried(attempt, held))
        if len(failed) == len(bout.attempts):
            self.arsenal.missing[left_out_as(key, bout)] = "; ".join(dict.fromkeys(failed.values()))
        else:
            for attempt, why in failed.items():
                self.arsenal.missing[left_out_as(key, bout, [attempt])] = why
        watch(Ended(key, text=f"{key}: {len(bout.attempts) - len(failed)} attempts on {bout.source}"))

    def _crafting(self, bout: Bout, arena: Field) -> float:
        """Seconds that the attempts may take; AutoAttack's is long only where PGD has not fooled."""
        known = self.arsenal.fingerprint_of(bout.source)
        left = [attempt for attempt in bout.attempts if not arena.made(attempt, known)]
        if not left:
            return 0.0
        held = self.tried[attackers.WHITE_BOX]
        firm = float(torch.stack([each.held.right for each in held]).all(0).double().mean()) if held else 1.0
        work = len(arena.examples) * gradients(left, firm)
        return work * self.arsenal.seconds_for_gradient(bout.source)

    def _extra(self, arena: Field) -> Iterator[Tried]:
        """What only checks need: noise, more steps, and PGD at other epsilons."""
        settings, arsenal = self.arsenal.settings, self.arsenal
        curved = (TARGET, REFERENCE, sources.surrogate(1))
        wanted: list[tuple[str, str, tuple[Attempt, ...]]] = [
            ("noise", TARGET, (attackers.noise(settings),)),
            ("one step", TARGET, attackers.single_step(TARGET, settings)),
            *(("more steps", name, attackers.longer(name, settings)) for name in (REFERENCE, TARGET)),
            *(("other epsilons", name, attackers.curve(name, settings)) for name in curved),
        ]
        for what, source, attempts in wanted:
            if source not in arsenal.networks:
                continue
            cost = self._crafting(Bout(source=source, attempts=attempts), arena)
            if not affordable([cost], self.left())[0]:
                self._leave_out(f"{what} on {source}", cost)
                continue
            for attempt in attempts:
                arsenal.watch(Working("more", f"{attempt.attack.name} on {source}"))
                held = attempted(attempt, arsenal.networks[source], arena)
                if isinstance(held, str):
                    arsenal.missing[f"{what} on {source}"] = held
                else:
                    yield Tried(attempt, held)
            arsenal.watch(Ended("more"))


def sample(test: Examples, count: int, seed: int) -> Examples:
    """So many test images, drawn at random and in a random order; all if there are not so many."""
    chosen = torch.randperm(len(test), generator=generator(seed, "audited"))[:count]
    return Examples(test.images[chosen], test.labels[chosen])
