"""Our attacks against the libraries called by hand, and against the papers' formulas where we leave those.

The networks are smooth and compute in float64, so that log-odds and cross-entropy point the same way to the
last pixel.
"""

import warnings
from fractions import Fraction
from typing import Any

import pytest
import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn
from torch.nn import functional as F
from torchattack import DIFGSM, MIFGSM, SGM, TIFGSM, VMIFGSM
from torchvision.models.densenet import DenseNet
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from contragrad.attacks.examples import craft
from contragrad.networks.misalignment import log_odds
from contragrad.networks.randomness import isolated
from contragrad.settings.choices import AttackName
from contragrad.settings.config import AttackSettings

EPSILON = Fraction(8, 255)
STEPS = 5
CPU = torch.device("cpu")


class InFloat64(nn.Module):
    """The network, computing in float64 on float32 images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images.double())
        return logits


@pytest.fixture(scope="module")
def smooth() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.Softplus(), nn.Flatten(), nn.Linear(8 * 256, 10)
        )
    return InFloat64(network).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def given(smooth: nn.Module) -> tuple[Tensor, Tensor]:
    images = torch.rand(20, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return images, smooth(images).argmax(1)


def by_us(network: nn.Module, given: tuple[Tensor, Tensor], name: AttackName) -> Tensor:
    return craft(network, *given, AttackSettings(name=name, epsilon=EPSILON, steps=STEPS), seed=7)


def by_library(
    library: Any, network: nn.Module, given: tuple[Tensor, Tensor], *, loss: Any = None, **options: Any
) -> Tensor:
    attack = library(network, device=CPU, eps=float(EPSILON), steps=STEPS, **options)
    attack.lossfn = loss or attack.lossfn
    with isolated(7, "attack", 0):
        examples: Tensor = attack(*given).detach()
    return examples


def test_mi_fgsm(smooth: nn.Module, given: tuple[Tensor, Tensor]) -> None:
    theirs = by_library(MIFGSM, smooth, given)
    torch.testing.assert_close(by_us(smooth, given, "mi-fgsm"), theirs, rtol=0, atol=1e-7)


def test_di_fgsm(smooth: nn.Module, given: tuple[Tensor, Tensor]) -> None:
    theirs = by_library(DIFGSM, smooth, given, diversity_prob=0.5)
    torch.testing.assert_close(by_us(smooth, given, "di-fgsm"), theirs, rtol=0, atol=1e-7)
    assert not torch.equal(theirs, by_library(MIFGSM, smooth, given))


def test_vmi_fgsm(smooth: nn.Module, given: tuple[Tensor, Tensor]) -> None:
    # The variance is of the loss's gradients, so here the loss must be the same.
    theirs = by_library(VMIFGSM, smooth, given, loss=lambda logits, labels: log_odds(logits, labels).sum())
    torch.testing.assert_close(by_us(smooth, given, "vmi-fgsm"), theirs, rtol=0, atol=1e-7)


def by_formula(
    network: nn.Module, given: tuple[Tensor, Tensor], *, ahead: bool = False, kernel: Tensor | None = None
) -> Tensor:
    """Momentum g <- g + ∇/mean|∇|, x <- x + α sign(g), with ∇ taken at x + α g if ahead, or smoothed."""
    images, labels = given
    epsilon = float(EPSILON)
    step = epsilon / STEPS
    examples, momentum = images, torch.zeros_like(images)
    for _ in range(STEPS):
        seen = (examples + step * momentum if ahead else examples).requires_grad_()
        (gradients,) = torch.autograd.grad(F.cross_entropy(network(seen), labels, reduction="sum"), seen)
        if kernel is not None:
            gradients = F.conv2d(gradients, kernel.expand(3, 1, -1, -1), padding="same", groups=3)
        momentum = momentum + gradients / gradients.abs().mean((1, 2, 3), keepdim=True)
        moved = examples.detach() + step * momentum.sign()
        examples = images + (moved - images).clamp(-epsilon, epsilon)
        examples = examples.clamp(0, 1)
    return examples


def test_the_formula_is_mi_fgsm(smooth: nn.Module, given: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(
        by_formula(smooth, given), by_library(MIFGSM, smooth, given), rtol=0, atol=1e-6
    )


def test_ni_fgsm(smooth: nn.Module, given: tuple[Tensor, Tensor]) -> None:
    expected = by_formula(smooth, given, ahead=True)
    torch.testing.assert_close(by_us(smooth, given, "ni-fgsm"), expected, rtol=0, atol=1e-6)


def test_ti_fgsm(smooth: nn.Module, given: tuple[Tensor, Tensor]) -> None:
    expected = by_formula(smooth, given, kernel=torch.from_numpy(TIFGSM.gkern(5)))
    torch.testing.assert_close(by_us(smooth, given, "ti-fgsm"), expected, rtol=0, atol=1e-6)


def test_one_step_of_ti_fgsm_is_torchattacks(smooth: nn.Module, given: tuple[Tensor, Tensor]) -> None:
    # Later ones differ: it forgets its momentum.
    theirs = TIFGSM(smooth, device=CPU, eps=float(EPSILON), steps=1, kern_len=5)(*given).detach()
    ours = craft(smooth, *given, AttackSettings(name="ti-fgsm", epsilon=EPSILON, steps=1), seed=0)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["resnet18", "resnet50", "densenet121"])
def test_sgm(kind: str) -> None:
    def network() -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            inner = (
                DenseNet(8, (2, 2), 16, num_classes=3)
                if kind == "densenet121"
                else ResNet(BasicBlock if kind == "resnet18" else Bottleneck, [2, 1, 1, 1], num_classes=3)
            )
        return inner.eval().requires_grad_(False)  # type: ignore[no-any-return]

    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 0])
    gamma = 0.5 if kind == "densenet121" else 0.2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = by_library(SGM, network(), (images, labels), hook_cfg=kind, gamma=gamma)
        other = by_library(SGM, network(), (images, labels), hook_cfg=kind, gamma=1.0)
    ours = by_us(network(), (images, labels), "sgm")
    same, unlike = (((examples - theirs).abs() <= 1e-6).float().mean() for examples in (ours, other))
    assert same > 0.99  # in float32 and at kinks rounding decides a few signs
    assert unlike < 0.95


@pytest.mark.parametrize("classes", [pytest.param(10, marks=pytest.mark.slow), 3])
def test_autoattack_leaves_the_same_images(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, classes)
        ).eval()
    images = torch.rand(10, 1, 8, 8, generator=generator)
    labels = network(images).argmax(1)
    epsilon = 0.02
    if classes == 10:
        library = AutoAttack(network, device="cpu", eps=epsilon, seed=5)
    else:
        library = AutoAttack(
            network,
            attacks=["apgd-ce", "apgd-dlr", "fab-t", "square"],
            version="custom",
            device="cpu",
            eps=epsilon,
            seed=5,
        )
        library.fab.n_target_classes = 2
    with torch.random.fork_rng():
        theirs, _ = library.run_standard_evaluation(images, labels)
    settings = AttackSettings(name="autoattack", epsilon=Fraction(epsilon))
    ours = craft(network, images, labels, settings, seed=0)
    holds = network(ours).argmax(1) == labels
    assert torch.equal(holds, network(theirs).argmax(1) == labels)
    assert 0 < holds.sum() < 10
