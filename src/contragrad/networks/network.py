"""Genome -> nn.Module, and what every network here promises: images in [0, 1] in, logits out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contragrad.evolution.genome import Genome, sources
from contragrad.evolution.shapes import Problem, head_inputs, head_shape, shapes
from contragrad.networks.blocks import module
from contragrad.networks.convolution import is_unsafe
from contragrad.networks.pooling import AveragePool
from contragrad.networks.randomness import isolated


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and standard deviation of each channel of the training images, in pixel units."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


class Normalised(nn.Module):
    """A network for normalised images, made one for images in [0, 1]."""

    def __init__(self, network: nn.Module, normalisation: Normalisation) -> None:
        super().__init__()
        self.network = network
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(normalisation.mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(normalisation.deviation).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) in [0, 1] -> logits (B, classes)."""
        logits: Tensor = self.network((images - self.mean) / self.deviation)
        return logits


class Evolved(nn.Module):
    """The network a genome describes, for normalised images.

    A block reads its sources at the smallest size among them; a larger map is halved until it has that
    size, once for all that read it.
    """

    def __init__(self, genome: Genome, problem: Problem) -> None:
        super().__init__()
        shape = shapes(genome, problem)
        places = range(1, len(genome.blocks) + 1)
        self.halvings = [part.halvings for part in shape]
        self.sources = [sources(genome, place) for place in places]
        self.blocks = nn.ModuleList(
            module(genome.blocks[place - 1], [shape[source].channels for source in self.sources[place - 1]])
            for place in places
        )
        self.halve = AveragePool(2)
        self.head_halvings = head_shape(shape[-1], problem).halvings
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(head_inputs(genome, problem), genome.hidden),
            nn.ReLU(),
            nn.Linear(genome.hidden, problem.classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, C, H, W) -> logits (B, classes)."""
        maps = {(0, 0): images}
        for place, (block, names) in enumerate(zip(self.blocks, self.sources, strict=True), start=1):
            smallest = max(self.halvings[source] for source in names)
            maps[place, self.halvings[place]] = block(
                *(self._read(maps, source, smallest) for source in names)
            )
        logits: Tensor = self.head(self._read(maps, len(self.blocks), self.head_halvings))
        return logits

    def _read(self, maps: dict[tuple[int, int], Tensor], source: int, halvings: int) -> Tensor:
        """A map by its source, 0 for the images, and by how often it was halved since the images.

        No function inside `forward`: one that calls itself would keep all maps until the next collection.
        """
        if (source, halvings) not in maps:
            maps[source, halvings] = self.halve(self._read(maps, source, halvings - 1))
        return maps[source, halvings]


def build(genome: Genome, problem: Problem, normalisation: Normalisation, seed: int) -> Normalised:
    """The genome's network, initialised by PyTorch's defaults from a stream of its own under `seed`."""
    with isolated(seed, "initialise"):
        return Normalised(Evolved(genome, problem), normalisation)


def parameter_count(network: nn.Module) -> int:
    """The network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def memory_format(network: nn.Module) -> torch.memory_format:
    """How maps lie in training: channels side by side, which convolutions are faster on, where that is safe.

    MPS has few kernels for it.
    """
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    on_mps = any(parameter.device.type == "mps" for parameter in network.parameters())
    if on_mps or any(map(is_unsafe, convolutions)):
        return torch.contiguous_format
    return torch.channels_last


def placed(network: nn.Module, device: torch.device) -> nn.Module:
    """The network, moved to the device and laid out as it is fastest there."""
    network = network.to(device)
    return network.to(memory_format=memory_format(network))
