"""Checks 17 to 23: what transfers from which source."""

import torch

from contragrad.audit import sources
from contragrad.audit.attackers import REFERENCE
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
    said,
    unknown,
)
from contragrad.audit.findings import NO_GRADIENT, STRONG, Findings

KINDS = (sources.ANOTHER, sources.OTHER_ARCHITECTURE, sources.ADVERSARIAL, sources.ORDINARY)
"""Another seed, another architecture, adversarial training, and all together."""

ALIGNED = 0.2
"""By how much the mean cosine may be larger off the images than at them, where from this on it is aligned."""

LOSS = 0.1
"""By how much unseen sources may fool more than the reference."""


def unseen(findings: Findings) -> Result:
    """Sources of every kind that the network was never trained against are withstood."""
    there = {
        each.attempt.source
        for each in findings.tried.get("unseen sources", ())
        if findings.bounded or (findings.source_fooled(each).share or 0.0) >= STRONG
    }
    found = attackers_result(findings, "unseen sources")
    known = {name for name, why in findings.missing.items() if why in sources.NO_STRANGER}
    lacking = [kind for kind in KINDS if kind not in there and kind not in known]
    if found.verdict == "PASS" and lacking:
        return unknown(f"{found.figure}; no source, or none that is fooled itself: {', '.join(lacking)}")
    return found


def stronger(findings: Findings) -> Result:
    """Attacks made to transfer are withstood on the reference."""
    return attackers_result(findings, "stronger transfer")


def around(findings: Findings) -> Result:
    """The gradients are as misaligned around the images as at them."""
    probes = findings.probes
    at = float(probes.aligned["reference"].mean())
    figure = (
        f"mean cosine with the reference's gradient {at:+.2f} at the images, {probes.aligned_nearby:+.2f} in "
        f"noise around them, {probes.aligned_on_path:+.2f} along its attack's path; in the noise the "
        f"network's gradient changes by {100 * probes.curvature:.0f} % of its length"
    )
    if probes.zero_gradients + probes.broken_gradients > NO_GRADIENT:
        return unknown(f"the network has no gradients to compare; {figure}")
    if at > ALIGNED:
        return unknown(f"they are not misaligned at the images; {figure}")
    holds = max(probes.aligned_nearby, probes.aligned_on_path) <= at + ALIGNED
    return if_enough(decided(holds, figure), probes.images)


def sign(findings: Findings) -> Result:
    """Steps down the reference's loss, which turn the sign of its gradient, are withstood."""
    found = attackers_result(findings, "reversed")
    cosines = findings.probes.aligned["reference"]
    quarters = torch.quantile(cosines.double(), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)).tolist()
    text = ", ".join(f"{value:+.2f}" for value in quarters)
    return Result(verdict=found.verdict, figure=f"{found.figure}; quartiles of the cosine {text}")


def adaptive(findings: Findings) -> Result:
    """Attackers who know the recipe are withstood."""
    return attackers_result(findings, "recipe", "recipe and architecture")


def copied(findings: Findings) -> Result:
    """A copy trained on the network's answers is withstood."""
    return attackers_result(findings, "distillation")


def disjoint(findings: Findings) -> Result:
    """What was reached against the reference holds against sources that had no part in training."""
    own = findings.plain(REFERENCE)
    other = [
        each for each in findings.tried.get("unseen sources", ()) if each.attempt.attack.name == "linf-pgd"
    ]
    if own is None or not other:
        return unknown("the reference or unseen sources were not run")
    first, by_source = (
        findings.fooled([own]),
        {each.attempt.source: findings.fooled([each]) for each in other},
    )
    worst = max(by_source, key=lambda name: by_source[name].hits)
    figure = f"PGD on the reference fools {said(first)}, on {worst} {said(by_source[worst])}"
    if first.share is None or first.share > findings.settings.tolerated:
        return unknown(f"nothing was reached against the reference; {figure}")
    return decided((by_source[worst].share or 0.0) <= (first.share or 0.0) + LOSS, figure)


CHECKS: tuple[Check, ...] = (
    Check(number=17, question="Unseen sources of every kind are withstood", source=PUBDEF, judge=unseen),
    Check(number=18, question="Attacks made to transfer are withstood", source=TA_BENCH, judge=stronger),
    Check(number=19, question="Gradients are misaligned around the images too", source=TRS, judge=around),
    Check(number=20, question="Turning the sign does not help", source=OWN, judge=sign),
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
