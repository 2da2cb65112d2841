"""Adversarial examples: their bounds, their strength, and the state that crafting leaves behind."""

import copy
import logging
import random
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.densenet import DenseNet

from contragrad.attacks.examples import craft, perturbation_norm, require_craftable
from contragrad.attacks.library import ATTACKS, norm_of
from contragrad.data.dataset import pixels
from contragrad.errors import UserError
from contragrad.settings.choices import AttackName
from contragrad.settings.config import AttackSettings

NAMES: tuple[AttackName, ...] = get_args(AttackName)
EPSILON = {"linf": Fraction(1, 5), "l2": Fraction(1)}

ON_ANY_NETWORK = tuple(name for name in NAMES if name != "sgm")  # it reads torchvision's skips
CLIMBING = tuple(  # the log-odds; and AutoAttack is slow
    name for name in ON_ANY_NETWORK if name not in ("autoattack", "targeted-mi-fgsm")
)
DRAWING: tuple[AttackName, ...] = (
    "di-fgsm",
    "vmi-fgsm",
    "targeted-mi-fgsm",
    "autoattack",
)  # random numbers, whatever the settings
SETTLED = tuple(name for name in NAMES if name not in DRAWING)

every_attack = pytest.mark.parametrize("name", NAMES)
every_pgd = pytest.mark.parametrize("name", ["linf-pgd", "l2-pgd"])


class Linear(nn.Module):
    """A linear classifier that computes in the precision of its weights (classes, pixels)."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).to(self.weights.dtype) @ self.weights.T


def usual(name: AttackName, *, random_start: bool = False) -> AttackSettings:
    return AttackSettings(name=name, epsilon=EPSILON[norm_of(name)], random_start=random_start)


def loss(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return F.cross_entropy(network(images), labels).item()


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    return (
        torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16,
        torch.tensor(labels),
    )


@pytest.fixture(scope="module")
def trained(digits: tuple[Tensor, Tensor]) -> nn.Module:
    images, labels = digits
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(256, 10),
        )
        optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
        for _ in range(40):
            optimiser.zero_grad()
            F.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    network.zero_grad()
    return network.eval()


class InColour(nn.Module):
    """A network for colour, seeing grey as three equal channels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images.expand(-1, 3, -1, -1))
        return logits


@pytest.fixture(scope="module")
def skipping(digits: tuple[Tensor, Tensor]) -> nn.Module:
    """A trained network with skips that sgm can read."""
    images, labels = digits[0][:600], digits[1][:600]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = InColour(DenseNet(growth_rate=8, block_config=(2, 2), num_init_features=16, num_classes=10))
        optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
        for _ in range(40):
            optimiser.zero_grad()
            F.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    network.zero_grad()
    return network.eval()


@pytest.fixture
def victim(name: AttackName, trained: nn.Module, skipping: nn.Module) -> nn.Module:
    """A trained network that the test's attack can attack."""
    return skipping if name == "sgm" else trained


def test_every_attack_of_the_configuration_has_a_constructor() -> None:
    assert tuple(ATTACKS) == NAMES
    assert {name for name in NAMES if norm_of(name) == "l2"} == {"l2-pgd"}


