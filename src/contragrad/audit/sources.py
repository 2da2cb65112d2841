"""The networks that attackers craft on, and how each is had: given, trained, distilled or joined."""

from collections.abc import Sequence

from contragrad.audit.attempts import Named
from contragrad.audit.target import Target
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.shapes import Problem
from contragrad.fingerprint import stream_seed
from contragrad.jobs.recipes import UNDEFENDED, ordinary
from contragrad.jobs.refine import FullTraining
from contragrad.jobs.tasks import ensemble_name
from contragrad.networks.architectures import text_of
from contragrad.networks.ensemble import Ensemble
from contragrad.networks.objectives import OBJECTIVES
from contragrad.reference import architecture
from contragrad.run_folder.workspace import Workspace, source_architecture
from contragrad.settings.choices import Objective, Source, is_surrogate
from contragrad.settings.config import StudyConfig
from contragrad.settings.search import SearchSettings

FAMILIES: tuple[str, ...] = ("squeezenet1_1", "resnet18", "densenet121", "vgg16_bn")
"""Torchvision networks that stand for those that a training or a search never saw, the cheapest first."""

TWIN = "undefended twin"
DISTILLED = "copy distilled from the network's answers"
ANOTHER = UNDEFENDED
ADVERSARIAL = "reference, adversarially trained"
OTHER_ARCHITECTURE = "another hand-engineered network"
PLAIN = "plain"
ORDINARY = "ensemble of ordinary networks"
SURROGATES = "ensemble of surrogates"
STRANGERS = "ensemble of surrogates of other architectures"

SMALL: tuple[str, ...] = (
    text_of("hand-engineered-b"),
    text_of("hand-engineered-a"),
    # LeNet's shape. No reference is called so and no training names it, so that it is always unseen.
    "conv(16,5) pool(max,2) conv(32,5) pool(max,2) fc(128)",
)
"""Architectures of which the first that is unseen is the other hand-engineered network."""

AGAINST = "the network was trained against it"
ITSELF = "it is the network itself"
SAME = "it has the reference's architecture"
NO_STRANGER = (AGAINST, ITSELF, SAME)
"""Why an ordinary network is no unseen source; nothing is left out then that could be had."""

FRUITLESS = 100
"""Searches without a new candidate after which a search space is taken to have no more."""


def surrogate(number: int) -> str:
    """What the attacker's network of the same architecture and recipe is called."""
    return f"surrogate {number}"


def stranger(number: int) -> str:
    """What the attacker's network of the same recipe and another architecture is called."""
    return f"surrogate of another architecture {number}"


def trainings(workspace: Workspace, target: Target, surrogates: int) -> dict[str, FullTraining]:
    """How each source that is trained is trained, by name.

    Left out are those that need an unknown architecture, and those that are no strangers to the target; not
    the ordinary network, with which it is compared.
    Sources without a defence are trained as the reference is, surrogates as the target, each against other
    sources of the attacker's own where the target was trained against several.
    """
    config = workspace.config
    own = architecture(config.reference)
    epochs = config.reference.epochs

    def training(
        name: str, text: str, objective: Objective = "cross-entropy", *, as_target: int = 0
    ) -> FullTraining:
        # Whoever trains several surrogates has other sources for each, and another key.
        his = ("attacker",) if as_target < 2 else ("attacker", as_target)
        return FullTraining(
            name=name,
            architecture=text,
            objective=objective,
            epochs=target.epochs if as_target else epochs,
            seed=stream_seed(config.seed, "audit", name),
            # To choose an undefended network's weights by adversarial accuracy would be a defence.
            keep=target.keep if as_target and objective != "cross-entropy" else "last",
            source_seed=stream_seed(config.seed, *his) if as_target else None,
            together=bool(target.surrogates and as_target) and objective != "cross-entropy",
        )

    seen = acquainted(config, target)
    found = [
        training(OTHER_ARCHITECTURE, other_architecture(config, target)),
        *(training(name, text_of(name)) for name in (PLAIN, *FAMILIES)),
    ]
    found = [ordinary(config), *(task for task in found if task.name not in seen)]
    if config.attack.name != "l2-pgd":
        found.append(training(ADVERSARIAL, own, "fast-adversarial"))
    numbers = range(1, surrogates + 1)
    if target.architecture is not None:
        found.append(training(TWIN, target.architecture, as_target=1))
        found += [
            training(surrogate(number), target.architecture, target.objective, as_target=number)
            for number in numbers
        ]
    drawn = strangers(config.search, workspace.problem, config.seed, surrogates)
    found += [
        training(stranger(number), text, target.objective, as_target=number)
        for number, text in zip(numbers, drawn, strict=True)
    ]
    return {task.name: task for task in found}


def acquainted(config: StudyConfig, target: Target) -> dict[str, str]:
    """Ordinary networks that are no unseen sources for the target, by name, and why."""
    own = architecture(config.reference)
    found = {name: SAME for name in (PLAIN, *FAMILIES) if text_of(name) == own}
    for source in _against(config, target):
        found[ANOTHER if source == "another-seed" else source] = AGAINST
    return found


def other_architecture(config: StudyConfig, target: Target) -> str:
    """A small architecture that is neither the reference's nor one that the target was trained against."""
    seen = {
        architecture(config.reference),
        *(source_architecture(config.reference, source) for source in _against(config, target)),
    }
    return next(text for text in SMALL if text not in seen)


def _against(config: StudyConfig, target: Target) -> tuple[Source, ...]:
    """The ordinary networks beside the reference that the target was trained against."""
    if not OBJECTIVES[target.objective].takes_sources:
        return ()
    return tuple(
        source
        for source in config.training.sources
        if source not in ("reference", "key") and not is_surrogate(source)
    )


def strangers(settings: SearchSettings, problem: Problem, seed: int, count: int) -> list[str]:
    """Architectures that an attacker draws from the same search space: candidates of a search of his own.

    Raises:
        UserError: if the space does not have so many.
    """
    found: list[str] = []
    attempt = fruitless = 0
    while len(found) < count:
        initial = search.start(settings, problem, stream_seed(seed, "audit", "strangers", attempt)).initial
        drawn = [text for text in dict.fromkeys(map(str, initial)) if text not in found]
        found += drawn
        fruitless = 0 if drawn else fruitless + 1
        if fruitless == FRUITLESS:
            raise UserError(
                f"the search space has {len(found)} architectures to draw, not {count}",
                where="--surrogates",
                remedy=f"{len(found)} or fewer",
            )
        attempt += 1
    return found[:count]


def ensemble(members: Sequence[Named]) -> Named:
    """The members as one source."""
    name = ensemble_name([member.fingerprint for member in members])
    network = Ensemble([member.network for member in members]).eval()
    return Named(network, name, any(member.foreign for member in members))
