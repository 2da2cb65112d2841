"""Crafting L_inf-PGD examples beside a hand-written loop, and its memory by the number of images.

    python benchmarks/crafting.py --json

- over_hand_written: `attacks.craft` over a hand-written PGD of the same steps, batches and network;
- memory_growth: peak memory for 4,000 images over that for 1,000, each in a process of its own, the
  images and examples themselves taken off.
"""

import multiprocessing
import resource
from fractions import Fraction

import torch
from timing import interleaved, options, publish
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.attacks.examples import POSITIONS, craft
from contragrad.engine.memory import keep_freed_memory
from contragrad.evolution.genome import parse
from contragrad.evolution.shapes import Problem
from contragrad.networks.network import Normalisation, build, placed
from contragrad.settings.config import AttackSettings

CIFAR = Problem(3, 32, 32, 10)
GENOME = "conv(16,3) conv(16,3) sum(1,2) conv(32,3) cat(3,4) sum(4,5) fc(128)"
SETTINGS = AttackSettings(epsilon=Fraction(8, 255), steps=10)
BATCH = POSITIONS // (CIFAR.height * CIFAR.width)


def network() -> nn.Module:
    """The hand-engineered reference, untrained."""
    built = build(parse(GENOME), CIFAR, Normalisation((0.5,) * 3, (0.25,) * 3), seed=0)
    return placed(built, torch.device("cpu")).eval()


def images(count: int) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, 32, 32, generator=generator), torch.arange(count) % CIFAR.classes


def hand_written(model: nn.Module, clean: Tensor, labels: Tensor) -> Tensor:
    """PGD as the papers' repositories write it."""
    epsilon = float(SETTINGS.epsilon)
    size = 2.5 * epsilon / SETTINGS.steps
    found = []
    for x, y in zip(torch.split(clean, BATCH), torch.split(labels, BATCH), strict=True):
        adversarial = (x + torch.empty_like(x).uniform_(-epsilon, epsilon)).clamp(0, 1)
        for _ in range(SETTINGS.steps):
            adversarial.requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(model(adversarial), y), adversarial)
            adversarial = adversarial.detach() + size * gradient.sign()
            adversarial = torch.min(torch.max(adversarial, x - epsilon), x + epsilon).clamp(0, 1)
        found.append(adversarial.detach())
    return torch.cat(found)


def peak(count: int) -> float:
    """Peak megabytes of a process that crafts so many examples, less those of images and examples."""
    torch.set_num_threads(1)
    clean, labels = images(count)
    craft(network().requires_grad_(False), clean, labels, SETTINGS, seed=0)
    own = 2 * clean.numel() * clean.element_size() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - own


def main() -> None:
    """Prints the figures."""
    chosen = options(__doc__, repeats=7).parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    model = network().requires_grad_(False)
    clean, labels = images(2 * BATCH)
    seconds = interleaved(
        {
            "hand-written": lambda: hand_written(model, clean, labels),
            "craft": lambda: craft(model, clean, labels, SETTINGS, seed=0),
        },
        chosen.repeats,
    )
    counts = (1000, 4000)
    context = multiprocessing.get_context("spawn")
    megabytes = {}
    for count in counts:
        with context.Pool(1) as pool:
            megabytes[count] = pool.apply(peak, (count,))
    rows = [{"contender": name, "ms": 1e3 * found} for name, found in seconds.items()]
    summary = {
        "over_hand_written": seconds["craft"] / seconds["hand-written"],
        "memory_growth": megabytes[counts[1]] / megabytes[counts[0]],
        "peak_mb": {str(count): round(found) for count, found in megabytes.items()},
    }
    publish("crafting", rows, summary, as_json=chosen.json)


if __name__ == "__main__":
    main()
