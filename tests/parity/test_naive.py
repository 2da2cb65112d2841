"""An independent, straight implementation agrees with the package: networks, a GM step, and the search."""

import naive
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from contragrad.evolution.genome import Genome
from contragrad.evolution.search import ask, start, tell
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Measured
from contragrad.networks.misalignment import unit
from contragrad.networks.network import Normalisation, build
from contragrad.networks.objectives import Material
from contragrad.networks.training import Session, step
from contragrad.settings.config import TrainingSettings
from strategies import CIFAR, MNIST, ODD, genomes, small_settings


def pair(genome: Genome, problem: Problem) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Our network and the straight one with the same weights."""
    mean, deviation = 0.3, 0.4
    channels = problem.channels
    ours = build(genome, problem, Normalisation((mean,) * channels, (deviation,) * channels), seed=0)
    theirs = naive.Network(genome, problem, torch.tensor(mean), torch.tensor(deviation))
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.copy_(mine)
    return ours.double(), theirs.double()


@settings(max_examples=20)
@given(genomes(), st.sampled_from((CIFAR, MNIST, ODD)))
def test_networks_and_their_gm_step_are_those_of_the_straight_script(
    genome: Genome, problem: Problem
) -> None:
    ours, theirs = pair(genome, problem)
    generator = torch.Generator().manual_seed(1)
    shape = (4, problem.channels, problem.height, problem.width)
    images = torch.rand(shape, generator=generator, dtype=torch.float64)
    labels = torch.arange(4) % problem.classes
    directions = unit(torch.randn(shape, generator=generator, dtype=torch.float64))

    session = Session(ours.train(), torch.optim.SGD(ours.parameters(), lr=0.0))
    step(session, images, labels, Material(directions), TrainingSettings(gm_weight=0.7))
    inputs = images.clone().requires_grad_()
    loss = F.cross_entropy(theirs.train()(inputs), labels)
    (gradients,) = torch.autograd.grad(loss, inputs, create_graph=True)
    cosine = F.cosine_similarity(gradients.flatten(1), directions.flatten(1), eps=1e-60)
    (loss + 0.7 * cosine.mean()).backward()  # type: ignore[no-untyped-call]
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.grad is not None
        assert other.grad is not None
        assert torch.allclose(mine.grad, other.grad, rtol=1e-7, atol=1e-10)
    assert torch.allclose(ours.eval()(images), theirs.eval()(images))


def test_the_straight_script_searches_as_the_package_does() -> None:
    chosen = small_settings(population=3, children=2, generations=3)

    def fitness(genome: Genome) -> float:
        return int(genome.hash, 16) % 1000 / 1000

    for seed in range(10):
        expected = naive.evolve(chosen, CIFAR, seed, fitness)
        state = start(chosen, CIFAR, seed)
        while not state.finished:
            trial = ask(state)
            state = tell(state, trial, Measured(fitness(trial.genome), 1.0))
        found = [(member.trial.genome, member.outcome.fitness) for member in state.population]
        assert found == [(candidate.genome, candidate.fitness) for candidate in expected]
