"""Whether the network's own gradients lead to what others find without them: if not, they are hidden."""

from collections.abc import Sequence
from dataclasses import dataclass

from contragrad.audit.attackers import QUERIES, WHITE_BOX
from contragrad.audit.facts import Tried
from contragrad.audit.measured import Measured
from contragrad.audit.statistics import SIGNIFICANT, mcnemar
from contragrad.evaluate import Share

BEYOND = 0.01
"""Share of images that who has less may fool beyond PGD on the network itself: one image may be chance."""

BEYOND_BY_AUTOATTACK = 0.02
"""The same of AutoAttack, of which a part needs no gradient, but others use gradients better than PGD."""

AUTOATTACK = "AutoAttack"
EVERYBODY = "all others together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Somebody beside PGD on the network itself, in its ball.

    Args:
        name: an attacker's key, AutoAttack, or all of them.
        fooled: of the images that the target classifies correctly, those that he fools.
        beyond: those of them that PGD on the network itself fools from none of its starts.
        margin: what share may be beyond.
        p: of McNemar's test that PGD with him fools no more than PGD without.
    """

    name: str
    fooled: Share
    beyond: Share
    margin: float
    p: float

    @property
    def exceeds(self) -> bool:
        """Whether he fools more beyond PGD than may be."""
        return (self.beyond.share or 0.0) > self.margin

    @property
    def clearly(self) -> bool:
        """Whether that is no chance either."""
        return self.exceeds and self.p < SIGNIFICANT


def starts(measured: Measured) -> list[Tried]:
    """PGD on the network itself from each start: all that is known to follow its gradients.

    AutoAttack's last part is Square Attack, and nobody says which part has fooled an image.
    """
    own = measured.tried.get(WHITE_BOX, ())
    return [each for each in own if each.attempt.attack.name == "linf-pgd" and each.attempt.way == "gradient"]


def rivals(measured: Measured) -> list[Rival]:
    """Whoever was run beside PGD on the network itself, who reaches farthest beyond it first.

    Examples in another ball count for nobody: a larger one says nothing of gradients.
    """
    within = {
        key: [each for each in tried if each.norm == "linf"]
        for key, tried in measured.tried.items()
        if key != WHITE_BOX
    }
    within = {key: tried for key, tried in within.items() if tried}
    everybody = [each for tried in within.values() for each in tried]
    found = [_rival(measured, key, tried, BEYOND) for key, tried in within.items()]
    if len(within) > 1:
        found.append(_rival(measured, EVERYBODY, everybody, BEYOND))
    auto = [each for each in measured.tried.get(WHITE_BOX, ()) if each.attempt.attack.name == "autoattack"]
    if auto:
        found.append(_rival(measured, AUTOATTACK, auto, BEYOND_BY_AUTOATTACK))
    return sorted(found, key=lambda rival: (rival.exceeds, rival.beyond.hits), reverse=True)


def asking(measured: Measured) -> Rival | None:
    """Who asks for answers alone; None if he was not run."""
    asked = measured.tried.get(QUERIES, ())
    return _rival(measured, QUERIES, asked, BEYOND) if asked else None


def _rival(measured: Measured, name: str, tried: Sequence[Tried], margin: float) -> Rival:
    own = starts(measured)
    without, with_him = measured.survivors(own), measured.survivors([*own, *tried])
    return Rival(
        name=name,
        fooled=measured.fooled(tried),
        beyond=Share.of(without & ~with_him, measured.clean),
        margin=margin,
        p=mcnemar(without, with_him),
    )
