"""ONNX files and torch's exported programs: the network's answers, of any number of images."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import contragrad
from contragrad.errors import UserError
from contragrad.evolution.shapes import Problem
from contragrad.export.check import Agreement, compared, require_agreement
from contragrad.export.formats import FORMATS, genome_of
from contragrad.export.names import SUFFIXES, FormatName
from contragrad.networks.architectures import construct
from contragrad.networks.network import Normalisation
from exports import EVERY_BLOCK, ODD, evolved, images, settled, target_of

ROOT = Path(__file__).parents[1]


def same(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


def file_of(path: Path, kind: FormatName, network: nn.Module, text: str, problem: Problem) -> Path:
    file = path / f"network{SUFFIXES[kind]}"
    FORMATS[kind].write(target_of(network, text), problem, file)
    return file


@torch.no_grad()
def answer(network: nn.Module, batch: Tensor) -> Tensor:
    logits: Tensor = network(batch)
    return logits


@pytest.mark.parametrize("count", [1, 2, 5])
def test_an_onnx_file_of_every_block_answers_as_the_network(count: int, onnx_file: Path) -> None:
    batch = images(ODD, count)
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": batch.numpy()})
    assert isinstance(logits, np.ndarray)
    assert same(torch.from_numpy(logits), answer(evolved(EVERY_BLOCK), batch))


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = evolved(EVERY_BLOCK)
    return file_of(tmp_path_factory.mktemp("onnx"), "onnx", network, str(EVERY_BLOCK), ODD)


def test_an_onnx_file_is_one_file_that_says_nothing_of_this_machine(onnx_file: Path) -> None:
    assert [path.name for path in onnx_file.parent.iterdir()] == [onnx_file.name]
    onnx.checker.check_model(onnx.load(onnx_file), full_check=True)
    assert str(ROOT).encode() not in onnx_file.read_bytes()


def test_an_onnx_file_is_loaded_as_the_network(onnx_file: Path) -> None:
    batch = images(ODD)
    assert same(answer(contragrad.load(onnx_file), batch), answer(evolved(EVERY_BLOCK), batch))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "torch-export"])
def test_a_torchvision_network_is_exported_too(kind: FormatName, tmp_path: Path) -> None:
    problem, text = Problem(1, 28, 28, 10), "torchvision squeezenet1_1"
    network = settled(construct(text, problem, Normalisation((0.4,), (0.3,)), 0), problem)
    file, batch = file_of(tmp_path, kind, network, text, problem), images(problem, 3)
    answers = FORMATS[kind].answers
    assert answers is not None
    assert same(answers(file, target_of(network, text))(batch), answer(network, batch))


@pytest.fixture(scope="module")
def program_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = evolved(EVERY_BLOCK)
    return file_of(tmp_path_factory.mktemp("program"), "torch-export", network, str(EVERY_BLOCK), ODD)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_an_exported_program_of_every_block_answers_as_the_network(count: int, program_file: Path) -> None:
    batch = images(ODD, count)
    assert same(torch.export.load(program_file).module()(batch), answer(evolved(EVERY_BLOCK), batch))


def test_an_exported_program_says_nothing_of_this_machine(program_file: Path) -> None:
    assert str(ROOT).encode() not in program_file.read_bytes()


class Untraceable(nn.Module):
    """A user's network that looks at its images."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 4)

    def forward(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.layer(maps.flatten(1))
        return logits if float(logits.sum()) > 0 else -logits


@pytest.mark.parametrize("kind", ["onnx", "torch-export"])
def test_what_torch_cannot_export_is_said(kind: FormatName, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot export NE"):
        file_of(tmp_path, kind, Untraceable(), "factory own:make", Problem(1, 8, 8, 4))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["torchvision resnet18", "factory own:make"])
def test_source_and_text_are_of_genomes(text: str) -> None:
    with pytest.raises(UserError, match="no genome"):
        genome_of(target_of(nn.Linear(1, 1), text))


# The comparison can fail.


def test_another_network_is_told_from_the_network() -> None:
    network, other = evolved(EVERY_BLOCK), evolved(EVERY_BLOCK)
    batch = images(ODD, 70)
    same_one = compared(network, other, batch)
    assert same_one == Agreement(images=70, difference=0, largest=same_one.largest, equal=1)
    require_agreement(same_one, "file")
    weight = other.get_parameter("network.head.3.weight")
    weight.data *= 1 + 1e-3
    with pytest.raises(UserError, match="not the network"):
        require_agreement(compared(network, other, batch), "file")


def test_the_first_image_is_asked_alone_and_all_are_asked() -> None:
    asked: list[int] = []

    def answers(batch: Tensor) -> Tensor:
        asked.append(len(batch))
        return batch.flatten(1)[:, :3]

    found = compared(answers, lambda batch: answers(batch) + (len(batch) == 1), images(ODD, 130))
    assert asked[: len(asked) // 2] == [1, 64, 64, 1]
    assert found.difference == 1
    assert compared(answers, answers, images(ODD, 1)).images == 1


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_numbers_that_are_none_do_not_agree(wrong: float) -> None:
    network = evolved(EVERY_BLOCK)
    found = compared(network, lambda batch: network(batch) * wrong, images(ODD))
    with pytest.raises(UserError, match="not the network"):
        require_agreement(found, "file")
