"""Training in full: exact across interruptions, and the weights that were asked for are kept."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contragrad.artefacts import Artefacts
from contragrad.data.dataset import Examples
from contragrad.evolution.genome import parse
from contragrad.fitness import Report
from contragrad.jobs.curve import curve_of
from contragrad.jobs.refine import FullTraining, Origin, diverged, train_fully
from contragrad.networks.network import Normalisation, build
from contragrad.networks.objectives import OBJECTIVES, Material
from contragrad.networks.training import begin, train_epoch
from contragrad.settings.choices import Objective
from contragrad.settings.config import TrainingSettings
from strategies import MNIST

GENOME = "conv(4,3) pool(max,2) fc(8)"
SETTINGS = TrainingSettings(batch_size=8)
EPOCHS = 5


class StoppedError(Exception):
    """Stands for a kill."""


def examples() -> Examples:
    images = torch.rand(20, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return Examples(images, torch.arange(20) % 10)


def network() -> nn.Module:
    return build(parse(GENOME), MNIST, Normalisation((0.3,), (0.4,)), seed=1)


def weights_by_epoch() -> list[dict[str, Tensor]]:
    """The weights after each epoch of a training without interruption."""
    session, found = begin(network(), SETTINGS), []
    for _ in range(EPOCHS):
        train_epoch(session, examples(), Material(), SETTINGS, seed=2)
        found.append({name: tensor.clone() for name, tensor in session.network.state_dict().items()})
    return found


def losses_by_epoch() -> list[float]:
    """The cross-entropy of each epoch of a training without interruption."""
    session = begin(network(), SETTINGS)
    losses = [train_epoch(session, examples(), Material(), SETTINGS, seed=2) for _ in range(EPOCHS)]
    return [each.cross_entropy for each in losses]


class Scores:
    """Scores the epochs in turn by a list, as long as it lasts; the last weight tells the epoch."""

    def __init__(self, scores: list[float]) -> None:
        self.by_weight = {
            weights["network.head.3.bias"][0].item(): score
            for weights, score in zip(weights_by_epoch(), scores, strict=True)
        }

    def __call__(self, trained: nn.Module) -> float:
        return self.by_weight[trained.state_dict()["network.head.3.bias"][0].item()]


def train(
    folder: Path,
    scores: list[float] | None,
    stop_at: int | None = None,
    every: int = 2,
    patience: int | None = None,
) -> object:
    def report(message: dict[str, float]) -> None:
        if message["epoch"] == stop_at:
            raise StoppedError

    reporting: Report = report
    return train_fully(
        network(),
        FullTraining(
            name="a",
            architecture=GENOME,
            objective="cross-entropy",
            epochs=EPOCHS,
            seed=2,
            keep="last" if scores is None else "best",
            patience=patience,
        ),
        name="a",
        examples=examples(),
        material=Material(),
        training=SETTINGS,
        checkpoint_every=every,
        artefacts=Artefacts(folder),
        report=reporting,
        score=None if scores is None else Scores(scores),
    )


def stored(folder: Path) -> dict[str, Tensor]:
    return Artefacts(folder).load("network", "a")


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


CASES: list[tuple[list[float] | None, int]] = [
    (None, 4),
    ([1, 2, 3, 4, 5], 4),
    ([5, 4, 3, 2, 1], 0),
    ([1, 3, 2, 3, 0], 1),
    ([-1, -3, -2, -0.5, -0.5], 3),
]


@pytest.mark.parametrize(("scores", "kept"), CASES, ids=str)
def test_the_last_or_the_first_best_epoch_is_kept(
    scores: list[float] | None, kept: int, tmp_path: Path
) -> None:
    assert train(tmp_path, scores) is None
    assert_equal(stored(tmp_path), weights_by_epoch()[kept])
    assert not list(tmp_path.glob("checkpoint-*"))


@pytest.mark.parametrize(("scores", "kept"), CASES, ids=str)
@pytest.mark.parametrize("stop_at", [1, 3, 4, 5])
def test_an_interruption_leaves_no_trace(
    scores: list[float] | None, kept: int, stop_at: int, tmp_path: Path
) -> None:
    with pytest.raises(StoppedError):
        train(tmp_path, scores, stop_at)
    assert bool(list(tmp_path.glob("checkpoint-*"))) == (stop_at > 2)
    train(tmp_path, scores)
    assert_equal(stored(tmp_path), weights_by_epoch()[kept])


PATIENT: list[tuple[list[float], int, int, int]] = [
    ([1, 2, 3, 4, 5], 1, 5, 4),
    ([5, 4, 3, 2, 1], 1, 2, 0),
    ([5, 4, 3, 6, 1], 2, 3, 0),
    ([5, 4, 3, 6, 1], 3, 5, 3),
    ([2, 2, 3, 3, 3], 2, 5, 2),
]
"""Scores, the patience, and after how many epochs the training ends with the weights of which."""


@pytest.mark.parametrize(("scores", "patience", "epochs", "kept"), PATIENT, ids=str)
@pytest.mark.parametrize("stop_at", [None, 1, 2, 3])
@pytest.mark.parametrize("every", [1, 2])
def test_a_training_ends_when_its_curve_is_flat(
    scores: list[float],
    patience: int,
    epochs: int,
    kept: int,
    stop_at: int | None,
    every: int,
    tmp_path: Path,
) -> None:
    scores = [score / 10 for score in scores]
    if stop_at is not None and stop_at <= epochs:
        with pytest.raises(StoppedError):
            train(tmp_path, scores, stop_at, every=every, patience=patience)
    train(tmp_path, scores, every=every, patience=patience)
    assert_equal(stored(tmp_path), weights_by_epoch()[kept])
    curve = curve_of(Artefacts(tmp_path), "a")
    assert curve is not None
    assert (curve.fitness, curve.best_epoch) == (scores[:epochs], kept + 1)
    assert curve.cross_entropy == losses_by_epoch()[:epochs]
    assert not list(tmp_path.glob("checkpoint-*"))


def test_of_an_older_checkpoint_nothing_is_claimed(tmp_path: Path) -> None:
    scores = [0.9, 0.1, 0.1, 0.2, 0.3]
    with pytest.raises(StoppedError):
        train(tmp_path, scores, stop_at=4, every=3)
    artefacts = Artefacts(tmp_path)
    older = {
        name: t for name, t in artefacts.load("checkpoint", "a").items() if not name.startswith("curve.")
    }
    artefacts.save("checkpoint", "a", older)
    train(tmp_path, scores, every=3)
    assert_equal(stored(tmp_path), weights_by_epoch()[0])
    curve = curve_of(artefacts, "a")
    assert curve is not None
    assert (curve.epochs, curve.best_epoch) == (EPOCHS, None)


def test_only_a_training_whose_best_epoch_is_kept_has_a_patience() -> None:
    with pytest.raises(ValueError, match="by its best epoch"):
        FullTraining(name="a", architecture=GENOME, objective="gm", epochs=1, seed=1, patience=1)


def test_the_curve_of_a_training_without_a_score_has_its_losses(tmp_path: Path) -> None:
    train(tmp_path, None)
    curve = curve_of(Artefacts(tmp_path), "a")
    assert curve is not None
    assert (curve.epochs, curve.best_epoch) == (EPOCHS, None)
    assert curve.cross_entropy == losses_by_epoch()


def test_a_training_that_diverges_is_infeasible_and_is_not_begun_again(tmp_path: Path) -> None:
    artefacts, heard = Artefacts(tmp_path), []

    def trained(weight: float | None, epochs: int) -> object:
        """Trains the network of that name; not a number after the first epoch if that is the weight."""
        net = network()

        def report(message: dict[str, float]) -> None:
            heard.append(message["epoch"])
            if weight is not None:
                with torch.no_grad():
                    next(net.parameters()).fill_(weight)

        return train_fully(
            net,
            FullTraining(name="a", architecture=GENOME, objective="cross-entropy", epochs=epochs, seed=2),
            name="a",
            examples=examples(),
            material=Material(),
            training=SETTINGS,
            checkpoint_every=1,
            artefacts=artefacts,
            report=report,
        )

    reason = "diverged: the loss was not finite in epoch 2"
    assert trained(float("nan"), 3) == reason
    assert heard == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["diverged-a.safetensors"]
    assert diverged(artefacts, "a") == reason
    assert trained(None, 3) == reason
    assert heard == [1]
    assert diverged(artefacts, "b") is None
    artefacts.remove("diverged", "a")
    assert trained(None, 3) is None


def test_a_file_of_something_else_is_no_reason(tmp_path: Path) -> None:
    artefacts = Artefacts(tmp_path)
    for tensors in ({"reason": torch.rand(3)}, {"other": torch.zeros(3, dtype=torch.uint8)}):
        artefacts.save("diverged", "a", tensors)
        assert diverged(artefacts, "a") is None


ORIGIN = Origin(reference="r", adversarial="a", fitness=("f",), epsilon=Fraction(8, 255))


def named(splits: str = "s", origin: Origin = ORIGIN, **changes: Any) -> str:
    """The name of a network, the one that all others are compared with by default."""
    task = FullTraining(name="a", architecture=GENOME, objective="gm", epochs=5, seed=2)
    return replace(task, **changes).fingerprint(SETTINGS, splits, origin)


def test_what_a_network_is_named_by() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"epochs": 6},
        {"seed": 3},
        *({"objective": objective} for objective in OBJECTIVES if objective != "gm"),
        {"architecture": "conv(4,1) fc(8)"},
        {"keep": "best"},
        {"keep": "best", "patience": 3},
        {"keep": "best", "patience": 4},
        {"keep": "best", "origin": replace(ORIGIN, fitness=("other",))},
        {"origin": replace(ORIGIN, reference="other")},
        {"splits": "other"},
    ]
    assert len({named(**change) for change in changes}) == len(changes)
    assert named(name="b") == named()


def test_a_network_is_named_by_what_its_objective_takes() -> None:
    def depends(objective: str, **change: Any) -> bool:
        return named(objective=objective) != named(objective=objective, origin=replace(ORIGIN, **change))

    for objective, parts in OBJECTIVES.items():
        assert depends(objective, reference="other") == (parts.penalty is not None)
        assert depends(objective, adversarial="other") == parts.fixed
        assert depends(objective, epsilon=Fraction(1, 255)) == (parts.inputs is not None)
        assert not depends(objective, fitness=("other",))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_weight_of_its_own_stands_for_the_studys_where_there_is_a_penalty(objective: Objective) -> None:
    def name(own: float | None, studys: float) -> str:
        task = FullTraining(
            name="a", architecture=GENOME, objective=objective, epochs=5, seed=2, gm_weight=own
        )
        return task.fingerprint(replace(SETTINGS, gm_weight=studys), "s", ORIGIN)

    assert name(3.0, 1.0) == name(None, 3.0)
    assert (name(3.0, 1.0) == name(None, 1.0)) == (OBJECTIVES[objective].penalty is None)


def test_a_weight_of_its_own_is_trained_with(tmp_path: Path) -> None:
    directions = torch.randn(20, 1, 28, 28, generator=torch.Generator().manual_seed(3))
    material = Material(directions=directions / directions.flatten(1).norm(dim=1).view(-1, 1, 1, 1))

    def trained(name: str, own: float | None, studys: float) -> dict[str, Tensor]:
        task = FullTraining(name=name, architecture=GENOME, objective="gm", epochs=1, seed=2, gm_weight=own)
        train_fully(
            network(),
            task,
            name=name,
            examples=examples(),
            material=material,
            training=replace(SETTINGS, gm_weight=studys),
            checkpoint_every=1,
            artefacts=Artefacts(tmp_path),
            report=lambda message: None,
        )
        return Artefacts(tmp_path).load("network", name)

    assert_equal(trained("own", 3.0, 0.0), trained("studys", None, 3.0))
    other = trained("other", None, 0.0)
    assert any(not torch.equal(tensor, other[name]) for name, tensor in trained("own", 3.0, 0.0).items())
