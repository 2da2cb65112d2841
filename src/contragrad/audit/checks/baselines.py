"""Checks 24 to 29: what it is compared with, and what a reader can do with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from contragrad.audit.attackers import ATTACKERS, REFERENCE
from contragrad.audit.checks.check import CARLINI, LOTOS, OWN, Check, Result, decided, unknown
from contragrad.audit.facts import Compared
from contragrad.audit.findings import Findings
from contragrad.audit.sources import NO_STRANGER, TWIN, stranger, surrogate
from contragrad.audit.statistics import SIGNIFICANT, mcnemar, mean_interval, said
from contragrad.evaluate import Share
from contragrad.networks.objectives import OBJECTIVES

DISTURBED = 0.05
"""By how much more than the reference the network may lose under a disturbance."""

NEITHER = "These checks are neither necessary nor sufficient: a network may pass all of them and be broken."
"""What every card says.

Source: Carlini et al. 2019, section 1.
"""


@dataclass(frozen=True, slots=True)
class Beside:
    """The network beside another: right on examples, of images that both classify correctly, and p."""

    mine: Share
    other: Share
    p: float


def ablation(findings: Findings) -> Result:
    """The network is better than its undefended twin, and than the recipe on any other architecture.

    Of images that both classify correctly as they are: neither clean accuracy counts, nor examples of the
    reference that turn wrong answers right.
    """
    if not findings.facts.recipe_known:
        return unknown("how the network was trained is not known")
    own = findings.plain(REFERENCE)
    twin = findings.compared.get(TWIN)
    numbers = range(1, findings.settings.surrogates + 1)
    others = [findings.compared[name] for name in map(stranger, numbers) if name in findings.compared]
    if own is None or twin is None or not others:
        return unknown("the undefended twin or the recipe on another architecture is missing")
    if not findings.clean.any():
        return unknown("no image is classified correctly")
    mine = findings.survivors([own])
    undefended, *strangers = (
        _beside(findings, mine, each, tests)
        for each, tests in ((twin, 1), *((one, len(others)) for one in others))
    )
    best = min(strangers, key=_ahead)
    figure = (
        "right on the reference's examples, of the images that both classify correctly: the network "
        f"{said(undefended.mine)}, its undefended twin {said(undefended.other)} (McNemar's "
        f"p = {undefended.p:.2g}); the network {said(best.mine)}, the recipe on the best of {len(others)} "
        f"drawn architectures {said(best.other)} (p = {best.p:.2g})"
    )
    every = [undefended, *strangers]
    if any(_ahead(each) < 0 and each.p < SIGNIFICANT for each in every):
        return decided(False, figure)
    if any(each.p >= SIGNIFICANT for each in every):
        return unknown(f"{figure}; so many images do not tell them apart")
    return decided(True, figure)


def _beside(findings: Findings, mine: Tensor, other: Compared, tests: int) -> Beside:
    both = findings.clean & other.clean
    held, its = mine[both], other.survivors[both]
    return Beside(Share.of(held), Share.of(its), min(1.0, tests * mcnemar(held, its)))


def _ahead(beside: Beside) -> float:
    return (beside.mine.share or 0.0) - (beside.other.share or 0.0)


def filters(findings: Findings) -> Result:
    """The reference's examples fool the network less often than they fool the reference behind a filter.

    Of the same images, those that gradients are measured on.
    Unless an attacker who knows of a filter does better than one who does not, his attack does not work.
    """
    own, found = findings.plain(REFERENCE), findings.probes.filters
    if own is None or not found:
        return unknown("no filter was measured, or no L_inf-PGD on the reference")
    counted = findings.clean[: findings.probes.images]
    mine = Share.of(~own.held.right[: len(counted)], counted)
    if not mine.count:
        return unknown("no image is classified correctly")
    figure = f"PGD on the reference fools the network on {said(mine)}; behind a filter, the reference: "
    figure += "; ".join(
        f"{name} {said(behind.unaware)}, {said(behind.aware)} by an attacker who knows of it"
        for name, behind in found.items()
    )
    if any((each.aware.share or 0.0) < (each.unaware.share or 0.0) for each in found.values()):
        return unknown(f"{figure}; to know of a filter did not help, so that attack is too weak")
    better = [_fewer(mine, each.unaware) for each in found.values()]
    if None in better and False not in better:
        return unknown(f"{figure}; the intervals overlap")
    return decided(all(better), figure)


def _fewer(mine: Share, other: Share) -> bool | None:
    """Whether a share is smaller; None if the intervals overlap, so that it only seems so."""
    if (mine.share or 0.0) >= (other.share or 0.0):
        return False
    return True if mine.interval and other.interval and mine.interval[1] < other.interval[0] else None


def same_budget(findings: Findings) -> Result:
    """What it is compared with was trained for as many steps.

    Its epochs are the network's, for the audit trains it so; an objective may take several steps on a batch.
    """
    kin = {
        name: each.epochs * OBJECTIVES[each.objective].replays
        for name, each in findings.compared.items()
        if name in (TWIN, surrogate(1), stranger(1))
    }
    if not findings.facts.recipe_known:
        return unknown("how long the network was trained is not known")
    if not kin:
        return unknown("nothing was trained to compare with")
    own = findings.facts.epochs * OBJECTIVES[findings.facts.objective].replays
    figure = f"steps on each image: the network {own}, " + ", ".join(
        f"{name} {steps}" for name, steps in kin.items()
    )
    return decided(all(steps == own for steps in kin.values()), figure)


def disturbances(findings: Findings) -> Result:
    """Noise, rotation and shift cost it hardly more than they cost the reference, by the interval of that.

    Of the same images, before and after.
    """
    its_clean, parts, more = findings.source_clean[REFERENCE], [], []
    for name, disturbed in findings.probes.corruptions.items():
        lost = findings.clean.float() - disturbed.target.float()
        its_lost = its_clean.float() - disturbed.reference.float()
        low, high = mean_interval(lost - its_lost)
        parts.append(
            f"{name}: {100 * float(lost.mean()):.1f} points lost, the reference "
            f"{100 * float(its_lost.mean()):.1f}, [{100 * low:.1f}, {100 * high:.1f}] more"
        )
        more.append((low, high))
    figure = "; ".join(parts)
    if any(low > DISTURBED for low, _ in more):
        return decided(False, figure)
    if any(high > DISTURBED for _, high in more):
        return unknown(f"{figure}; so few images leave it open")
    return decided(True, figure)


def released(findings: Findings) -> Result:
    """Weights and the names that make it again are there, of which an audit can lack the recipe alone."""
    facts = findings.facts
    seed = "withheld" if facts.seed is None else str(facts.seed)
    figure = (
        f"{facts.weights}; weights {facts.fingerprint[:12]}, settings {facts.settings_fingerprint[:12]}, "
        f"seed {seed}; it can fail only if the weights went after the audit had read them"
    )
    there = Path(facts.weights).is_file()
    if there and not facts.recipe_known:
        return unknown(f"how it was trained is not known; {figure}")
    return decided(there, figure)


def statement(findings: Findings) -> Result:
    """What every attacker was to try was tried, or the card says why not; and it says what checks are not."""
    if silent := list(_left_out_in_silence(findings)):
        return decided(False, f"not tried, and nobody says why: {', '.join(silent)}. {NEITHER}")
    known = [name for name, why in findings.missing.items() if why in NO_STRANGER]
    left_out = [name for name in findings.missing if name not in known]
    if left_out:
        return unknown(f"{NEITHER} Left out, as the card lists: {len(left_out)}.")
    return decided(True, f"{NEITHER} Not unseen, so no sources: {', '.join(known)}." if known else NEITHER)


def _left_out_in_silence(findings: Findings) -> Iterator[str]:
    for attacker in ATTACKERS:
        for what in findings.untried(attacker.key):
            if what not in findings.missing:
                yield what if what.startswith(attacker.key) else f"{attacker.key} on {what}"


CHECKS: tuple[Check, ...] = (
    Check(
        number=24,
        question="Better than its twin, and than the recipe elsewhere",
        source=CARLINI,
        judge=ablation,
    ),
    Check(
        number=25,
        question="Worth more than an image filter, which attackers may know of",
        source=CARLINI,
        judge=filters,
    ),
    Check(number=26, question="Baselines were trained for as long", source=LOTOS, judge=same_budget),
    Check(
        number=27,
        question="Other disturbances cost no more than they cost the reference",
        source=CARLINI,
        judge=disturbances,
    ),
    Check(number=28, question="Weights and names to make it again are there", source=CARLINI, judge=released),
    Check(
        number=29,
        question="Nothing was left out, least of all in silence; the card says what checks are not",
        source=OWN,
        judge=statement,
    ),
)
