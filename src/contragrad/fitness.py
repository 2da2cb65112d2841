"""evaluate(trial, context) -> outcome: the function that the search is a program over."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from contragrad.data.dataset import Examples
from contragrad.evolution.shapes import Problem, excess
from contragrad.evolution.trial import Infeasible, Measured, Outcome, Stopped, Trial
from contragrad.fingerprint import stream_seed
from contragrad.networks.inference import predict
from contragrad.networks.network import Normalisation, build
from contragrad.networks.objectives import Material
from contragrad.networks.training import DivergedError, begin, train_epoch
from contragrad.settings.config import TrainingSettings
from contragrad.settings.search import Limits

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Context:
    """What all evaluations of a study share.

    Args:
        problem: the images' shape and the number of classes.
        normalisation: of the training images.
        train: N training images.
        material: what the objective takes beside them.
        fitness: the images the fitness is measured on.
        adversarial: those images after the attack on the reference, float in [0, 1]; see `measure`.
        training: how networks are trained.
        limits: how large they may be.
        device: where they are trained.
    """

    problem: Problem
    normalisation: Normalisation
    train: Examples
    material: Material
    fitness: Examples
    adversarial: Tensor
    training: TrainingSettings
    limits: Limits
    device: torch.device


def evaluate(trial: Trial, context: Context, report: Report) -> Outcome:
    """Trains the trial's network with GM and measures both its accuracies on the fitness images.

    A function of the trial and the context alone: whatever is drawn is drawn from streams that the
    genome and the replicate name. A network over the limits, or one whose training diverges, is
    infeasible.

    Source: section 3.2, step 2.
    Deviates: the fitness images are the validation split's unless the study asks for the paper's, the test
        images; a trial with rungs is stopped at the first whose bar it is below, the paper's have none.
    """
    if why := excess(trial.genome, context.problem, context.limits):
        return Infeasible(why)
    seed = trial_seed(trial)
    network = build(trial.genome, context.problem, context.normalisation, seed).to(context.device)
    session = begin(network, context.training)
    curve: list[float] = []
    try:
        while session.epoch < trial.epochs:
            losses = train_epoch(session, context.train, context.material, context.training, seed=seed)
            report({"epoch": session.epoch, "epochs": trial.epochs, **losses.by_name()})
            if here := [rung for rung in trial.rungs if rung.epoch == session.epoch]:
                reached = measure(network, context.fitness, context.adversarial).fitness
                if any(rung.bar is not None and reached < rung.bar for rung in here):
                    return Stopped(session.epoch, reached)
                curve += [reached] * len(here)
    except DivergedError as error:
        return Infeasible(f"diverged: {error}")
    return replace(measure(network, context.fitness, context.adversarial), curve=tuple(curve))


def trial_seed(trial: Trial) -> int:
    """The seed that all the streams of a trial's training are named under."""
    return stream_seed(trial.replicate, "trial", trial.genome.hash)


def measure(network: nn.Module, clean: Examples, adversarial: Tensor) -> Measured:
    """The network's accuracy on the images and on the adversarial examples made of them.

    Args:
        network: whose.
        clean: N images with labels.
        adversarial: (N, C, H, W), or (N, S, C, H, W) of S sources, all of which count as one: an image is
            classified correctly if each of its examples is.
    """
    labels = clean.labels.cpu()
    each = adversarial.unbind(1) if adversarial.dim() == 5 else (adversarial,)
    right = torch.stack([predict(network, images) == labels for images in each]).all(0)
    return Measured(accuracy(network, clean.images, clean.labels), int(right.sum()) / len(labels))


def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share in [0, 1] of images that the network gives their label."""
    correct = int((predict(network, images) == labels.cpu()).sum())
    return correct / len(labels)
