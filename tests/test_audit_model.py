"""Anyone's network: what names it, and audits of networks that hide, break or lack their gradients."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn

import anyones
from anyones import Linear
from audits import CONFIG, SETTINGS, Place, opened, without_families
from contragrad.audit import card, model, sources
from contragrad.audit.arsenal import Arsenal
from contragrad.audit.attackers import TARGET, pgd
from contragrad.audit.attempts import Attempt, Field, Named, attempted
from contragrad.audit.braced import Braced, braced, fault_of, is_blind
from contragrad.audit.checks.every import judged
from contragrad.audit.findings import Findings
from contragrad.audit.standing import standing_of
from contragrad.audit.target import Target
from contragrad.data.dataset import Examples
from contragrad.engine.executors import InProcess
from contragrad.engine.work import Work
from contragrad.errors import UserError
from contragrad.jobs.tasks import task_name
from contragrad.networks.inference import device_of
from contragrad.watch.events import nobody

FEW = replace(SETTINGS, images=30, steps=5, restarts=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with without_families(), opened(tmp_path_factory.mktemp("model") / "run") as found:
        yield found


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a linear network that has learnt digits."""
    images, labels = (torch.tensor(each) for each in load_digits(return_X_y=True))
    torch.manual_seed(0)
    network = Linear()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(100):
        loss = nn.functional.cross_entropy(network(images.float() / 16), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    path = tmp_path_factory.mktemp("weights") / "linear.safetensors"
    save_file(network.state_dict(), path)
    matrix = network.layer.weight.detach().t().contiguous()
    save_file({"weights": matrix}, path.with_name("buffered.safetensors"))
    return path


def of(place: Place, factory: str, weights: Path) -> Target:
    return model.of_file(place.workspace, f"anyones:{factory}", weights, place.splits.test)


def test_a_recipe_is_known_if_it_is_said_to_be(place: Place, weights: Path) -> None:
    refine = replace(place.workspace.config.refine, keep="best")
    there = replace(place.workspace, config=replace(place.workspace.config, refine=refine))
    for known, keep in ((False, "last"), (True, "best")):
        found = model.of_file(there, "anyones:Linear", weights, place.splits.test, known)
        assert (found.recipe_known, found.keep) == (known, keep)
        assert found.fingerprint == of(place, "Linear", weights).fingerprint


# What names it.


def test_the_same_weights_with_other_code_are_another_network(
    place: Place, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = of(place, "Linear", weights)
    assert of(place, "Linear", weights).fingerprint == own.fingerprint
    other = of(place, "Cut", weights)
    assert other.fingerprint != own.fingerprint
    # The same factory whose code was changed.
    monkeypatch.setattr(Linear, "seen", lambda self, images: (images * 4).round() / 4)
    changed = of(place, "Linear", weights)
    assert changed.architecture == own.architecture
    assert changed.fingerprint != own.fingerprint
    assert changed.code != own.code


def test_other_weights_are_another_network_of_the_same_code(
    place: Place, weights: Path, tmp_path: Path
) -> None:
    own = of(place, "Linear", weights)
    save_file(Linear().state_dict(), tmp_path / "other.safetensors")
    other = of(place, "Linear", tmp_path / "other.safetensors")
    assert other.fingerprint != own.fingerprint
    assert other.code == own.code != ""


def test_code_that_differs_at_real_images_alone_is_another_network(
    place: Place, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = of(place, "Linear", weights)
    # Drawn images have no black pixel.
    monkeypatch.setattr(Linear, "seen", lambda self, images: images + 0.1 * (images == 0))
    assert of(place, "Linear", weights).fingerprint != own.fingerprint


def test_its_name_depends_on_neither_threads_nor_random_numbers_and_leaves_them(
    place: Place, weights: Path
) -> None:
    own = of(place, "Random", weights).fingerprint
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        assert of(place, "Random", weights).fingerprint == own
        assert torch.equal(torch.rand(3), expected)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)


def test_an_onnx_file_goes_by_its_bytes(
    place: Place, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = of(place, "Linear", weights).network
    monkeypatch.setattr(model, "load_onnx", lambda path, problem: network)
    names = set()
    for number, held in enumerate((b"one", b"other", b"one")):
        (file := tmp_path / f"{number}.onnx").write_bytes(held)
        names.add(model.of_file(place.workspace, str(file), None, place.splits.test).fingerprint)
    assert len(names) == 2


def names_of_sources(place: Place, target: Target) -> dict[str, str]:
    arsenal = Arsenal(
        workspace=place.workspace,
        splits=place.splits,
        target=target,
        settings=SETTINGS,
        executor=InProcess(Work(setup="contragrad.jobs.tasks:prepare", argument=place.workspace)),
        watch=nobody,
    )
    return {name: task_name(task, place.workspace) for name, task in arsenal.tasks.items()}


def test_who_is_trained_anew_goes_by_the_code_and_all_others_as_ever(
    place: Place, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = names_of_sources(place, of(place, "Linear", weights))
    monkeypatch.setattr(Linear, "seen", lambda self, images: images / 2)
    changed = names_of_sources(place, of(place, "Linear", weights))
    kin = {sources.TWIN, sources.surrogate(1)}
    assert own.keys() == changed.keys() >= kin
    assert {name for name in own if own[name] != changed[name]} == kin
    # Of a study's networks the names are what they were before there was code.
    target = place.copy_of_the_reference()
    assert not target.code
    expected = sources.trainings(place.workspace, target, SETTINGS.surrogates)
    assert names_of_sources(place, target) == {
        name: task_name(task, place.workspace) for name, task in expected.items()
    }


# What cannot be audited.

ATTACKED = "the network cannot be attacked"


@pytest.mark.parametrize(
    ("factory", "what"),
    [
        (
            "Unlucky",
            "the network fails at the data's images or at noise of their size: ZeroDivisionError: black",
        ),
        ("Logarithmic", "the network's answers to the data's images are NaN or infinite"),
        ("Squeezed", f"{ATTACKED}: it gives (10,) for a single image, not (1, 10)"),
        ("Together", f"{ATTACKED}: what it says of an image depends on the other images of the batch"),
    ],
)
def test_a_network_that_fails_at_real_images_is_refused(
    place: Place, weights: Path, factory: str, what: str
) -> None:
    with pytest.raises(UserError) as caught:
        of(place, factory, weights)
    assert caught.value.what == what
    assert caught.value.where in (f"anyones:{factory}", f"--weights: {weights}")
    assert caught.value.remedy


@pytest.mark.parametrize("factory", ["Unlucky", "Squeezed", "Together"])
def test_nor_is_it_taken_for_a_reference(place: Place, factory: str) -> None:
    settings = replace(CONFIG.reference, factory=f"anyones:{factory}")
    workspace = replace(place.workspace, config=replace(CONFIG, reference=settings))
    with pytest.raises(UserError) as caught:
        model.require_reference(workspace, place.splits.test)
    assert caught.value.where == f"reference.factory: anyones:{factory}"
    assert "image" in caught.value.what


def test_a_network_that_answers_at_random_is_not_said_to_mix_images(place: Place, weights: Path) -> None:
    assert of(place, "Random", weights).name == "anyones:Random"


# What it lacks.


def test_a_network_that_lacks_nothing_is_left_as_it_is(place: Place, weights: Path) -> None:
    for network in (Linear().eval(), place.reference, anyones.Rooted()):
        assert braced(network, place.splits.test) is network
        assert not is_blind(network)


@pytest.mark.parametrize(
    ("factory", "blind"),
    [("Cut", True), ("frozen", True), ("Underived", True), ("Buffered", False)],
)
def test_what_is_lacking_is_put_beside_the_same_answers(place: Place, factory: str, blind: bool) -> None:
    torch.manual_seed(0)
    network: nn.Module = getattr(anyones, factory)().eval()
    found = braced(network, place.splits.test)
    assert isinstance(found, Braced)
    assert is_blind(found) is blind
    images = torch.rand(5, 1, 8, 8).requires_grad_()
    assert torch.equal(found(images), network(images))
    assert device_of(found) == next(found.parameters()).device == torch.device("cpu")
    (gradients,) = torch.autograd.grad(found(images)[:, 0].sum(), images)
    assert gradients.eq(0).all() if blind else gradients.shape == images.shape


def test_without_weights_or_buffers_a_network_is_on_the_cpu() -> None:
    assert device_of(nn.Flatten()) == torch.device("cpu")


# Its audit.


def verdicts(findings: Findings) -> dict[int, str]:
    return {check.number: result.verdict for check, result in judged(findings)}


def written(findings: Findings) -> None:
    """That the card can be had of it."""
    assert card.content(findings)["left_out"] == dict(findings.missing)


def test_infinite_gradients_are_reported_and_the_rest_is_audited(place: Place, weights: Path) -> None:
    findings = place.audit(of(place, "Rooted", weights), FEW)
    assert findings.missing["white box: linf-pgd"] == "linf-pgd met gradients that are not finite"
    assert findings.missing["white box: autoattack"] == "autoattack met gradients that are not finite"
    assert standing_of(findings, "white box") == "not run"
    # Its twin has the same preprocessing.
    assert "not finite" in findings.missing[sources.TWIN]
    assert findings.tried["queries"]
    assert findings.tried["reference"]
    assert findings.probes.broken_gradients > 0.9
    assert verdicts(findings)[15] == "FAIL"
    written(findings)


def test_absent_gradients_are_reported_and_the_rest_is_audited(place: Place, weights: Path) -> None:
    findings = place.audit(of(place, "Cut", weights), FEW)
    assert findings.missing["white box: linf-pgd"] == "linf-pgd needs gradients, and the network has none"
    # AutoAttack has a part that needs none.
    assert {each.attempt.attack.name for each in findings.tried["white box"]} == {"autoattack"}
    # The twin is trained, for training needs no gradient by the images; to attack it does.
    assert "needs gradients" in findings.missing[sources.TWIN]
    assert sources.TWIN in findings.compared
    assert "cannot be trained for gm" in findings.missing[sources.surrogate(1)]
    assert findings.tried["queries"]
    assert findings.fooled(findings.tried["reference"]).hits
    assert findings.probes.zero_gradients == 1
    assert verdicts(findings)[15] == "FAIL"
    written(findings)


def test_a_network_without_parameters_is_attacked_as_any_other(place: Place, weights: Path) -> None:
    findings = place.audit(of(place, "Buffered", weights.with_name("buffered.safetensors")), FEW)
    plain = findings.plain(TARGET)
    assert plain is not None
    # Its oracle has the same matrix as parameters.
    network = of(place, "Linear", weights).network
    with torch.no_grad():
        network.get_parameter("layer.bias").zero_()
    field = Field(
        examples=Examples(place.splits.test.images[:30], place.splits.test.labels[:30]),
        identity="by hand",
        target=Named(network, "without bias"),
        seed=0,
        artefacts=place.workspace.artefacts,
    )
    attempt = Attempt(source=TARGET, attack=pgd(SETTINGS))
    buffered = Named(of(place, "Buffered", weights.with_name("buffered.safetensors")).network, "buffered")
    assert torch.equal(field.crafted(attempt, field.target)[0], field.crafted(attempt, buffered)[0])
    assert findings.missing[sources.TWIN] == "its architecture has no weights to train"
    assert standing_of(findings, "white box") == "defeated"
    written(findings)


def test_a_network_that_fails_at_examples_is_audited_with_what_is_left(place: Place, weights: Path) -> None:
    findings = place.audit(of(place, "Touchy", weights), FEW)
    why = "the network failed: ValueError: a grey level that no digit has"
    assert findings.missing["white box: linf-pgd"] == why
    assert findings.missing["queries: hop-skip-jump"] == why
    assert not any(findings.tried.values())
    assert findings.clean.sum() > 20
    disturbed, _ = findings.probes.corruptions["noise"]
    assert not disturbed.any()
    written(findings)


def test_an_answer_that_is_no_number_is_wrong_whatever_the_label(place: Place, weights: Path) -> None:
    findings = place.audit(of(place, "Lost", weights), FEW)
    assert findings.missing["white box: autoattack"] == "autoattack met logits that are not finite"
    for key in ("reference", "white box"):
        assert findings.fooled(findings.tried[key]).share == 1
    for each in findings.tried["queries"]:
        assert (findings.fooled([each]).share or 0) > 0.8
    written(findings)


def test_our_own_networks_errors_are_no_reasons(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(nn.Module):
        """Of a target that is ours."""

        def __init__(self) -> None:
            super().__init__()
            self.place = nn.Parameter(torch.zeros(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise ValueError("a fault of ours")

    named = Named(Broken(), "broken")
    field = Field(
        examples=Examples(place.splits.test.images[:3], place.splits.test.labels[:3]),
        identity="broken",
        target=named,
        seed=0,
        artefacts=place.workspace.artefacts,
    )
    attempt = Attempt(source=TARGET, attack=pgd(SETTINGS))
    with pytest.raises(ValueError, match="a fault of ours"):
        attempted(attempt, named, field)
    theirs = replace(named, foreign=True)
    said = attempted(attempt, theirs, replace(field, target=theirs))
    assert said == "the network failed: ValueError: a fault of ours"


@pytest.mark.parametrize("error", [UserError("the disk is full"), MemoryError("none left")])
def test_what_says_nothing_of_a_network_is_no_reason(error: Exception) -> None:
    with pytest.raises(type(error)):
        fault_of(error)
