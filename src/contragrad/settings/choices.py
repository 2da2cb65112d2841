"""The names that settings choose from."""

from typing import Literal, get_args

AttackName = Literal[
    "fgsm",
    "linf-pgd",
    "l2-pgd",
    "mi-fgsm",
    "ni-fgsm",
    "di-fgsm",
    "ti-fgsm",
    "vmi-fgsm",
    "targeted-mi-fgsm",
    "sgm",
    "autoattack",
]
DataSource = Literal[
    "fashion-mnist-reduced",
    "npz",
    "image-folder",
    "cifar10",
    "mnist",
    "fashion-mnist",
    "kmnist",
    "digits",
]
ExecutorName = Literal["local", "ray"]
Device = Literal["auto", "cpu", "cuda", "mps"]
FitnessSplit = Literal["validation", "test"]
Objective = Literal[
    "gm",
    "orthogonal",
    "cross-entropy",
    "fixed-adversarial",
    "fixed-adversarial+gm",
    "fixed-adversarial+orthogonal",
    "free-adversarial",
    "fast-adversarial",
    "pgd-adversarial",
    "mixed-adversarial",
    "mixed-adversarial+orthogonal",
    "mixed-pgd-adversarial",
    "ensemble-adversarial",
    "ensemble-adversarial+orthogonal",
]
IN_LINF_BALLS: tuple[Objective, ...] = (
    "free-adversarial",
    "fast-adversarial",
    "pgd-adversarial",
    "mixed-adversarial",
    "mixed-adversarial+orthogonal",
    "mixed-pgd-adversarial",
    "ensemble-adversarial",
    "ensemble-adversarial+orthogonal",
)
"""Objectives that train on the network's own examples, which are made in an L_inf ball."""

WITH_PENALTY: tuple[Objective, ...] = (
    "gm",
    "orthogonal",
    "fixed-adversarial+gm",
    "fixed-adversarial+orthogonal",
    "mixed-adversarial+orthogonal",
    "ensemble-adversarial+orthogonal",
)
"""Objectives that penalise how input gradients lie to those of the sources, a key's among them."""

Optimiser = Literal["adam", "adamw", "sgd"]
Precision = Literal["float32", "bfloat16"]
Scale = Literal["smoke", "reduced", "full"]
Variation = Literal["mutation", "random"]
Schedule = Literal["sequential", "generation"]
Keep = Literal["last", "best"]
ReferenceArchitecture = Literal[
    "hand-engineered-a",
    "hand-engineered-b",
    "plain",
    "resnet18",
    "resnet34",
    "vgg16_bn",
    "densenet121",
    "squeezenet1_1",
]
SourceName = Literal["reference", "another-seed", "surrogate", "key", ReferenceArchitecture]
Source = SourceName | str
"""A name, or `surrogate GENOME`."""


SURROGATE_OF = "surrogate "


def is_source(text: str) -> bool:
    """Whether a text says a source; its genome is looked at where it is built."""
    return text in get_args(SourceName) or surrogate_genome(text) is not None


def is_surrogate(source: Source) -> bool:
    """Whether a source is trained by the objective itself, against the sources before it."""
    return source == "surrogate" or surrogate_genome(source) is not None


def surrogate_of(genome: str) -> Source:
    """The surrogate that has this architecture."""
    return f"{SURROGATE_OF}{genome}"


def surrogate_genome(source: Source) -> str | None:
    """The architecture of a surrogate that has one of its own."""
    return source.removeprefix(SURROGATE_OF) if source.startswith(SURROGATE_OF) else None
