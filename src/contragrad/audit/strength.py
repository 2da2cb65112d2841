"""How strong attackers' sources are: who does not fool his own source, or has a poor one, fools nobody."""

from collections.abc import Iterable

from contragrad.attacks.library import Norm
from contragrad.audit import sources
from contragrad.audit.attackers import ATTACKERS, RECIPE, REFERENCE, TARGET
from contragrad.audit.facts import Tried
from contragrad.audit.findings import Findings
from contragrad.audit.statistics import said
from contragrad.evaluate import Share
from contragrad.networks.objectives import OBJECTIVES

STRONG = 0.9
"""Share of its own images that some source must be fooled on for its examples to be worth withstanding."""

NEAR = 0.1
"""By how much a source may be less accurate than target and reference and still stand for their kind."""


def fooled_itself(findings: Findings, source: str, tried: Iterable[Tried]) -> Share:
    """Of the images that the source classifies correctly, those of which its own examples fool it."""
    right = findings.source_clean[source]
    held = right.clone()
    for each in tried:
        if each.attempt.source == source:
            held &= each.held.source
    return Share.of(~held, right)


def is_accurate(findings: Findings, source: str) -> bool:
    """Whether the source classifies the images nearly as well as the better of target and reference.

    A poor reference makes no poor source a good one. Who was made after the target, by its recipe or from its
    answers, need not do better than the target.
    """
    clean = {name: Share.of(right).share or 0.0 for name, right in findings.source_clean.items()}
    bar = Share.of(findings.clean).share or 0.0
    if source not in by_recipe(findings) and source not in (sources.DISTILLED, sources.TWIN):
        bar = max(bar, clean[REFERENCE])
    return clean[source] >= bar - NEAR


def counts(findings: Findings, source: str, tried: Iterable[Tried]) -> bool:
    """Whether it says something that the source's examples are withstood: it is strong, or hard by design."""
    return is_strong(findings, source, tried) or (
        is_hardened(findings, source) and is_accurate(findings, source)
    )


def is_strong(findings: Findings, source: str, tried: Iterable[Tried]) -> bool:
    """Whether an accurate source is fooled by its own examples, by the lower end of the share's interval."""
    own = fooled_itself(findings, source, tried).interval
    return own is not None and own[0] >= STRONG and is_accurate(findings, source)


def weakness(findings: Findings, tried: Iterable[Tried], norm: Norm) -> str:
    """Why the sources of these examples say nothing in that norm; empty if one of them is strong."""
    within = [each for each in tried if each.norm == norm]
    names = list(dict.fromkeys(each.attempt.source for each in within))
    if not names:
        return "the reference itself was not attacked"
    if any(is_strong(findings, name, within) for name in names):
        return ""
    accurate = [name for name in names if is_accurate(findings, name)]
    if not accurate:
        return f"no source is within {100 * NEAR:g} points of the accuracy of network and reference"
    best = max((fooled_itself(findings, name, within) for name in accurate), key=lambda own: own.share or 0.0)
    return f"sources are fooled on at most {said(best)} of their own"


def is_hardened(findings: Findings, source: str) -> bool:
    """Whether the source was trained on adversarial examples of itself, and so is hardly fooled by design."""
    made_by_recipe = OBJECTIVES[findings.facts.objective].inputs is not None and source in by_recipe(findings)
    return source == sources.ADVERSARIAL or made_by_recipe


def by_recipe(findings: Findings) -> set[str]:
    """The sources that are trained as the target is, and those joined of them."""
    known = [attacker for attacker in ATTACKERS if attacker.key in RECIPE]
    names = {name for attacker in known for name in attacker.sources(findings.settings)}
    return names | {attacker.joined for attacker in known if attacker.joined is not None}


def transferred_on(findings: Findings) -> dict[str, list[Tried]]:
    """Everything that was crafted in the L_inf ball on each source but the target, by its gradients."""
    found: dict[str, list[Tried]] = {}
    for tried in findings.tried.values():
        for each in tried:
            attempt = each.attempt
            if each.norm == "linf" and attempt.way == "gradient" and attempt.source != TARGET:
                found.setdefault(attempt.source, []).append(each)
    return found
