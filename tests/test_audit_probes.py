"""What is measured on the network itself; what is planted for an attack to find, in a linear network."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from contragrad.audit.input_gradients import cosines
from contragrad.audit.planted import planted
from contragrad.audit.probes import probe
from contragrad.audit.sources import DISTILLED
from contragrad.data.dataset import Examples
from contragrad.evaluate import Share
from contragrad.networks.randomness import generator
from contragrad.settings.config import AttackSettings

ATTACK = AttackSettings(name="linf-pgd", epsilon=Fraction(8, 255), steps=20)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 24, 25, 67, 100])
@pytest.mark.parametrize("seed", range(5))
def test_pgd_fools_a_linear_network_just_where_theory_says(count: int, seed: int) -> None:
    images = torch.rand((count, 1, 6, 6), generator=generator(seed, "images"))
    can, did, against = planted(images, ATTACK, seed)
    assert 0 < can < max(2, count)
    assert (did, against) == (can, 0)


def test_of_images_that_are_all_alike_rounding_decides_nothing() -> None:
    assert planted(torch.full((9, 1, 6, 6), 0.5), ATTACK, 0)[2] == 0


def test_an_attack_of_no_steps_to_speak_of_does_not_find_what_is_planted() -> None:
    images = torch.rand((100, 1, 6, 6), generator=generator(0, "images"))
    weak = AttackSettings(name="linf-pgd", epsilon=Fraction(8, 255), steps=1, step_size=Fraction(1, 2550))
    can, did, against = planted(images, weak, 0)
    assert did < can / 2
    assert not against


def test_gradients_that_are_not_finite_have_no_direction() -> None:
    own = torch.tensor([[1.0, 0.0], [float("inf"), 0.0], [float("nan"), 1.0], [0.0, 0.0], [0.0, -2.0]])
    its = torch.tensor([[3.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = cosines(own.view(5, 1, 1, 2), its.view(5, 1, 1, 2))
    assert found.tolist() == pytest.approx([1, 0, 0, 0, -1])


class Linear(nn.Module):
    """Logits that are linear in the pixels."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn((4, 64), generator=generator(seed, "weights")))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T


def test_gradients_may_be_of_fewer_images_than_answers_are() -> None:
    images = torch.rand((20, 1, 8, 8), generator=generator(0, "images"))
    own, other = Linear(0).eval(), Linear(1).eval()
    examples = Examples(images, own(images).argmax(1))
    found = probe(own, other, {DISTILLED: other}, examples, replace(ATTACK, steps=2), measured=7, seed=0)
    assert (found.images, len(found.aligned[DISTILLED])) == (7, 7)
    assert found.agreement == Share.of(other(images).argmax(1) == examples.labels)
    for mine, its in found.corruptions.values():
        assert len(mine) == len(its) == 20
