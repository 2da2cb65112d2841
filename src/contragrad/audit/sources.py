"""The networks that attackers craft on, and how each is had: given, trained, distilled or joined."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from contragrad.audit.attempts import Named
from contragrad.audit.settings import AuditSettings
from contragrad.audit.target import Target
from contragrad.choices import Objective
from contragrad.contents import normalisation
from contragrad.data.dataset import Examples, Splits, pixels
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.shapes import Problem
from contragrad.fingerprint import fingerprint, stream_seed
from contragrad.networks.ensemble import Ensemble
from contragrad.networks.inference import predict
from contragrad.networks.network import placed
from contragrad.networks.objectives import Material
from contragrad.networks.randomness import generator
from contragrad.reference import HAND_ENGINEERED, architecture, construct
from contragrad.refine import FullTraining, train_fully
from contragrad.search_settings import SearchSettings
from contragrad.workspace import Workspace

FAMILIES: tuple[str, ...] = ("squeezenet1_1", "resnet18", "densenet121", "vgg16_bn")
"""Torchvision networks that stand for those that a training or a search never saw, the cheapest first."""

TWIN = "undefended twin"
DISTILLED = "copy distilled from the network's answers"
ANOTHER = "reference, another seed"
ADVERSARIAL = "reference, adversarially trained"
OTHER_ARCHITECTURE = "hand-engineered-b"
PLAIN = "plain"
ORDINARY = "ensemble of ordinary networks"
SURROGATES = "ensemble of surrogates"

FRUITLESS = 100
"""Searches without a new candidate after which a search space is taken to have no more."""


def surrogate(number: int) -> str:
    """What the attacker's network of the same architecture and recipe is called."""
    return f"surrogate {number}"


def stranger(number: int) -> str:
    """What the attacker's network of the same recipe and another architecture is called."""
    return f"surrogate of another architecture {number}"


def trainings(workspace: Workspace, target: Target, surrogates: int) -> dict[str, FullTraining]:
    """How each source that is trained is trained, by name; without those that need an unknown architecture.

    Sources without a defence are trained as the reference is, surrogates as the target, against sources of
    the attacker's own where the target was trained against several.
    """
    config = workspace.config
    his = stream_seed(config.seed, "attacker")
    own = architecture(config.reference)
    epochs = config.reference.epochs

    def training(
        name: str, text: str, objective: Objective = "cross-entropy", *, as_target: bool = False
    ) -> FullTraining:
        return FullTraining(
            name=name,
            architecture=text,
            objective=objective,
            epochs=target.epochs if as_target else epochs,
            seed=stream_seed(config.seed, "audit", name),
            # To choose an undefended network's weights by adversarial accuracy would be a defence.
            keep=target.keep if as_target and objective != "cross-entropy" else "last",
            source_seed=his if as_target else None,
        )

    found = [
        training(ANOTHER, own),
        *(training(name, str(HAND_ENGINEERED[name])) for name in (OTHER_ARCHITECTURE, PLAIN)),
        *(training(name, f"torchvision {name}") for name in FAMILIES),
    ]
    if config.attack.name != "l2-pgd":
        found.append(training(ADVERSARIAL, own, "fast-adversarial"))
    numbers = range(1, surrogates + 1)
    if target.architecture is not None:
        found.append(training(TWIN, target.architecture, as_target=True))
        found += [
            training(surrogate(number), target.architecture, target.objective, as_target=True)
            for number in numbers
        ]
    drawn = strangers(config.search, workspace.problem, config.seed, surrogates)
    found += [
        training(stranger(number), text, target.objective, as_target=True)
        for number, text in zip(numbers, drawn, strict=True)
    ]
    return {task.name: task for task in found}


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
    names = [member.fingerprint for member in members]
    network = Ensemble([member.network for member in members]).eval()
    return Named(network, fingerprint("ensemble/1", names))


def distilled(
    workspace: Workspace,
    splits: Splits,
    target: Target,
    settings: AuditSettings,
    report: Callable[[dict[str, float]], None],
) -> Named:
    """A network trained on what the target answers to so many images, made once and kept.

    The attacker has the training images without their labels and asks for the target's class of each;
    where the budget is larger than the images are many, of images with noise of epsilon on them too.
    His network is the hand-engineered one that is not the reference, trained as the reference is.

    Raises:
        UserError: if its training diverges.

    Source: Papernot et al., "Practical black-box attacks against machine learning", 2017.
    Deviates: noise in the place of their Jacobian-based augmentation.
    """
    config = workspace.config
    text = str(HAND_ENGINEERED[OTHER_ARCHITECTURE])
    seed = stream_seed(config.seed, "audit", DISTILLED)
    name = distilled_name(workspace, target, settings)
    normal = normalisation(splits.train)
    network = construct(text, workspace.problem, normal, seed).to(workspace.device)
    artefacts = workspace.artefacts
    if artefacts.find("network", name) is None:
        images = questions(splits.train.images, settings.distilled, float(settings.epsilon), seed)
        task = FullTraining(
            name=DISTILLED,
            architecture=text,
            objective="cross-entropy",
            epochs=config.reference.epochs,
            seed=seed,
        )
        result = train_fully(
            network,
            task,
            name=name,
            examples=Examples(images, predict(target.network, images)),
            material=Material(),
            training=config.training,
            checkpoint_every=config.refine.checkpoint_every,
            artefacts=artefacts,
            report=report,
        )
        if "infeasible" in result:
            raise UserError(f"the distilled copy's training {result['infeasible']}", where="audit")
    network.load_state_dict(artefacts.load("network", name))
    return Named(placed(network.requires_grad_(False).eval(), workspace.device), name)


def distilled_name(workspace: Workspace, target: Target, settings: AuditSettings) -> str:
    """The distilled network's fingerprint."""
    config = workspace.config
    text = str(HAND_ENGINEERED[OTHER_ARCHITECTURE])
    seed = stream_seed(config.seed, "audit", DISTILLED)
    passes = (config.reference.epochs, config.training.without_gm)
    asked = (settings.distilled, settings.epsilon)
    return fingerprint("distilled/1", text, target.fingerprint, workspace.split_name, *asked, seed, *passes)


def questions(images: Tensor, answers: int, epsilon: float, seed: int) -> Tensor:
    """So many images to ask about, float32 in [0, 1]: in a random order, and noisy when they come again."""
    order = torch.cat(
        [
            torch.randperm(len(images), generator=generator(seed, "questions", turn))
            for turn in range(-(-answers // len(images)))
        ]
    )[:answers]
    found = pixels(images[order]).clone()
    again = found[len(images) :]
    noise = torch.rand(again.shape, generator=generator(seed, "noise")) * 2 - 1
    found[len(images) :] = (again + epsilon * noise).clamp(0, 1)
    return found
