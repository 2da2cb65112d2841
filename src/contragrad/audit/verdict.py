"""What an audit comes to, in words."""

from contragrad.audit.attackers import ATTACKERS, Attacker
from contragrad.audit.checks.check import said
from contragrad.audit.checks.claim import gain
from contragrad.audit.checks.every import judged
from contragrad.audit.checks.masking import order
from contragrad.audit.findings import ENOUGH_QUERIES, STRONG, Findings
from contragrad.audit.settings import radius
from contragrad.evaluate import Share

OF_THE_ATTACKS = range(7, 16)
"""The numbers of the checks that say whether the attacks work."""


def title(findings: Findings) -> str:
    """What is measured, and no more."""
    return f"transfer resistance of {findings.facts.target} from {findings.facts.reference}"


def rule(findings: Findings) -> str:
    """When an attacker is withstood, and when he defeats."""
    tolerated = 100 * findings.settings.tolerated
    return (
        f"withstood: the attacker's best example of each image fools at most {tolerated:g} % of those that "
        "the network classifies correctly, by the upper end of the 95 % Wilson interval; defeated: at least "
        "half of them, by its lower end, or all; weakened: in between; inconclusive: withstood, but no "
        f"source is fooled itself on {100 * STRONG:g} % of its images by L_inf examples, or an ordinary "
        "network (the reference's architecture from another seed) does as well, and the white box, which "
        f"bounds him, is not withstood; or there were fewer than {ENOUGH_QUERIES:,} queries; of the white "
        "box, if not all of it was tried, or gradients mislead it"
    )


def verdict(findings: Findings) -> str:
    """What the audit comes to, in a few sentences."""
    facts, by_key = findings.facts, {attacker.key: attacker for attacker in ATTACKERS}
    l2 = radius(findings.settings.l2_epsilon)
    ball = f"L_inf {radius(findings.settings.epsilon)} (with the reference, turned or not, also L_2 {l2})"
    clean = Share.of(findings.clean)
    lines = [
        f"{facts.target} classifies {said(clean)} of {findings.images:,} test images correctly; "
        f"what follows is of those, at {ball}."
    ]
    if clean.interval is None or clean.interval[0] <= facts.chance:
        lines.append("That is not above chance: what it withstands says nothing.")
    strongest, weakest = findings.withstood, findings.defeated_by
    if not any(findings.tried.values()):
        lines.append("No attacker was run, so nothing is known of what it withstands.")
    elif strongest is None:
        lines.append("There is no attacker whom it withstands together with all weaker ones.")
    else:
        lines.append(f"The strongest attacker it withstands: {_told(findings, by_key[strongest])}")
        if untried := findings.untried(strongest):
            lines.append(f"Of that attacker's plan this was not tried: {', '.join(untried)}.")
        if count := len(findings.unknown_below):
            lines.append(f"Of {count} weaker than that nothing is known.")
    if weakest is None and any(findings.tried.values()):
        lines.append("None of the attackers who were run defeats it.")
    elif weakest is not None:
        lines.append(f"The weakest attacker who defeats it: {_told(findings, by_key[weakest])}")
    weakened = [key for key in by_key if findings.standing(key) == "weakened"]
    if weakened:
        lines.append(
            "It is weakened by: "
            + "; ".join(f"{key} (fools {said(findings.fooled(findings.tried[key]))})" for key in weakened)
            + "."
        )
    weak = [key for key in by_key if findings.standing(key) == "inconclusive"]
    if weak:
        doubts = "; ".join(f"{key} ({findings.doubt(key)})" for key in weak)
        lines.append(f"Inconclusive: {doubts}.")
    if not facts.recipe_known:
        lines.append(
            f"How it was trained is not known: attackers who know the recipe are taken to know "
            f"{facts.objective}, {facts.epochs} epochs, which says little if it was another."
        )
    left = [key for key in by_key if findings.standing(key) == "not run"]
    if left:
        lines.append(f"Not run, so nothing is known of: {', '.join(left)}.")
    if text := gain(findings):
        lines.append(text)
    masked = order(findings)
    if masked.verdict == "FAIL":
        lines.append(
            f"Its gradients mislead the white-box attack ({masked.figure}), whose figure is too good."
        )
    broken = [
        check.number
        for check, result in judged(findings)
        if check.number in OF_THE_ATTACKS and result.verdict == "FAIL"
    ]
    if broken:
        numbers = ", ".join(map(str, broken))
        lines.append(f"The attacks themselves are in doubt, and what it withstands with them: see {numbers}.")
    return " ".join(lines)


def _told(findings: Findings, attacker: Attacker) -> str:
    fooled = findings.fooled(findings.tried[attacker.key])
    return f"{attacker.key}, who fools {said(fooled)}. {attacker.threat}"
