"""What attempts craft: examples down a network's loss, and names that tell how they were made."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from contragrad.artefacts import Artefacts
from contragrad.attacks.examples import craft
from contragrad.audit.attempts import Attempt, Descended, Field, Named
from contragrad.data.dataset import Examples
from contragrad.networks.misalignment import log_odds
from contragrad.settings.choices import AttackName
from contragrad.settings.config import AttackSettings

EPSILON = Fraction(1, 20)


class Small(nn.Module):
    """A smooth network of two classes; swapped, its log-odds are negated."""

    def __init__(self, *, swapped: bool = False) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Parameter(torch.randn(16, 8, generator=generator))
        self.second = nn.Parameter(torch.randn(8, 2, generator=generator))
        self.swapped = swapped

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = (images.flatten(1) @ self.first).tanh() @ self.second
        return logits.flip(1) if self.swapped else logits


def images() -> tuple[Tensor, Tensor]:
    """Images of which a third of the pixels are black, and labels."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.rand(12, 1, 4, 4, generator=generator)
    return drawn * (drawn > 1 / 3), torch.arange(12) % 2


@pytest.mark.parametrize("name", ["fgsm", "linf-pgd", "l2-pgd", "mi-fgsm"])
def test_going_down_a_loss_is_going_up_its_negative(name: AttackName) -> None:
    shown, labels = images()
    attack = AttackSettings(name=name, epsilon=EPSILON, steps=5)
    found = craft(Descended(Small()), shown, labels, attack, seed=0)
    assert torch.equal(found, craft(Small(swapped=True), shown, labels, attack, seed=0))
    assert (log_odds(Small()(found), labels) < log_odds(Small()(shown), labels)).all()


def test_a_network_that_is_descended_answers_as_it_did() -> None:
    shown, _ = images()
    assert torch.equal(Descended(Small())(shown), Small()(shown))


def test_black_pixels_are_stepped_from_as_others_are() -> None:
    # A finished perturbation that is mirrored leaves them where they are, for it went up from 0.
    shown, labels = images()
    attack = AttackSettings(name="fgsm", epsilon=EPSILON)
    up = craft(Small(), shown, labels, attack, seed=0)
    down = craft(Descended(Small()), shown, labels, attack, seed=0)
    black = shown == 0
    gone_up = black & (up > 0)
    assert gone_up.any()
    # One of the two ways leads out of black, unless there is no gradient.
    assert ((up > 0) ^ (down > 0))[black].all()


def test_attempts_of_a_way_that_crafts_otherwise_than_before_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, labels = images()
    network = Named(Small(), "small")
    field = Field(
        examples=Examples(shown, labels),
        identity="test",
        target=network,
        seed=0,
        artefacts=Artefacts(tmp_path),
    )
    attempt = Attempt(source="small", attack=AttackSettings(name="fgsm", epsilon=EPSILON))
    turned = replace(attempt, way="reversed")
    for each in (attempt, turned):
        field.attempt(each, network)
    monkeypatch.setattr("contragrad.audit.attempts.VERSIONS", {"reversed": 1000})
    assert field.made(attempt, "small")
    assert not field.made(turned, "small")


def test_an_ordinary_network_is_shown_the_examples_of_all_sources_but_its_own(tmp_path: Path) -> None:
    shown, labels = images()
    target, ordinary = Named(Small(), "small"), Named(Descended(Small()), "ordinary")
    alone = Field(
        examples=Examples(shown, labels),
        identity="test",
        target=target,
        seed=0,
        artefacts=Artefacts(tmp_path),
    )
    beside = replace(alone, ordinary=ordinary, apart=frozenset({"own"}))
    attempt = Attempt(source="small", attack=AttackSettings(name="fgsm", epsilon=EPSILON))
    own = replace(attempt, source="own")
    assert len(alone.attempt(attempt, target).ordinary) == 0
    assert not beside.made(attempt, "small"), "what the ordinary network makes of them is not known"
    held = beside.attempt(attempt, target)
    # It gives the same answers as the target here.
    assert torch.equal(held.ordinary, held.right)
    assert beside.made(attempt, "small")
    assert len(beside.attempt(own, target).ordinary) == 0
