"""Reference networks: appendix A's counts, every architecture on every shape, seeds, weights, factories."""

import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torchvision.models
from safetensors.torch import save_file
from torch import Tensor, nn

import anyones
from contragrad.errors import UserError
from contragrad.evolution.genome import Cat, Conv, Genome, Pool, Sum, fault
from contragrad.evolution.shapes import Problem
from contragrad.networks.architectures import HAND_ENGINEERED, SMALLEST_EDGE, Fitted, construct
from contragrad.networks.network import Normalisation, Normalised
from contragrad.reference import architecture, load_weights, require_usable
from contragrad.settings.choices import ReferenceArchitecture
from contragrad.settings.config import ReferenceSettings
from strategies import CIFAR, MNIST

DIGITS = Problem(1, 8, 8, 10)
LARGE = Problem(3, 64, 64, 5)
UNCHANGED = Normalisation((0.0,), (1.0,))
NAMES: tuple[ReferenceArchitecture, ...] = get_args(ReferenceArchitecture)
TORCHVISION = [name for name in NAMES if name not in HAND_ENGINEERED]
SMALL = "conv(4,3) fc(4)"


def of_name(name: ReferenceArchitecture) -> str:
    return architecture(ReferenceSettings(architecture=name))


def images(problem: Problem, count: int = 2) -> Tensor:
    shape = (count, problem.channels, problem.height, problem.width)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


# Appendix A.


def kinds(genome: Genome) -> Counter[str]:
    names = {Sum: "skip", Cat: "skip", Pool: "pool", Conv: "conv"}
    return Counter(names[type(block)] for block in genome.blocks)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("hand-engineered-a", {"conv": 3, "skip": 3}),
        ("hand-engineered-b", {"conv": 4, "pool": 1, "skip": 2}),
    ],
)
def test_the_hand_engineered_networks_have_appendix_as_counts(name: str, counts: dict[str, int]) -> None:
    genome = HAND_ENGINEERED[name]
    assert kinds(genome) == counts
    assert fault(genome) is None
    # "not more than ten blocks in total", the two fully connected ones among them (section 4.2).
    assert len(genome.blocks) + 2 <= 10
    network = construct(str(genome), CIFAR, UNCHANGED, 0)
    assert sum(isinstance(module, nn.Linear) for module in network.modules()) == 2
    assert sum(tensor.ndim == 4 for tensor in network.parameters()) == counts["conv"]


def test_network_a_has_summation_and_concatenation() -> None:
    assert {type(block) for block in HAND_ENGINEERED["hand-engineered-a"].blocks} == {Conv, Sum, Cat}


def test_the_hand_engineered_networks_differ() -> None:
    assert HAND_ENGINEERED["hand-engineered-a"] != HAND_ENGINEERED["hand-engineered-b"]


# Architectures by name.


def test_every_architecture_has_a_text() -> None:
    texts = {name: of_name(name) for name in NAMES}
    assert len(set(texts.values())) == len(NAMES)
    for name, text in texts.items():
        assert text == (str(HAND_ENGINEERED[name]) if name in HAND_ENGINEERED else f"torchvision {name}")
    assert architecture(ReferenceSettings(factory="nets:make")) == "factory nets:make"


@cache
def inner(name: str, classes: int) -> nn.Module:
    """An untrained torchvision network, kept, for the largest take a second to draw."""
    network: Any = construct(f"torchvision {name}", Problem(3, 32, 32, classes), UNCHANGED, 0)
    return network.eval()  # type: ignore[no-any-return]


