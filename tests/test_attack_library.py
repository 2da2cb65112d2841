"""Attacks one by one: what each finds on networks whose answer is known, and what each refuses."""

import logging
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contragrad.attacks.examples import craft, perturbation_norm
from contragrad.attacks.library import ATTACKS, settings_read
from contragrad.errors import UserError
from contragrad.evolution.shapes import Problem
from contragrad.networks.architectures import construct
from contragrad.networks.misalignment import log_odds
from contragrad.networks.network import Normalisation
from contragrad.settings.choices import AttackName
from contragrad.settings.config import AttackSettings

MOMENTUM: tuple[AttackName, ...] = ("mi-fgsm", "ni-fgsm", "di-fgsm", "ti-fgsm", "vmi-fgsm", "sgm")
TRANSFER = MOMENTUM[:-1]


class Linear(nn.Module):
    """A linear classifier with weights (classes, pixels) and no shift."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weights.T


class Dying(nn.Module):
    """A classifier into two, without gradients where an image's mean is below 0.4."""

    def forward(self, images: Tensor) -> Tensor:
        rising = torch.relu(images.mean((1, 2, 3)) - 0.4)
        return torch.stack([rising, 1 - rising], 1)


def of_epsilon(name: AttackName, epsilon: float | Fraction) -> AttackSettings:
    return AttackSettings(name=name, epsilon=Fraction(epsilon))


