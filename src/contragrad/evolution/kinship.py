"""Which convolutions a child has from its parent: those whose weights it can begin with."""

from difflib import SequenceMatcher

from contragrad.evolution.genome import Conv, Genome, Strided
from contragrad.evolution.shapes import Problem, shapes


def unchanged(parent: Genome, child: Genome, problem: Problem) -> tuple[tuple[int, int], ...]:
    """Pairs of places, counted from 1, in the parent and in the child: the same convolution in both.

    Blocks are matched in order, so that those beside an added or deleted block keep their partners. A
    convolution is the same if kind, kernel, and channels in and out are, so its weights fit.
    """
    theirs, ours = _described(parent, problem), _described(child, problem)
    matches = SequenceMatcher(None, theirs, ours, autojunk=False).get_matching_blocks()
    pairs = ((match.a + step + 1, match.b + step + 1) for match in matches for step in range(match.size))
    return tuple(pair for pair in pairs if isinstance(parent.blocks[pair[0] - 1], Conv | Strided))


def _described(genome: Genome, problem: Problem) -> list[tuple[object, ...]]:
    """Each block in words that are equal where weights may be shared; skips are told by their kind."""
    shape = shapes(genome, problem)
    return [
        (block, shape[place].channels) if isinstance(block, Conv | Strided) else (type(block),)
        for place, block in enumerate(genome.blocks)
    ]