@pytest.fixture(scope="module", autouse=True)
def one_thread_and_nothing_kept() -> Iterator[None]:
    """Deep networks on small images: threads that wait for each other take seconds on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    inner.cache_clear()


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("problem", [CIFAR, MNIST, DIGITS, LARGE])
@torch.no_grad()
def test_every_torchvision_architecture_runs_on_every_shape(name: str, problem: Problem) -> None:
    logits = inner(name, problem.classes)(images(problem))
    assert logits.shape == (2, problem.classes)
    assert logits.isfinite().all()
    assert not torch.equal(logits[0], logits[1]), "the logits do not depend on the image"


@pytest.mark.parametrize("name", sorted(HAND_ENGINEERED))
@pytest.mark.parametrize("problem", [CIFAR, MNIST, DIGITS, LARGE])
def test_the_hand_engineered_networks_run_on_every_shape(name: str, problem: Problem) -> None:
    network = construct(str(HAND_ENGINEERED[name]), problem, UNCHANGED, 0).eval()
    assert network(images(problem)).shape == (2, problem.classes)


@torch.no_grad()
def test_grey_becomes_three_channels_and_small_images_lie_in_the_middle_of_the_mean() -> None:
    network: Any = inner("squeezenet1_1", 10)
    normalised = Normalised(network.network, Normalisation((0.25,), (0.5,))).eval()
    small = images(Problem(1, 7, 9, 10))
    framed = torch.full((2, 1, SMALLEST_EDGE, SMALLEST_EDGE), 0.25)
    framed[:, :, 12:19, 11:20] = small
    plain = network.network.network
    assert torch.allclose(normalised(small), plain(((framed - 0.25) / 0.5).repeat(1, 3, 1, 1)), atol=1e-6)


@torch.no_grad()
def test_images_of_the_size_it_was_made_for_go_in_as_they_are() -> None:
    network: Any = inner("resnet18", 10)
    assert torch.equal(network(images(CIFAR)), network.network.network(images(CIFAR)))


# Seeds.


@pytest.mark.parametrize("text", [SMALL, "torchvision squeezenet1_1"])
def test_a_network_is_named_by_its_seed_and_leaves_the_global_generator_alone(text: str) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one = construct(text, CIFAR, UNCHANGED, 5).state_dict()
    assert torch.equal(torch.rand(1), expected)
    same, other = (construct(text, CIFAR, UNCHANGED, seed).state_dict() for seed in (5, 6))
    assert all(map(torch.equal, one.values(), same.values()))
    drawn = [name for name, tensor in one.items() if tensor.ndim > 1 and "weight" in name]
    assert drawn
    assert not any(torch.equal(one[name], other[name]) for name in drawn)


# Factories.


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, whose module `ournets` is imported anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "ournets", raising=False)
    return tmp_path / "ournets.py"


NETS = """
import torch
from torch import nn

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

def seven():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))

def large():
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))

def nothing():
    pass

def of(size):
    return nn.Flatten()

def fails():
    raise OSError("no licence")

class Pair(nn.Module):
    def forward(self, images):
        return images, images

