"""Our attacks against Foolbox's, which share no code with torchattack and climb cross-entropy.

In exact arithmetic log-odds and cross-entropy point the same way, so with a float64 network the
examples of a smooth one agree in every pixel. In float32 cross-entropy's gradient is rounded more
coarsely, and at the kinks of ReLU and max pooling rounding decides; then a few pixels differ.
"""

import copy
import warnings
from fractions import Fraction

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.attacks.examples import craft
from contragrad.attacks.library import norm_of
from contragrad.settings.choices import AttackName
from contragrad.settings.config import AttackSettings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of SciPy, used by Foolbox
    import foolbox
    from foolbox.models.pytorch import PyTorchModel

STEPS = 10

each_attack = pytest.mark.parametrize(
    ("name", "epsilon"),
    [
        ("fgsm", Fraction(8, 255)),
        ("fgsm", Fraction(1, 5)),
        ("linf-pgd", Fraction(8, 255)),
        ("linf-pgd", Fraction(1, 5)),
        ("l2-pgd", Fraction(1, 2)),
        ("l2-pgd", Fraction(1)),
    ],
)


class InFloat64(nn.Module):
    """The network, computing in float64 on float32 images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).double()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images.double())
        return logits


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images).float().reshape(-1, 1, 8, 8) / 16, torch.tensor(labels)


def trained(digits: tuple[Tensor, Tensor], activation: nn.Module, pooling: nn.Module) -> nn.Module:
    images, labels = digits
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            activation,
            pooling,
            nn.Flatten(),
            nn.Linear(256, 10),
        )
        optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
        for _ in range(40):
            optimiser.zero_grad()
            F.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return network.eval()


@pytest.fixture(scope="module")
def smooth(digits: tuple[Tensor, Tensor]) -> nn.Module:
    return InFloat64(trained(digits, nn.Softplus(), nn.AvgPool2d(2))).eval()


@pytest.fixture(scope="module")
def kinked(digits: tuple[Tensor, Tensor]) -> nn.Module:
    return trained(digits, nn.ReLU(), nn.MaxPool2d(2))


def by_foolbox(
    network: nn.Module, images: Tensor, labels: Tensor, name: AttackName, epsilon: Fraction
) -> Tensor:
    step_size = float(Fraction(5, 2) * epsilon / STEPS)
    model = PyTorchModel(network, bounds=(0, 1), device="cpu")
    criterion = foolbox.criteria.Misclassification(labels)
    attack: foolbox.attacks.base.FixedEpsilonAttack
    match name:
        case "fgsm":
            attack = foolbox.attacks.FGSM()
        case "linf-pgd":
            attack = foolbox.attacks.LinfPGD(steps=STEPS, abs_stepsize=step_size, random_start=False)
        case "l2-pgd":
            attack = foolbox.attacks.L2PGD(steps=STEPS, abs_stepsize=step_size, random_start=False)
    examples: Tensor = attack.run(model, images, criterion, epsilon=float(epsilon))
    return examples


def by_us(network: nn.Module, images: Tensor, labels: Tensor, name: AttackName, epsilon: Fraction) -> Tensor:
    settings = AttackSettings(name=name, epsilon=epsilon, steps=STEPS, random_start=False)
    return craft(network, images, labels, settings, seed=0)


@each_attack
def test_every_pixel_agrees(
    name: AttackName, epsilon: Fraction, smooth: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:500], digits[1][:500]
    ours = by_us(smooth, images, labels, name, epsilon)
    theirs = by_foolbox(smooth, images, labels, name, epsilon)
    assert not torch.equal(ours, images)
    close = 1e-7 if norm_of(name) == "linf" else 1e-6
    torch.testing.assert_close(ours, theirs, rtol=0, atol=close)


@each_attack
def test_few_pixels_differ_in_float32_at_kinks(
    name: AttackName, epsilon: Fraction, kinked: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][:500], digits[1][:500]
    ours = by_us(kinked, images, labels, name, epsilon)
    theirs = by_foolbox(kinked, images, labels, name, epsilon)
    assert torch.equal(kinked(ours).argmax(1), kinked(theirs).argmax(1))
    furthest = (ours - theirs).abs().flatten(1).amax(1)
    close = 1e-7 if norm_of(name) == "linf" else 0.01 * float(epsilon)
    assert (furthest <= close).float().mean() >= 0.99
