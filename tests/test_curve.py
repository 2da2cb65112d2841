"""Curves of trainings: which epoch is the best, when a curve is flat, and what a file gives back."""

from math import isnan, nan
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contragrad.artefacts import Artefacts
from contragrad.jobs.curve import Curve, curve_of
from contragrad.networks.training import EpochLosses

fitnesses = st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]) | st.just(nan), max_size=12)


def curve(fitness: list[float]) -> Curve:
    found = Curve()
    for place, value in enumerate(fitness):
        found.add(EpochLosses(float(place), None if place % 2 else 0.5), None if isnan(value) else value)
    return found


@given(fitnesses)
def test_the_best_epoch_is_the_first_of_the_highest_fitness(fitness: list[float]) -> None:
    best = curve(fitness).best_epoch
    known = {epoch: value for epoch, value in enumerate(fitness, start=1) if not isnan(value)}
    if not known:
        assert best is None
        return
    assert best is not None
    assert all(value < known[best] for epoch, value in known.items() if epoch < best)
    assert all(value <= known[best] for value in known.values())


@given(fitnesses, st.integers(1, 6))
def test_a_curve_is_flat_once_so_many_epochs_brought_nothing(fitness: list[float], patience: int) -> None:
    whole = curve(fitness)
    assert not whole.is_flat(None)
    last, before = fitness[-patience:], fitness[:-patience]
    highest = max((value for value in before if not isnan(value)), default=None)
    better = highest is None or any(value > highest for value in last)
    assert whole.is_flat(patience) == (not better)


@given(fitnesses)
def test_what_is_stored_is_what_is_restored(fitness: list[float]) -> None:
    before = curve(fitness)
    after = Curve.restored(before.tensors(), len(fitness))
    assert str(after) == str(before)  # one that is no number is none like itself


def test_of_an_older_checkpoint_the_epochs_are_counted_and_nothing_else_is_known() -> None:
    after = Curve.restored({}, 3)
    assert (after.epochs, after.best_epoch) == (3, None)
    after.add(EpochLosses(1.0, None), 0.2)
    assert (after.epochs, after.best_epoch) == (4, 4)


@pytest.mark.parametrize(
    "tensors",
    [
        {"curve.fitness": torch.zeros(2)},
        {"curve.fitness": torch.zeros(2), "curve.alignment": torch.zeros(2), "other": torch.zeros(2)},
        {f"curve.{name}": torch.zeros(len(name)) for name in ("fitness", "alignment", "cross_entropy")},
        {f"curve.{name}": torch.zeros(2, 2) for name in ("fitness", "alignment", "cross_entropy")},
    ],
    ids=["parts", "others", "lengths", "shapes"],
)
def test_a_file_of_something_else_is_no_curve(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    assert curve_of(artefacts, "a") is None
    artefacts.save("curve", "a", tensors)
    assert curve_of(artefacts, "a") is None
