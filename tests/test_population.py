"""The initial candidates: far enough apart, within the limits, or a refusal that names what to change."""

from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contragrad.errors import UserError
from contragrad.evolution import population
from contragrad.evolution.genome import Genome, fault
from contragrad.evolution.population import initial_population, random_genome
from contragrad.evolution.shapes import Problem, excess
from contragrad.evolution.spectrum import distance, spectrum
from contragrad.settings.search import Limits, SearchSettings
from strategies import CIFAR, MNIST, problems, search_settings, small_settings


def check(found: tuple[Genome, ...], settings: SearchSettings, problem: Problem) -> None:
    assert len(found) == settings.population
    for one, other in combinations(found, 2):
        assert distance(spectrum(one), spectrum(other)) >= settings.minimum_distance
    for genome in found:
        assert fault(genome) is None
        assert excess(genome, problem, settings.limits) is None
        assert len(genome.blocks) <= settings.initial_blocks_max


@pytest.mark.parametrize("problem", [CIFAR, MNIST])
@pytest.mark.parametrize("candidates", [4, 5])
def test_the_papers_population(candidates: int, problem: Problem) -> None:
    settings = SearchSettings(population=candidates)
    for seed in range(6):
        check(initial_population(settings, problem, seed), settings, problem)


def test_five_candidates_are_found_where_draws_are_unlucky() -> None:
    """Two seeds in a hundred need more than 2,000 draws."""
    settings = SearchSettings(population=5)
    check(initial_population(settings, CIFAR, 16), settings, CIFAR)


@given(search_settings(), problems(), st.integers(0, 2**32))
def test_any_settings(settings: SearchSettings, problem: Problem, seed: int) -> None:
    found = initial_population(settings, problem, seed)
    check(found, settings, problem)
    assert found == initial_population(settings, problem, seed)


def test_seeds_give_different_populations() -> None:
    settings = small_settings()
    assert len({initial_population(settings, CIFAR, seed) for seed in range(30)}) == 30


def test_random_genomes_have_any_number_of_blocks_in_the_range() -> None:
    settings = SearchSettings(initial_blocks_min=3, initial_blocks_max=7)
    genomes = [random_genome(settings, CIFAR, Random(seed)) for seed in range(200)]
    assert {len(genome.blocks) for genome in genomes} == {3, 4, 5, 6, 7}
    assert all(any(counts) for counts in zip(*map(spectrum, genomes), strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        small_settings(minimum_distance=50.0),
        small_settings(population=30, minimum_distance=4.0),
        small_settings(limits=Limits(blocks=1)),
        small_settings(initial_blocks_min=1, initial_blocks_max=2, population=5, minimum_distance=2.0),
    ],
    ids=["far", "many", "one block", "small"],
)
def test_impossible_distance(settings: SearchSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "DRAWS", 300)
    with pytest.raises(UserError, match="apart within the limits") as error:
        initial_population(settings, CIFAR, 0)
    assert error.value.where == "search.minimum_distance"
    assert error.value.remedy


@pytest.mark.parametrize(
    "limits", [Limits(parameters=100), Limits(flops=100)], ids=["parameters", "floating-point operations"]
)
def test_limits_that_no_network_keeps(limits: Limits) -> None:
    with pytest.raises(UserError, match="limits leave no room") as error:
        initial_population(small_settings(limits=limits), CIFAR, 0)
    assert error.value.where == "search.limits"


def test_where_only_the_smallest_convolution_fits_it_is_taken() -> None:
    """1x1x3x4 weights, 8 of its normalisation, and the head's 4 x (4 x 64 + 1) + 10 x (4 + 1)."""
    tight = Limits(parameters=12 + 8 + 1028 + 50)
    settings = small_settings(limits=tight, initial_blocks_min=1, initial_blocks_max=1)
    for seed in range(20):
        assert str(random_genome(settings, CIFAR, Random(seed))) == "conv(4,1) fc(4)"
    with pytest.raises(UserError, match="limits leave no room"):
        random_genome(small_settings(limits=Limits(parameters=1097)), CIFAR, Random(0))
