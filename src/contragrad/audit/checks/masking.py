"""Checks 13 to 16: whether gradients are hidden, and what the architecture alone is worth."""

from contragrad.audit.attackers import QUERIES, UNDEFENDED_TWIN
from contragrad.audit.checks.check import (
    AUTOATTACK,
    CARLINI,
    CROSSMAX,
    Check,
    Result,
    attackers_result,
    decided,
    if_enough,
    unknown,
)
from contragrad.audit.facts import Tried
from contragrad.audit.findings import Findings
from contragrad.audit.masked import EVERYBODY, NOISE, ONE_STEP, Rival, asking, rivals, starts
from contragrad.audit.standing import NO_GRADIENT
from contragrad.audit.statistics import said

FAINT = 1e-3
"""Length of input gradients, in the reference's, below which they count as vanishing."""


def order(findings: Findings) -> Result:
    """PGD on the network itself fools whatever others find in its ball, AutoAttack among them."""
    own, others = starts(findings), rivals(findings)
    if not own:
        return unknown("PGD on the network itself was not run")
    if {rival.name for rival in others} <= {NOISE, ONE_STEP, EVERYBODY}:
        return unknown("no other attacker was run")
    best, first = findings.fooled(own), others[0]
    figure = (
        f"PGD on the network itself fools {said(best)}; of the others {first.name} goes farthest beyond, on "
        f"{said(first.beyond)}, and fools {said(first.fooled)}"
    )
    if not best.hits and not first.fooled.hits:
        return unknown(f"nobody fools anything; {figure}")
    return _none_beyond(first, figure)


def hidden(findings: Findings) -> Result:
    """No image is fooled by an attacker without gradients that PGD on the network itself does not fool."""
    asked, found, own = findings.tried.get(QUERIES, ()), asking(findings), starts(findings)
    if found is None or not own:
        return unknown("queries or PGD on the network itself were not run")
    counted = int(findings.clean.sum())
    if not findings.fooled((*asked, *own)).hits:
        return unknown(f"of {counted} correctly classified images neither queries nor PGD fool any")
    figure = f"{found.beyond.hits} of {counted} images are fooled by queries and not by PGD"
    judged = _none_beyond(found, figure)
    if judged.verdict != "PASS":
        return judged
    if missing := {"queries", "labels"} - {each.attempt.way for each in asked}:
        return unknown(f"{figure}; not asked: {', '.join(sorted(missing))}")
    if broken := sum(_broken_off(findings, each) for each in asked if each.attempt.way == "labels"):
        return unknown(f"{figure}; the attack by classes alone broke off for {broken} that it did not fool")
    return judged


def _none_beyond(rival: Rival, figure: str) -> Result:
    """FAIL if somebody clearly goes beyond PGD by more than may be, UNKNOWN if he only seems to."""
    if rival.clearly:
        return decided(False, f"gradient masking: {figure}")
    if rival.exceeds:
        return unknown(f"{figure}; so few images may be chance")
    return decided(True, figure)


def _broken_off(findings: Findings, each: Tried) -> int:
    """Images that hold although fewer answers than allowed were asked for."""
    holds = findings.clean & each.held.right
    return int((holds & (each.held.queries < each.attempt.attack.steps)).sum())


def present(findings: Findings) -> Result:
    """Input gradients are there, finite, and of usual length."""
    probes = findings.probes
    figure = (
        f"zero for {100 * probes.zero_gradients:.1f} %, not finite for "
        f"{100 * probes.broken_gradients:.1f} %, lost in cross-entropy for {100 * probes.saturated:.1f} % "
        f"(attacks climb log-odds), median length {probes.gradient_ratio:.3g} of the reference's, at "
        f"{probes.images} images"
    )
    missing = probes.zero_gradients + probes.broken_gradients
    return if_enough(
        decided(missing <= NO_GRADIENT and probes.gradient_ratio >= FAINT, figure), probes.images
    )


def twin(findings: Findings) -> Result:
    """An undefended network of the same architecture does not give the network away."""
    return attackers_result(findings, UNDEFENDED_TWIN)


CHECKS: tuple[Check, ...] = (
    Check(
        number=13,
        question="Nobody fools images that PGD on the network itself leaves right",
        source=CARLINI,
        judge=order,
    ),
    Check(
        number=14, question="No attacker without gradients goes beyond it", source=AUTOATTACK, judge=hidden
    ),
    Check(number=15, question="Input gradients are there", source=AUTOATTACK, judge=present),
    Check(number=16, question="Examples of its undefended twin are withstood", source=CROSSMAX, judge=twin),
)
