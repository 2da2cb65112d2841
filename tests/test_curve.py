"""Curves of trainings: which epoch is the best, when a curve is flat, and what a file gives back."""

from math import inf, isnan, nan
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contragrad.artefacts import Artefacts
from contragrad.jobs.curve import MOST_EPOCHS, Curve, curve_of
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
    if not fitness or any(map(isnan, fitness)):
        assert best is None
        return
    assert best is not None
    assert all(value < fitness[best - 1] for value in fitness[: best - 1])
    assert all(value <= fitness[best - 1] for value in fitness)


@given(fitnesses)
def test_the_kept_epoch_is_the_best_or_the_last_or_not_known(fitness: list[float]) -> None:
    whole = curve(fitness)
    unmeasured = all(map(isnan, fitness))
    assert whole.kept_epoch == (len(fitness) if unmeasured else whole.best_epoch)


@given(fitnesses, st.integers(1, 6))
def test_a_curve_is_flat_once_so_many_epochs_brought_nothing(fitness: list[float], patience: int) -> None:
    whole = curve(fitness)
    assert not whole.is_flat(None)
    last, before = fitness[-patience:], fitness[:-patience]
    known = bool(before) and not any(map(isnan, fitness))
    assert whole.is_flat(patience) == (known and max(last) <= max(before))


@given(fitnesses)
def test_what_is_stored_is_what_is_restored(fitness: list[float]) -> None:
    before = curve(fitness)
    after = Curve.restored(before.tensors(), len(fitness))
    assert str(after) == str(before)  # one that is no number is none like itself


PARTS = ("fitness", "alignment", "cross_entropy")
ZEROS = torch.zeros(2, dtype=torch.float64)
SOUND = {f"curve.{name}": ZEROS for name in PARTS}
ODD: dict[str, dict[str, torch.Tensor]] = {
    "empty": {name: values[:0] for name, values in SOUND.items()},
    "a part": {"curve.fitness": ZEROS},
    "another part": {**SOUND, "other": ZEROS},
    "of several lengths": SOUND | {"curve.alignment": torch.zeros(3, dtype=torch.float64)},
    "of another shape": {name: torch.zeros(2, 2, dtype=torch.float64) for name in SOUND},
    "complex": {name: values.to(torch.complex64) for name, values in SOUND.items()},
    "whole numbers": {name: values.long() for name, values in SOUND.items()},
    "no share": SOUND | {"curve.fitness": ZEROS + 1.01},
    "negative": SOUND | {"curve.fitness": ZEROS - 0.01},
    "infinite": SOUND | {"curve.fitness": ZEROS + inf},
    "an infinite loss": SOUND | {"curve.cross_entropy": ZEROS - inf},
    "a huge loss": SOUND | {"curve.alignment": ZEROS + 1e300},
    "a long one": {name: torch.zeros(MOST_EPOCHS + 1, dtype=torch.float64) for name in SOUND},
}


@pytest.mark.parametrize("tensors", ODD.values(), ids=ODD)
def test_a_file_of_something_else_is_no_curve(tensors: dict[str, torch.Tensor], tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    assert curve_of(artefacts, "a") is None
    artefacts.save("curve", "a", SOUND)
    assert curve_of(artefacts, "a") == Curve([0.0, 0.0], [0.0, 0.0], [0.0, 0.0])
    artefacts.save("curve", "a", tensors)
    assert curve_of(artefacts, "a") is None


def test_a_folder_is_no_curve(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    artefacts.path("curve", "a").mkdir()
    assert curve_of(artefacts, "a") is None
