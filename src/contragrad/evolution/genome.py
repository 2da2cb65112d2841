"""A network as data: blocks in a row, skip blocks that join two of them, and a fully connected head.

A unary block (convolution, strided convolution, pooling) reads the block before it, the first one the
image. A skip block (summation, concatenation) reads two distinct prior blocks, counted from 1.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from contragrad.fingerprint import fingerprint

PoolKind = Literal["max", "avg"]
POOL_KERNELS = (2, 3)
LONGEST_TEXT = 20_000


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution, batch normalisation, ReLU; keeps the spatial size."""

    channels: int
    kernel: int

    def __str__(self) -> str:
        return f"conv({self.channels},{self.kernel})"


@dataclass(frozen=True, slots=True)
class Strided:
    """As `Conv`, with stride 2: n pixels become ceil(n / 2)."""

    channels: int
    kernel: int

    def __str__(self) -> str:
        return f"strided({self.channels},{self.kernel})"


@dataclass(frozen=True, slots=True)
class Pool:
    """Maximum or average pooling with stride 2: n pixels become ceil(n / 2)."""

    kind: PoolKind
    kernel: int

    def __str__(self) -> str:
        return f"pool({self.kind},{self.kernel})"


@dataclass(frozen=True, slots=True)
class Sum:
    """Sum of two prior blocks, the smaller channel count padded with zeros."""

    first: int
    second: int

    def __str__(self) -> str:
        return f"sum({self.first},{self.second})"


@dataclass(frozen=True, slots=True)
class Cat:
    """Concatenation of two prior blocks' channels."""

    first: int
    second: int

    def __str__(self) -> str:
        return f"cat({self.first},{self.second})"


Skip = Sum | Cat
Block = Conv | Strided | Pool | Skip


@dataclass(frozen=True, slots=True)
class Genome:
    """The blocks of a network and the width of its head; `str` gives the canonical text.

    >>> str(parse("conv(16,3)  pool(max,2) fc(64)"))
    'conv(16,3) pool(max,2) fc(64)'

    Source: section 3.2.
    """

    blocks: tuple[Block, ...]
    hidden: int

    def __str__(self) -> str:
        return " ".join((*map(str, self.blocks), f"fc({self.hidden})"))

    @property
    def hash(self) -> str:
        """A name of 32 hexadecimal digits; equal texts and only they have equal names."""
        return fingerprint("genome/1", str(self))


def sources(genome: Genome, place: int) -> tuple[int, ...]:
    """What block `place` (from 1) reads: prior blocks, or 0 for the image."""
    block = genome.blocks[place - 1]
    return (block.first, block.second) if isinstance(block, Skip) else (place - 1,)


def fault(genome: Genome) -> str | None:
    """Why the genome is no valid network, or None if it is one.

    Valid: at least one convolution; every skip block reads two distinct prior blocks, the lower first;
    every block reaches the head; sizes are positive and kernels odd.
    """
    if genome.hidden < 1:
        return f"a head of {genome.hidden} units"
    if not any(isinstance(block, Conv | Strided) for block in genome.blocks):
        return "there is no convolutional block"
    read: set[int] = set()
    for place, block in enumerate(genome.blocks, start=1):
        match block:
            case Conv() | Strided() if block.channels < 1 or block.kernel < 1 or not block.kernel % 2:
                return f"block {place}, {block}: channels must be positive and the kernel odd"
            case Pool() if block.kernel not in POOL_KERNELS or block.kind not in get_args(PoolKind):
                return f"block {place}, {block}: pools are max or avg with kernel 2 or 3"
            case Sum() | Cat() if not 1 <= block.first < block.second < place:
                return f"block {place}, {block}: reads no two distinct prior blocks, the lower first"
        read.update(sources(genome, place))
    for place in range(1, len(genome.blocks)):
        if place not in read:
            return f"block {place}, {genome.blocks[place - 1]}: does not reach the head"
    return None


def parse(text: str) -> Genome:
    """The valid genome that `text` describes.

    Raises:
        ValueError: naming the first word or block that is wrong.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a genome of {len(text)} characters; at most {LONGEST_TEXT}")
    text = re.sub(r" ?([(),]) ?", r"\1", " ".join(text.split()))
    words = text.replace(")", ") ").split()
    if not words or not (head := re.fullmatch(r"fc\(([0-9]{1,6})\)", words[-1])):
        raise ValueError("a genome ends with its head, such as fc(128)")
    genome = Genome(tuple(map(_parse_block, words[:-1])), int(head[1]))
    if why := fault(genome):
        raise ValueError(why)
    return genome


_PAIRS: dict[str, Callable[[int, int], Block]] = {"conv": Conv, "strided": Strided, "sum": Sum, "cat": Cat}


def _parse_block(word: str) -> Block:
    if found := re.fullmatch(r"(conv|strided|sum|cat)\(([0-9]{1,6}),([0-9]{1,6})\)", word):
        return _PAIRS[found[1]](int(found[2]), int(found[3]))
    if found := re.fullmatch(r"pool\((max|avg),([0-9])\)", word):
        return Pool("max" if found[1] == "max" else "avg", int(found[2]))
    raise ValueError(
        f"{word[:40]!r} is no block; blocks are conv(channels,kernel), strided(channels,kernel), "
        "pool(max|avg,kernel), sum(first,second) and cat(first,second)"
    )
