"""The names that settings choose from."""

from typing import Literal

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
    "mixed-adversarial",
    "mixed-adversarial+orthogonal",
    "ensemble-adversarial",
    "ensemble-adversarial+orthogonal",
]
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
Source = Literal["reference", "another-seed", "surrogate", "key", ReferenceArchitecture]
