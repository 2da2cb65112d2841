"""Checks 1 to 6: what is claimed, and in which figures."""

import torch

from contragrad.audit.attackers import ATTACKERS, REFERENCE, TARGET
from contragrad.audit.checks.check import CARLINI, LOTOS, OWN, Check, Result, decided, said, unknown
from contragrad.audit.findings import Findings, mcnemar
from contragrad.audit.settings import radius
from contragrad.audit.sources import ADVERSARIAL, TWIN
from contragrad.evaluate import Share

NEARLY_ALL = 0.99
"""Share of its own images that a source must be fooled on for its examples to be strong."""

ENOUGH_IMAGES = 1000
ENOUGH_SEEDS = 3


def threat_models(findings: Findings) -> Result:
    """Every attacker who was run has a threat model, as all of the audit's do; the name claims no more."""
    run = [attacker for attacker in ATTACKERS if findings.tried.get(attacker.key)]
    claims = "robust" in findings.facts.target.lower()
    sources = {each.attempt.source for attacker in run for each in findings.tried[attacker.key]}
    figure = (
        f"{len(run)} attackers, {len(sources)} sources, epsilon {radius(findings.settings.epsilon)}; it can "
        "fail only by the network's name, for the audit states the threat models"
    )
    if claims:
        return decided(False, f"the network is called {findings.facts.target}; {figure}")
    return decided(bool(run) and all(attacker.threat for attacker in run), figure)


def clean_accuracy(findings: Findings) -> Result:
    """Clean accuracy is known, and above chance."""
    share = Share.of(findings.clean)
    chance = findings.facts.chance
    above = share.interval is not None and share.interval[0] > chance
    return decided(above, f"{said(share)}; chance is {100 * chance:.1f} %")


def denominators(findings: Findings) -> Result:
    """Each attempt that is meant to fool another source has images to count by all three denominators."""
    every = [
        each
        for tried in findings.tried.values()
        for each in tried
        if each.attempt.way != "reversed" and each.attempt.source != TARGET
    ]
    if not every:
        return unknown("no attempt was made")
    fewest = min(findings.transferred(each).count for each in every)
    figure = (
        f"{findings.images} images, {int(findings.clean.sum())} of them classified correctly; at least "
        f"{fewest} where the source was right and is fooled"
    )
    return decided(fewest > 0 and bool(findings.clean.any()), figure)


def strong_sources(findings: Findings) -> Result:
    """PGD fools each source itself on nearly all images; the target, when it is its own, need not be."""
    own = findings.settings.epsilon
    found = {
        each.attempt.source: findings.source_fooled(each)
        for attacker in ATTACKERS
        for each in findings.tried.get(attacker.key, ())
        if each.attempt.attack.name == "linf-pgd" and each.attempt.way == "gradient"
        # An adversarially trained source is meant to stand, and transfers well for all that.
        if each.attempt.attack.epsilon == own and each.attempt.source not in (TARGET, ADVERSARIAL)
    }
    if not found:
        return unknown("no source was attacked by PGD")
    weakest = min(found, key=lambda name: found[name].share or 0.0)
    figure = f"weakest of {len(found)} sources: {weakest}, fooled on {said(found[weakest])} of its own"
    return decided((found[weakest].share or 0.0) >= NEARLY_ALL, figure)


def worst_case(findings: Findings) -> Result:
    """Each attacker's figure is the worst case of several attempts, image by image, not the best one's."""
    run = {key: tried for key, tried in findings.tried.items() if tried}
    if not run:
        return unknown("no attempt was made")
    every = [each for tried in run.values() for each in tried]
    lowest = min(int((findings.clean & each.held.right).sum()) for each in every)
    together = int(findings.survivors(every).sum())
    figure = f"right under all {len(every)} attempts: {together}; under the worst single one: {lowest}"
    single = [key for key, tried in run.items() if len(tried) == 1]
    if len(single) == len(run):
        return decided(False, f"every attacker made one attempt, so no worst case was taken; {figure}")
    if single:
        return unknown(f"{figure}; of one attempt alone: {', '.join(single)}")
    return decided(True, figure)


def enough(findings: Findings) -> Result:
    """Images, seeds of the recipe, and that the test images did not choose the network."""
    facts = findings.facts
    seeds = [
        float(torch.count_nonzero(each.survivors)) / findings.images
        for name, each in findings.compared.items()
        if each.architecture == facts.architecture and each.objective == facts.objective
    ]
    figure = f"{findings.images} images; the recipe from {len(seeds) + 1} seeds"
    if seeds:
        spread = ", ".join(f"{100 * share:.1f}" for share in seeds)
        figure += f", the others are right as the images are and as examples on {spread} %"
    if facts.selected_on_test:
        return decided(False, f"the network was selected on the test images; {figure}")
    if facts.looks is not None and facts.looks > 1:
        return decided(False, f"the test images were looked at {facts.looks} times; {figure}")
    if facts.selected_on_test is None:
        return unknown(f"how the network was selected is not known; {figure}")
    if findings.images < ENOUGH_IMAGES or len(seeds) + 1 < ENOUGH_SEEDS:
        return unknown(figure)
    return decided(True, figure)


def gain(findings: Findings) -> str:
    """What the network is worth beside its undefended twin, on the same examples of the reference."""
    twin = findings.compared.get(TWIN)
    own = findings.plain(REFERENCE)
    if twin is None or own is None:
        return ""
    mine, other = findings.survivors([own]), twin.survivors
    return (
        f"Right as they are and as the reference's examples are {said(Share.of(mine))} of the images, of its "
        f"undefended twin {said(Share.of(other))} (McNemar's p = {mcnemar(mine, other):.2g})."
    )


CHECKS: tuple[Check, ...] = (
    Check(
        number=1,
        question="Each attacker has a stated threat model, and no more is claimed",
        source=CARLINI,
        judge=threat_models,
    ),
    Check(
        number=2,
        question="Clean accuracy stands beside adversarial accuracy, and above chance",
        source=CARLINI,
        judge=clean_accuracy,
    ),
    Check(
        number=3, question="All denominators are given, and count images", source=LOTOS, judge=denominators
    ),
    Check(
        number=4,
        question=f"Each source is fooled on {NEARLY_ALL:.0%} of its own images",
        source=CARLINI,
        judge=strong_sources,
    ),
    Check(
        number=5,
        question="The worst case of several attempts is taken for each image",
        source=CARLINI,
        judge=worst_case,
    ),
    Check(
        number=6,
        question="1,000 images, three seeds, and a test set that chose nothing",
        source=OWN,
        judge=enough,
    ),
)