number = 3
"""


def test_a_factorys_network_is_taken_as_it_is_and_named_by_the_seed(nets: Path) -> None:
    nets.write_text(NETS)
    state = torch.get_rng_state()
    one, same, other = (construct("factory ournets:make", DIGITS, UNCHANGED, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(one, nn.Sequential)
    assert same_weights(one, same)
    assert not same_weights(one, other)


@pytest.mark.parametrize(
    ("name", "said", "remedy"),
    [
        ("nowhere:make", "No module named 'nowhere'", "package.module:function"),
        ("ournets:missing", "has no attribute 'missing'", "package.module:function"),
        ("ournets", "not found", "package.module:function"),
        (":make", "not found", "package.module:function"),
        (".ournets:make", "not found", "package.module:function"),
        ("__main__:make", "workers do not have the program", "FILE:make"),
        ("ournets:number", "number is no function", "package.module:function"),
        ("ournets:seven", "(7,) for an image; the data have 10 classes", "10 logits"),
        ("ournets:large", "does not take the data's images", "(1, 8, 8)"),
        ("ournets:nothing", "it returned a NoneType", "torch.nn.Module"),
        ("ournets:of", "failed: TypeError: of() missing", "no arguments"),
        ("ournets:fails", "failed: OSError: no licence", "no arguments"),
        ("ournets:Pair", "tuple for an image", "10 logits"),
    ],
)
def test_a_factory_that_does_not_fit_is_named(name: str, said: str, remedy: str, nets: Path) -> None:
    nets.write_text(NETS)
    with pytest.raises(UserError) as error:
        construct(f"factory {name}", DIGITS, UNCHANGED, 0)
    assert said in error.value.what
    assert error.value.where == f"reference.factory: {name}"
    assert remedy in error.value.remedy


@pytest.mark.parametrize("text", ["def make(:\n", "1 / 0\n", "import nowhere\n", "raise KeyError('x')\n"])
def test_a_module_that_cannot_be_imported_is_named(text: str, nets: Path) -> None:
    nets.write_text(text)
    with pytest.raises(UserError, match="factory was not found"):
        construct("factory ournets:make", DIGITS, UNCHANGED, 0)


class Silent(nn.Linear):
    """It cannot be trained, and does not say why."""

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            raise AssertionError
        return super().forward(images.flatten(1))


def test_a_network_that_fails_without_a_word_is_named() -> None:
    network = Silent(64, 10)
    with pytest.raises(UserError, match="cannot be differentiated twice: AssertionError"):
        require_usable(network, DIGITS, "here")


@pytest.mark.parametrize(
    ("network", "what"),
    [
        (anyones.Squeezed, r"it gives \(10,\) for a single image, not \(1, 10\)"),
        (anyones.Together, "depends on the other images of the batch"),
        (anyones.Corrected, "depends on the other images of the batch"),
    ],
)
def test_a_network_that_cannot_be_asked_about_one_image_as_about_several_is_no_reference(
    network: type[nn.Module], what: str
) -> None:
    with pytest.raises(UserError, match=what) as caught:
        require_usable(network(), DIGITS, "here")
    assert caught.value.where == "here"
    require_usable(anyones.Linear(), DIGITS, "here")


# Weights.


def resaved(network: nn.Module, path: Path) -> Path:
    save_file(network.state_dict(), path)
    return path


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


@pytest.mark.parametrize("text", [SMALL, "torchvision squeezenet1_1"])
def test_a_networks_own_weights_are_loaded(text: str, tmp_path: Path) -> None:
    trained, network = (construct(text, CIFAR, UNCHANGED, seed) for seed in (0, 1))
    assert not same_weights(trained, network)
    load_weights(network, resaved(trained, tmp_path / "w.safetensors"))
    assert same_weights(trained, network)


def test_a_plain_torchvision_networks_weights_are_loaded(tmp_path: Path) -> None:
    plain = torchvision.models.resnet18(num_classes=10)
    network: Any = construct("torchvision resnet18", CIFAR, Normalisation((0.5,), (0.25,)), 0)
    load_weights(network, resaved(plain, tmp_path / "w.safetensors"))
    assert isinstance(network.network, Fitted)
    assert same_weights(network.network.network, plain)
    assert network.mean.item() == 0.5
    normalised = (images(CIFAR) - 0.5) / 0.25
    assert torch.allclose(network.eval()(images(CIFAR)), plain.eval()(normalised), atol=1e-5)


def test_a_factorys_weights_are_loaded(tmp_path: Path) -> None:
    trained, network = (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(2))
    load_weights(network, resaved(trained, tmp_path / "w.safetensors"))
    assert same_weights(trained, network)


def weights_refused(network: nn.Module, path: Path) -> UserError:
    with pytest.raises(UserError) as error:
        load_weights(network, path)
    assert error.value.where == f"reference.weights: {path}"
    assert error.value.remedy
    assert len(str(error.value).splitlines()) == 3
    return error.value


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    network = construct(SMALL, CIFAR, UNCHANGED, 0)
    for other, problem in (("conv(8,3) fc(4)", CIFAR), ("conv(4,3) conv(4,3) fc(4)", CIFAR), (SMALL, LARGE)):
        path = resaved(construct(other, problem, UNCHANGED, 0), tmp_path / "w.safetensors")
        assert "another network's" in weights_refused(network, path).what
    path = resaved(nn.Linear(2, 2), tmp_path / "w.safetensors")
    assert "another network's" in weights_refused(network, path).what


def test_weights_for_other_classes_are_refused(tmp_path: Path) -> None:
    plain = torchvision.models.squeezenet1_1(num_classes=1000)
    path = resaved(plain, tmp_path / "w.safetensors")
    said = weights_refused(construct("torchvision squeezenet1_1", CIFAR, UNCHANGED, 0), path).what
    assert "another network's" in said
    assert "1000" in said


def test_files_that_hold_no_safetensors_are_refused(tmp_path: Path) -> None:
    network = construct(SMALL, CIFAR, UNCHANGED, 0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    path = tmp_path / "weights.pt"
    assert "cannot be read" in weights_refused(network, path).what
    torch.save(network.state_dict(), path)
    found = weights_refused(network, path)
    assert "cannot be read" in found.what
    assert "safetensors" in found.remedy
    whole = resaved(network, tmp_path / "w.safetensors").read_bytes()
    for content in (b"", b"hello", whole[:-1], whole[:100]):
        path.write_bytes(content)
        assert "cannot be read" in weights_refused(network, path).what
    assert "cannot be read" in weights_refused(network, tmp_path).what
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
