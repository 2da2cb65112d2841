"""What a genome and a training mean, pinned by numbers: evaluations are remembered by names that say neither.

The numbers are compared with a tolerance, for another processor or torch may round differently.
"""

import json
import math
from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.data.dataset import Examples
from contragrad.evolution.genome import Genome, Pool, Sum, parse, sources
from contragrad.evolution.shapes import Problem, halved, shapes
from contragrad.fingerprint import stream
from contragrad.networks.misalignment import losses
from contragrad.networks.network import Normalisation, Normalised, build
from contragrad.networks.objectives import OBJECTIVES, Material
from contragrad.networks.training import begin, train_epoch
from contragrad.settings.choices import Objective
from contragrad.settings.config import TrainingSettings
from strategies import MNIST, ODD

GOLDEN = Path(__file__).parent / "golden"
TOLERANCE = 1e-3
COUNT = 6
EPSILON = 8 / 255
NETWORKS: dict[str, tuple[str, Problem]] = {
    "every convolution, sizes three halvings apart": (
        "conv(4,3) strided(6,5) pool(max,3) strided(8,1) sum(1,4) cat(2,5) fc(8)",
        MNIST,
    ),
    "odd sizes, every pool": (
        "conv(4,1) pool(avg,3) pool(max,2) cat(1,3) conv(3,5) pool(avg,2) sum(2,6) sum(4,7) fc(6)",
        ODD,
    ),
    "a large map that the head halves": (
        "conv(6,3) conv(4,3) sum(1,2) conv(6,3) sum(3,4) cat(2,5) fc(8)",
        Problem(3, 21, 34, 4),
    ),
}

CHANGED = (
    "What a genome or a training means has changed. If that is meant, raise EVALUATION in "
    "run_folder/workspace.py and the tags 'network/' and 'reference/' with it, so that nothing remembered "
    "passes for what is made now; then run with --update-golden, and say in the commit why."
)


def made(problem: Problem) -> tuple[Examples, Tensor]:
    """Images with labels, and directions, that no version of torch draws otherwise."""
    random = stream(0, "golden networks", problem.height)
    shape = (COUNT, problem.channels, problem.height, problem.width)
    images = torch.tensor([random.random() for _ in range(math.prod(shape))]).view(shape)
    noise = torch.tensor([random.uniform(-1, 1) for _ in range(math.prod(shape))]).view(COUNT, -1)
    labels = torch.arange(COUNT) % problem.classes
    return Examples(images, labels), F.normalize(noise).view(shape)


def network_of(genome: Genome, problem: Problem) -> Normalised:
    channels = range(problem.channels)
    normalisation = Normalisation(
        tuple(0.4 + channel / 10 for channel in channels), tuple(0.3 - channel / 20 for channel in channels)
    )
    return build(genome, problem, normalisation, seed=7)


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().double().clone() for name, parameter in network.named_parameters()}


Numbers = dict[str, list[float]]


def measured(text: str, problem: Problem) -> tuple[Numbers, dict[str, float]]:
    """What is pinned of a network, and a length by which each of the numbers is to be judged.

    Nearly all numbers are judged by their own length. A sum of weights, or of what a step has moved them by,
    says little: many cancel. It is judged by how far they all went.
    """
    genome = parse(text)
    examples, directions = made(problem)
    numbers: Numbers = {}
    network = network_of(genome, problem).eval()
    with torch.no_grad():
        numbers["logits"] = network(examples.images).flatten().tolist()
    network.train()
    parts = losses(network, examples.images, examples.labels, directions)
    numbers["cross-entropy"], numbers["GM loss"] = ([part.item()] for part in parts)

    found, scales = stepped(text, problem, "gm")
    return numbers | found, scales


