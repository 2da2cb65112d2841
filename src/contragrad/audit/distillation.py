"""A copy of the audited network, trained on what it answers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from contragrad.audit.attempts import Named
from contragrad.audit.settings import AuditSettings
from contragrad.audit.sources import DISTILLED
from contragrad.audit.target import Target
from contragrad.data.dataset import Examples, Splits, pixels
from contragrad.errors import UnusableSourceError
from contragrad.fingerprint import fingerprint, stream_seed
from contragrad.jobs.refine import FullTraining, train_fully
from contragrad.networks.architectures import construct, text_of
from contragrad.networks.inference import answers, are_probabilities
from contragrad.networks.network import placed
from contragrad.networks.objectives import Material
from contragrad.networks.randomness import generator
from contragrad.run_folder.contents import normalisation
from contragrad.run_folder.workspace import Workspace

COPY = text_of("hand-engineered-b")
"""The copy's architecture."""

NOISY = 2
"""One question in so many is about an image with noise on it."""


def distilled(
    workspace: Workspace,
    splits: Splits,
    target: Target,
    settings: AuditSettings,
    report: Callable[[dict[str, float]], None],
) -> Named:
    """A network trained on what the target answers to so many questions, made once and kept.

    The attacker has the training images without their labels, and asks for the target's logits at images and
    at images with noise of epsilon on them: what it answers around images is what attacks are after. His copy
    is trained as the reference is, by the cross-entropy with the probabilities that he is told.

    Raises:
        UnusableSourceError: if its training diverges.

    Source: Papernot et al., "Practical black-box attacks against machine learning", 2017.
    Deviates: noise in the place of their Jacobian-based augmentation; logits in the place of classes, as in
        Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015, at temperature 1.
    """
    config = workspace.config
    seed = stream_seed(config.seed, "audit", DISTILLED)
    name = distilled_name(workspace, target, settings)
    normal = normalisation(splits.train)
    network = construct(COPY, workspace.problem, normal, seed).to(workspace.device)
    artefacts = workspace.artefacts
    if artefacts.find("network", name) is None:
        images = questions(splits.train.images, settings.distilled, float(settings.epsilon), seed)
        task = FullTraining(
            name=DISTILLED,
            architecture=COPY,
            objective="cross-entropy",
            epochs=config.reference.epochs,
            seed=seed,
        )
        why = train_fully(
            network,
            task,
            name=name,
            # Cross-entropy takes a class's probabilities where it takes its number.
            examples=Examples(images, probabilities(target.network, images)),
            material=Material(),
            training=config.training,
            checkpoint_every=config.refine.checkpoint_every,
            artefacts=artefacts,
            report=report,
        )
        if why is not None:
            raise UnusableSourceError(f"the distilled copy's training {why}", where="audit")
    network.load_state_dict(artefacts.load("network", name))
    return Named(placed(network.requires_grad_(False).eval(), workspace.device), name)


def distilled_name(workspace: Workspace, target: Target, settings: AuditSettings) -> str:
    """The distilled network's fingerprint."""
    config = workspace.config
    seed = stream_seed(config.seed, "audit", DISTILLED)
    passes = (config.reference.epochs, config.training.without_gm)
    asked = (settings.distilled, settings.epsilon)
    return fingerprint("distilled/2", COPY, target.fingerprint, workspace.split_name, *asked, seed, *passes)


def questions(images: Tensor, answers: int, epsilon: float, seed: int) -> Tensor:
    """So many images to ask about, float32 in [0, 1], in a random order: first as they are, then noisy.

    Every image comes as often as any other, give or take once, and as it is at most once, for to ask the same
    twice teaches nothing.
    """
    order = torch.cat(
        [
            torch.randperm(len(images), generator=generator(seed, "questions", turn))
            for turn in range(-(-answers // len(images)))
        ]
    )[:answers]
    found = pixels(images[order]).clone()
    clean = min(answers - answers // NOISY, len(images))
    noise = torch.rand(found[clean:].shape, generator=generator(seed, "noise")) * 2 - 1
    found[clean:] = (found[clean:] + epsilon * noise).clamp(0, 1)
    return found


def probabilities(network: nn.Module, images: Tensor) -> Tensor:
    """What the network in evaluation mode takes for each class's probability, (N, classes), on the CPU."""
    said = answers(network, images)
    return said if are_probabilities(said) else said.softmax(1)
