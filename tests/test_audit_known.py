"""Audits of networks whose answer is known: a copy of the reference, a constant, hidden gradients, chance."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

from audits import CONFIG, SETTINGS, Constant, Flipping, Place, Stepped, opened, without_families
from contragrad.artefacts import Artefacts
from contragrad.audit import card, sources, verdict
from contragrad.audit.arsenal import Arsenal
from contragrad.audit.attackers import ATTACKERS, REFERENCE, TARGET
from contragrad.audit.attempts import Attempt, Field, Named
from contragrad.audit.bouts import fitting
from contragrad.audit.checks.every import judged
from contragrad.audit.findings import Findings
from contragrad.audit.standing import defeated_by, is_turned, misled, standing_of
from contragrad.data.dataset import Examples, pixels
from contragrad.engine.executors import InProcess
from contragrad.engine.work import Work
from contragrad.networks.inference import predict
from contragrad.networks.randomness import isolated
from contragrad.settings.config import AttackSettings, TrainingSettings
from contragrad.watch.events import nobody

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of SciPy, used by Foolbox
    from foolbox.attacks.fast_gradient_method import LinfFastGradientAttack
    from foolbox.attacks.projected_gradient_descent import (
        L2ProjectedGradientDescentAttack,
        LinfProjectedGradientDescentAttack,
    )
    from foolbox.models.pytorch import PyTorchModel

pytestmark = pytest.mark.slow

SOUND = (2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14)
"""Checks that an ordinary network and working attacks pass."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with without_families(), opened(tmp_path_factory.mktemp("audit") / "run") as found:
        yield found


@pytest.fixture(scope="module")
def copy(place: Place) -> Findings:
    return place.audit(place.copy_of_the_reference())


def verdicts(findings: Findings) -> dict[int, str]:
    return {check.number: result.verdict for check, result in judged(findings)}


def test_examples_of_the_reference_fool_its_copy_as_the_white_box_does(copy: Findings) -> None:
    own = copy.find(REFERENCE, name="linf-pgd", way="gradient", epsilon=SETTINGS.epsilon, steps=10)
    itself = copy.find(TARGET, name="linf-pgd", way="gradient", epsilon=SETTINGS.epsilon, steps=10, restart=0)
    assert torch.equal(own[0].held.right, itself[0].held.right)
    assert torch.equal(own[0].held.right, own[0].held.source)
    transferred = copy.transferred(own[0])
    assert transferred.hits == transferred.count > 30


def test_a_copy_of_the_reference_is_aligned_with_it_and_defeated_by_the_weakest(copy: Findings) -> None:
    torch.testing.assert_close(copy.probes.aligned["reference"], torch.ones(60))
    assert copy.probes.gradient_ratio == 1
    assert defeated_by(copy) == ATTACKERS[0].key
    assert copy.fooled(copy.tried["reversed"]).share == 0
    # Which says nothing, for no gradients were turned.
    assert not is_turned(copy)
    assert standing_of(copy, "reversed") == "inconclusive"


def test_every_attacker_was_run_on_the_copy(copy: Findings) -> None:
    for attacker in ATTACKERS:
        bouts = (*attacker.bouts(SETTINGS), *attacker.joined_bouts(SETTINGS))
        # No source here has torchvision's skips.
        planned = [attempt for bout in bouts for attempt in fitting(bout, {}).attempts]
        assert sorted(map(str, planned)) == sorted(str(each.attempt) for each in copy.tried[attacker.key])
        assert all(len(each.held.right) == SETTINGS.images for each in copy.tried[attacker.key])
    assert not copy.missing


def test_the_white_box_is_the_strongest_on_an_ordinary_network(copy: Findings) -> None:
    found = verdicts(copy)
    assert {number: found[number] for number in SOUND} == dict.fromkeys(SOUND, "PASS")


MIDDLING = replace(SETTINGS, epsilon=Fraction(24, 255), restarts=1)
"""At this epsilon the reference is fooled on some images and not on others."""

LARGER = replace(MIDDLING, epsilon=Fraction(40, 255))
"""The same for AutoAttack, which takes long where it does not fool."""

