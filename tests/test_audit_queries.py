"""Attacks that see answers alone: what they find of a network whose answer is known, and what they ask."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from contragrad.audit.queries import hop_skip_jump, square
from contragrad.errors import UserError
from contragrad.networks.inference import predict

EPSILON = Fraction(1, 20)


class Linear(nn.Module):
    """A linear classifier into two, which counts how often it was asked about how many images."""

    def __init__(self, weights: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.bias = bias
        self.asked: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.asked.append(len(images))
        margin = images.flatten(1) @ self.weights - self.bias
        return torch.stack([margin, -margin], 1)


class Constant(nn.Module):
    """A network that always gives the same class."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([1.0, 0.0]).expand(len(images), 2)


def linear(count: int, seed: int = 0) -> tuple[Linear, Tensor, Tensor, Tensor]:
    """A network, images that it splits in half, their labels, and which of them can be fooled."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(36, generator=generator)
    images = 0.2 + 0.6 * torch.rand(count, 1, 6, 6, generator=generator)
    margins = images.flatten(1) @ weights
    network = Linear(weights, margins.median() + 1e-3).eval()
    labels = predict(network, images)
    can = (margins - network.bias).abs() < float(EPSILON) * weights.abs().sum()
    network.asked.clear()
    return network, images, labels, can


def fooled(network: nn.Module, examples: Tensor, labels: Tensor) -> Tensor:
    return predict(network, examples) != labels


def test_classes_alone_fool_most_that_can_be_fooled_and_nobody_else() -> None:
    network, images, labels, can = linear(60)
    found = {}
    for queries in (100, 1000):
        examples, used = hop_skip_jump(network, images, labels, EPSILON, queries, seed=0)
        found[queries] = fooled(network, examples, labels)
        assert not (found[queries] & ~can).any()
        assert (examples - images).abs().max() <= float(EPSILON) + 1e-7
        assert ((used < queries) <= found[queries]).all()
        assert (used[~found[queries]] == queries).all()
        assert torch.equal(examples[~found[queries]], images[~found[queries]])
    assert can.sum() > 20
    assert found[1000].sum() > found[100].sum()
    assert found[1000].sum() > 0.8 * can.sum()


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**31))
def test_no_image_is_asked_about_more_often_than_allowed(queries: int, seed: int) -> None:
    network, images, labels, _ = linear(12)
    _, used = hop_skip_jump(network, images, labels, EPSILON, queries, seed=seed)
    # Each question is about each image of the one batch at most once.
    assert len(network.asked) <= queries
    assert used.max() <= queries


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**31))
def test_square_asks_as_often_as_it_says_and_never_more_than_allowed(queries: int, seed: int) -> None:
    network, images, labels, _ = linear(12)
    # One that is misclassified as it is: it stays, and costs nothing.
    labels[0] = 1 - labels[0]
    examples, used = square(network, images, labels, EPSILON, queries, seed=seed)
    # The first question is about each image itself, and one beside the budget, about none, never comes.
    assert network.asked[0] == 12
    assert len(network.asked) <= queries
    assert sum(network.asked) == int(used.sum()) + 1
    assert used[0] == 0
    assert torch.equal(examples[0], images[0])
    assert used[1:].min() >= 1
    held = ~fooled(network, examples, labels)
    assert (used[held] == queries).all(), "an image that holds has had all of its answers"
    assert (examples - images).abs().max() <= float(EPSILON) + 1e-7


def test_squares_shrink_to_a_pixel_within_whatever_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[Tensor] = []

    class Noting(Linear):
        def forward(self, images: Tensor) -> Tensor:
            sizes.append(images.clone())
            return super().forward(images)

    network, images, labels, _ = linear(1, seed=3)
    firm = Noting(network.weights.detach(), network.bias + 100.0).eval()
    labels = predict(firm, images)
    for queries in (100, 400):
        sizes.clear()
        square(firm, images, labels, EPSILON, queries, seed=0)
        # Late squares change few pixels of the best image so far.
        late = torch.cat(sizes[-queries // 10 :])
        changed = (late[1:] != late[:-1]).flatten(1).sum(1)
        assert changed.max() <= 2, "a square of one pixel, kept or taken back, and the next"


def test_the_answers_that_were_needed_are_as_many_as_it_takes() -> None:
    network, images, labels, _ = linear(30)
    examples, used = hop_skip_jump(network, images, labels, EPSILON, 300, seed=0)
    those = fooled(network, examples, labels)
    enough = int(used[those].median())
    again, _ = hop_skip_jump(network, images, labels, EPSILON, enough, seed=0)
    assert torch.equal(fooled(network, again, labels), those & (used <= enough))


def test_the_same_seed_makes_the_same_examples_and_disturbs_no_other_random_numbers() -> None:
    network, images, labels, _ = linear(20)
    before = torch.random.get_rng_state()
    first = hop_skip_jump(network, images, labels, EPSILON, 60, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    again = hop_skip_jump(network, images, labels, EPSILON, 60, seed=3)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    other = hop_skip_jump(network, images, labels, EPSILON, 60, seed=4)
    assert not torch.equal(first[0], other[0])


def test_images_that_are_misclassified_as_they_are_stay_and_cost_nothing() -> None:
    network, images, labels, _ = linear(20)
    wrong = torch.arange(20) < 5
    labels = torch.where(wrong, 1 - labels, labels)
    examples, used = hop_skip_jump(network, images, labels, EPSILON, 50, seed=0)
    assert torch.equal(examples[wrong], images[wrong])
    assert (used[wrong] == 0).all()
    assert (used[~wrong] > 0).all()


def test_a_network_of_one_answer_leaves_nowhere_to_start() -> None:
    images = torch.rand(4, 1, 6, 6)
    examples, used = hop_skip_jump(Constant(), images, torch.zeros(4).long(), EPSILON, 50, seed=0)
    assert torch.equal(examples, images)
    assert used.tolist() == [1] * 4


class Wavering(nn.Module):
    """A network that answers by chance."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        return torch.randn(len(images), 2)


