"""Whether the network's own gradients lead to what others find without them: if not, they are hidden."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from contragrad.audit.attackers import QUERIES, TARGET, WHITE_BOX
from contragrad.audit.facts import Tried
from contragrad.audit.findings import Findings
from contragrad.audit.statistics import said
from contragrad.evaluate import Share

BEYOND = 0.01
"""Share of images that somebody with less may fool beyond PGD on the network itself."""

BEYOND_TOGETHER = 0.02
"""The same of all of them together, who have many tries."""

BEYOND_BY_AUTOATTACK = 0.05
"""The same of AutoAttack, of which a part needs no gradient, but others use gradients better than PGD.

Of adversarially trained networks that hide none it commonly fools some points more than PGD.
"""

SLACK = 0.02
"""Share of images by which two attacks may differ and still count as equally strong."""

NEARLY_NONE = 0.01
"""Share of images that may hold at the whole range of a pixel, where any image can be any other."""

AUTOATTACK = "AutoAttack"
EVERYBODY = "all others together"
NOISE = "noise"
ONE_STEP = "one step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Somebody beside PGD on the network itself, in its ball.

    Args:
        name: an attacker's key, AutoAttack, or all of them.
        fooled: of the images that the target classifies correctly, those that he fools.
        beyond: those of them that PGD on the network itself fools from none of its starts.
        margin: what share may be beyond.
    """

    name: str
    fooled: Share
    beyond: Share
    margin: float

    @property
    def exceeds(self) -> bool:
        """Whether he fools more beyond PGD than may be."""
        return (self.beyond.share or 0.0) > self.margin

    @property
    def clearly(self) -> bool:
        """Whether the lower end of the share's interval exceeds that too, and more than one image does."""
        interval = self.beyond.interval
        return self.beyond.hits > 1 and interval is not None and interval[0] > self.margin


def starts(findings: Findings) -> list[Tried]:
    """PGD on the network itself from each start: all that is known to follow its gradients.

    AutoAttack's last part is Square Attack, and nobody says which part has fooled an image.
    """
    own = findings.tried.get(WHITE_BOX, ())
    return [each for each in own if each.attempt.attack.name == "linf-pgd" and each.attempt.way == "gradient"]


def rivals(findings: Findings) -> list[Rival]:
    """Whoever was run beside PGD on the network itself: who clearly reaches beyond it first, the farthest.

    Examples in another ball count for nobody: a larger one says nothing of gradients.
    """
    within = {
        key: [each for each in tried if each.norm == "linf"]
        for key, tried in findings.tried.items()
        if key != WHITE_BOX
    }
    within[NOISE] = findings.find(TARGET, way="noise")
    within[ONE_STEP] = findings.find(TARGET, name="fgsm")
    within = {key: tried for key, tried in within.items() if tried}
    everybody = [each for tried in within.values() for each in tried]
    found = [_rival(findings, key, tried, BEYOND) for key, tried in within.items()]
    if len(within) > 1:
        found.append(_rival(findings, EVERYBODY, everybody, BEYOND_TOGETHER))
    auto = [each for each in findings.tried.get(WHITE_BOX, ()) if each.attempt.attack.name == "autoattack"]
    if auto:
        found.append(_rival(findings, AUTOATTACK, auto, BEYOND_BY_AUTOATTACK))
    # Each has a margin of his own, so that who reaches farther may do so less clearly.
    return sorted(found, key=lambda rival: (rival.clearly, rival.exceeds, rival.beyond.hits), reverse=True)


def asking(findings: Findings) -> Rival | None:
    """Who asks for answers alone; None if he was not run."""
    asked = findings.tried.get(QUERIES, ())
    return _rival(findings, QUERIES, asked, BEYOND) if asked else None


def _rival(findings: Findings, name: str, tried: Sequence[Tried], margin: float) -> Rival:
    beyond = findings.survivors(starts(findings)) & ~findings.survivors(tried)
    return Rival(
        name=name, fooled=findings.fooled(tried), beyond=Share.of(beyond, findings.clean), margin=margin
    )


def heights(findings: Findings) -> list[Share]:
    """The accuracy under PGD on the network itself by growing epsilon."""
    return [Share.of(findings.clean & each.held.right) for each in findings.by_epsilon(TARGET)]


def rise(accuracies: Sequence[Share]) -> float:
    """By how much accuracy grows with epsilon where it grows most."""
    every = [each.share or 0.0 for each in accuracies]
    return max((after - before for before, after in pairwise(every)), default=0.0)


def out_of_reach(findings: Findings) -> str:
    """What the curve says against PGD on the network itself; empty if it says nothing."""
    tried, accuracies = findings.by_epsilon(TARGET), heights(findings)
    if not tried:
        return ""
    last = accuracies[-1]
    if tried[-1].attempt.attack.epsilon >= 1 and (last.share or 0.0) > NEARLY_NONE:
        return f"with the whole range of a pixel PGD leaves {said(last)} right"
    if (most := rise(accuracies)) > SLACK:
        return f"accuracy grows by {100 * most:.1f} points with epsilon"
    return ""
