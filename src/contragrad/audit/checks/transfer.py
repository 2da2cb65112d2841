"""Checks 17 to 23: what transfers from which source."""

import torch
from torch import Tensor

from contragrad.audit import sources
from contragrad.audit.attackers import (
    DISTILLATION,
    RECIPE,
    REFERENCE,
    REVERSED,
    STRONGER_TRANSFER,
    UNSEEN,
    pgd,
)
from contragrad.audit.checks.check import (
    BLACK_BOX,
    LOTOS,
    OWN,
    PUBDEF,
    TA_BENCH,
    TRS,
    Check,
    Result,
    attackers_result,
    decided,
    if_enough,
    unknown,
)
from contragrad.audit.facts import Tried
from contragrad.audit.findings import Findings
from contragrad.audit.standing import NO_GRADIENT, is_bounded, is_turned, standing_by
from contragrad.audit.statistics import SIGNIFICANT, difference, mcnemar, mean_interval, said
from contragrad.audit.strength import counts, weakness

KINDS = (sources.ANOTHER, sources.OTHER_ARCHITECTURE, sources.ADVERSARIAL, sources.ORDINARY)
"""Another seed, another architecture, adversarial training, and all together."""

ALIGNED = 0.2
"""By how much the mean cosine may be larger off the images than at them."""

LOSS = 0.1
"""By how much unseen sources may fool more than the reference."""


def unseen(findings: Findings) -> Result:
    """Sources of every kind that the network was never trained against are withstood."""
    found, lacking = attackers_result(findings, UNSEEN), _lacking(findings)
    if found.verdict == "PASS" and lacking:
        return unknown(f"{found.figure}; no source, or none that is strong: {', '.join(lacking)}")
    return found


def _lacking(findings: Findings) -> list[str]:
    """The kinds of unseen sources of which there is none whose examples say anything."""
    there = {
        name
        for name, tried in _unseen(findings).items()
        if is_bounded(findings) or counts(findings, name, tried)
    }
    known = {name for name, why in findings.missing.items() if why in sources.NO_STRANGER}
    return [kind for kind in KINDS if kind not in there and kind not in known]


def _unseen(findings: Findings) -> dict[str, list[Tried]]:
    """What was crafted on each unseen source."""
    found: dict[str, list[Tried]] = {}
    for each in findings.tried.get(UNSEEN, ()):
        found.setdefault(each.attempt.source, []).append(each)
    return found


def stronger(findings: Findings) -> Result:
    """Attacks made to transfer are withstood on the reference."""
    return attackers_result(findings, STRONGER_TRANSFER)


def around(findings: Findings) -> Result:
    """The gradients are misaligned at the images and around them, by the intervals of mean cosines."""
    probes = findings.probes
    at, nearby, path = probes.aligned[REFERENCE], probes.aligned_nearby, probes.aligned_on_path
    figure = (
        f"mean cosine with the reference's gradient {_mean(at)} at the images, {_mean(nearby)} in noise "
        f"around them, {_mean(path)} along its attack's path"
    )
    if probes.zero_gradients + probes.broken_gradients > NO_GRADIENT:
        return unknown(f"the network has no gradients to compare; {figure}")
    if not is_turned(findings):
        return unknown(f"not claimed, for they are not misaligned at the images; {figure}")
    off = [mean_interval(each) for each in (nearby, path)]
    rises = [mean_interval(each - at) for each in (nearby, path)]
    if any(low > 0 for low, _ in off) or any(low > ALIGNED for low, _ in rises):
        return decided(False, figure)
    if any(high > 0 for _, high in off) or any(high > ALIGNED for _, high in rises):
        return unknown(f"{figure}; that leaves it open")
    return if_enough(decided(True, figure), probes.images)


def _mean(cosines: Tensor) -> str:
    low, high = mean_interval(cosines)
    return f"{float(cosines.mean()):+.2f} [{low:+.2f}, {high:+.2f}]"


