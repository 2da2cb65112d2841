"""A genome's network as Python source that needs nothing but torch."""

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from contragrad.evolution.genome import Block, Cat, Conv, Genome, Pool, Skip, Strided, sources
from contragrad.evolution.shapes import Problem, Shape, head_inputs, head_shape, shapes
from contragrad.export.text import sizes
from contragrad.networks.network import Normalisation
from contragrad.networks.pooling import WINDOWS

TEMPLATE = '''\
"""A network that contragrad has found, in plain PyTorch.

{genome}

Its weights lie in a file beside this one:

    network = Network()
    network.load_state_dict(safetensors.torch.load_file("{weights}"))
    network.eval()
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Network(nn.Module):
    """Images ({images}), float32 in [0, 1] -> logits (B, {classes})."""

    def __init__(self) -> None:
        super().__init__()
        # Mean and standard deviation of the training images' channels.
        self.register_buffer("mean", torch.tensor({mean}).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor({deviation}).view(1, -1, 1, 1))
{layers}
        self.hidden = nn.Linear({inputs}, {hidden})
        self.logits = nn.Linear({hidden}, {classes})

    def forward(self, images: Tensor) -> Tensor:
        map0 = (images - self.mean) / self.deviation  # ({images})
{maps}
        return self.logits(F.relu(self.hidden({last}.flatten(1))))  # (B, {classes})
'''


def source(genome: Genome, problem: Problem, normalisation: Normalisation, weights: str) -> str:
    """A module of Python with the class `Network`, which takes what `source_weights` gives.

    Args:
        genome: the network's.
        problem: what it is for.
        normalisation: of the images.
        weights: what the file beside it is called.
    """
    maps = list(_maps(genome, problem))
    layers = [
        f"        self.block{place} = {layer}"
        for place, block in enumerate(genome.blocks, start=1)
        if (layer := _layer(block, _inputs(genome, problem, place))) is not None
    ]
    if any("self.halve(" in line for line in maps):
        layers.append("        self.halve = nn.AvgPool2d(2, stride=2, ceil_mode=True)")
    shape = shapes(genome, problem)
    return TEMPLATE.format(
        genome=_wrapped(str(genome)),
        weights=weights,
        images=f"B, {problem.channels}, {problem.height}, {problem.width}",
        classes=problem.classes,
        mean=list(normalisation.mean),
        deviation=list(normalisation.deviation),
        layers="\n".join(layers),
        inputs=head_inputs(genome, problem),
        hidden=genome.hidden,
        maps="\n".join(f"        {line}" for line in maps),
        last=_name(len(genome.blocks), head_shape(shape[-1], problem).halvings - shape[-1].halvings),
    )


def source_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An evolved network's `state_dict` by the names that the source gives its layers."""
    return {_renamed(name): tensor for name, tensor in state.items()}


def _renamed(name: str) -> str:
    name = re.sub(r"^network\.blocks\.(\d+)\.", lambda found: f"block{int(found[1]) + 1}.", name)
    return name.replace("network.head.1.", "hidden.").replace("network.head.3.", "logits.")


def _wrapped(genome: str, width: int = 96) -> str:
    return re.sub(rf"(.{{1,{width}}})(?: |$)", r"    \1\n", genome).rstrip()


def _inputs(genome: Genome, problem: Problem, place: int) -> int:
    return shapes(genome, problem)[sources(genome, place)[0]].channels


def _layer(block: Block, inputs: int) -> str | None:
    """What makes the block's layer; None if it has none."""
    match block:
        case Conv(channels, kernel) | Strided(channels, kernel):
            stride = 2 if isinstance(block, Strided) else 1
            return (
                "nn.Sequential(\n"
                f"            nn.Conv2d({inputs}, {channels}, {kernel}, stride={stride}, "
                f"padding={kernel // 2}, bias=False),\n"
                f"            nn.BatchNorm2d({channels}),\n"
                "            nn.ReLU(),\n"
                "        )"
            )
        case Pool(kind, size):
            name = "MaxPool2d" if kind == "max" else "AvgPool2d"
            kernel, padding, ceil = WINDOWS[size]
            return f"nn.{name}({kernel}, stride=2, padding={padding}, ceil_mode={ceil})"
        case _:
            return None


def _maps(genome: Genome, problem: Problem) -> Iterator[str]:
    """A line for each map, in an order in which they can be worked out."""
    shape = shapes(genome, problem)
    there: set[str] = set()

    def read(place: int, halvings: int) -> Iterator[str]:
        given = shape[place]
        for times in range(1, halvings - given.halvings + 1):
            if (name := _name(place, times)) not in there:
                there.add(name)
                smaller = Shape(given.channels, given.halvings + times)
                yield f"{name} = self.halve({_name(place, times - 1)})  # (B, {sizes(smaller, problem)})"

    for place, block in enumerate(genome.blocks, start=1):
        names, read_by = sources(genome, place), []
        smallest = max(shape[name].halvings for name in names)
        for name in names:
            yield from read(name, smallest)
            read_by.append(_name(name, smallest - shape[name].halvings))
        made = _call(block, place, read_by, [shape[name].channels for name in names])
        yield f"map{place} = {made}  # (B, {sizes(shape[place], problem)})"
    yield from read(len(genome.blocks), head_shape(shape[-1], problem).halvings)


def _name(place: int, halvings: int) -> str:
    return f"map{place}" + (f"_by{2**halvings}" if halvings else "")


def _call(block: Block, place: int, maps: list[str], channels: list[int]) -> str:
    if not isinstance(block, Skip):
        return f"self.block{place}({maps[0]})"
    if isinstance(block, Cat):
        return f"torch.cat(({maps[0]}, {maps[1]}), dim=1)"
    large, small = maps if channels[0] >= channels[1] else reversed(maps)
    missing = abs(channels[0] - channels[1])
    # The missing channels are zero.
    return f"{large} + " + (f"F.pad({small}, (0, 0, 0, 0, 0, {missing}))" if missing else small)
