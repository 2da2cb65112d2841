"""How the target of an audit stands against each attacker, and why that may say nothing."""

from collections.abc import Iterator
from typing import Literal

from contragrad.attacks.library import Norm
from contragrad.audit.attackers import ATTACKERS, QUERIES, RECIPE, REFERENCE, REVERSED, WHITE_BOX
from contragrad.audit.facts import Tried
from contragrad.audit.findings import Findings
from contragrad.audit.masked import out_of_reach, rivals
from contragrad.audit.statistics import mean_interval, said
from contragrad.audit.strength import weakness
from contragrad.evaluate import Share

Standing = Literal["withstood", "inconclusive", "weakened", "defeated", "not run"]

ENOUGH_QUERIES = 1000
"""Answers below which it is too early to call a query attack withstood."""

NO_GRADIENT = 0.01
"""Share of images without a gradient from which on gradients count as hidden."""

ENOUGH_PROBED = 100
"""Images below which a share that is measured on them shows nothing of a percent."""

DEFEATED = 0.5
"""Share of correctly classified images from which on an attacker who fools them has defeated the network."""

NAMED = 3
"""Of what was not tried, how many are named where it is a doubt; the card lists all."""


def in_linf(findings: Findings, key: str) -> tuple[Tried, ...]:
    """An attacker's own attempts in the L_inf ball: of L_2 see `l2_fooled`."""
    return tuple(each for each in findings.tried.get(key, ()) if each.norm == "linf")


def deciding(findings: Findings, key: str) -> tuple[Tried, ...]:
    """The examples that decide how the target stands against an attacker.

    They are his own in the L_inf ball. Who has the network can do whatever others can: against him count
    all that were found in his ball, by what only checks need too.
    """
    own = in_linf(findings, key)
    if key != WHITE_BOX or not own:
        return own
    return tuple(
        each
        for each in findings.every
        if each.norm == "linf" and each.attempt.attack.epsilon <= findings.settings.epsilon
    )


def standing_of(findings: Findings, key: str) -> Standing:
    """How the target stands against an attacker; inconclusive if he would be withstood, with a doubt."""
    if not findings.tried.get(key):
        return "not run"
    found = standing_by(findings.fooled(deciding(findings, key)), findings.settings.tolerated)
    return "inconclusive" if found == "withstood" and doubt(findings, key) else found


def doubt(findings: Findings, key: str) -> str:
    """Why it says nothing that an attacker who was run fools few; empty if it does say something."""
    return "; ".join(_doubts(findings, key)) if findings.tried.get(key) else ""


def _doubts(findings: Findings, key: str) -> Iterator[str]:
    fooled, so_far = findings.fooled(deciding(findings, key)), findings.fooled_so_far(key)
    found = standing_by(fooled, findings.settings.tolerated)
    if found == "inconclusive":
        yield f"too few images: {said(fooled)}"
    if key == WHITE_BOX:
        yield from _not_tried(findings, key)
        if why := misled(findings):
            yield why
        return
    if found == "withstood" and so_far and standing_by(so_far, findings.settings.tolerated) != "withstood":
        yield f"he and all before him fool {said(so_far)} together"
    if key == QUERIES:
        yield from _not_tried(findings, key)
        if findings.settings.queries < ENOUGH_QUERIES:
            yield f"{findings.settings.queries} queries, and not {ENOUGH_QUERIES:,}"
        return
    if key in RECIPE and not findings.facts.recipe_known:
        facts = findings.facts
        yield f"the recipe is not known, {facts.objective} of {facts.epochs} epochs is assumed"
    if key == REVERSED and not is_turned(findings):
        low, high = mean_cosine(findings)
        yield f"no gradients were turned: mean cosine with the reference's {low:+.2f} to {high:+.2f}"
    if not is_bounded(findings):
        yield from _not_tried(findings, key)
        yield from _weak(findings, key, "linf")


def _not_tried(findings: Findings, key: str) -> Iterator[str]:
    if untried := findings.untried(key):
        more = f" and {len(untried) - NAMED} more" if len(untried) > NAMED else ""
        yield f"not tried: {', '.join(untried[:NAMED])}{more}"


