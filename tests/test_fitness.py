"""An evaluation is a function of its trial: what it gives, and what makes a trial infeasible."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad import fitness
from contragrad.data.dataset import Examples
from contragrad.evolution.genome import Genome, parse
from contragrad.evolution.shapes import Problem, cost
from contragrad.evolution.trial import Infeasible, Measured, Outcome, Rung, Stopped, Trial
from contragrad.fitness import Context, accuracy, evaluate, measure
from contragrad.networks.network import Normalisation, build
from contragrad.networks.objectives import Material
from contragrad.settings.config import TrainingSettings
from contragrad.settings.search import Limits

TINY = Problem(1, 8, 8, 3)
TRIAL = Trial(parse("conv(4,3) fc(4)"), epochs=2)


def made_context(**changes: Any) -> Context:
    """A context of made images; its fitness images are many, so that accuracies seldom agree by chance."""
    generator = torch.Generator().manual_seed(0)

    def examples(count: int) -> Examples:
        labels = torch.arange(count) % TINY.classes
        images = torch.rand(count, 1, 8, 8, generator=generator)
        images[:, 0, :4] = labels[:, None, None] / 2  # what can be learnt of them
        return Examples(images, labels)

    train, held_out = examples(24), examples(300)
    whole: dict[str, Any] = {
        "problem": TINY,
        "normalisation": Normalisation((0.5,), (0.3,)),
        "train": train,
        "material": Material(F.normalize(torch.randn(24, 64, generator=generator)).view(24, 1, 8, 8)),
        "fitness": held_out,
        "adversarial": (held_out.images + 0.3 * torch.randn(300, 1, 8, 8, generator=generator)).clamp(0, 1),
        "training": TrainingSettings(batch_size=8),
        "limits": Limits(),
        "device": torch.device("cpu"),
    }
    return Context(**whole | changes)


def directions() -> Tensor:
    found = made_context().material.directions
    assert found is not None
    return found


Reports = list[dict[str, float]]


def evaluated(trial: Trial, context: Context) -> tuple[Outcome, Reports]:
    """The outcome, and all that was reported on the way to it."""
    reports: Reports = []
    return evaluate(trial, context, reports.append), reports


def test_equal_trials_have_equal_outcomes_whatever_the_global_streams_do() -> None:
    found = []
    for seed in range(3):
        torch.manual_seed(seed)
        random.seed(seed)
        before = torch.get_rng_state()
        found.append(evaluated(TRIAL, made_context()))
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    "other",
    [
        replace(TRIAL, replicate=1),
        replace(TRIAL, genome=parse("conv(4,3) fc(5)")),
        replace(TRIAL, genome=parse("conv(4,1) fc(4)")),
    ],
    ids=str,
)
def test_another_replicate_or_genome_is_another_training(other: Trial) -> None:
    first, second = evaluated(TRIAL, made_context())[1], evaluated(other, made_context())[1]
    assert len({report["cross_entropy"] for report in (*first, *second)}) == 4


def test_replicates_have_outcomes_of_their_own() -> None:
    outcomes = [evaluated(replace(TRIAL, epochs=12, replicate=n), made_context())[0] for n in range(3)]
    assert len(set(outcomes)) == 3


def test_more_epochs_begin_with_the_same_ones() -> None:
    _, short = evaluated(TRIAL, made_context())
    _, long = evaluated(replace(TRIAL, epochs=3), made_context())
    assert [report["cross_entropy"] for report in long[:2]] == [report["cross_entropy"] for report in short]
    assert [(report["epoch"], report["epochs"]) for report in short] == [(1, 2), (2, 2)]
    assert [(report["epoch"], report["epochs"]) for report in long] == [(1, 3), (2, 3), (3, 3)]


def test_an_evaluation_trains_and_reports_both_losses() -> None:
    trained, reports = evaluated(replace(TRIAL, epochs=30), made_context())
    # L_GM is a mean of cosines, and falls.
    assert all(-1 <= report["alignment"] <= 1 for report in reports)
    assert reports[-1]["alignment"] < reports[0]["alignment"]
    assert isinstance(trained, Measured)
    assert reports[-1]["cross_entropy"] < 0.7 * reports[0]["cross_entropy"]
    assert trained.clean_accuracy > 0.9
    assert trained.clean_accuracy != trained.adversarial_accuracy


@pytest.mark.parametrize(
    "changes",
    [
        {"training": TrainingSettings(batch_size=8, gm_weight=2)},
        {"training": TrainingSettings(batch_size=12)},
        {"material": Material(-directions())},
        {"normalisation": Normalisation((0.5,), (0.2,))},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_an_evaluation_is_given_matters(changes: dict[str, Any]) -> None:
    assert evaluated(TRIAL, made_context(**changes))[1][-1] != evaluated(TRIAL, made_context())[1][-1]


SPENT = cost(TRIAL.genome, TINY)


@pytest.mark.parametrize(
    ("genome", "fits", "reason"),
    [
        ("conv(4,3) conv(4,3) fc(4)", {"blocks": 2}, "2 blocks, over the limit of 1"),
        (
            str(TRIAL.genome),
            {"parameters": SPENT.parameters},
            f"{SPENT.parameters:,} parameters, over the limit of {SPENT.parameters - 1:,}",
        ),
        (
            str(TRIAL.genome),
            {"flops": SPENT.flops},
            f"{SPENT.flops:,} FLOPs, over the limit of {SPENT.flops - 1:,}",
        ),
    ],
    ids=["blocks", "parameters", "flops"],
)
def test_a_genome_over_the_limits_is_infeasible_and_is_not_even_built(
    genome: str, fits: dict[str, int], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Genome] = []

    def spied(found: Genome, *rest: Any) -> nn.Module:
        built.append(found)
        return build(found, *rest)

    monkeypatch.setattr(fitness, "build", spied)
    trial = Trial(parse(genome), epochs=1)
    too_tight = {name: most - 1 for name, most in fits.items()}
    assert evaluated(trial, made_context(limits=Limits(**too_tight))) == (Infeasible(reason), [])
    assert not built
    outcome, reports = evaluated(trial, made_context(limits=Limits(**fits)))
    assert isinstance(outcome, Measured)
    assert (built, len(reports)) == ([trial.genome], 1)


def test_a_genome_that_halves_a_single_pixel_is_infeasible() -> None:
    genome = parse("strided(4,3) strided(4,3) strided(4,3) pool(max,2) fc(4)")
    found = evaluated(Trial(genome, epochs=1), made_context())
    assert found == (Infeasible("block 4, pool(max,2), would halve a map of one pixel"), [])


def poisoned() -> Tensor:
    found = directions().clone()
    found[13, 0, 4, 4] = float("nan")
    return found


DIVERGING: dict[str, Callable[[], dict[str, Any]]] = {
    "a direction is not a number": lambda: {"material": Material(poisoned())},
    "an endless weight, adam": lambda: {"training": TrainingSettings(batch_size=8, gm_weight=1e38)},
    "an endless weight, sgd": lambda: {
        "training": TrainingSettings(batch_size=8, gm_weight=1e38, optimiser="sgd")
    },
}


@pytest.mark.parametrize("how", DIVERGING)
def test_a_training_that_diverges_is_infeasible_and_stops(how: str) -> None:
    outcome, reports = evaluated(replace(TRIAL, epochs=5), made_context(**DIVERGING[how]()))
    assert isinstance(outcome, Infeasible)
    assert outcome.reason == "diverged: the loss was not finite in epoch 1"
    assert outcome.fitness < 0
    assert not reports


def brighter_half() -> nn.Module:
    """Answers 0 if the left pixel of two is the brighter one, else 1."""
    linear = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(2))
    return nn.Sequential(nn.Flatten(), linear)


def two_pixels(*pairs: tuple[float, float]) -> Tensor:
    return torch.tensor(pairs).view(-1, 1, 1, 2)


def test_accuracy_is_the_share_of_right_answers() -> None:
    images = two_pixels((0.9, 0.1), (0.2, 0.3), (0.5, 0.4), (0.0, 1.0))
    for labels, expected in (
        ([0, 1, 0, 1], 1),
        ([0, 1, 0, 0], 0.75),
        ([1, 0, 0, 0], 0.25),
        ([1, 0, 1, 0], 0),
    ):
        assert accuracy(brighter_half(), images, torch.tensor(labels)) == expected
        assert accuracy(brighter_half(), (255 * images).byte(), torch.tensor(labels)) == expected


@settings(max_examples=30)
@given(st.integers(1, 450).flatmap(lambda count: st.tuples(st.just(count), st.integers(0, count))))
def test_accuracy_counts_every_image_once(counts: tuple[int, int]) -> None:
    count, right = counts
    images = two_pixels((1.0, 0.0)).expand(count, -1, -1, -1)
    labels = (torch.arange(count) >= right).long()
    assert accuracy(brighter_half(), images, labels) == right / count


def test_a_network_is_measured_on_the_images_and_on_the_adversarial_examples() -> None:
    clean = Examples(two_pixels((1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 1.0)), torch.tensor([0, 0, 1, 0]))
    attacked = two_pixels((0.0, 1.0), (1.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    found = measure(brighter_half(), clean, attacked)
    assert found == Measured(clean_accuracy=0.75, adversarial_accuracy=0.25)
    assert found.fitness == 0.25


def test_a_network_is_measured_in_evaluation_mode() -> None:
    network = nn.Sequential(brighter_half(), nn.Dropout(1.0))  # answers 0 to everything while it trains
    network.train()
    images = two_pixels((0.0, 1.0), (0.0, 1.0))
    assert accuracy(network, images, torch.tensor([1, 1])) == 1


# Racing.


def test_looking_at_rungs_does_not_change_what_a_trial_comes_to() -> None:
    plain = replace(TRIAL, epochs=4)
    looked = replace(plain, rungs=(Rung(1), Rung(2, bar=0.0), Rung(4)))
    found, reports = evaluated(looked, made_context())
    expected, expected_reports = evaluated(plain, made_context())
    assert isinstance(found, Measured)
    assert replace(found, curve=()) == expected
    assert reports == expected_reports
    # At each rung it has what a shorter training ends with.
    shorter = [evaluated(replace(plain, epochs=epochs), made_context())[0].fitness for epochs in (1, 2, 4)]
    assert list(found.curve) == shorter


def test_a_trial_below_the_bar_is_stopped_at_its_rung() -> None:
    reached = evaluated(replace(TRIAL, epochs=2), made_context())[0].fitness
    for bar, stops in ((reached, False), (reached + 1e-9, True)):
        found, reports = evaluated(replace(TRIAL, epochs=4, rungs=(Rung(2, bar),)), made_context())
        assert len(reports) == (2 if stops else 4)
        assert (found == Stopped(2, reached)) is stops
