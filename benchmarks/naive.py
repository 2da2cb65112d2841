"""The paper's method as a straight script: sequential, PyTorch's own modules, every GM step written as one
would, the reference's gradient worked out anew in every step. It is what `benchmarks/study.py` measures
contragrad against, so it is meant to be read and to be right, not to be slow.

It shares with contragrad the plain values (genomes, mutation, the initial candidates), the data and the
crafted examples, so that both search the same space for the same thing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.data.dataset import Examples, pixels
from contragrad.evolution.genome import Cat, Conv, Genome, Pool, Strided, Sum, sources
from contragrad.evolution.mutation import mutate
from contragrad.evolution.population import initial_population
from contragrad.evolution.shapes import Problem, head_inputs, head_shape, shapes
from contragrad.evolution.spectrum import distance, spectrum
from contragrad.fingerprint import stream
from contragrad.settings.search import SearchSettings


class Network(nn.Module):
    """A genome's network of PyTorch's modules, for images in [0, 1]."""

    def __init__(self, genome: Genome, problem: Problem, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        shape = shapes(genome, problem)
        self.genome, self.halvings = genome, [part.halvings for part in shape]
        self.mean, self.deviation = mean, deviation
        self.blocks = nn.ModuleList()
        for place, block in enumerate(genome.blocks, start=1):
            match block:
                case Conv() | Strided():
                    stride = 2 if isinstance(block, Strided) else 1
                    padding = block.kernel // 2
                    channels = shape[place - 1].channels
                    convolution = nn.Conv2d(
                        channels, block.channels, block.kernel, stride, padding, bias=False
                    )
                    module: nn.Module = nn.Sequential(convolution, nn.BatchNorm2d(block.channels), nn.ReLU())
                case Pool():
                    kind = nn.MaxPool2d if block.kind == "max" else nn.AvgPool2d
                    module = kind(2, 2, ceil_mode=True) if block.kernel == 2 else kind(3, 2, padding=1)
                case _:
                    module = nn.Identity()
            self.blocks.append(module)
        self.head_halvings = head_shape(shape[-1], problem).halvings
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(head_inputs(genome, problem), genome.hidden),
            nn.ReLU(),
            nn.Linear(genome.hidden, problem.classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> logits."""
        maps = [(images - self.mean) / self.deviation]
        for place, (block, module) in enumerate(zip(self.genome.blocks, self.blocks, strict=True), start=1):
            names = sources(self.genome, place)
            smallest = max(self.halvings[name] for name in names)
            given = [_halved(maps[name], smallest - self.halvings[name]) for name in names]
            match block:
                case Sum():
                    most = max(part.shape[1] for part in given)
                    one, two = (F.pad(part, (0, 0, 0, 0, 0, most - part.shape[1])) for part in given)
                    maps.append(one + two)
                case Cat():
                    maps.append(torch.cat(given, dim=1))
                case _:
                    maps.append(module(given[0]))
        logits: Tensor = self.head(_halved(maps[-1], self.head_halvings - self.halvings[-1]))
        return logits


def _halved(maps: Tensor, times: int) -> Tensor:
    for _ in range(times):
        maps = F.avg_pool2d(maps, 2, ceil_mode=True)
    return maps


def train(network: nn.Module, reference: nn.Module, data: Examples, epochs: int, weight: float) -> None:
    """Eq. (2) by Adam, batches of 128."""
    optimiser = torch.optim.Adam(network.parameters())
    for _ in range(epochs):
        network.train()
        for batch in torch.randperm(len(data)).split(128):  # type: ignore[no-untyped-call]
            images = pixels(data.images[batch]).requires_grad_()
            labels = data.labels[batch]
            (theirs,) = torch.autograd.grad(F.cross_entropy(reference(images), labels), images)
            loss = F.cross_entropy(network(images), labels)
            (ours,) = torch.autograd.grad(loss, images, create_graph=True)
            gm = F.cosine_similarity(ours.flatten(1), theirs.flatten(1)).mean()
            optimiser.zero_grad()
            (loss + weight * gm).backward()  # type: ignore[no-untyped-call]
            optimiser.step()


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images that the network gives their label."""
    network.eval()
    right = 0
    for part, truth in zip(torch.split(images, 500), torch.split(labels, 500), strict=True):
        right += int((network(pixels(part)).argmax(1) == truth).sum())
    return right / len(labels)


@dataclass(slots=True)
class Candidate:
    """What stands in a slot."""

    genome: Genome
    fitness: float


def evolve(
    settings: SearchSettings, problem: Problem, seed: int, evaluate: Callable[[Genome], float]
) -> list[Candidate]:
    """Algorithm 1."""
    population = [
        Candidate(genome, evaluate(genome)) for genome in initial_population(settings, problem, seed)
    ]
    for generation in range(1, settings.generations + 1):
        for slot in range(settings.population):
            parent = population[slot].genome
            for child in range(settings.children):
                random = stream(seed, "mutate", generation, slot, child)
                genome = mutate(parent, settings, problem, random)
                fitness = evaluate(genome)
                own = spectrum(genome)
                nearest = min(population, key=lambda other: distance(own, spectrum(other.genome)))
                if nearest.fitness < fitness:
                    nearest.genome, nearest.fitness = genome, fitness
    return population
