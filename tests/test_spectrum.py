"""Spectra, their distance, and who is closest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contragrad.evolution.genome import Genome, parse
from contragrad.evolution.spectrum import Spectrum, closest, distance, spectrum
from strategies import genomes

spectra = st.builds(Spectrum, *[st.integers(0, 6)] * 5)


def test_counts_by_hand() -> None:
    unary = "conv(4,1) strided(4,1) strided(8,1) pool(max,2) pool(avg,2) pool(max,3)"
    assert spectrum(parse(f"{unary} sum(1,6) cat(2,7) sum(3,8) fc(1)")) == Spectrum(
        convolutions=1, pools=3, strided=2, sums=2, cats=1
    )


@given(genomes())
def test_counts_are_those_of_the_text(genome: Genome) -> None:
    words = str(genome).split()
    counts = [
        sum(word.startswith(kind + "(") for word in words)
        for kind in ("conv", "pool", "strided", "sum", "cat")
    ]
    assert list(spectrum(genome)) == counts
    assert sum(counts) == len(genome.blocks)


@given(spectra, spectra)
def test_distance_is_the_euclidean_norm_of_the_difference(one: Spectrum, other: Spectrum) -> None:
    assert distance(one, other) == pytest.approx(np.linalg.norm(np.subtract(one, other)), abs=1e-12)
    assert distance(one, other) == distance(other, one)


def test_distance_by_hand() -> None:
    assert distance(Spectrum(1, 2, 3, 4, 5), Spectrum(1, 5, 3, 0, 5)) == 5.0


@given(spectra, st.lists(spectra, min_size=1, max_size=6))
def test_closest_is_the_first_of_the_nearest(child: Spectrum, candidates: list[Spectrum]) -> None:
    norms = [float(np.linalg.norm(np.subtract(child, candidate))) for candidate in candidates]
    place = closest(child, candidates)
    assert norms[place] == pytest.approx(min(norms), abs=1e-12)
    assert all(norm > norms[place] + 1e-9 for norm in norms[:place])


def test_closest_takes_the_first_on_ties() -> None:
    far, above, below = Spectrum(9, 0, 0, 0, 0), Spectrum(1, 1, 0, 0, 0), Spectrum(1, 0, 1, 0, 0)
    child = Spectrum(1, 0, 0, 0, 0)
    assert closest(child, [far, above, below]) == 1
    assert closest(child, [far, below, above]) == 1
    assert closest(child, [above, above, child]) == 2