def stepped(text: str, problem: Problem, objective: Objective) -> tuple[Numbers, dict[str, float]]:
    """What an epoch of one batch leaves of a network: one step, or as many as the objective takes of it.

    Adam's first step moves nearly every weight by the same length, up or down; the norms of the gradients
    tell every layer.
    """
    examples, directions = made(problem)
    attacked = (examples.images + EPSILON * directions.sign()).clamp(0, 1)
    numbers: Numbers = {}
    network = network_of(parse(text), problem)
    before, settings = weights(network), TrainingSettings(batch_size=COUNT, objective=objective)
    parts = OBJECTIVES[objective]
    material = Material(
        directions if parts.penalty is not None else None, attacked if parts.fixed else None, EPSILON
    )
    train_epoch(begin(network, settings), examples, material, settings, seed=3)
    after = weights(network)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        numbers[f"gradient of {name}"] = [parameter.grad.double().norm().item()]
    moves = torch.cat([(after[name] - before[name]).flatten() for name in before])
    numbers["weights' sum after a step"] = [sum(tensor.sum().item() for tensor in after.values())]
    numbers["length of a step"] = [moves.abs().sum().item()]
    numbers["running statistics"] = [
        tensor.double().norm().item() for name, tensor in network.named_buffers() if "running" in name
    ]
    return numbers, {"weights' sum after a step": moves.abs().sum().item()}


def difference(found: Numbers, stored: Numbers, scales: dict[str, float]) -> str | None:
    """The first thing by which the numbers differ by more than the tolerance; None if they agree."""
    if found.keys() != stored.keys():
        return f"{sorted(found)} is not {sorted(stored)}"
    for name, values in found.items():
        scale = scales.get(name, math.hypot(*stored[name]))
        same_length = len(values) == len(stored[name])
        # A number that is none is close to nothing.
        if not (same_length and math.dist(values, stored[name]) <= TOLERANCE * scale):
            return f"{name}: {values} is not {stored[name]}"
    return None


def test_these_networks_hold_everything_that_a_genome_can() -> None:
    kinds, apart, padded, odd = set(), set(), False, False
    for text, problem in NETWORKS.values():
        genome = parse(text)
        shape = shapes(genome, problem)
        for place, block in enumerate(genome.blocks, start=1):
            kinds.add((type(block), block.kind if isinstance(block, Pool) else ""))
            read = [shape[source] for source in sources(genome, place)]
            apart.add(max(part.halvings for part in read) - min(part.halvings for part in read))
            padded |= isinstance(block, Sum) and read[0].channels != read[1].channels
            edges = [halved(edge, part.halvings) for edge in (problem.height, problem.width) for part in read]
            odd |= shape[place].halvings > read[0].halvings and any(edge % 2 for edge in edges)
    assert {kind.__name__ for kind, _ in kinds} == {"Conv", "Strided", "Pool", "Sum", "Cat"}
    assert {which for kind, which in kinds if kind is Pool} == {"max", "avg"}
    assert apart == {0, 1, 2, 3}
    assert padded
    assert odd


def test_numbers_that_differ_are_told_from_numbers_that_are_rounded() -> None:
    stored = {"a": [3.0, 4.0], "b": [0.001]}
    near = {"a": [3.003, 4.003], "b": [0.001]}
    assert difference(near, stored, {}) is None
    assert difference(stored | {"b": [0.002]}, stored, {"b": 2.0}) is None
    for other in ({"a": [3.0, 4.006]}, {"a": [3.0]}, {"b": [0.002]}, {"b": [math.nan]}, {"c": [1.0]}):
        assert difference(stored | other, stored, {}) is not None
    assert difference({"a": [3.0, 4.0]}, stored, {}) is not None


def hold(file: str, name: str, found: Numbers, scales: dict[str, float], *, update: bool) -> None:
    """Fails unless the golden file has these numbers under the name."""
    path = GOLDEN / file
    stored: dict[str, Numbers] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    differs = difference(found, stored.get(name, {}), scales)
    # What agrees is left as it is, whatever this processor makes of the last digits.
    if differs and update:
        stored[name] = {kind: [float(f"{value:.6g}") for value in values] for kind, values in found.items()}
        path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        return
    assert differs is None, f"{name}: {differs}. {CHANGED}"


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.mark.parametrize("name", NETWORKS)
def test_genomes_and_training_mean_what_they_meant(name: str, update: bool) -> None:
    hold("networks.json", name, *measured(*NETWORKS[name]), update=update)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_of_every_objective_means_what_it_meant(objective: Objective, update: bool) -> None:
    first = next(iter(NETWORKS.values()))
    hold("objectives.json", objective, *stepped(*first, objective), update=update)


def test_the_golden_steps_of_no_two_objectives_are_alike() -> None:
    stored: dict[str, Numbers] = json.loads((GOLDEN / "objectives.json").read_text(encoding="utf-8"))
    assert stored.keys() == OBJECTIVES.keys()
    for one, other in combinations(stored.values(), 2):
        assert difference(one, other, {}) is not None
