"""Objectives: each minimises what it says, by known answers of linear networks and PyTorch's autograd."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.data.dataset import Examples
from contragrad.errors import UserError
from contragrad.evolution.genome import parse
from contragrad.fingerprint import stream_seed
from contragrad.networks.inputs import FREE_REPLAYS, clean, fast, free, pgd
from contragrad.networks.misalignment import losses, orthogonal
from contragrad.networks.network import Normalisation, build
from contragrad.networks.objectives import OBJECTIVES, Material, step_cost
from contragrad.networks.randomness import isolated
from contragrad.networks.training import begin, restore, snapshot, step, train_epoch
from contragrad.settings.choices import IN_LINF_BALLS, WITH_PENALTY, Objective
from contragrad.settings.config import AttackSettings, StudyConfig, TrainingSettings
from strategies import MNIST

EPSILON = 8 / 255


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def examples(count: int = 21) -> Examples:
    """Images whose brightness tells their label."""
    labels = torch.arange(count) % 10
    images = torch.rand(count, 1, 28, 28, generator=generator(0)) * 0.1 + labels.view(-1, 1, 1, 1) / 12
    return Examples((images * 255).to(torch.uint8), labels)


def material(data: Examples) -> Material:
    images = data.images / 255
    noise = torch.randn(images.shape, generator=generator(1))
    directions = F.normalize(noise.flatten(1)).view(images.shape)
    return Material(directions, (images + EPSILON * noise.sign()).clamp(0, 1), EPSILON)


def network() -> nn.Module:
    return build(parse("conv(4,3) pool(max,2) fc(8)"), MNIST, Normalisation((0.4,), (0.3,)), seed=1)


def linear(dtype: torch.dtype = torch.float32) -> nn.Module:
    """Two classes told apart by a plane whose normal has no zero."""
    layer = nn.Linear(16, 2, bias=False, dtype=dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, 32).view(2, 16))
        layer.weight[1] += 0.3
    return nn.Sequential(nn.Flatten(), layer)


def normal(layer: nn.Module, labels: Tensor) -> Tensor:
    """The sign of the loss's input gradient, which for a linear network of two classes is the plane's."""
    (weight,) = layer.parameters()
    towards = (weight[0] - weight[1]).sign().view(1, 1, 4, 4)
    return torch.where(labels.view(-1, 1, 1, 1) == 1, towards, -towards)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_learns_is_reproducible_and_resumes(objective: Objective) -> None:
    data = examples()
    settings = TrainingSettings(batch_size=8, objective=objective, gm_weight=0.1)
    given = material(data)

    whole = begin(network(), settings)
    course = [train_epoch(whole, data, given, settings, seed=1) for _ in range(6)]
    assert course[-1].cross_entropy < course[0].cross_entropy
    assert (course[-1].alignment is None) == (OBJECTIVES[objective].penalty is None)
    first = begin(network(), settings)
    for _ in range(3):
        train_epoch(first, data, given, settings, seed=1)
    second = begin(network(), settings)
    restore(second, snapshot(first))
    assert [train_epoch(second, data, given, settings, seed=1) for _ in range(3)] == course[3:]
    ends = (whole.network.state_dict(), second.network.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_the_orthogonal_penalty_is_the_squared_cosine() -> None:
    torch_images = torch.rand(4, 1, 4, 4, generator=generator(2), dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, 0])
    layer = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 5, dtype=torch.float64), nn.Tanh(), nn.Linear(5, 2).double()
    )
    directions = F.normalize(torch.randn(4, 16, generator=generator(3), dtype=torch.float64)).view(4, 1, 4, 4)
    _, found = losses(layer, torch_images, labels, directions, orthogonal)
    images = torch_images.clone().requires_grad_()
    (gradients,) = torch.autograd.grad(F.cross_entropy(layer(images), labels), images, create_graph=True)
    expected = F.cosine_similarity(gradients.flatten(1), directions.flatten(1)).square().mean()
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    ours, theirs = (torch.autograd.grad(loss, list(layer.parameters())) for loss in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_fixed_adversarial_training_is_the_mean_of_two_cross_entropies() -> None:
    data, settings = examples(8), TrainingSettings(objective="fixed-adversarial", optimiser="sgd")
    given = material(data)
    session, expected = begin(linear_of_mnist(), settings), linear_of_mnist()
    images, labels = data.images / 255, data.labels
    assert given.adversarial is not None
    loss = (
        F.cross_entropy(expected(images), labels) + F.cross_entropy(expected(given.adversarial), labels)
    ) / 2
    torch.autograd.backward(loss)
    torch.optim.SGD(expected.parameters()).step()
    found = step(session, images, labels, replace(given, directions=None), settings)
    torch.testing.assert_close(found, torch.tensor([loss.item(), 0.0]))
    torch.testing.assert_close([*session.network.parameters()], [*expected.parameters()])


@pytest.mark.parametrize("objective", ["mixed-adversarial", "ensemble-adversarial"])
def test_own_examples_stand_beside_the_images_in_equal_parts(objective: Objective) -> None:
    data, settings = examples(8), TrainingSettings(objective=objective, optimiser="sgd")
    own = (data.images / 255 + 0.05).clamp(0, 1)
    given = replace(material(data), directions=None, own=own)
    session, expected = begin(linear_of_mnist(), settings), linear_of_mnist()
    images, labels = data.images / 255, data.labels
    assert given.adversarial is not None
    shown = [images, own, *([given.adversarial] if objective == "ensemble-adversarial" else [])]
    loss = torch.stack([F.cross_entropy(expected(each), labels) for each in shown]).mean()
    torch.autograd.backward(loss)
    torch.optim.SGD(expected.parameters()).step()
    found = step(session, images, labels, given, settings)
    torch.testing.assert_close(found, torch.tensor([loss.item(), 0.0]))
    torch.testing.assert_close([*session.network.parameters()], [*expected.parameters()])


def test_an_epoch_of_mixed_training_takes_its_own_examples_of_fast_training() -> None:
    data = examples(8)
    settings = TrainingSettings(objective="mixed-adversarial", optimiser="sgd", batch_size=8)
    session, expected = begin(linear_of_mnist(), settings), linear_of_mnist()
    train_epoch(session, data, replace(material(data), directions=None), settings, seed=1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(stream_seed(1, "order", 0)))
    images, labels = data.images[order] / 255, data.labels[order]
    with isolated(1, "epoch", 0):
        (own,) = fast(EPSILON)(expected, images, labels)
    loss = (F.cross_entropy(expected(images), labels) + F.cross_entropy(expected(own), labels)) / 2
    torch.autograd.backward(loss)
    torch.optim.SGD(expected.parameters()).step()
    torch.testing.assert_close([*session.network.parameters()], [*expected.parameters()])


def linear_of_mnist() -> nn.Module:
    layer = nn.Linear(784, 10)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(10, 784, generator=generator(4)) / 28)
        layer.bias.zero_()
    return nn.Sequential(nn.Flatten(), layer)


def test_an_objective_takes_nothing_that_it_was_not_made_for() -> None:
    """Cross-entropy and GM alone are the same whatever else is given."""
    data, given = examples(8), material(examples(8))
    for objective, same in (("cross-entropy", Material()), ("gm", Material(given.directions))):
        settings = TrainingSettings(objective=objective)  # type: ignore[arg-type]
        images = data.images / 255
        found = step(begin(network(), settings), images, data.labels, given, settings)
        assert torch.equal(found, step(begin(network(), settings), images, data.labels, same, settings))


@given(st.floats(0, 1), st.integers(0, 5))
def test_fast_inputs_end_on_the_side_of_the_ball_that_a_linear_network_fears(
    epsilon: float, seed: int
) -> None:
    layer, labels = linear(), torch.arange(6) % 2
    images = torch.rand(6, 1, 4, 4, generator=generator(seed))
    with isolated(seed, "test"):
        (found,) = fast(epsilon)(layer, images, labels)
    assert not found.requires_grad
    assert found.min() >= 0
    assert found.max() <= 1
    # From any start in the ball a step of 1.25 epsilon ends a quarter of the radius away at least.
    inner = ((found - images) * normal(layer, labels)).flatten()
    free_to_move = (images + epsilon * normal(layer, labels)).flatten()
    inside = (free_to_move > 0) & (free_to_move < 1)
    assert (inner[inside] >= epsilon / 4 - 1e-5).all()
    assert ((found - images).abs() <= epsilon + 1e-6).all()


@given(st.floats(0, 0.5), st.integers(0, 5))
def test_pgd_inputs_end_in_the_corner_of_the_ball_that_a_linear_network_fears(
    epsilon: float, seed: int
) -> None:
    layer, labels = linear(), torch.arange(6) % 2
    images = torch.rand(6, 1, 4, 4, generator=generator(seed))
    with isolated(seed, "test"):
        (found,) = pgd(epsilon)(layer, images, labels)
    assert not found.requires_grad
    # All steps go the same way, and together they cross the ball from any start.
    corner = (images + epsilon * normal(layer, labels)).clamp(0, 1)
    torch.testing.assert_close(found, corner)


def test_pgd_inputs_are_worse_for_a_network_than_those_of_one_step() -> None:
    data, layer = examples(), network().eval()
    images, labels = data.images / 255, data.labels
    losses_ = []
    for make in (fast, pgd):
        with isolated(0, "test"):
            (found,) = make(0.1)(layer, images, labels)
        losses_.append(F.cross_entropy(layer(found), labels).item())
    assert losses_[1] > losses_[0]


def test_free_inputs_follow_the_gradient_of_their_own_step_from_batch_to_batch() -> None:
    layer, labels = linear(), torch.arange(6) % 2
    images = torch.full((6, 1, 4, 4), 0.5)
    inputs = free(0.1)
    perturbations = []
    for _ in range(2):
        for perturbed in inputs(layer, images, labels):
            perturbations.append((perturbed - images).detach())
            torch.autograd.backward(F.cross_entropy(layer(perturbed), labels))
    assert len(perturbations) == 2 * FREE_REPLAYS
    assert not perturbations[0].any()
    edge = 0.1 * normal(layer, labels)
    # The first step leads to the ball's edge, and there the second batch begins.
    torch.testing.assert_close(perturbations[1:], [edge] * (2 * FREE_REPLAYS - 1))


def test_free_inputs_take_a_smaller_and_a_larger_batch() -> None:
    layer, inputs = linear(), free(0.1)
    for count in (4, 2, 5):
        labels = torch.zeros(count, dtype=torch.long)
        for perturbed in inputs(layer, torch.full((count, 1, 4, 4), 0.5), labels):
            assert len(perturbed) == count
            torch.autograd.backward(F.cross_entropy(layer(perturbed), labels))


def test_clean_inputs_are_the_images() -> None:
    images = torch.rand(2, 1, 4, 4)
    assert [found is images for found in clean(linear(), images, torch.zeros(2))] == [True]


@pytest.mark.parametrize(
    "objective",
    IN_LINF_BALLS,
)
def test_adversarial_training_in_another_ball_than_the_attack_is_refused(objective: Objective) -> None:
    training, attack = TrainingSettings(objective=objective), AttackSettings(name="l2-pgd")
    with pytest.raises(UserError, match=r"training\.objective"):
        StudyConfig(training=training, attack=attack)
    assert StudyConfig(training=training).training.objective == objective


def test_the_objectives_with_a_ball_are_those_that_make_inputs_in_it() -> None:
    assert set(IN_LINF_BALLS) == {name for name, parts in OBJECTIVES.items() if parts.inputs is not None}


@pytest.mark.parametrize("objective", [name for name in OBJECTIVES if name not in WITH_PENALTY])
def test_a_key_that_does_nothing_is_refused(objective: Objective) -> None:
    training = TrainingSettings(objective=objective, sources=("reference", "key"))
    with pytest.raises(UserError, match="a key has no part in"):
        StudyConfig(training=training)
    assert StudyConfig(training=replace(training, objective="gm")).training.sources[-1] == "key"


def test_the_objectives_with_a_penalty_are_those_that_have_one() -> None:
    assert set(WITH_PENALTY) == {name for name, parts in OBJECTIVES.items() if parts.penalty is not None}


def test_a_training_step_costs_what_it_takes_beside_cross_entropy() -> None:
    assert step_cost("cross-entropy") == 1
    assert step_cost("free-adversarial") == 4
    assert step_cost("gm") == step_cost("orthogonal") == 2.5
    assert step_cost("fixed-adversarial+gm") == 3.5
    # An input gradient is two thirds of a step.
    assert step_cost("fast-adversarial") == pytest.approx(1 + 2 / 3)
    assert step_cost("pgd-adversarial") == pytest.approx(1 + 10 / 3)
    assert step_cost("mixed-adversarial") == pytest.approx(2 + 2 / 3)
    assert step_cost("ensemble-adversarial+orthogonal") == pytest.approx(4.5 + 2 / 3)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_gradients_that_are_counted_are_those_that_inputs_take(
    objective: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, grad, taken = OBJECTIVES[objective], torch.autograd.grad, 0

    def counted(*what: Any) -> Any:
        nonlocal taken
        taken += 1
        return grad(*what)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    layer, labels = linear(), torch.arange(6) % 2
    inputs = clean if parts.inputs is None else parts.inputs(EPSILON)
    shown = 0
    for perturbed in inputs(layer, torch.full((6, 1, 4, 4), 0.5), labels):
        shown += 1
        if perturbed.requires_grad:
            torch.autograd.backward(F.cross_entropy(layer(perturbed), labels))
    assert (taken, shown) == (parts.gradients, parts.replays)
