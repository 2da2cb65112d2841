"""Who attacks, from weak to strong: each with a threat model in a sentence, sources, and attempts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from contragrad.audit import sources
from contragrad.audit.attempts import Attempt, Way
from contragrad.audit.settings import CURVE, AuditSettings
from contragrad.settings.choices import AttackName
from contragrad.settings.config import AttackSettings

REFERENCE = "reference"
TARGET = "the network itself"

STRONGER_TRANSFER = "stronger transfer"
"""The key of who has attacks that were made to transfer."""

UNDEFENDED_TWIN = "undefended twin"
"""The key of who trains the same architecture the ordinary way."""

DISTILLATION = "distillation"
"""The key of who trains a copy on the network's answers."""

UNSEEN = "unseen sources"
"""The key of who has networks that the target was never trained against."""

REVERSED = "reversed"
"""The key of who steps down the reference's loss."""

RECIPE = ("recipe", "recipe and architecture")
"""The keys of those who know how the network was trained."""

QUERIES = "queries"
"""The key of who has the network's answers and no gradient."""

WHITE_BOX = "white box"
"""The key of who has the network, and so can do whatever the others can."""

TRANSFER: tuple[AttackName, ...] = ("mi-fgsm", "ni-fgsm", "di-fgsm", "ti-fgsm", "targeted-mi-fgsm", "sgm")
"""Attacks made to transfer; the last one for sources with torchvision's skips only."""

SLOW_TRANSFER: tuple[AttackName, ...] = ("vmi-fgsm",)
"""Those that take several gradients a step."""

