"""Findings of an audit made by hand: a thousand images of which the first so many are fooled."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contragrad.audit import attackers, sources
from contragrad.audit.attackers import ATTACKERS, REFERENCE, TARGET
from contragrad.audit.attempts import Attempt, Held
from contragrad.audit.facts import Compared, Facts, Tried
from contragrad.audit.filters import Behind
from contragrad.audit.findings import Findings
from contragrad.audit.planted import Fooled
from contragrad.audit.probes import Disturbed, Probes
from contragrad.audit.settings import AuditSettings
from contragrad.evaluate import Share
from contragrad.settings.choices import Objective

IMAGES = 1000
CORRECT = 950
"""Images that the target classifies correctly, the first ones."""

SETTINGS = AuditSettings(images=IMAGES, steps=10, restarts=2, queries=1000, surrogates=2)
ARCHITECTURE = "conv(8,3) fc(4)"
NAME = "NE+GM 1"

FOOLED = {
    "reference": 20,
    "reversed": 15,
    "stronger transfer": 30,
    "unseen sources": 40,
    "undefended twin": 45,
    "distillation": 50,
    "recipe": 55,
    "recipe and architecture": 60,
    "queries": 700,
    "white box": CORRECT,
}
"""How many images each attacker fools of a network whose evaluation is sound."""

ORDINARY = 300
"""How many images of an ordinary network are fooled by examples that it is shown."""

APART = (TARGET, sources.ANOTHER, sources.ORDINARY)
"""Sources whose examples it is not shown."""

OFF = 1.0
"""Length that examples in an L_2 ball have, by default in its epsilon."""


def first(count: int, images: int = IMAGES) -> Tensor:
    """True for the first so many images."""
    return torch.arange(images) < count


def names() -> list[str]:
    """Every source, joined ones too."""
    own = [name for attacker in ATTACKERS for name in attacker.sources(SETTINGS)]
    return list(dict.fromkeys([*own, *(each.joined for each in ATTACKERS if each.joined)]))


def planned(key: str) -> list[Attempt]:
    """All that an attacker may try, on the joined source too."""
    (attacker,) = (each for each in ATTACKERS if each.key == key)
    groups = [bout.attempts for bout in attacker.bouts(SETTINGS)]
    if attacker.joined:
        groups += attacker.attempts(attacker.joined, SETTINGS)
    return [attempt for group in groups for attempt in group]


def came(
    attempt: Attempt, fooled: int, own: int = IMAGES, *, length: float = OFF, ordinary: int = ORDINARY
) -> Tried:
    """An attempt that fools the target on the first images, and its source on the first ones.

    Args:
        attempt: what was tried.
        fooled: on how many images the target is fooled.
        own: on how many the source is; the target itself on as many as it is fooled on, and nobody by turned
            perturbations.
        length: of the perturbations, in epsilon.
        ordinary: on how many images an ordinary network is fooled that is shown the examples.
    """
    if attempt.source == TARGET:
        own = fooled
    elif attempt.way == "reversed":
        own = 0
    epsilon = float(attempt.attack.epsilon)
    long = torch.full((IMAGES,), epsilon * length)
    in_l2 = attempt.attack.name == "l2-pgd"
    return Tried(
        attempt,
        Held(
            right=first(CORRECT) & ~first(fooled),
            source=~first(own),
            linf=long / 10 if in_l2 else long,
            l2=long if in_l2 else long * 20,
            # Images that are misclassified as they are cost no answer.
            queries=torch.arange(IMAGES)
            .remainder(50)
            .add(1)
            .float()
            .where(first(fooled), attempt.attack.steps)
            * first(CORRECT)
            if attempt.way in ("queries", "labels")
            else torch.empty(0),
            ordinary=torch.empty(0, dtype=torch.bool) if attempt.source in APART else ~first(ordinary),
        ),
    )


def extra() -> tuple[Tried, ...]:
    """What only checks need."""
    curves = [
        came(attempt, count)
        for source, counts in (
            (TARGET, (300, 600, CORRECT, CORRECT, CORRECT, CORRECT)),
            (REFERENCE, (5, 10, 30, 60, 90, 900)),
            (sources.surrogate(1), (10, 20, 80, 160, 240, CORRECT)),
        )
        for attempt, count in zip(attackers.curve(source, SETTINGS), counts, strict=True)
    ]
    return (
        came(attackers.noise(SETTINGS), 3, length=0.5),
        *(came(attempt, 500) for attempt in attackers.single_step(TARGET, SETTINGS)),
        *(came(attempt, FOOLED["reference"] + 1) for attempt in attackers.longer(REFERENCE, SETTINGS)),
        *(came(attempt, CORRECT) for attempt in attackers.longer(TARGET, SETTINGS)),
        *curves,
    )


def compared(right: int, architecture: str = ARCHITECTURE, objective: Objective = "gm") -> Compared:
    """Another network, right on so many of the reference's examples and these images as they are."""
    return Compared(
        clean=first(CORRECT),
        adversarial=first(CORRECT) & ~first(CORRECT - right),
        architecture=architecture,
        objective=objective,
        epochs=20,
    )