def test_a_network_that_answers_by_chance_ends_the_attack_and_not_the_audit() -> None:
    images = torch.rand(8, 1, 6, 6)
    examples, used = hop_skip_jump(Wavering(), images, torch.arange(8) % 2, EPSILON, 40, seed=0)
    assert examples.shape == images.shape
    assert (examples - images).abs().max() <= float(EPSILON) + 1e-7
    assert used.max() <= 40
    assert used.min() < 40, "it broke off, and says so"


class Undone(nn.Module):
    """A network whose answer is NaN for all but a few images."""

    def __init__(self, network: nn.Module, known: Tensor) -> None:
        super().__init__()
        self.network = network
        self.known = known

    def forward(self, images: Tensor) -> Tensor:
        there = (images[:, None] == self.known).flatten(2).all(2).any(1)
        return torch.where(there[:, None], self.network(images), torch.nan)


@pytest.mark.parametrize("attack", [square, hop_skip_jump])
def test_an_answer_that_is_no_number_fools_whatever_the_label(attack: Callable[..., Any]) -> None:
    network, images, labels, _ = linear(20)
    undone = Undone(network, images)
    examples, used = attack(undone, images, labels, EPSILON, 60, seed=0)
    assert set(labels.tolist()) == {0, 1}
    assert fooled(undone, examples, labels).all()
    assert used.max() < 60
    assert (examples - images).abs().max() <= float(EPSILON) + 1e-7


class Failing(nn.Module):
    """A network that fails once it has answered so often, by what foolbox raises too."""

    def __init__(self, network: nn.Module, error: Exception) -> None:
        super().__init__()
        self.network = network
        self.error = error
        self.answered = 0

    def forward(self, images: Tensor) -> Tensor:
        self.answered += 1
        if self.answered > 5:
            raise self.error
        logits: Tensor = self.network(images)
        return logits


@pytest.mark.parametrize("error", [ValueError("mine"), AssertionError("mine"), RuntimeError("mine")])
@pytest.mark.parametrize("attack", [square, hop_skip_jump])
def test_a_network_that_fails_is_no_attack_that_broke_off(
    attack: Callable[..., Any], error: Exception
) -> None:
    network, images, labels, _ = linear(20)
    with pytest.raises(type(error), match="mine"):
        attack(Failing(network, error), images, labels, EPSILON, 60, seed=0)


@pytest.mark.parametrize(
    ("attack", "package"), [(square, "pyautoattack.square"), (hop_skip_jump, "foolbox.attacks.hop_skip_jump")]
)
def test_what_is_missing_is_named(attack: object, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    network, images, labels, _ = linear(4)
    with pytest.raises(UserError, match="needs") as error:
        attack(network, images, labels, EPSILON, 5, seed=0)  # type: ignore[operator]
    assert "contragrad[audit]" in error.value.remedy
