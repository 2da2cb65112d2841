"""The GM training step beside a plain one and beside the one most people would write.

    python benchmarks/gm_step.py --json

For each network, contenders in one run, each with weights of its own:

- plain: a cross-entropy step of the network built of PyTorch's modules, and (plain-own) of contragrad's,
  in both memory formats;
- naive: a GM step on PyTorch's modules, the reference's gradient recomputed in every step;
- gm: contragrad's step, as `networks.training` runs it.

gm_over_plain takes the fastest of the plain steps; naive_over_gm takes the naive step in PyTorch's
default format, which is what one gets without thinking of it. The count of convolutions gives 2.0 (six
for three); without_norm is the same network without batch normalisation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from timing import interleaved, options, publish
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.engine.memory import keep_freed_memory
from contragrad.evolution.genome import parse
from contragrad.evolution.shapes import Problem
from contragrad.networks.batchnorm import BatchNormReLU
from contragrad.networks.convolution import Convolution
from contragrad.networks.misalignment import unit
from contragrad.networks.network import Normalisation, build
from contragrad.networks.objectives import Material
from contragrad.networks.pooling import AveragePool, MaxPool
from contragrad.networks.training import Session, begin, step
from contragrad.settings.config import TrainingSettings

BATCH = 128
SETTINGS = TrainingSettings()
CIFAR, MNIST = Problem(3, 32, 32, 10), Problem(1, 28, 28, 10)
PLAIN = "conv(32,3) conv(32,3) strided(64,3) conv(64,3) strided(128,3) conv(128,3) fc(128)"
EVOLVED = (
    "conv(32,3) pool(max,2) conv(32,3) sum(2,3) conv(64,3) cat(4,5) pool(avg,2) conv(64,3) sum(1,8) fc(128)"
)
FORMATS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


@dataclass(frozen=True, slots=True)
class Case:
    """A network and the images it is measured on."""

    name: str
    genome: str
    problem: Problem
    norm: bool = True


CASES = (
    Case("conv-bn-relu 3x32x32", PLAIN, CIFAR),
    Case("conv-bn-relu 1x28x28", PLAIN, MNIST),
    Case("evolved 3x32x32", EVOLVED, CIFAR),
    Case("evolved 1x28x28", EVOLVED, MNIST),
    Case("without_norm 3x32x32", PLAIN, CIFAR, norm=False),
)


def of_pytorch(network: nn.Module) -> nn.Module:
    """The network with PyTorch's own modules for what contragrad has written anew."""
    for module in network.modules():
        for name, child in module.named_children():
            match child:
                case BatchNormReLU():
                    own: nn.Module = nn.Sequential(nn.BatchNorm2d(child.num_features), nn.ReLU())
                case Convolution():
                    width, stride = child.kernel_size[0], child.stride[0]
                    sizes = child.in_channels, child.out_channels, width
                    own = nn.Conv2d(*sizes, stride=stride, padding=width // 2, bias=False)
                case MaxPool():
                    kernel, padding, ceil = child.window
                    own = nn.MaxPool2d(kernel, 2, padding, ceil_mode=ceil)
                case AveragePool():
                    kernel, padding, ceil = child.window
                    own = nn.AvgPool2d(kernel, 2, padding, ceil_mode=ceil)
                case _:
                    continue
            setattr(module, name, own)
    return network


def without_norm(network: nn.Module) -> None:
    """Puts a plain ReLU in the place of each batch normalisation with ReLU."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, BatchNormReLU):
                setattr(module, name, nn.ReLU())


def plain_step(session: Session, images: Tensor, labels: Tensor) -> None:
    """A cross-entropy step."""
    session.optimiser.zero_grad()
    F.cross_entropy(session.network(images), labels).backward()  # type: ignore[no-untyped-call]
    session.optimiser.step()


def naive_step(session: Session, images: Tensor, labels: Tensor, reference: nn.Module) -> None:
    """A GM step that works the reference's gradient out anew, with PyTorch's own derivatives."""
    images = images.clone().requires_grad_()
    session.optimiser.zero_grad()
    (theirs,) = torch.autograd.grad(F.cross_entropy(reference(images), labels), images)
    loss = F.cross_entropy(session.network(images), labels)
    (ours,) = torch.autograd.grad(loss, images, create_graph=True)
    gm = F.cosine_similarity(ours.flatten(1), theirs.flatten(1)).mean()
    (loss + SETTINGS.gm_weight * gm).backward()  # type: ignore[no-untyped-call]
    session.optimiser.step()


def contenders(case: Case) -> dict[str, Callable[[], object]]:
    """The steps of one case by contender and memory format."""
    problem = case.problem
    normal = Normalisation((0.5,) * problem.channels, (0.25,) * problem.channels)
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, problem.channels, problem.height, problem.width)
    images, labels = torch.rand(shape, generator=generator), torch.arange(BATCH) % problem.classes
    directions = unit(torch.randn(shape, generator=generator))

    def network(memory_format: torch.memory_format, *, own: bool) -> nn.Module:
        built: nn.Module = build(parse(case.genome), problem, normal, seed=0)
        if not case.norm:
            without_norm(built)
        return (built if own else of_pytorch(built)).to(memory_format=memory_format).train()

    found: dict[str, Callable[[], object]] = {}
    for label, memory_format in FORMATS.items():
        placed = images.contiguous(memory_format=memory_format)
        theirs, ours = partial(network, memory_format, own=False), partial(network, memory_format, own=True)
        found |= {
            f"plain {label}": partial(plain_step, _session(theirs()), placed, labels),
            f"plain-own {label}": partial(plain_step, _session(ours()), placed, labels),
            f"naive {label}": partial(naive_step, _session(theirs()), placed, labels, theirs().eval()),
        }
    # A session chooses its own format.
    found["gm"] = partial(step, begin(ours(), SETTINGS), images, labels, Material(directions), SETTINGS)
    return found


def _session(network: nn.Module) -> Session:
    return Session(network, torch.optim.Adam(network.parameters()))


def main() -> None:
    parser = options(__doc__, repeats=15)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch; workers have one")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    keep_freed_memory()  # for all contenders alike
    rows = []
    for case in CASES:
        seconds = interleaved(contenders(case), chosen.repeats)
        fastest = {
            "plain": min(seconds[f"{name} {label}"] for name in ("plain", "plain-own") for label in FORMATS),
            "gm": seconds["gm"],
        }
        rows.append(
            {"network": case.name}
            | {f"{name} ms": 1e3 * found for name, found in seconds.items()}
            | {
                "gm_over_plain": fastest["gm"] / fastest["plain"],
                "naive_over_gm": seconds["naive nchw"] / fastest["gm"],
            }
        )
    summary = {key: {row["network"]: row[key] for row in rows} for key in ("gm_over_plain", "naive_over_gm")}
    publish("gm_step", rows, summary, as_json=chosen.json)


if __name__ == "__main__":
    main()