FEWER = 100
"""Images for AutoAttack, which takes a second for six."""

ALIKE = 0.02
"""Share of the images by which two random starts may differ: seven of 355, two of a hundred."""


@pytest.fixture(scope="module")
def by_hand(place: Place) -> dict[str, float]:
    """Accuracy on all test images under attacks that other libraries make."""
    network, epsilon = place.reference, float(MIDDLING.epsilon)
    shown, labels = pixels(place.splits.test.images), place.splits.test.labels.long()
    step = 2.5 / MIDDLING.steps
    attacks = {
        "linf-pgd": (LinfProjectedGradientDescentAttack(rel_stepsize=step, steps=MIDDLING.steps), epsilon),
        "fgsm": (LinfFastGradientAttack(), epsilon),
        "l2-pgd": (
            L2ProjectedGradientDescentAttack(rel_stepsize=step, steps=MIDDLING.steps),
            float(MIDDLING.l2_epsilon),
        ),
    }
    model = PyTorchModel(network, bounds=(0, 1), device="cpu")
    with isolated(0, "by hand"):
        crafted = {
            name: attack(model, shown, labels, epsilons=radius)[1]
            for name, (attack, radius) in attacks.items()
        }
        auto = AutoAttack(network, device="cpu", eps=float(LARGER.epsilon), norm="Linf", seed=0)
        crafted["autoattack"], _ = auto.run_standard_evaluation(
            shown[:FEWER], labels[:FEWER], batch_size=FEWER
        )
    return {
        name: float((predict(network, examples) == labels[: len(examples)]).double().mean())
        for name, examples in crafted.items()
    }


@pytest.mark.parametrize(
    ("key", "name"),
    [("reference", "linf-pgd"), ("reference", "fgsm"), ("reference", "l2-pgd"), ("white box", "autoattack")],
)
def test_figures_agree_with_those_of_other_libraries_run_by_hand(
    key: str, name: str, by_hand: dict[str, float], place: Place, tmp_path: Path
) -> None:
    (attacker,) = (each for each in ATTACKERS if each.key == key)
    (attempt,) = (
        attempt
        for bout in attacker.bouts(LARGER if name == "autoattack" else MIDDLING)
        for attempt in bout.attempts
        if attempt.attack.name == name
    )
    examples = place.splits.test
    if name == "autoattack":
        examples = Examples(examples.images[:FEWER], examples.labels[:FEWER])
    named = Named(place.reference, "reference")
    field = Field(examples=examples, identity="all", target=named, seed=0, artefacts=Artefacts(tmp_path))
    found = float(field.attempt(attempt, named).right.double().mean())
    assert found == pytest.approx(by_hand[name], abs=ALIKE)
    # Some images hold and some do not, so that to agree says something.
    assert 0.05 < found < 0.95


def test_an_audit_that_was_made_is_found_again(place: Place, copy: Findings) -> None:
    attempts = {path.name: path.stat().st_mtime_ns for path in place.workspace.artefacts.folder.iterdir()}
    again = place.audit(place.copy_of_the_reference())
    assert card.content(again) == card.content(copy)
    now = {path.name: path.stat().st_mtime_ns for path in place.workspace.artefacts.folder.iterdir()}
    assert now == attempts


def test_a_constant_network_is_no_classifier_whatever_it_withstands(place: Place) -> None:
    findings = place.audit(place.target(Constant()))
    found = verdicts(findings)
    assert found[2] == "FAIL"
    assert found[15] == "FAIL"
    assert findings.probes.zero_gradients == 1
    assert "not above chance" in verdict.verdict(findings)


def test_hidden_gradients_are_called_so(place: Place) -> None:
    findings = place.audit(place.target(Stepped(place.reference)))
    found = verdicts(findings)
    assert found[13] == found[15] == "FAIL"
    assert findings.fooled(findings.tried["reference"]).hits > 20
    text = verdict.verdict(findings)
    assert "gradient masking" in text
    assert "too good" in text


