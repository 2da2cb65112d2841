"""A genome's spectrum, and which candidate is architecturally closest to a child."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from contragrad.evolution.genome import Cat, Conv, Genome, Pool, Strided, Sum


class Spectrum(NamedTuple):
    """How many blocks of each kind a genome has.

    Source: section 3.2; a modified spectrum-based niching, Vargas and Murata [45].
    """

    convolutions: int
    pools: int
    strided: int
    sums: int
    cats: int


def spectrum(genome: Genome) -> Spectrum:
    """The genome's five counts.

    >>> from contragrad.evolution.genome import parse
    >>> spectrum(parse("conv(16,3) conv(16,3) sum(1,2) pool(max,2) fc(64)"))
    Spectrum(convolutions=2, pools=1, strided=0, sums=1, cats=0)
    """
    counts = Counter(map(type, genome.blocks))
    return Spectrum(*(counts[kind] for kind in (Conv, Pool, Strided, Sum, Cat)))


def distance(one: Spectrum, other: Spectrum) -> float:
    """The Euclidean distance of two spectra.

        d_spec(N1, N2) = ‖spec(N1) - spec(N2)‖

    Source: eq. (3).
    """
    return math.dist(one, other)


def closest(child: Spectrum, candidates: Sequence[Spectrum]) -> int:
    """The place of the candidate closest to the child, the first one on ties.

    Source: Algorithm 1, line 7.
    """
    # Squared distances are integers: ties are exact.
    squares = [sum((a - b) ** 2 for a, b in zip(child, candidate, strict=True)) for candidate in candidates]
    return squares.index(min(squares))