def sign(findings: Findings) -> Result:
    """Steps down the reference's loss, which turn the sign of its gradient, fool no more than steps up it.

    On the same images: what is tolerated says nothing of the sign.
    """
    turned, straight = findings.tried.get(REVERSED, ()), findings.tried.get(REFERENCE, ())
    if not turned or not straight:
        return unknown("the reference was not attacked both ways")
    cosines = findings.probes.aligned[REFERENCE]
    quarters = torch.quantile(cosines.double(), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist()
    down, up = findings.fooled(turned), findings.fooled(straight)
    p = mcnemar(findings.survivors(turned), findings.survivors(straight))
    figure = (
        f"down its loss fools {said(down)}, up it {said(up)} (McNemar's p = {p:.2g}); quartiles of the "
        "cosine " + ", ".join(f"{value:+.2f}" for value in quarters)
    )
    if down.hits > up.hits:
        return decided(False, figure) if p < SIGNIFICANT else unknown(f"{figure}; that may be chance")
    if not up.hits:
        return unknown(f"neither fools anything; {figure}")
    untried = [*findings.untried(REVERSED), *findings.untried(REFERENCE)]
    if untried:
        return unknown(f"{figure}; not all was tried: {', '.join(untried)}")
    if why := weakness(findings, straight, "linf"):
        return unknown(f"{figure}; {why}")
    return decided(True, figure)


def adaptive(findings: Findings) -> Result:
    """Attackers who know the recipe are withstood."""
    return attackers_result(findings, *RECIPE)


def copied(findings: Findings) -> Result:
    """A copy trained on the network's answers is withstood."""
    return attackers_result(findings, DISTILLATION)


def disjoint(findings: Findings) -> Result:
    """What was reached against the reference holds against sources that had no part in training.

    By the interval of how much more they fool than the reference.
    """
    own = findings.plain(REFERENCE)
    other = {
        name: each
        for name, tried in _unseen(findings).items()
        for each in tried
        if each.attempt.attack == pgd(findings.settings)
    }
    if own is None or not other:
        return unknown("the reference or unseen sources were not run")
    first, by_source = findings.fooled([own]), {name: findings.fooled([each]) for name, each in other.items()}
    worst = max(by_source, key=lambda name: by_source[name].hits)
    low, high = difference((by_source[worst],), (first,))
    figure = (
        f"PGD on the reference fools {said(first)}, on {worst} {said(by_source[worst])}: "
        f"[{100 * low:.1f}, {100 * high:.1f}] points more"
    )
    if first.share is None or standing_by(first, findings.settings.tolerated) != "withstood":
        return unknown(f"nothing was reached against the reference; {figure}")
    if low > LOSS:
        return decided(False, figure)
    if high > LOSS:
        return unknown(f"{figure}; so few images leave it open")
    if lacking := _lacking(findings):
        return unknown(f"{figure}; no source, or none that is strong: {', '.join(lacking)}")
    if untried := findings.untried(UNSEEN):
        return unknown(f"{figure}; not tried: {', '.join(untried)}")
    return decided(True, figure)


CHECKS: tuple[Check, ...] = (
    Check(number=17, question="Unseen sources of every kind are withstood", source=PUBDEF, judge=unseen),
    Check(number=18, question="Attacks made to transfer are withstood", source=TA_BENCH, judge=stronger),
    Check(number=19, question="Gradients are misaligned around the images too", source=TRS, judge=around),
    Check(
        number=20, question="Stepping down the reference's loss fools no more than up", source=OWN, judge=sign
    ),
    Check(number=21, question="Attackers who know the recipe are withstood", source=LOTOS, judge=adaptive),
    Check(
        number=22, question="A copy distilled from its answers is withstood", source=BLACK_BOX, judge=copied
    ),
    Check(
        number=23,
        question="What holds against the reference holds against others",
        source=PUBDEF,
        judge=disjoint,
    ),
)