def test_a_network_that_answers_by_chance_is_found_out(place: Place) -> None:
    findings = place.audit(place.target(Flipping(place.reference)))
    assert verdicts(findings)[7] == "FAIL"
    assert not findings.probes.deterministic
    # Nor is what its gradients do not find taken for its merit.
    assert misled(findings) == "the network answers otherwise the second time"
    assert standing_of(findings, "white box") != "withstood"


def test_without_its_architecture_a_network_has_no_twin(place: Place) -> None:
    findings = place.audit(place.target(place.reference))
    assert standing_of(findings, "undefended twin") == "not run"
    assert "not known" in findings.missing[sources.TWIN]
    assert verdicts(findings)[16] == "UNKNOWN"
    assert standing_of(findings, "recipe") != "not run"
    # What could not be had is said.
    assert verdicts(findings)[29] == "UNKNOWN"


def test_a_source_that_the_network_was_trained_against_is_left_out_and_said_to_be(place: Place) -> None:
    training = TrainingSettings(sources=("reference", "plain"))
    met = replace(place.workspace, config=replace(CONFIG, training=training))
    arsenal = Arsenal(
        workspace=met,
        splits=place.splits,
        target=replace(place.copy_of_the_reference(), objective="fixed-adversarial"),
        settings=SETTINGS,
        executor=InProcess(Work(setup="contragrad.jobs.tasks:prepare", argument=met)),
        watch=nobody,
    )
    assert arsenal.reachable(sources.OTHER_ARCHITECTURE)
    assert not arsenal.reachable(sources.PLAIN)
    assert arsenal.missing == {sources.PLAIN: sources.AGAINST}


def test_an_audit_with_time_for_everything_leaves_nothing_out(copy: Findings) -> None:
    assert SETTINGS.surrogates == 1  # who cannot be joined to another is no ensemble
    assert not copy.missing
    assert verdicts(copy)[29] == "PASS"
    lost = replace(copy, tried={**copy.tried, "recipe": ()})
    assert verdicts(lost)[29] == "FAIL"


def test_an_audit_without_time_says_of_everything_that_it_was_left_out(place: Place) -> None:
    network = Stepped(place.reference)
    network.bias = nn.Parameter(torch.zeros(1))  # another network than the one that was audited
    findings = place.audit(place.target(network), replace(SETTINGS, minutes=1.0))
    assert not any(findings.tried.values())
    assert verdicts(findings)[29] == "UNKNOWN"


class Linear(nn.Module):
    """A linear network of two classes."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        margin = images.flatten(1) @ self.weights
        return torch.stack([margin, -margin], 1)


@pytest.mark.parametrize("epsilon", [Fraction(1, 50), Fraction(1, 20), Fraction(1, 10)])
def test_a_linear_network_is_fooled_just_where_theory_says(tmp_path: Path, epsilon: Fraction) -> None:
    generator = torch.Generator().manual_seed(1)
    images = 0.3 + 0.4 * torch.rand(200, 1, 6, 6, generator=generator)
    weights = torch.randn(36, generator=generator)
    weights -= weights.mean()
    network = Linear(weights).eval()
    labels = predict(network, images)
    named = Named(network, "linear")
    field = Field(
        examples=Examples(images, labels),
        identity="test",
        target=named,
        seed=0,
        artefacts=Artefacts(tmp_path),
    )
    can = (images.flatten(1) @ weights).abs() < float(epsilon) * weights.abs().sum()
    attack = AttackSettings(epsilon=epsilon, steps=20)
    held = field.attempt(Attempt(source=TARGET, attack=attack), named)
    assert torch.equal(held.right, ~can)
    turned = field.attempt(Attempt(source=TARGET, attack=attack, way="reversed"), named)
    assert turned.right.all()
    asked = field.attempt(Attempt(source=TARGET, attack=attack, way="queries"), named)
    assert (asked.right | can).all(), "no query fools what cannot be fooled"
    assert asked.queries.max() <= attack.steps
    told = field.attempt(Attempt(source=TARGET, attack=attack, way="labels"), named)
    assert (told.right | can).all(), "no class that is told fools what cannot be fooled"
    for held_ in (held, turned, asked, told):
        assert float(held_.linf.max()) <= float(epsilon) * (1 + 1e-6)
