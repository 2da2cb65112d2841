"""What a genome costs and what shapes flow through it, worked out without building the network.

Every reduction halves: after h of them n pixels are ceil(n / 2**h), whatever the order, so two blocks'
sizes always differ by halvings. A skip block halves the larger map, by averaging, down to the smaller,
and the head halves its input until both edges are at most HEAD_EDGE, so no genome is too deep to build.

Deviates: the paper says neither how spatial sizes that differ are joined nor how the head reads a map.
"""

from dataclasses import dataclass, fields
from math import prod

from contragrad.evolution.genome import Block, Cat, Conv, Genome, Pool, Strided, Sum, sources
from contragrad.settings.search import Limits

HEAD_EDGE = 8


@dataclass(frozen=True, slots=True)
class Problem:
    """What a network is for: the images' shape and the number of classes."""

    channels: int
    height: int
    width: int
    classes: int


LARGEST_SIZE = 2**16
"""Of an edge, and of the numbers of channels and classes, that a file may ask for."""


def problem_from_json(stored: object) -> Problem:
    """The problem of a JSON object that has its fields.

    Raises:
        ValueError: if it has others, or values that no images have.
    """
    names = [field.name for field in fields(Problem)]
    if not isinstance(stored, dict) or stored.keys() != set(names):
        raise ValueError(f"it has other fields than {', '.join(names)}")
    for name in names:
        if type(stored[name]) is not int or not 1 <= stored[name] <= LARGEST_SIZE:
            raise ValueError(f"its {name} cannot be used")
    return Problem(**stored)


@dataclass(frozen=True, slots=True)
class Shape:
    """Channels of a block's output, and how often its image has been halved."""

    channels: int
    halvings: int

    def size(self, problem: Problem) -> tuple[int, int, int]:
        """Channels, height and width of the map."""
        return self.channels, halved(problem.height, self.halvings), halved(problem.width, self.halvings)

    def pixels(self, problem: Problem) -> int:
        """Height times width of the map."""
        _, height, width = self.size(problem)
        return height * width


def halved(pixels: int, halvings: int) -> int:
    """An edge of `pixels` after so many halvings, each rounding up."""
    return -(-pixels // (1 << halvings))


def shapes(genome: Genome, problem: Problem) -> tuple[Shape, ...]:
    """The image's shape, then each block's; entry i is what a source i delivers."""
    found = [Shape(problem.channels, 0)]
    for place, block in enumerate(genome.blocks, start=1):
        found.append(_output(block, [found[source] for source in sources(genome, place)]))
    return tuple(found)


def _output(block: Block, inputs: list[Shape]) -> Shape:
    halvings = max(shape.halvings for shape in inputs)
    match block:
        case Conv():
            return Shape(block.channels, halvings)
        case Strided():
            return Shape(block.channels, halvings + 1)
        case Pool():
            return Shape(inputs[0].channels, halvings + 1)
        case Sum():
            return Shape(max(shape.channels for shape in inputs), halvings)
        case Cat():
            return Shape(sum(shape.channels for shape in inputs), halvings)


def head_shape(last: Shape, problem: Problem) -> Shape:
    """The map that the head flattens: the last block's, halved until it is small."""
    halvings = last.halvings
    while halved(max(problem.height, problem.width), halvings) > HEAD_EDGE:
        halvings += 1
    return Shape(last.channels, halvings)


def head_inputs(genome: Genome, problem: Problem) -> int:
    """Numbers that the head's hidden layer reads."""
    return prod(head_shape(shapes(genome, problem)[-1], problem).size(problem))


@dataclass(frozen=True, slots=True)
class Cost:
    """Trainable parameters, and floating-point operations of one image's forward pass.

    Operations are those of convolutions and fully connected layers, a multiply-add counted as two.
    """

    parameters: int
    flops: int


def costs(genome: Genome, problem: Problem) -> tuple[Cost, ...]:
    """What each block costs on the problem's images, and at last what the head does."""
    found = []
    shape = shapes(genome, problem)
    for place, block in enumerate(genome.blocks, start=1):
        parameters = flops = 0
        if isinstance(block, Conv | Strided):
            weights = block.kernel**2 * shape[place - 1].channels * block.channels
            parameters = weights + 2 * block.channels
            flops = 2 * weights * shape[place].pixels(problem)
        found.append(Cost(parameters, flops))
    inputs = head_inputs(genome, problem)
    parameters = genome.hidden * (inputs + 1) + problem.classes * (genome.hidden + 1)
    return (*found, Cost(parameters, 2 * genome.hidden * (inputs + problem.classes)))


def cost(genome: Genome, problem: Problem) -> Cost:
    """What the genome's network costs on the problem's images."""
    parts = costs(genome, problem)
    return Cost(sum(part.parameters for part in parts), sum(part.flops for part in parts))


def excess(genome: Genome, problem: Problem, limits: Limits) -> str | None:
    """Which limit the genome passes, and by how much; None if it keeps them all.

    A block that halves a map of one pixel does nothing, and counts as a limit passed.
    """
    if len(genome.blocks) > limits.blocks:
        return f"{len(genome.blocks):,} blocks, over the limit of {limits.blocks:,}"
    shape = shapes(genome, problem)
    for place, block in enumerate(genome.blocks, start=1):
        if isinstance(block, Strided | Pool) and shape[place - 1].pixels(problem) == 1:
            return f"block {place}, {block}, would halve a map of one pixel"
    spent = cost(genome, problem)
    if spent.parameters > limits.parameters:
        return f"{spent.parameters:,} parameters, over the limit of {limits.parameters:,}"
    if spent.flops > limits.flops:
        return f"{spent.flops:,} FLOPs, over the limit of {limits.flops:,}"
    return None