@hypothesis_settings(deadline=None, max_examples=100)
@given(
    name=st.sampled_from(CLIMBING),
    epsilon=st.fractions(0, 1) | st.sampled_from([Fraction(8, 255), Fraction(1, 10**7)]),
    step_size=st.none() | st.fractions(Fraction(1, 1000), 2),
    random_start=st.booleans(),
    images=arrays(
        np.float32,
        (3, 1, 4, 4),
        elements=st.sampled_from([0.0, 1.0]) | st.floats(0, 1, width=32),
    ),
)
def test_examples_stay_in_the_ball_and_in_the_range(
    name: AttackName,
    epsilon: Fraction,
    step_size: Fraction | None,
    random_start: bool,
    images: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> None:
    clean = torch.from_numpy(images)
    network = Linear(torch.linspace(-1, 1, 48).sin().reshape(3, 16))
    settings = AttackSettings(
        name=name, epsilon=epsilon, step_size=step_size, steps=3, random_start=random_start
    )
    examples = craft(network, clean, torch.tensor([0, 1, 2]), settings, seed=0)
    assert examples.dtype == torch.float32
    assert examples.device.type == "cpu"
    assert examples.min() >= 0
    assert examples.max() <= 1
    furthest = perturbation_norm(examples, clean, norm_of(name)).max().item()
    assert furthest <= float(epsilon) * (1 + 1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("name", "random_start"),
    [
        ("fgsm", False),
        ("linf-pgd", False),
        ("linf-pgd", True),
        ("l2-pgd", False),
        ("mi-fgsm", False),
        ("ni-fgsm", False),
        ("vmi-fgsm", False),
    ],
)
def test_attacks_are_optimal_on_a_linear_classifier(
    name: AttackName, random_start: bool, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(2, 3 * 5 * 5, generator=generator, dtype=torch.float64)
    images = torch.rand(9, 3, 5, 5, generator=generator) * 0.2 + 0.4
    labels = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1, 1])
    epsilon = Fraction(1, 5)
    settings = AttackSettings(name=name, epsilon=epsilon, steps=4, random_start=random_start)
    examples = craft(Linear(weights.to(dtype)), images, labels, settings, seed=3)

    normal = weights[1] - weights[0]
    reduction = (images - examples).flatten(1).double() @ normal * (2 * labels - 1)
    dual = normal.abs().sum() if norm_of(name) == "linf" else normal.norm()
    torch.testing.assert_close(reduction, (float(epsilon) * dual).expand(9), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", CLIMBING)
@pytest.mark.parametrize("certainty", [10.0, 1e5])
def test_a_certain_network_is_attacked_like_an_uncertain_one(name: AttackName, certainty: float) -> None:
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(2, 64, generator=generator)
    images = torch.rand(20, 1, 8, 8, generator=generator)
    labels = Linear(weights)(images).argmax(1)
    settings = usual(name)
    torch.testing.assert_close(
        craft(Linear(certainty * weights), images, labels, settings, seed=0),
        craft(Linear(weights), images, labels, settings, seed=0),
        rtol=0,
        atol=1e-6,
    )


@every_attack
def test_attacks_mislead_a_trained_network(
    name: AttackName, victim: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:100], digits[1][:100]
    examples = craft(victim, images, labels, usual(name, random_start=True), seed=0)
    assert (victim(images).argmax(1) == labels).float().mean() > 0.95
    assert (victim(examples).argmax(1) == labels).float().mean() < 0.5


@pytest.mark.parametrize("iterating", ["linf-pgd", "mi-fgsm", "ni-fgsm", "vmi-fgsm"])
def test_iterating_is_stronger_than_one_step(
    iterating: AttackName, trained: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:300], digits[1][:300]
    once, iterated = (
        loss(trained, craft(trained, images, labels, usual(name), seed=0), labels)
        for name in ("fgsm", iterating)
    )
    assert iterated > once + 0.05 > loss(trained, images, labels) + 1


@pytest.mark.parametrize("name", ["linf-pgd", "l2-pgd", *DRAWING])
def test_the_seed_decides_and_the_global_random_state_is_left_alone(
    name: AttackName, trained: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:20], digits[1][:20]
    settings = usual(name, random_start=True)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = craft(trained, images, labels, settings, seed=0)
        torch.manual_seed(2)
        before = torch.get_rng_state()
        again = craft(trained, images, labels, settings, seed=0)
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, craft(trained, images, labels, settings, seed=1))


