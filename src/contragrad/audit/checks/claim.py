"""Checks 1 to 6: what is claimed, and in which figures."""

from contragrad.audit.attackers import ATTACKERS, REFERENCE, TARGET
from contragrad.audit.checks.check import CARLINI, LOTOS, OWN, Check, Result, decided, unknown
from contragrad.audit.findings import Findings
from contragrad.audit.sources import TWIN
from contragrad.audit.statistics import SIGNIFICANT, mcnemar, said
from contragrad.audit.strength import fooled_itself, is_hardened, transferred_on
from contragrad.evaluate import Share
from contragrad.networks.architectures import members_of
from contragrad.settings.checks import radius

NEARLY_ALL = 0.99
"""Share of its own images that a source must be fooled on for its examples to be strong."""

ENOUGH_IMAGES = 1000
ENOUGH_SEEDS = 3

SPREAD = 0.1
"""Share of images by which networks of one recipe may differ from seed to seed."""


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
    if not run:
        return unknown("no attacker was run")
    return decided(True, figure)


def clean_accuracy(findings: Findings) -> Result:
    """Clean accuracy stands beside what attackers leave of it, and is above chance."""
    share = Share.of(findings.clean)
    chance = findings.facts.chance
    above = share.interval is not None and share.interval[0] > chance
    figure = f"{said(share)}; chance is {100 * chance:.1f} %"
    if above and not any(findings.tried.values()):
        return unknown(f"{figure}; no adversarial accuracy stands beside it")
    return decided(above, figure)


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
    """Each source is itself fooled on nearly all images by what is crafted on it in the L_inf ball.

    Who was trained on adversarial examples of itself is meant to stand, and transfers well for all that.
    """
    every = {name: fooled_itself(findings, name, tried) for name, tried in transferred_on(findings).items()}
    found = {name: own for name, own in every.items() if not is_hardened(findings, name)}
    exempt = ", ".join(sorted(every.keys() - found.keys()))
    beside = f"; not asked of those that are adversarially trained: {exempt}" if exempt else ""
    if not found:
        return unknown(f"no source that can be expected to be fooled was attacked{beside}")
    weakest = min(found, key=lambda name: found[name].share or 0.0)
    figure = (
        f"weakest of {len(found)} sources: {weakest}, fooled on {said(found[weakest])} of its own{beside}"
    )
    intervals = [own.interval or (0.0, 1.0) for own in found.values()]
    if any(high < NEARLY_ALL for _, high in intervals):
        return decided(False, figure)
    if any(low < NEARLY_ALL for low, _ in intervals):
        return unknown(f"{figure}; so few images leave it open")
    return decided(True, figure)


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
    """Images, seeds of the recipe that agree, and that the test images did not choose the network.

    Seeds agree unless the best network and the worst clearly differ by more images, right as they are and as
    examples, than may be. They are of the training alone: architecture and reference are the same.
    """
    facts, own = findings.facts, findings.plain(REFERENCE)
    seeds = [
        each.survivors
        for each in findings.compared.values()
        if each.architecture == facts.architecture and each.objective == facts.objective
    ]
    figure = f"{findings.images} images; the recipe from {len(seeds) + 1} seeds of the training"
    apart = by_chance = False
    if seeds and own is not None:
        told = ", ".join(f"{100 * int(right.sum()) / findings.images:.1f}" for right in seeds)
        seeds.insert(0, findings.survivors([own]))
        worst, *_, best = sorted(seeds, key=lambda right: int(right.sum()))
        spread = (int(best.sum()) - int(worst.sum())) / findings.images
        apart = spread > SPREAD
        # Of so many pairs the widest is wide by chance too.
        by_chance = apart and len(seeds) * (len(seeds) - 1) / 2 * mcnemar(best, worst) >= SIGNIFICANT
        figure += (
            f", right as the images are and as the reference's examples on {said(Share.of(seeds[0]))}, the "
            f"others on {told} %: {100 * spread:.1f} points between the best and the worst"
        )
    if facts.selected_on_test:
        return decided(False, f"the network was selected on the test images; {figure}")
    if facts.looks is not None and facts.looks > 1:
        return decided(False, f"the test images were looked at {facts.looks} times; {figure}")
    if not facts.recipe_known:
        return unknown(f"how the network was trained is not known, nor its seeds; {figure}")
    if apart and not by_chance:
        return decided(False, f"{figure}, and {100 * SPREAD:g} may be")
    if facts.selected_on_test is None:
        return unknown(f"how the network was selected is not known; {figure}")
    if findings.images < ENOUGH_IMAGES or len(seeds) < ENOUGH_SEEDS or own is None or by_chance:
        return unknown(figure)
    return decided(True, figure)


def gain(findings: Findings) -> str:
    """What the network is worth beside its undefended twin, on the same examples of the reference.

    Of images that both classify correctly as they are: a twin that is less accurate is no merit.
    """
    twin, own = findings.compared.get(TWIN), findings.plain(REFERENCE)
    if twin is None or own is None:
        return ""
    members = len(members_of(findings.facts.architecture or "")) > 1
    both = findings.clean & twin.clean
    mine, other = findings.survivors([own])[both], twin.survivors[both]
    whose = "its undefended twin, which is one network and no ensemble," if members else "its undefended twin"
    return (
        f"Of the {len(mine):,} images that it and {whose} classify correctly, it is right on "
        f"{said(Share.of(mine))} of the reference's examples, the twin on {said(Share.of(other))} (McNemar's "
        f"p = {mcnemar(mine, other):.2g})."
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
        question="1,000 images, three seeds that agree, and a test set that chose nothing",
        source=OWN,
        judge=enough,
    ),
)
