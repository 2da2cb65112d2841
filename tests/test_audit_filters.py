"""Filters before the reference: what they are worth to whom, on a network whose answer is known."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from contragrad.attacks.examples import craft
from contragrad.audit import filters
from contragrad.audit.filters import PassedThrough, filtered
from contragrad.data.dataset import Examples
from contragrad.defences import FILTERS
from contragrad.networks.inference import predict
from contragrad.settings.config import AttackSettings

ATTACK = AttackSettings(name="linf-pgd", epsilon=Fraction(1, 20), steps=10)


class Linear(nn.Module):
    """A linear classifier into two."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        margin = (images - 0.5).flatten(1) @ self.weights
        return torch.stack([margin, -margin], 1)


def blurred(images: Tensor) -> Tensor:
    """Halves of an image are made one shade each: its fine structure is gone."""
    halves = images.chunk(2, dim=3)
    return torch.cat([half.mean((2, 3), keepdim=True).expand_as(half) for half in halves], 3)


def problem(channels: int = 1) -> tuple[Linear, Examples]:
    generator = torch.Generator().manual_seed(0)
    images = 0.5 + 0.05 * torch.randn(200, channels, 8, 8, generator=generator)
    # Where neighbours pull against each other a perturbation that follows them is filtered away.
    weights = torch.randn(channels, 8, 8, generator=generator) + 0.2
    network = Linear(weights.flatten()).eval()
    return network, Examples(images, predict(network, blurred(images)))


def test_the_figures_are_those_of_the_network_behind_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "FILTERS", {"blurred": blurred})
    network, examples = problem()
    (unaware, aware) = filtered(network, examples, ATTACK, seed=0)["blurred"]
    assert unaware.count == aware.count == 200
    # PGD on the network moves each pixel by the sign of its own weight, as it does through the filter too.
    crafted = craft(network, examples.images, examples.labels, ATTACK, seed=0)
    expected = predict(network, blurred(crafted)) != examples.labels
    assert unaware.hits == aware.hits == int(expected.sum())
    assert 0 < unaware.hits < 200


class Bowl(nn.Module):
    """It tells images near to grey from others."""

    def forward(self, images: Tensor) -> Tensor:
        margin = 0.1 - (images - 0.5).square().mean((1, 2, 3))
        return torch.stack([margin, -margin], 1)


def test_who_knows_of_a_filter_fools_those_who_hide_behind_it_and_who_does_not_fools_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Darker is farther from grey for the network, and brighter is for what the filter makes of the images.
    monkeypatch.setattr(filters, "FILTERS", {"brightened": lambda images: (images + 0.4).clamp(0, 1)})
    images = 0.4 + 0.01 * torch.rand(50, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    examples = Examples(images, torch.zeros(50, dtype=torch.int64))
    (unaware, aware) = filtered(Bowl(), examples, ATTACK, seed=0)["brightened"]
    assert unaware.count == aware.count == 50
    assert (unaware.hits, aware.hits) == (0, 50)


def test_the_filter_is_seen_and_its_derivative_is_that_of_doing_nothing() -> None:
    network, examples = problem()
    images = examples.images.clone().requires_grad_()
    logits = PassedThrough(network, blurred)(images)
    torch.testing.assert_close(logits, network(blurred(images)))
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), images)
    torch.testing.assert_close(gradient, network.weights.view(1, 1, 8, 8).expand_as(gradient))


def test_who_knows_of_a_filter_climbs_what_it_makes_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    # Behind the filter the loss is flat but for steps.
    network, examples = problem()
    rounded = Linear(network.weights.detach().abs()).eval()

    def coarse(images: Tensor) -> Tensor:
        return (images * 4).round() / 4

    monkeypatch.setattr(filters, "FILTERS", {"coarse": coarse})
    labels = predict(rounded, coarse(examples.images))
    attack = AttackSettings(name="linf-pgd", epsilon=Fraction(1, 4), steps=10)
    (_, aware) = filtered(rounded, Examples(examples.images, labels), attack, seed=0)["coarse"]
    assert aware.share == 1.0


@pytest.mark.parametrize("channels", [1, 3])
def test_every_filter_that_ships_is_measured(channels: int) -> None:
    network, examples = problem(channels)
    few = Examples(examples.images[:20].clamp(0, 1), examples.labels[:20])
    found = filtered(network, few, ATTACK, seed=0)
    assert found.keys() == FILTERS.keys()
    assert all(unaware.count == aware.count for unaware, aware in found.values())


def test_filters_say_nothing_of_images_of_two_channels() -> None:
    network, examples = problem(2)
    assert not filtered(network, Examples(examples.images.clamp(0, 1), examples.labels), ATTACK, seed=0)
