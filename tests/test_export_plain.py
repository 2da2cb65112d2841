"""A genome's network in torch's own layers and as Python source: the same answers, whatever the genome."""

import re
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import exports
from contragrad.evolution.genome import Genome, parse
from contragrad.evolution.shapes import Problem, cost
from contragrad.export.plain import Joined, PaddedSum, plain
from contragrad.export.source import source, source_weights
from contragrad.export.text import text
from contragrad.networks.network import Evolved, Normalisation, Normalised
from exports import EVERY_BLOCK, NORMALISATION, ODD, evolved, images
from strategies import CIFAR, MNIST, genomes

OF_TORCH_ALONE = (Normalised, Evolved, PaddedSum, Joined)
"""Modules of ours whose `forward` is made of torch's functions."""

some_problems = st.sampled_from((CIFAR, MNIST, ODD, Problem(1, 1, 5, 2)))


def answers_alike(network: nn.Module, other: nn.Module, problem: Problem) -> bool:
    """In double precision, in which only another function differs by so much."""
    batch = images(problem).double()
    with torch.no_grad():
        expected, found = network.double()(batch), other.double()(batch)
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-10, atol=1e-12)


def written(genome: Genome, problem: Problem, *, checked: bool = False) -> nn.Module:
    """The network of the source; if it is checked, each of its maps has the shape that is said beside it."""
    normal = Normalisation(
        NORMALISATION.mean[: problem.channels], NORMALISATION.deviation[: problem.channels]
    )
    code = source(genome, problem, normal, "weights.safetensors")
    if checked:
        said = r"^( +)(map\w+) = (.*)  # \(B, (.*)\)$"
        assert len(re.findall(said, code, re.M)) > len(genome.blocks)
        code = re.sub(said, r"\1\2 = \3; assert tuple(\2.shape[1:]) == (\4), '\2'", code, flags=re.M)
    content: dict[str, Any] = {}
    exec(code, content)
    network: nn.Module = content["Network"]()
    return network


@settings(max_examples=30)
@given(genome=genomes(), problem=some_problems)
def test_in_torchs_layers_a_network_answers_the_same(genome: Genome, problem: Problem) -> None:
    network = evolved(genome, problem)
    found = plain(network)
    assert answers_alike(network, found, problem)
    for module in found.modules():
        assert type(module).__module__.startswith("torch.nn.") or type(module) in OF_TORCH_ALONE


@settings(max_examples=30)
@given(genome=genomes(), problem=some_problems)
def test_the_source_is_the_network_and_says_its_shapes(genome: Genome, problem: Problem) -> None:
    network = evolved(genome, problem)
    found = written(genome, problem, checked=True).eval()
    found.load_state_dict(source_weights(network.state_dict()))
    assert answers_alike(network, found, problem)


def test_every_kind_of_block_is_the_same_in_both() -> None:
    network = evolved(EVERY_BLOCK)
    found = written(EVERY_BLOCK, ODD, checked=True).eval()
    found.load_state_dict(source_weights(network.state_dict()))
    assert answers_alike(network, plain(network), ODD)
    assert answers_alike(network, found, ODD)


def test_the_normalisation_stands_in_the_source() -> None:
    network, found = evolved(EVERY_BLOCK), written(EVERY_BLOCK, ODD)
    for name in ("mean", "deviation"):
        assert torch.equal(found.get_buffer(name), network.get_buffer(name))


def test_the_network_is_left_as_it_was() -> None:
    network = exports.evolved(EVERY_BLOCK).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modules = [type(module) for module in network.modules()]
    plain(network)(images(ODD))
    assert network.training
    assert modules == [type(module) for module in network.modules()]
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_text_is_read_again_and_adds_up() -> None:
    found = text(EVERY_BLOCK, ODD)
    assert parse(found.partition("\n\n")[0].rpartition("\n")[0]) == EVERY_BLOCK
    assert "images (3, 33, 17), 3 classes" in found
    assert all(str(block) in found for block in EVERY_BLOCK.blocks)
    spent = cost(EVERY_BLOCK, ODD)
    (total,) = (line.split() for line in found.splitlines() if line.split()[:1] == ["all"])
    assert total == ["all", f"{spent.parameters:,}", f"{spent.flops:,}"]
    assert max(map(len, found.splitlines())) <= 100
