"""What is to be run, in the order in which it is worth most: a source, and an attacker's attempts on it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from contragrad.audit.attackers import ATTACKERS, REFERENCE, TARGET, Bout
from contragrad.audit.attempts import Attempt
from contragrad.audit.settings import AuditSettings
from contragrad.settings.choices import AttackName

SHARE = 0.9
"""Share of the time left that estimates may add up to."""

WORK: dict[AttackName, float] = {"vmi-fgsm": 6.0}
"""Gradients that an attack takes for an image in each of its steps, where it is not one."""

AUTOATTACK = (100.0, 5000.0)
"""Gradients that AutoAttack takes for an image that its first part fools, and for one that no part fools."""


def rounds(settings: AuditSettings, architectures: Mapping[str, str]) -> list[list[tuple[str, Bout]]]:
    """Every attacker's first bout, then everyone's second, and so on, with his key; no joined sources.

    Late bouts come in rounds of their own, after all others.

    Args:
        settings: the audit's.
        architectures: of the sources, by name, where they are known.
    """
    planned = [[(attacker.key, bout) for bout in attacker.bouts(settings)] for attacker in ATTACKERS]
    return [
        [(key, fitting(bout, architectures)) for key, bout in bouts]
        for late in (False, True)
        for bouts in _turns([[pair for pair in column if pair[1].late == late] for column in planned])
    ]


def _turns(columns: Sequence[Sequence[tuple[str, Bout]]]) -> list[list[tuple[str, Bout]]]:
    """The first of each, then the second of each that has one, and so on."""
    longest = max(map(len, columns))
    return [[column[place] for column in columns if place < len(column)] for place in range(longest)]


def fitting(bout: Bout, architectures: Mapping[str, str]) -> Bout:
    """The bout with those attacks that can be made on its source, as far as its architecture is known.

    A source of unknown architecture may be none, which is then missed whole and not for a late bout alone.
    """
    text = architectures.get(bout.source, "")
    attempts = tuple(attempt for attempt in bout.attempts if fits(attempt, text))
    return replace(bout, attempts=attempts, late=bout.late and text != "")


def left_out_as(key: str, bout: Bout, only: Sequence[Attempt] | None = None) -> str:
    """What a bout is called where it is said to have been left out, or some of its attempts.

    A source is named by itself, unless it is there: one that is always, as those whose attacks on it fit have
    it, or one on which something else was tried. Then the attacks are named.
    """
    attempts = bout.attempts if only is None else only
    attacks = ", ".join(dict.fromkeys(attempt.label for attempt in attempts))
    if bout.late or len(attempts) < len(bout.attempts):
        return f"{key}: {attacks} on {bout.source}"
    return f"{key}: {attacks}" if bout.source in (REFERENCE, TARGET) else bout.source


def fits(attempt: Attempt, architecture: str) -> bool:
    """Whether the attack can be made on such a network: SGM needs torchvision's skips."""
    return attempt.attack.name != "sgm" or architecture.startswith(
        ("torchvision resnet", "torchvision densenet")
    )


def gradients(attempts: Sequence[Attempt], firm: float = 1.0) -> float:
    """Gradients that the attempts take for one image, an answer without gradient counting a third.

    Args:
        attempts: what is tried.
        firm: the share of images that plain attacks on the source do not fool.
    """
    total = 0.0
    for attempt in attempts:
        name = attempt.attack.name
        if attempt.way in ("queries", "labels"):
            total += attempt.attack.steps / 3
        elif name == "autoattack":
            total += AUTOATTACK[0] + firm * AUTOATTACK[1]
        elif attempt.way != "noise":
            total += (1 if name == "fgsm" else attempt.attack.steps) * WORK.get(name, 1.0)
    return total


def affordable(costs: Sequence[float], left: float | None) -> list[bool]:
    """Which of these fit into the seconds that are left, the cheapest first; all without a limit."""
    if left is None:
        return [True] * len(costs)
    chosen = [False] * len(costs)
    room = max(0.0, SHARE * left)  # what is there already takes no time and always fits
    for place in sorted(range(len(costs)), key=lambda place: costs[place]):
        if costs[place] <= room:
            chosen[place] = True
            room -= costs[place]
    return chosen