def grey_or_colour(channels: int, *, edges: tuple[int, int] = (12, 12)) -> tuple[Tensor, Tensor]:
    images = torch.rand(8, channels, *edges, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    return images, torch.arange(8) % 2


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", TRANSFER)
def test_transfer_attacks_reach_what_fgsm_reaches_where_neighbours_agree(
    name: AttackName, channels: int
) -> None:
    # Each channel's pixels pull one way, so smoothing keeps every sign; shrinking leaves out some pixels.
    images, labels = grey_or_colour(channels)
    pulls = torch.tensor([1.0, -2.0, 0.5, 3.0])[:channels].reshape(-1, 1, 1).expand(-1, 12, 12).flatten()
    network = Linear(torch.stack([pulls, -pulls]))
    before = log_odds(network(images), labels)
    gained, by_fgsm = (
        log_odds(network(craft(network, images, labels, of_epsilon(each, 0.05), seed=0)), labels) - before
        for each in (name, "fgsm")
    )
    assert (gained <= by_fgsm * (1 + 1e-4)).all()
    assert (gained >= by_fgsm * (0.9 if name == "di-fgsm" else 1 - 1e-4)).all()


@pytest.mark.parametrize("edges", [(8, 8), (28, 28), (12, 20), (20, 12)])
@pytest.mark.parametrize("name", TRANSFER)
def test_images_of_any_shape(name: AttackName, edges: tuple[int, int]) -> None:
    images, labels = grey_or_colour(3, edges=edges)
    weights = torch.randn(2, images[0].numel(), generator=torch.Generator().manual_seed(1))
    network = Linear(weights)
    examples = craft(network, images, labels, of_epsilon(name, 0.05), seed=0)
    assert perturbation_norm(examples, images, "linf").max() <= 0.05 * (1 + 1e-12)
    assert (log_odds(network(examples), labels) > log_odds(network(images), labels)).all()


def test_towards_a_class_is_away_from_the_label_where_there_are_two() -> None:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(12, 1, 5, 5, generator=generator), torch.arange(12) % 2
    network = Linear(torch.randn(2, 25, generator=generator))
    towards, away = (
        craft(network, images, labels, of_epsilon(name, 0.05), seed=0)
        for name in ("targeted-mi-fgsm", "mi-fgsm")
    )
    torch.testing.assert_close(towards, away)


def test_towards_a_class_is_towards_any_that_is_not_the_label() -> None:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(200, 1, 5, 5, generator=generator), torch.full((200,), 2)
    network = Linear(torch.randn(4, 25, generator=generator))
    examples = craft(network, images, labels, of_epsilon("targeted-mi-fgsm", 0.5), seed=0)
    with torch.no_grad():
        answers = torch.bincount(network(examples).argmax(1), minlength=4)
    # Each of the three others is drawn for a third of the images, and is reached with so large an epsilon.
    assert answers[2] < 10
    assert min(answers[place] for place in (0, 1, 3)) > 40


def test_the_translation_invariant_attack_smooths_as_far_as_images_are_large() -> None:
    def seen_from_the_middle(edge: int) -> int:
        weights = torch.zeros(2, edge, edge)
        weights[1, edge // 2, edge // 2] = 1
        images, labels = torch.full((1, 1, edge, edge), 0.5), torch.tensor([0])
        examples = craft(Linear(weights.flatten(1)), images, labels, of_epsilon("ti-fgsm", 0.1), seed=0)
        return int((examples[0, 0, edge // 2] != 0.5).sum())

    assert [seen_from_the_middle(edge) for edge in (4, 8, 12, 28, 32, 64, 224)] == [3, 3, 3, 7, 9, 15, 15]


def test_a_step_size_is_taken() -> None:
    images, labels = grey_or_colour(1)
    network = Linear(torch.randn(2, 144, generator=torch.Generator().manual_seed(1)))
    settings = AttackSettings(name="mi-fgsm", epsilon=Fraction(1, 10), steps=3, step_size=Fraction(1, 100))
    examples = craft(network, images, labels, settings, seed=0)
    torch.testing.assert_close(perturbation_norm(examples, images, "linf"), torch.full((8,), 0.03).double())
    one = AttackSettings(name="mi-fgsm", epsilon=Fraction(1, 10), steps=1)
    torch.testing.assert_close(
        craft(network, images, labels, one, seed=0),
        craft(network, images, labels, of_epsilon("fgsm", Fraction(1, 10)), seed=0),
    )


@pytest.mark.parametrize("name", TRANSFER)
def test_an_image_without_gradients_is_no_hindrance(name: AttackName) -> None:
    images = torch.stack([torch.full((1, 6, 6), value) for value in (0.2, 0.39, 0.7)])
    labels = torch.tensor([0, 1, 0])
    examples = craft(Dying(), images, labels, of_epsilon(name, 0.1), seed=0)
    assert examples.isfinite().all()
    assert (log_odds(Dying()(examples), labels)[2] > log_odds(Dying()(images), labels)[2]).all()
    assert examples[2].mean() < 0.65
    again = craft(Dying(), images, labels, of_epsilon(name, 0.1), seed=0)
    assert torch.equal(examples, again)


@pytest.mark.parametrize("name", ["fgsm", "linf-pgd", "l2-pgd", *TRANSFER, "autoattack"])
def test_gradients_that_are_not_finite_are_refused_where_logits_are(name: AttackName) -> None:
    class Rootless(nn.Module):
        """A constant classifier, by way of a root of 0."""

        def forward(self, images: Tensor) -> Tensor:
            root = (0 * images).sqrt().sum((1, 2, 3))
            return torch.stack([1 + root, root], 1)

    with pytest.raises(FloatingPointError, match=f"{name} met gradients"):
        craft(Rootless(), torch.full((1, 1, 4, 4), 0.5), torch.tensor([0]), of_epsilon(name, 0.1), seed=0)


def test_a_step_without_gradients_does_not_end_the_attack() -> None:
    class Blinking(nn.Module):
        """A linear classifier whose first answer has no gradients."""

        def __init__(self) -> None:
            super().__init__()
            self.asked = 0

        def forward(self, images: Tensor) -> Tensor:
            self.asked += 1
            score = images.sum((1, 2, 3)) * (self.asked > 1)
            return torch.stack([-score, score], 1)

    images = torch.full((2, 1, 6, 6), 0.5)
    settings = AttackSettings(name="mi-fgsm", epsilon=Fraction(1, 10), step_size=Fraction(1, 10))
    examples = craft(Blinking(), images, torch.tensor([0, 1]), settings, seed=0)
    torch.testing.assert_close(examples[0], images[0] + 0.1)
    torch.testing.assert_close(examples[1], images[1] - 0.1)


# The skip gradient method


@pytest.mark.parametrize(("architecture", "channels"), [("resnet18", 1), ("resnet18", 3), ("densenet121", 1)])
def test_the_skip_gradient_method_reads_references(architecture: str, channels: int) -> None:
    network = construct(
        f"torchvision {architecture}",
        Problem(channels, 8, 8, 3),
        Normalisation((0.5,) * channels, (0.25,) * channels),
        seed=1,
    )
    images, labels = grey_or_colour(channels, edges=(8, 8))
    examples = craft(network, images, labels, of_epsilon("sgm", 0.1), seed=0)
    with torch.no_grad():
        network.eval()
        gained = log_odds(network(examples), labels) - log_odds(network(images), labels)
    assert gained.mean() > 0
    assert not torch.equal(examples, craft(network, images, labels, of_epsilon("mi-fgsm", 0.1), seed=0))


def test_the_skip_gradient_method_refuses_a_network_whose_skips_it_cannot_read() -> None:
    images, labels = grey_or_colour(1)
    with pytest.raises(UserError, match="skips of torchvision's ResNets") as caught:
        craft(Linear(torch.zeros(2, 144)), images, labels, of_epsilon("sgm", 0.1), seed=0)
    assert caught.value.where == "attack.name: sgm"


# AutoAttack


def least_perturbations(weights: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """How far, in L_inf, each image (N,) is from being taken for another class by a linear classifier."""
    weights = weights.double()
    logits = images.flatten(1).double() @ weights.T
    margins = logits.gather(1, labels[:, None]) - logits
    lengths = (weights[labels][:, None] - weights).abs().sum(2)
    return (margins / lengths).scatter(1, labels[:, None], float("inf")).amin(1)


@pytest.mark.parametrize("classes", [2, 3, 4, 11])
def test_autoattack_finds_exactly_what_is_there(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    weights = torch.randn(classes, 3 * 4 * 4, generator=generator)
    images = torch.rand(12, 3, 4, 4, generator=generator) * 0.2 + 0.4  # the box is further than epsilon
    labels = Linear(weights)(images).argmax(1)
    labels[0] = (labels[0] + 1) % classes  # one is wrong from the beginning
    distances = least_perturbations(weights, images, labels)
    ascending = distances.sort().values
    place = int((ascending[5:10] / ascending[4:9]).argmax()) + 5
    epsilon = ((ascending[place - 1] + ascending[place]) / 2).item()
    examples = craft(Linear(weights), images, labels, of_epsilon("autoattack", epsilon), seed=0)
    holds = Linear(weights)(examples).argmax(1) == labels
    assert torch.equal(holds, distances > epsilon)
    assert 2 <= holds.sum() <= 7
    untouched = holds.clone()
    untouched[0] = True
    assert torch.equal((examples == images).flatten(1).all(1), untouched)


@pytest.mark.parametrize(
    ("classes", "parts", "targets"),
    [
        (2, ["apgd-ce", "fab-t", "square"], 1),
        (3, ["apgd-ce", "apgd-dlr", "fab-t", "square"], 2),
        (4, ["apgd-ce", "apgd-t", "fab-t", "square"], 3),
        (10, ["apgd-ce", "apgd-t", "fab-t", "square"], 9),
        (100, ["apgd-ce", "apgd-t", "fab-t", "square"], 9),
    ],
)
def test_autoattack_runs_what_the_number_of_classes_allows(
    classes: int, parts: list[str], targets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(library: Any, images: Tensor, labels: Tensor, /, **_: object) -> tuple[Tensor, Tensor]:
        assert library.attacks_to_run == parts
        assert library.fab.n_target_classes == targets
        assert library.apgd_targeted.n_target_classes == targets
        assert library.apgd.n_restarts == 1
        return images + 0.125, labels

    monkeypatch.setattr("pyautoattack.AutoAttack.run_standard_evaluation", run)
    images, labels = grey_or_colour(1)
    network = Linear(torch.zeros(classes, 144))
    examples = craft(network, images, labels, of_epsilon("autoattack", 0.125), seed=0)
    torch.testing.assert_close(examples, images + 0.125)


def test_autoattack_gives_back_what_it_cannot_change_though_square_writes_into_its_logits() -> None:
    images = torch.tensor([[0.5, 0.45], [0.2, 0.9]]).reshape(2, 1, 1, 2)
    network = nn.Flatten()  # the logits are the images' own memory
    examples = craft(network, images, torch.tensor([0, 1]), of_epsilon("autoattack", 0.01), seed=0)
    assert torch.equal(examples, images)


def test_autoattack_is_silent_and_leaves_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def tracer(*_: object) -> None: ...

    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    images = torch.tensor([0.9, 0.1]).reshape(1, 1, 1, 2)
    random_state = torch.get_rng_state()
    outer = sys.gettrace()
    sys.settrace(tracer)
    try:
        craft(nn.Flatten(), images, torch.tensor([0]), of_epsilon("autoattack", 0.1), seed=0)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(outer)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert not logging.getLogger("auto-attack").disabled
    assert not list(tmp_path.iterdir())


def test_autoattack_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    images, labels = grey_or_colour(1)
    with pytest.raises(UserError, match="pyautoattack") as caught:
        craft(Linear(torch.zeros(2, 144)), images, labels, of_epsilon("autoattack", 0.1), seed=0)
    assert caught.value.remedy == "pip install 'contragrad[audit]'"


class Asked:
    """An attack's settings, and which of them were asked for."""

    def __init__(self, settings: AttackSettings) -> None:
        self.settings = settings
        self.keys: set[str] = set()

    def __getattr__(self, key: str) -> object:
        self.keys.add(key)
        return getattr(self.settings, key)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_reads_the_settings_that_it_is_said_to_read(name: AttackName) -> None:
    asked: Any = Asked(of_epsilon(name, Fraction(1, 5)))
    if name == "sgm":
        network = construct(
            "torchvision resnet18", Problem(3, 16, 16, 2), Normalisation((0.0,) * 3, (1.0,) * 3), 0
        )
    else:
        network = Linear(torch.tensor([[1.0] * 192, [-1.0] * 192]))
    images = torch.full((2, 3, 16, 16) if name == "sgm" else (2, 3, 8, 8), 0.5)
    # AutoAttack leaves alone what is wrong already.
    labels = 1 - network.eval()(images).argmax(1)
    ATTACKS[name][1](network, asked, torch.device("cpu"))(images, labels)
    assert asked.keys - {"name", "epsilon"} == set(settings_read(name))