FACTS = Facts(
    recipe_known=True,
    target=NAME,
    data="digits, fingerprint 0011223344556677",
    reference="hand-engineered-a",
    reference_made="trained here from scratch, 20 epochs",
    architecture=ARCHITECTURE,
    objective="gm",
    epochs=20,
    classes=10,
    chance=0.1,
    selected_on_test=False,
    looks=1,
    weights=str(Path(__file__)),
    fingerprint="0123456789abcdef",
    settings_fingerprint="fedcba9876543210",
    seed=3,
)

PROBES = Probes(
    images=IMAGES,
    deterministic=True,
    logits=True,
    zero_gradients=0.0,
    broken_gradients=0.0,
    saturated=0.0,
    gradient_ratio=0.7,
    aligned={
        "reference": torch.linspace(-0.9, 0.1, IMAGES),
        sources.TWIN: torch.linspace(-0.2, 0.6, IMAGES),
    },
    aligned_nearby=torch.linspace(-0.85, 0.15, IMAGES),
    aligned_on_path=torch.linspace(-0.8, 0.2, IMAGES),
    corruptions={"noise": Disturbed(first(930), first(950))},
    filters={
        "jpeg": Behind(Share(500, 940), Share(930, 940)),
        "bilateral": Behind(Share(600, 940), Share(935, 940)),
    },
    planted=Fooled(500, 500, 0),
)

COMPARED = {
    sources.TWIN: compared(200, objective="cross-entropy"),
    sources.surrogate(1): compared(900),
    sources.surrogate(2): compared(890),
    sources.stranger(1): compared(800, "conv(4,3) fc(4)"),
}


@cache
def sound() -> Findings:
    """A network that withstands all who transfer, is defeated by the other two, and hides nothing."""
    return Findings(
        facts=FACTS,
        settings=SETTINGS,
        clean=first(CORRECT),
        source_clean={name: first(980) for name in names()} | {TARGET: first(CORRECT)},
        tried={key: tuple(came(each, count) for each in planned(key)) for key, count in FOOLED.items()},
        extra=extra(),
        compared=COMPARED,
        probes=PROBES,
    )


def fought(findings: Findings, key: str, fooled: int, **changes: Any) -> Findings:
    """The findings with an attacker who fools so many images with each attempt; see `came`."""
    again = tuple(came(each.attempt, fooled, **changes) for each in findings.tried[key])
    return replace(findings, tried={**findings.tried, key: again})


def auto_attacked(findings: Findings, starts: int, auto: int) -> Findings:
    """The findings of a white box of which each start fools the first so many, and AutoAttack so many."""
    tried = tuple(
        came(each.attempt, auto if each.attempt.attack.name == "autoattack" else starts)
        for each in findings.tried["white box"]
    )
    return replace(findings, tried={**findings.tried, "white box": tried})


def apart(each: Tried, begin: int, end: int) -> Tried:
    """An attempt that fools the images from one to another and no others."""
    return replace(each, held=replace(each.held, right=first(CORRECT) & (~first(end) | first(begin))))


def without(findings: Findings, *keys: str) -> Findings:
    """The findings without these attackers."""
    return replace(
        findings, tried={key: () if key in keys else tried for key, tried in findings.tried.items()}
    )


def only(findings: Findings, *keys: str) -> Findings:
    """The findings with none but these attackers."""
    return without(findings, *(findings.tried.keys() - set(keys)))


def probed(findings: Findings, **changes: Any) -> Findings:
    """The findings with other measurements of the network itself."""
    return replace(findings, probes=replace(findings.probes, **changes))


def known(findings: Findings, **changes: Any) -> Findings:
    """The findings of a target of which other things are known."""
    return replace(findings, facts=replace(findings.facts, **changes))


def figures(counts: Mapping[str, int]) -> Findings:
    """The findings of attackers who fool so many images each; the others were not run, nor anything else."""
    found = replace(only(sound(), *counts), extra=())
    for key, count in counts.items():
        found = fought(found, key, count)
    return found


def at(epsilon: Fraction, findings: Findings, source: str, fooled: int) -> Findings:
    """The findings with another result of PGD of this epsilon on a source, among what checks need."""
    again = tuple(
        came(each.attempt, fooled)
        if each.attempt.source == source
        and each.attempt.attack == replace(attackers.pgd(SETTINGS), epsilon=epsilon)
        and each.attempt.way == "gradient"
        else each
        for each in findings.extra
    )
    return replace(findings, extra=again)