Groups = tuple[tuple[Attempt, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bout:
    """An attacker with one source.

    Args:
        source: the network that he crafts on.
        attempts: what he tries.
        late: whether he has tried something else on a source of his own before, so that this comes when all
            attackers have had all of their sources.
    """

    source: str
    attempts: tuple[Attempt, ...]
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacker:
    """Somebody with means.

    Args:
        key: his short name.
        threat: what he knows, has and does, in one sentence with the numbers of the audit's settings.
        sources: the networks that he crafts on, in the order in which they are worth having.
        attempts: given a source and the audit's settings, what he tries on it: what is tried only
            when all attackers have had their turn stands in a group of its own.
        joined: under which name he crafts on all of the sources together; None if he does not.
    """

    key: str
    threat: Callable[[AuditSettings], str]
    sources: Callable[[AuditSettings], tuple[str, ...]]
    attempts: Callable[[str, AuditSettings], Groups]
    joined: str | None = None

    def bouts(self, settings: AuditSettings) -> list[Bout]:
        """His bouts with each source, the late ones last and the joined ones left out."""
        found = [bout for source in self.sources(settings) for bout in self._on(source, settings)]
        return sorted(found, key=lambda bout: bout.late)

    def joined_bouts(self, settings: AuditSettings) -> list[Bout]:
        """His bouts with all sources together, if he has any."""
        if self.joined is None or len(self.sources(settings)) < 2:
            return []
        return self._on(self.joined, settings)

    def _on(self, source: str, settings: AuditSettings) -> list[Bout]:
        given = source in (REFERENCE, TARGET)
        return [
            Bout(source=source, attempts=group, late=place > 0 and not given)
            for place, group in enumerate(self.attempts(source, settings))
        ]


def pgd(settings: AuditSettings) -> AttackSettings:
    """The attack that all attackers have."""
    return AttackSettings(name="linf-pgd", epsilon=settings.epsilon, steps=settings.steps)


def _papers(source: str, settings: AuditSettings) -> Groups:
    linf = pgd(settings)
    attacks = (
        linf,
        AttackSettings(name="fgsm", epsilon=settings.epsilon),
        AttackSettings(name="l2-pgd", epsilon=settings.l2_epsilon, steps=settings.steps),
    )
    return (tuple(Attempt(source=source, attack=attack) for attack in attacks),)


def _reversed(source: str, settings: AuditSettings) -> Groups:
    (group,) = _papers(source, settings)
    return (tuple(replace(each, way="reversed") for each in group),)


def _stronger(source: str, settings: AuditSettings) -> Groups:
    own = pgd(settings)
    quick, slow = (
        tuple(Attempt(source=source, attack=replace(own, name=name)) for name in names)
        for names in (TRANSFER, SLOW_TRANSFER)
    )
    return (quick, slow)


def _usual(source: str, settings: AuditSettings) -> Groups:
    momentum = AttackSettings(name="mi-fgsm", epsilon=settings.epsilon, steps=settings.steps)
    return (tuple(Attempt(source=source, attack=attack) for attack in (pgd(settings), momentum)),)


def _own(source: str, settings: AuditSettings) -> Groups:
    """On networks trained for this target: the usual ones, and later the best of those made to transfer."""
    further = tuple(
        Attempt(source=source, attack=replace(pgd(settings), name=name)) for name in ("di-fgsm", "vmi-fgsm")
    )
    return (*_usual(source, settings), further)


def _queries(source: str, settings: AuditSettings) -> Groups:
    attack = AttackSettings(name="linf-pgd", epsilon=settings.epsilon, steps=settings.queries)
    ways: tuple[Way, ...] = ("queries", "labels")
    return tuple((Attempt(source=source, attack=attack, way=way),) for way in ways)


def _white_box(source: str, settings: AuditSettings) -> Groups:
    starts = tuple(
        Attempt(source=source, attack=pgd(settings), restart=restart) for restart in range(settings.restarts)
    )
    return (
        starts,
        (Attempt(source=source, attack=AttackSettings(name="autoattack", epsilon=settings.epsilon)),),
    )


def curve(source: str, settings: AuditSettings) -> tuple[Attempt, ...]:
    """PGD on a source at other epsilons, up to the whole range of a pixel."""
    scaled = {min(Fraction(1), settings.epsilon * factor) for factor in CURVE}
    own = pgd(settings)
    return tuple(
        Attempt(source=source, attack=replace(own, epsilon=radius))
        for radius in sorted((scaled | {Fraction(1)}) - {settings.epsilon})
    )


def longer(source: str, settings: AuditSettings) -> tuple[Attempt, ...]:
    """PGD on a source with twice the steps."""
    attack = AttackSettings(name="linf-pgd", epsilon=settings.epsilon, steps=2 * settings.steps)
    return (Attempt(source=source, attack=attack),)


def single_step(source: str, settings: AuditSettings) -> tuple[Attempt, ...]:
    """One step of gradient on a source."""
    return (Attempt(source=source, attack=AttackSettings(name="fgsm", epsilon=settings.epsilon)),)


def noise(settings: AuditSettings) -> Attempt:
    """Uniform noise of the ball, which every attack should beat."""
    return Attempt(
        source=TARGET, attack=AttackSettings(name="linf-pgd", epsilon=settings.epsilon), way="noise"
    )


def _numbered(name: Callable[[int], str]) -> Callable[[AuditSettings], tuple[str, ...]]:
    return lambda settings: tuple(name(number) for number in range(1, settings.surrogates + 1))


ATTACKERS: tuple[Attacker, ...] = (
    Attacker(
        key=REFERENCE,
        threat=lambda settings: (
            "Has the public reference, not the network; crafts on it with FGSM, L_inf-PGD and L_2-PGD of "
            f"{settings.steps} steps."
        ),
        sources=lambda settings: (REFERENCE,),
        attempts=_papers,
    ),
    Attacker(
        key=REVERSED,
        threat=lambda settings: (
            "Has the public reference, knows that gradients were turned against it, and steps down "
            f"its loss instead of up, {settings.steps} steps."
        ),
        sources=lambda settings: (REFERENCE,),
        attempts=_reversed,
    ),
    Attacker(
        key=STRONGER_TRANSFER,
        threat=lambda settings: (
            f"Has the public reference and attacks of {settings.steps} steps that were made to transfer: MI, "
            "towards a class too, NI, DI, TI, VMI and, if it is a ResNet or DenseNet, SGM."
        ),
        sources=lambda settings: (REFERENCE,),
        attempts=_stronger,
    ),
    Attacker(
        key=UNSEEN,
        threat=lambda settings: (
            "Has ordinary networks for the same task that the network was never trained against, and "
            f"all of them together; crafts with PGD and MI of {settings.steps} steps."
        ),
        sources=lambda settings: (
            # First one that is not the ordinary network itself, which is shown the examples too.
            sources.PLAIN,
            sources.ANOTHER,
            sources.OTHER_ARCHITECTURE,
            sources.ADVERSARIAL,
            *sources.FAMILIES,
        ),
        attempts=_usual,
        joined=sources.ORDINARY,
    ),
    Attacker(
        key=UNDEFENDED_TWIN,
        threat=lambda _: (
            "Knows the architecture and the training data, not the recipe; trains it the ordinary way once, "
            "and crafts on that."
        ),
        sources=lambda settings: (sources.TWIN,),
        attempts=_own,
    ),
    Attacker(
        key=DISTILLATION,
        threat=lambda settings: (
            "Has images without labels and may ask the network for its logits, "
            f"{settings.distilled:,} answers in all; trains a copy on them."
        ),
        sources=lambda settings: (sources.DISTILLED,),
        attempts=_own,
    ),
    Attacker(
        key=RECIPE[0],
        threat=lambda settings: (
            "Knows the recipe, the reference and the training data, not the architecture; trains "
            f"surrogates by the recipe ({settings.surrogates}), and crafts on each and on all together."
        ),
        sources=_numbered(sources.stranger),
        attempts=_own,
        joined=sources.STRANGERS,
    ),
    Attacker(
        key=RECIPE[1],
        threat=lambda settings: (
            "Knows all but the random numbers: trains surrogates of the same architecture by the recipe "
            f"({settings.surrogates}), and crafts on each and on all together."
        ),
        sources=_numbered(sources.surrogate),
        attempts=_own,
        joined=sources.SURROGATES,
    ),
    Attacker(
        key=QUERIES,
        threat=lambda settings: (
            "Sees the network's answers to images of his choice, and no gradient: its logits (Square "
            f"Attack) or its classes alone (HopSkipJump), {settings.queries:,} answers for an image each."
        ),
        sources=lambda settings: (TARGET,),
        attempts=_queries,
    ),
    Attacker(
        key=WHITE_BOX,
        threat=lambda settings: (
            f"Has the network itself: PGD of {settings.steps} steps from {settings.restarts} starts, and "
            "AutoAttack where there is time for it."
        ),
        sources=lambda settings: (TARGET,),
        attempts=_white_box,
    ),
)
"""From weak to strong, by what each must know or have."""
