"""The exported safetensors file: it comes back as the network, and what was tampered with is refused."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

import contragrad
from contragrad.errors import UserError
from contragrad.evolution.shapes import Problem
from contragrad.export import network_file
from contragrad.export.network_file import KEY, Description, read
from contragrad.networks.architectures import construct
from contragrad.networks.network import Normalisation
from exports import EVERY_BLOCK, ODD, evolved, images, settled

SMALL = "conv(4,3) fc(2)"
GREY = Problem(1, 8, 8, 4)


def held(network: nn.Module, text: str, problem: Problem, path: Path) -> Path:
    network_file.write(Description("NE+GM 1", text, problem), network.state_dict(), path)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    network = construct(SMALL, GREY, Normalisation((0.5,), (0.2,)), 0)
    return held(network, SMALL, GREY, tmp_path / "network.safetensors")


def answer(network: nn.Module, problem: Problem) -> Tensor:
    with torch.no_grad():
        logits: Tensor = network(images(problem))
    return logits


# What comes back.


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (str(EVERY_BLOCK), ODD),
        (SMALL, GREY),
        ("torchvision squeezenet1_1", Problem(1, 28, 28, 10)),
        ("torchvision resnet18", Problem(3, 32, 32, 7)),
    ],
)
def test_a_network_comes_back(text: str, problem: Problem, tmp_path: Path) -> None:
    normal = Normalisation((0.4,) * problem.channels, (0.3,) * problem.channels)
    network = settled(construct(text, problem, normal, 0), problem)
    loaded = contragrad.load(held(network, text, problem, tmp_path / "network.safetensors"))
    assert not any(module.training for module in loaded.modules())
    assert {parameter.device.type for parameter in loaded.parameters()} == {"cpu"}
    assert torch.equal(answer(loaded, problem), answer(network, problem))


def test_a_loaded_network_does_not_change_with_its_file(file: Path) -> None:
    loaded = contragrad.load(str(file))
    before = answer(loaded, GREY)
    with file.open("r+b") as content:
        content.seek(-64, 2)
        content.write(b"\0" * 64)
    assert torch.equal(answer(loaded, GREY), before)


class Own(nn.Module):
    """A user's network."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 4)

    def forward(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.layer(maps.flatten(1))
        return logits


def test_a_factorys_network_is_loaded_by_the_factory_that_is_given(tmp_path: Path) -> None:
    network = Own()
    path = held(network, "factory unheard.of:make", GREY, tmp_path / "network.safetensors")
    assert torch.equal(answer(contragrad.load(path, factory=Own), GREY), answer(network, GREY))


def test_a_factory_is_named_and_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    path = held(Own(), "factory trap:make", GREY, tmp_path / "network.safetensors")
    with pytest.raises(UserError, match="trap:make") as caught:
        contragrad.load(path)
    assert "factory=" in caught.value.remedy
    assert "trap" not in sys.modules


@pytest.mark.parametrize(
    ("factory", "said"), [(nn.Identity, "another network"), (lambda: 3, "returned a int")]
)
def test_a_wrong_factory_is_said(factory: Callable[[], Any], said: str, tmp_path: Path) -> None:
    path = held(Own(), "factory unheard.of:make", GREY, tmp_path / "network.safetensors")
    with pytest.raises(UserError, match=said):
        contragrad.load(path, factory=factory)


def test_a_factory_is_not_called_for_another_network(file: Path) -> None:
    with pytest.raises(UserError, match="no factory"):
        contragrad.load(file, factory=Own)


# What is refused.


def tampered(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The file with another description."""
    with safe_open(path, framework="pt") as opened:
        content = json.loads(opened.metadata()[KEY])
        tensors = {key: opened.get_tensor(key).clone() for key in opened.keys()}  # noqa: SIM118
    found = change(content)
    said = found if isinstance(found, str) else json.dumps(content)
    safetensors.torch.save_file(tensors, path, {KEY: said})
    return path


def problem(**changes: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["problem"].update(changes)


def described(**changes: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.update(changes)


def text(said: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (text("{"), "no JSON"),
        (text("[" * 60_000), "no JSON"),
        (text("[]"), "no version that this contragrad reads, 1 or 2"),
        (text(" " * 70_000), "too long"),
        (described(version=3), "no version that this contragrad reads, 1 or 2"),
        (described(more=1), "other fields"),
        (described(name=7), "other fields"),
        (described(problem=[1, 8, 8, 4]), "other fields"),
        (problem(more=1), "other fields"),
        (problem(classes=0), "classes"),
        (problem(classes=True), "classes"),
        (problem(classes="4"), "classes"),
        (problem(height=8.0), "height"),
        (problem(height=10**9), "height"),
        (problem(channels=-1), "channels"),
        (problem(channels=2), "another network's"),
        (problem(classes=5), "another network's"),
        (described(architecture="conv(4,3) fc(3)"), "another network's"),
        (described(architecture="conv(999999,999) fc(999999)"), "another network's"),
        (described(architecture="conv(4,3) " + "cat(1,2) " * 2000 + "fc(2)"), "genome"),
        (described(architecture="torchvision resnet18"), "another network's"),
        (described(architecture="torchvision maskrcnn_resnet50_fpn"), "no architecture"),
        (described(architecture="torchvision plain"), "no architecture"),
        (described(architecture="torchvision"), "no architecture"),
        (described(architecture="__import__('os').system('true')"), "genome"),
        (described(architecture=""), "genome"),
    ],
)
def test_a_description_that_was_tampered_with_is_refused(
    change: Callable[[dict[str, Any]], object], said: str, file: Path
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        contragrad.load(tampered(file, change))
    assert caught.value.where == str(file)


def test_channels_that_grow_without_weights_take_no_memory(file: Path) -> None:
    """Each concatenation has the channels of both before it: more of them than there are atoms."""
    joined = " ".join(f"cat({place},{place + 1})" for place in range(1, 1000))
    genome = f"conv(4,3) conv(4,3) {joined} fc(2)"
    with pytest.raises(UserError, match="another network's"):
        contragrad.load(tampered(file, described(architecture=genome)))


def changed(path: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    """The file with other tensors."""
    description, tensors = read(path)
    change(tensors)
    network_file.write(description, tensors, path)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("mean"), "another network's: mean"),
        (lambda tensors: tensors.update(more=torch.zeros(1)), "another network's: more"),
        (lambda tensors: tensors.update(mean=torch.zeros(1, 1, 1, 1).double()), "another network's: mean"),
        (lambda tensors: tensors.update(mean=torch.zeros(1)), "another network's: mean"),
        (lambda tensors: tensors["deviation"].fill_(float("nan")), "not finite"),
        (lambda tensors: tensors["network.head.1.weight"].fill_(float("inf")), "not finite"),
    ],
)
def test_other_tensors_are_refused(
    change: Callable[[dict[str, Tensor]], object], said: str, file: Path
) -> None:
    with pytest.raises(UserError, match=said):
        contragrad.load(changed(file, change))


def test_a_file_of_another_kind_is_refused(tmp_path: Path, file: Path) -> None:
    bare = tmp_path / "bare.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(2)}, bare)
    with pytest.raises(UserError, match="says nothing"):
        contragrad.load(bare)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(UserError, match="cannot be read"):
        contragrad.load(cut)


def test_a_file_that_is_too_large_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_file, "LARGEST_FILE", file.stat().st_size - 1)
    with pytest.raises(UserError, match="bytes"):
        contragrad.load(file)


@pytest.mark.parametrize("suffix", [".pt", ".pt2", ".pth", ".pkl", ".py", ""])
def test_what_could_run_code_is_not_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"network{suffix}"
    torch.save(evolved(EVERY_BLOCK).state_dict(), path)
    with pytest.raises(UserError) as caught:
        contragrad.load(path)
    assert "safetensors" in caught.value.remedy
    assert suffix != ".pt2" or "pickle" in caught.value.what


def test_a_path_to_nothing_is_said(tmp_path: Path) -> None:
    for name in ("nothing.safetensors", "nothing.onnx", "nothing"):
        with pytest.raises(UserError, match="no such file"):
            contragrad.load(tmp_path / name)