def test_fgsm_reads_neither_steps_nor_random_start(trained: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    images, labels = digits[0][:20], digits[1][:20]
    odd = AttackSettings(
        name="fgsm", epsilon=Fraction(1, 5), steps=7, step_size=Fraction(1), random_start=True
    )
    assert torch.equal(
        craft(trained, images, labels, odd, seed=0),
        craft(trained, images, labels, usual("fgsm"), seed=1),
    )


@pytest.mark.parametrize("name", [name for name in NAMES if "pgd" not in name])
def test_only_the_pgds_start_at_random(
    name: AttackName, victim: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:10], digits[1][:10]
    assert torch.equal(
        craft(victim, images, labels, usual(name, random_start=True), seed=0),
        craft(victim, images, labels, usual(name, random_start=False), seed=0 if name in DRAWING else 1),
    )


@every_attack
def test_uint8_and_float_images_are_the_same_images(name: AttackName, victim: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (6, 1, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.arange(6)
    settings = usual(name, random_start=True)
    examples = craft(victim, images, labels, settings, seed=0)
    assert torch.equal(examples, craft(victim, pixels(images), labels, settings, seed=0))
    norms = perturbation_norm(examples, images, norm_of(name))
    assert torch.equal(norms, perturbation_norm(examples, pixels(images), norm_of(name)))


@pytest.mark.parametrize("name", SETTLED)  # the others draw for each batch anew
def test_batches_of_any_number_of_images(
    name: AttackName,
    victim: nn.Module,
    digits: tuple[Tensor, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, labels = digits[0][:10], digits[1][:10]
    network = nn.Sequential(copy.deepcopy(victim))
    sizes: set[int] = set()
    network.register_forward_pre_hook(lambda _, inputs: sizes.add(len(inputs[0])))
    whole = craft(network, images, labels, usual(name), seed=0)
    assert sizes == {10}
    monkeypatch.setattr("contragrad.attacks.examples.POSITIONS", 4 * 64 + 63)
    sizes.clear()
    batched = craft(network, images, labels, usual(name), seed=0)
    assert sizes == {4, 2}
    torch.testing.assert_close(batched, whole, rtol=0, atol=1e-6)
    monkeypatch.setattr("contragrad.attacks.examples.POSITIONS", 1)
    single = craft(network, images, labels, usual(name), seed=0)
    torch.testing.assert_close(single, whole, rtol=0, atol=1e-6)


@every_pgd
def test_each_batch_starts_elsewhere(
    name: AttackName, trained: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contragrad.attacks.examples.POSITIONS", 2 * 64)
    images, labels = torch.full((4, 1, 8, 8), 0.5), torch.zeros(4, dtype=torch.int64)
    examples = craft(trained, images, labels, usual(name, random_start=True), seed=0)
    assert len({tuple(example) for example in examples.flatten(1).tolist()}) == 4


@every_attack
def test_no_images_make_no_examples(name: AttackName, victim: nn.Module) -> None:
    none = torch.empty(0, 1, 8, 8)
    examples = craft(victim, none, torch.empty(0, dtype=torch.int64), usual(name), seed=0)
    assert examples.shape == none.shape


@every_attack
def test_epsilon_0_gives_the_images(name: AttackName, victim: nn.Module) -> None:
    images = torch.linspace(0, 1, 192).reshape(3, 1, 8, 8)
    settings = AttackSettings(name=name, epsilon=Fraction(0))
    examples = craft(victim, images, torch.arange(3), settings, seed=0)
    assert torch.equal(examples, images)
    assert examples.data_ptr() != images.data_ptr()


@every_attack
def test_a_network_in_training_mode_is_attacked_in_evaluation_mode(
    name: AttackName, victim: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:20], digits[1][:20]
    training = copy.deepcopy(victim).train()
    before = {key: value.clone() for key, value in training.state_dict().items()}
    with torch.no_grad():
        examples = craft(training, images, labels, usual(name), seed=0)
    assert torch.equal(examples, craft(victim, images, labels, usual(name), seed=0))
    assert all(torch.equal(value, before[key]) for key, value in training.state_dict().items())
    assert all(module.training for module in training.modules())


@every_attack
def test_no_attack_leaves_a_trace(name: AttackName, victim: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    def everything() -> object:
        return [
            [(key, id(value), value.tolist()) for key, value in network.state_dict(keep_vars=True).items()],
            [(id(parameter.grad), parameter.requires_grad) for parameter in network.parameters()],
            [
                {key: id(value) if key == "_modules" else repr(value) for key, value in vars(module).items()}
                for module in network.modules()
            ],
            torch.get_rng_state().tolist(),
            np.random.get_state()[1].tolist(),  # type: ignore[index]
            random.getstate(),
            logging.getLogger("auto-attack").disabled,
        ]

    network = copy.deepcopy(victim).train()
    before = everything()
    craft(network, digits[0][:5], digits[1][:5], usual(name, random_start=True), seed=0)
    assert everything() == before


@pytest.mark.parametrize("raises", [False, True])
def test_the_network_is_left_as_it_was(
    raises: bool, trained: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    def interrupt(*_: object) -> None:
        assert not any(module.training for module in network.modules())
        if raises:
            raise KeyboardInterrupt

    images, labels = digits[0][:5], digits[1][:5]
    network = copy.deepcopy(trained).train()
    network[1].eval()  # type: ignore[index]
    network[0].weight.requires_grad_(False)  # type: ignore[index]
    F.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
    modes = [module.training for module in network.modules()]
    flags = [parameter.requires_grad for parameter in network.parameters()]
    gradients = [parameter.grad for parameter in network.parameters()]
    values = [None if gradient is None else gradient.clone() for gradient in gradients]
    random_state = torch.get_rng_state()

    network.register_forward_hook(interrupt)
    if raises:
        with pytest.raises(KeyboardInterrupt):
            craft(network, images, labels, usual("linf-pgd"), seed=0)
    else:
        craft(network, images, labels, usual("linf-pgd"), seed=0)

    assert [module.training for module in network.modules()] == modes
    assert [parameter.requires_grad for parameter in network.parameters()] == flags
    assert torch.equal(torch.get_rng_state(), random_state)
    assert len(set(modes)) == len(set(flags)) == 2
    for parameter, gradient, value in zip(network.parameters(), gradients, values, strict=True):
        assert parameter.grad is gradient
        assert gradient is None or (value is not None and torch.equal(gradient, value))


def test_a_network_without_parameters_is_attacked_on_the_cpu() -> None:
    network = nn.Flatten()
    images = torch.full((2, 1, 1, 2), 0.5)
    examples = craft(network, images, torch.tensor([0, 1]), usual("fgsm"), seed=0)
    torch.testing.assert_close(examples.flatten(1), torch.tensor([[0.3, 0.7], [0.7, 0.3]]))


@pytest.mark.parametrize("wrong", [1.0001, -0.0001, float("nan"), float("inf")])
def test_images_outside_the_range_are_refused(wrong: float, trained: nn.Module) -> None:
    images = torch.full((3, 1, 8, 8), 0.5)
    images[2, 0, 7, 7] = wrong
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        craft(trained, images, torch.arange(3), usual("fgsm"), seed=0)


def test_a_label_missing_is_refused(trained: nn.Module) -> None:
    with pytest.raises(ValueError, match="3 images have 2 labels"):
        craft(trained, torch.zeros(3, 1, 8, 8), torch.arange(2), usual("fgsm"), seed=0)


@every_attack
@pytest.mark.parametrize("label", [0, 1])  # a NaN is taken for the largest, so the first class is answered
def test_a_diverged_network_is_named(name: AttackName, label: int, victim: nn.Module) -> None:
    network = copy.deepcopy(victim)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=name):
        craft(network, torch.zeros(1, 1, 8, 8), torch.tensor([label]), usual(name), seed=0)


@every_attack
def test_an_attack_that_leaves_the_ball_is_caught(
    name: AttackName, trained: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = torch.full((3, 1, 8, 8), 0.5), torch.arange(3)
    epsilon = float(usual(name).epsilon)
    length = epsilon if norm_of(name) == "linf" else epsilon / 8  # of 64 pixels, moved alike

    def broken_by(factor: float) -> None:
        def shift_last(given: Tensor, _: Tensor) -> Tensor:
            return given + torch.tensor([0, 0, factor * length]).reshape(3, 1, 1, 1)

        monkeypatch.setitem(ATTACKS, name, (norm_of(name), lambda *_: shift_last))

    broken_by(1.001)
    with pytest.raises(RuntimeError, match=f"{name} left its {norm_of(name)} ball"):
        craft(trained, images, labels, usual(name), seed=0)
    broken_by(1 + 1e-7)
    examples = craft(trained, images, labels, usual(name), seed=0)
    assert perturbation_norm(examples, images, norm_of(name))[2] == pytest.approx(epsilon)


def test_an_attack_that_leaves_the_range_is_put_back(
    trained: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ATTACKS, "fgsm", ("linf", lambda *_: lambda images, _: images + 0.1))
    images = torch.tensor([0.75, 0.95, 1.0]).reshape(3, 1, 1, 1).expand(3, 1, 8, 8)
    examples = craft(trained, images, torch.arange(3), usual("fgsm"), seed=0)
    assert examples[:, 0, 0, 0].tolist() == pytest.approx([0.85, 1, 1])
    assert examples.max() == 1


def test_an_attack_that_returns_nan_is_caught(trained: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ("linf", lambda *_: lambda images, _: images / images)
    monkeypatch.setitem(ATTACKS, "linf-pgd", broken)
    with pytest.raises(FloatingPointError, match="linf-pgd"):
        craft(trained, torch.zeros(1, 1, 8, 8), torch.arange(1), usual("linf-pgd"), seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_what_can_be_crafted_on_is_known_before_it_is_trained(name: AttackName, victim: nn.Module) -> None:
    before = {key: tensor.clone() for key, tensor in victim.state_dict().items()}
    require_craftable(victim, (1, 8, 8), usual(name), where="here")
    assert all(torch.equal(before[key], tensor) for key, tensor in victim.state_dict().items())


def test_what_cannot_be_crafted_on_is_named(trained: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="sgm reads the skips"):
        require_craftable(trained, (1, 8, 8), usual("sgm"), where="here")
    monkeypatch.setitem(ATTACKS, "linf-pgd", ("linf", lambda *_: lambda images, _: images * torch.nan))
    with pytest.raises(UserError, match="not finite") as caught:
        require_craftable(trained, (1, 8, 8), usual("linf-pgd"), where="here")
    assert caught.value.where == "here"


def test_perturbation_norms_by_hand() -> None:
    images = torch.zeros(2, 1, 2, 2)
    adversarial = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0, 0.75, 0, 0]]).reshape(2, 1, 2, 2)
    assert perturbation_norm(adversarial, images, "linf").tolist() == [0.5, 0.75]
    assert perturbation_norm(adversarial, images, "l2").tolist() == [1.0, 0.75]
