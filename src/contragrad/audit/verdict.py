"""What an audit comes to, in words."""

from collections.abc import Iterator, Sequence

from contragrad.audit import standing
from contragrad.audit.attackers import ATTACKERS
from contragrad.audit.checks.claim import gain
from contragrad.audit.checks.every import judged
from contragrad.audit.checks.masking import order
from contragrad.audit.findings import Findings
from contragrad.audit.standing import ENOUGH_QUERIES
from contragrad.audit.statistics import said
from contragrad.audit.strength import NEAR, STRONG
from contragrad.evaluate import Share
from contragrad.settings.checks import radius

OF_THE_ATTACKS = range(7, 16)
"""The numbers of the checks that say whether the attacks work."""


def title(findings: Findings) -> str:
    """What is measured, and no more."""
    return f"transfer resistance of {findings.facts.target} from {findings.facts.reference}"


def rule(findings: Findings) -> str:
    """When an attacker is withstood, and when he defeats, a line each."""
    tolerated = 100 * findings.settings.tolerated
    return "\n".join(
        (
            f"withstood: his best L_inf example of each image fools at most {tolerated:g} % of those that "
            "the network classifies correctly, by the upper end of the 95 % Wilson interval",
            "defeated: he fools at least half of them, by its lower end; weakened: in between",
            "inconclusive: so few images that the interval leaves it open; or he would be withstood, but he "
            "and all before him together are not; or not all of his plan was tried; or the recipe that he is "
            "to know is not known; or no gradients were turned that he could turn back; or there were fewer "
            f"than {ENOUGH_QUERIES:,} queries",
            "inconclusive too, unless the white box, which bounds him, is withstood: no source within "
            f"{100 * NEAR:g} points of the accuracy of network and reference is fooled itself on "
            f"{100 * STRONG:g} % of its images; or an ordinary network (the reference's architecture from "
            "another seed) does as well or was not shown his examples",
            "the white box can do whatever others can, so that against him count all examples in his ball; "
            "he is inconclusive if not all was tried, or gradients mislead him",
        )
    )


def verdict(findings: Findings) -> str:
    """What the audit comes to, in a few sentences."""
    return " ".join(sentences(findings))


def sentences(findings: Findings) -> list[str]:
    """Those of the verdict, one or two for each thing that it says."""
    clean = Share.of(findings.clean)
    every = [
        f"{findings.facts.target} classifies {said(clean)} of {findings.images:,} test images correctly; "
        f"what follows is of those, at L_inf {radius(findings.settings.epsilon)}."
    ]
    if clean.interval is None or clean.interval[0] <= findings.facts.chance:
        every.append("That is not above chance: what it withstands says nothing.")
    if not any(findings.tried.values()):
        every.append("No attacker was run, so nothing is known of what it withstands.")
    elif not clean.hits:
        every.append("No image is classified correctly, so none is left to fool.")
    else:
        every += _strongest(findings)
        every += _weakest(findings)
    every += _others(findings)
    if any(findings.tried.values()) and clean.hits:
        every.append(_of_l2(findings))
    return [sentence for sentence in (*every, gain(findings), *_in_doubt(findings)) if sentence]


def _strongest(findings: Findings) -> Iterator[str]:
    """Who is withstood, and what nobody knows of him and of weaker ones."""
    if (strongest := standing.withstood(findings)) is None:
        yield "It is not shown to withstand any attacker together with all weaker ones."
        return
    yield f"The strongest attacker it withstands: {_told(findings, strongest)}"
    if untried := findings.untried(strongest):
        yield f"Of that attacker's plan this was not tried: {', '.join(untried)}."
    if unknown := standing.unknown_below(findings):
        yield f"Of {len(unknown)} weaker than that nothing is known."


def _weakest(findings: Findings) -> Iterator[str]:
    """Who defeats it."""
    if (weakest := standing.defeated_by(findings)) is None:
        yield "None of the attackers who were run defeats it."
    else:
        yield f"The weakest attacker who defeats it: {_told(findings, weakest)}"


def _others(findings: Findings) -> Iterator[str]:
    """Who weakens it, of whom nothing is shown, and what the recipe's attackers are taken to know."""
    facts = findings.facts
    standings = {attacker.key: standing.standing_of(findings, attacker.key) for attacker in ATTACKERS}
    weakened, doubted, left = (
        [key for key, stands in standings.items() if stands == wanted]
        for wanted in ("weakened", "inconclusive", "not run")
    )
    if weakened:
        yield f"It is weakened by: {_each(findings, weakened)}."
    if doubted:
        yield f"Inconclusive, each for a reason that the card gives: {_each(findings, doubted)}."
    if not facts.recipe_known:
        yield (
            "How it was trained is not known: attackers who know the recipe are taken to know "
            f"{facts.objective}, {facts.epochs} epochs, which says little if it was another."
        )
    if left:
        yield f"Not run, so nothing is known of: {', '.join(left)}."


def _each(findings: Findings, keys: Sequence[str]) -> str:
    return "; ".join(f"{key} (fools {_fooled(findings, key)})" for key in keys)


def _in_doubt(findings: Findings) -> Iterator[str]:
    """What speaks against the attacks themselves."""
    masked = order(findings)
    if masked.verdict == "FAIL":
        yield f"Its gradients mislead the white-box attack ({masked.figure}), whose figure is too good."
    failed = [check.number for check, result in judged(findings) if result.verdict == "FAIL"]
    if broken := ", ".join(str(number) for number in failed if number in OF_THE_ATTACKS):
        yield f"The attacks themselves are in doubt, and what it withstands with them: see {broken}."


def _of_l2(findings: Findings) -> str:
    """What the reference's L_2 examples do, and what that says."""
    if (fooled := standing.l2_fooled(findings)) is None:
        return ""
    said_of = {
        "withstood": "it withstands them",
        "inconclusive": f"that says nothing: {standing.l2_doubt(findings) or 'so few images leave it open'}",
        "weakened": "it is weakened by them",
        "defeated": "it is defeated by them",
    }[standing.l2_standing(findings)]
    return (
        f"In the L_2 ball of {radius(findings.settings.l2_epsilon)} the reference's examples, made up or "
        f"down its loss, fool {said(fooled)}: {said_of}."
    )


def _fooled(findings: Findings, key: str) -> str:
    """By how many an attacker is judged, and how many of them are his own where others have found more."""
    every, own = (
        findings.fooled(standing.deciding(findings, key)),
        findings.fooled(standing.in_linf(findings, key)),
    )
    return said(every) if every == own else f"{said(every)}, {said(own)} by examples of his own"


def _told(findings: Findings, key: str) -> str:
    """Who an attacker is, and how many he fools."""
    (attacker,) = (each for each in ATTACKERS if each.key == key)
    return f"{key}, who fools {_fooled(findings, key)}. {attacker.threat(findings.settings)}"
