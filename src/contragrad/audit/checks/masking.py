"""Checks 13 to 16: whether gradients are hidden, and what the architecture alone is worth."""

from contragrad.audit.attackers import WHITE_BOX
from contragrad.audit.checks.check import (
    AUTOATTACK,
    CARLINI,
    CROSSMAX,
    Check,
    Result,
    attackers_result,
    decided,
    if_enough,
    said,
    unknown,
)
from contragrad.audit.facts import Tried
from contragrad.audit.findings import NO_GRADIENT, Findings

FAINT = 1e-3
"""Length of input gradients, in the reference's, below which they count as vanishing."""


def order(findings: Findings) -> Result:
    """The white box fools at least as many as every attacker who has less."""
    own = findings.tried.get(WHITE_BOX, ())
    if not own:
        return unknown("the white box was not run")
    best = findings.fooled(own)
    others = findings.fooled_with_less
    if not others:
        return unknown("no other attacker was run")
    strongest = max(others, key=lambda key: others[key].hits)
    figure = f"white box fools {said(best)}; of the others {strongest} fools most, {said(others[strongest])}"
    if not best.hits and not others[strongest].hits:
        return unknown(f"nobody fools anything; {figure}")
    if findings.stronger_than_white_box:
        return decided(False, f"gradient masking: {figure}")
    return decided(True, figure)


def hidden(findings: Findings) -> Result:
    """No image is fooled by an attacker without gradients that the white box does not fool."""
    asked, own = findings.tried.get("queries", ()), findings.tried.get(WHITE_BOX, ())
    if not asked or not own:
        return unknown("queries or the white box were not run")
    counted = int(findings.clean.sum())
    if not findings.fooled((*asked, *own)).hits:
        return unknown(f"of {counted} correctly classified images neither queries nor the white box fool any")
    only = int((findings.survivors(own) & ~findings.survivors(asked)).sum())
    figure = f"{only} of {counted} images are fooled by queries and not by the white box"
    if only > NO_GRADIENT * counted:
        return decided(False, figure)
    if missing := {"queries", "labels"} - {each.attempt.way for each in asked}:
        return unknown(f"{figure}; not asked: {', '.join(sorted(missing))}")
    if broken := sum(_broken_off(findings, each) for each in asked if each.attempt.way == "labels"):
        return unknown(f"{figure}; the attack by classes alone broke off for {broken} that it did not fool")
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
    return attackers_result(findings, "undefended twin")


CHECKS: tuple[Check, ...] = (
    Check(number=13, question="The white box is the strongest attacker", source=CARLINI, judge=order),
    Check(
        number=14, question="No attacker without gradients goes beyond it", source=AUTOATTACK, judge=hidden
    ),
    Check(number=15, question="Input gradients are there", source=AUTOATTACK, judge=present),
    Check(number=16, question="Examples of its undefended twin are withstood", source=CROSSMAX, judge=twin),
)
