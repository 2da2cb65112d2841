"""Checks 7 to 12: whether the attacks work."""

from fractions import Fraction

from contragrad.audit.attackers import REFERENCE, TARGET
from contragrad.audit.checks.check import (
    AUTOATTACK,
    CARLINI,
    INDICATORS,
    OWN,
    TRANSFER_EVALUATION,
    Check,
    Result,
    decided,
    unknown,
)
from contragrad.audit.findings import Findings
from contragrad.audit.masked import SLACK, heights, out_of_reach, rise, starts
from contragrad.audit.statistics import SIGNIFICANT, difference, mcnemar, said
from contragrad.audit.strength import transferred_on

LONGER = 1.1
"""By what factor examples must be longer than noise of the same ball, in L_2."""

ROUNDING = 1e-6
"""By how much a float32 perturbation may seem to leave its ball."""


def conduct(findings: Findings) -> Result:
    """The network answers the same twice, with logits; no example leaves its ball."""
    probes = findings.probes
    made = [each for tried in (*findings.tried.values(), findings.extra) for each in tried]
    beyond = max(
        (float((getattr(each.held, each.norm) - float(each.attempt.attack.epsilon)).max()) for each in made),
        default=0.0,
    )
    faults = [
        text
        for text, wrong in (
            ("two answers to the same images differ", not probes.deterministic),
            ("its answers are probabilities, not logits", not probes.logits),
            (f"an example lies {beyond:.2g} outside of its ball", beyond > ROUNDING),
        )
        if wrong
    ]
    if not faults and not made:
        return unknown("deterministic, logits; no example was made")
    return decided(
        not faults, "; ".join(faults) or f"deterministic, logits, at most {max(beyond, 0.0):.1g} outside"
    )


def monotone(findings: Findings) -> Result:
    """More epsilon fools more, the whole range of a pixel fools all, many steps fool more than one."""
    tried, accuracies = findings.by_epsilon(TARGET), heights(findings)
    largest = tried[-1].attempt.attack.epsilon if tried else Fraction(0)
    if len(tried) < 3 or largest < 1:
        return unknown("accuracy by epsilon was not measured")
    last = accuracies[-1]
    figure = (
        f"largest rise {100 * rise(accuracies):.1f} points; at epsilon {largest} still right on {said(last)}"
    )
    holds = not out_of_reach(findings)
    single = findings.find(TARGET, name="fgsm")
    own = [each for each in tried if each.attempt.attack.epsilon == findings.settings.epsilon]
    if single and own:
        one, many = findings.fooled(single), findings.fooled(own)
        figure += f"; one step fools {said(one)}, {findings.settings.steps} fool {said(many)}"
        holds = holds and (many.share or 0.0) >= (one.share or 0.0) - SLACK
    return decided(holds, figure)


def converged(findings: Findings) -> Result:
    """Twice the steps, and more random starts, change little."""
    parts = []
    holds = True
    for source in (REFERENCE, TARGET):
        usual = findings.plain(source)
        # Noise and queries have steps too.
        longer = findings.find(
            source,
            name="linf-pgd",
            way="gradient",
            steps=2 * findings.settings.steps,
            epsilon=findings.settings.epsilon,
        )
        if usual is None or not longer:
            return unknown(f"twice the steps on {source} were not run")
        change = (findings.fooled(longer).share or 0.0) - (findings.fooled([usual]).share or 0.0)
        parts.append(f"twice the steps on {source}: {100 * change:+.1f} points")
        holds = holds and abs(change) <= SLACK
    own = starts(findings)
    if len(own) > 1:
        change = (findings.fooled(own).share or 0.0) - (findings.fooled(own[:1]).share or 0.0)
        parts.append(f"{len(own)} starts: {100 * change:+.1f} points")
        holds = holds and change <= SLACK
    elif holds:
        return unknown(f"{'; '.join(parts)}; PGD on the network itself had one start alone")
    return decided(holds, "; ".join(parts))


def noise(findings: Findings) -> Result:
    """Noise of the same radius fools clearly fewer than PGD on the network itself.

    And fewer than what transfers to an ordinary network: to the audited one nothing need transfer.
    """
    noisy, own = findings.find(TARGET, way="noise"), starts(findings)
    if not noisy or not own:
        return unknown("noise or PGD on the network itself was not run")
    random, best = findings.fooled(noisy), findings.fooled(own)
    if not best.count:
        return unknown("no image is classified correctly")
    figure = f"noise fools {said(random)}, PGD on the network itself {said(best)}"
    if not random.hits and not best.hits:
        return unknown(f"neither fools anything; {figure}")
    if random.hits >= best.hits:
        return decided(False, figure)
    if mcnemar(findings.survivors(noisy), findings.survivors(own)) >= SIGNIFICANT:
        return unknown(f"{figure}; that is not clearly more than noise")
    crafted = [each for tried in transferred_on(findings).values() for each in tried]
    if (transferred := findings.ordinary_fooled(crafted)) is None:
        return unknown(f"{figure}; no ordinary network was shown what transfers")
    figure += f", all that transfers an ordinary network {said(transferred)}"
    if difference((transferred,), (random,))[0] <= 0:
        return unknown(f"{figure}; that is not clearly more than noise")
    return decided(True, figure)


def lengths(findings: Findings) -> Result:
    """The examples use the room that epsilon gives, and more of it than noise, where PGD starts."""
    own, noisy = findings.plain(REFERENCE), findings.find(TARGET, way="noise")
    if own is None or not noisy:
        return unknown("no L_inf-PGD on the reference, or no noise")
    linf, l2 = float(own.held.linf.mean()), float(own.held.l2.mean())
    radius, start = float(findings.settings.epsilon), float(noisy[0].held.l2.mean())
    figure = f"mean L_inf {linf:.4f} of {radius:.4f}, mean L_2 {l2:.3f}, noise's {start:.3f}"
    return decided(linf >= radius / 2 and l2 >= LONGER * start, figure)


def planted(findings: Findings) -> Result:
    """PGD fools a linear network just where theory says."""
    found = findings.probes.planted
    if not found.can:
        return unknown("no image of the linear network can be fooled at this epsilon")
    figure = (
        f"of {found.can} images of a linear network that can be fooled, PGD fools {found.did}; "
        f"{found.against} against theory"
    )
    return decided(found.did >= (1 - SLACK) * found.can and not found.against, figure)


CHECKS: tuple[Check, ...] = (
    Check(
        number=7,
        question="Deterministic logits, examples inside of their balls",
        source=AUTOATTACK,
        judge=conduct,
    ),
    Check(
        number=8,
        question="Success grows with epsilon up to all images, and with steps",
        source=CARLINI,
        judge=monotone,
    ),
    Check(
        number=9, question="Twice the steps and more starts change little", source=INDICATORS, judge=converged
    ),
    Check(
        number=10,
        question="Noise is weaker than the network's gradients, and than what transfers elsewhere",
        source=CARLINI,
        judge=noise,
    ),
    Check(
        number=11,
        question="Perturbations use their ball; their lengths are given",
        source=TRANSFER_EVALUATION,
        judge=lengths,
    ),
    Check(
        number=12,
        question="PGD finds what is planted in a linear network, which is not the audited one",
        source=OWN,
        judge=planted,
    ),
)