def _weak(findings: Findings, key: str, norm: Norm) -> Iterator[str]:
    # Steps down the source's loss are not meant to fool it, and are worth what those up it are.
    crafted = findings.tried.get(REFERENCE if key == REVERSED else key, ())
    if why := weakness(findings, crafted, norm):
        yield why
    if key == REVERSED:
        return  # nobody has an ordinary network step down the reference's loss
    alike = findings.no_better([each for each in crafted if each.norm == norm])
    if alike is None:
        yield "not compared with an ordinary network"
    elif alike:
        yield "an ordinary network does as well"


def l2_fooled(findings: Findings) -> Share | None:
    """Of the correctly classified, those that L_2 examples fool, made up or down the reference's loss."""
    within = [each for tried in findings.tried.values() for each in tried if each.norm == "l2"]
    return findings.fooled(within) if within else None


def l2_standing(findings: Findings) -> Standing:
    """How the target stands against the reference's L_2 examples, made up or down its loss."""
    if (fooled := l2_fooled(findings)) is None:
        return "not run"
    found = standing_by(fooled, findings.settings.tolerated)
    return "inconclusive" if found == "withstood" and l2_doubt(findings) else found


def l2_doubt(findings: Findings) -> str:
    """Why it says nothing that the reference's L_2 examples fool few; empty if it does say something."""
    within = [each for each in findings.tried.get(REFERENCE, ()) if each.norm == "l2"]
    return "; ".join(_weak(findings, REFERENCE, "l2")) if within else "not tried"


def is_bounded(findings: Findings) -> bool:
    """Whether the white box is withstood, and with it whoever has less, in its ball."""
    return standing_of(findings, WHITE_BOX) == "withstood"


def misled(findings: Findings) -> str:
    """Why the target's gradients may be no good to an attacker; empty if they are good."""
    probes = findings.probes
    if probes.zero_gradients + probes.broken_gradients > NO_GRADIENT:
        return "gradients are zero or not finite"
    if not probes.deterministic:
        return "the network answers otherwise the second time"
    if why := out_of_reach(findings):
        return why
    if beyond := [rival for rival in rivals(findings) if rival.exceeds]:
        first = beyond[0]
        return f"gradients mislead it: {first.name} fools {said(first.beyond)} that PGD does not"
    if probes.images < ENOUGH_PROBED:
        return f"gradients were measured on {probes.images} images alone"
    return ""


def mean_cosine(findings: Findings) -> tuple[float, float]:
    """The 95 % interval of the mean cosine of the target's input gradients with the reference's."""
    return mean_interval(findings.probes.aligned[REFERENCE])


def is_turned(findings: Findings) -> bool:
    """Whether the target's gradients point away from the reference's."""
    return mean_cosine(findings)[1] < 0


def withstood(findings: Findings) -> str | None:
    """The key of the strongest attacker who is withstood, as are all weaker ones that tell anything.

    Never who steps down the reference's loss: he is strong only where gradients were turned.
    See `unknown_below` for those that tell nothing.
    """
    found = None
    for attacker in ATTACKERS:
        standing = standing_of(findings, attacker.key)
        if standing in ("weakened", "defeated"):
            break
        if standing == "withstood" and attacker.key != REVERSED:
            found = attacker.key
    return found


def unknown_below(findings: Findings) -> list[str]:
    """Of the attackers weaker than the strongest who is withstood, those who tell nothing.

    Not who steps down the reference's loss where no gradients were turned, for nobody does so there.
    """
    if (strongest := withstood(findings)) is None:
        return []
    keys = [attacker.key for attacker in ATTACKERS if is_turned(findings) or attacker.key != REVERSED]
    weaker = keys[: keys.index(strongest)]
    return [key for key in weaker if standing_of(findings, key) in ("inconclusive", "not run")]


def defeated_by(findings: Findings) -> str | None:
    """The key of the weakest attacker who defeats the target."""
    return next(
        (attacker.key for attacker in ATTACKERS if standing_of(findings, attacker.key) == "defeated"), None
    )


def standing_by(fooled: Share, tolerated: float) -> Standing:
    """What the interval of the share that is fooled says, or the share alone where that is not tolerated.

    Inconclusive if so few images leave open whether what is tolerated is kept to.
    No image to fool is no ground to call a network anything but defeated.
    """
    if fooled.interval is None:
        return "defeated"
    low, high = fooled.interval
    if high <= tolerated:
        return "withstood"
    if fooled.hits <= tolerated * fooled.count:
        return "inconclusive"
    return "defeated" if low >= DEFEATED else "weakened"
