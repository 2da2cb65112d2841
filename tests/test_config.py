"""Settings: the paper's values are the defaults, and what is out of range is refused by its full name."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from fractions import Fraction
from typing import Any

import pytest

from contragrad.errors import UserError
from contragrad.settings.config import (
    AttackSettings,
    DataSettings,
    RefineSettings,
    StudyConfig,
    TrainingSettings,
)
from contragrad.settings.config import ReferenceSettings as Reference
from contragrad.settings.search import Limits, SearchSettings

NAN = float("nan")

WRONG: list[tuple[Callable[..., object], dict[str, Any], str]] = [
    (DataSettings, {"validation_fraction": 0.0}, "data.validation_fraction"),
    (DataSettings, {"validation_fraction": 1.0}, "data.validation_fraction"),
    (DataSettings, {"validation_fraction": NAN}, "data.validation_fraction"),
    (Reference, {"epochs": 0}, "reference.epochs"),
    (AttackSettings, {"steps": 0}, "attack.steps"),
    (AttackSettings, {"epsilon": Fraction(-1, 255)}, "attack.epsilon"),
    (AttackSettings, {"epsilon": Fraction(8)}, "attack.epsilon"),
    (AttackSettings, {"epsilon": Fraction(8), "name": "fgsm"}, "attack.epsilon"),
    (AttackSettings, {"epsilon": Fraction(-1), "name": "l2-pgd"}, "attack.epsilon"),
    (AttackSettings, {"step_size": Fraction(0)}, "attack.step_size"),
    (AttackSettings, {"step_size": Fraction(-1, 255)}, "attack.step_size"),
    (TrainingSettings, {"batch_size": 0}, "training.batch_size"),
    (RefineSettings, {"keep": "best", "patience": 0}, "refine.patience"),
    (StudyConfig, {"refine": RefineSettings(patience=3)}, "refine.patience"),
    (TrainingSettings, {"gm_every": 0}, "training.gm_every"),
    (TrainingSettings, {"gm_weight": -0.1}, "training.gm_weight"),
    (TrainingSettings, {"gm_weight": float("inf")}, "training.gm_weight"),
    (TrainingSettings, {"gm_weight": NAN}, "training.gm_weight"),
    (Limits, {"blocks": 0}, "search.limits.blocks"),
    (Limits, {"parameters": 0}, "search.limits.parameters"),
    (Limits, {"flops": 0}, "search.limits.flops"),
    (SearchSettings, {"rungs": (0.0,)}, "search.rungs"),
    (SearchSettings, {"rungs": (1.0,)}, "search.rungs"),
    (SearchSettings, {"rungs": (0.5, 0.25)}, "search.rungs"),
    (SearchSettings, {"rungs": (NAN,)}, "search.rungs"),
    (SearchSettings, {"rung_slack": -0.1}, "search.rung_slack"),
    (SearchSettings, {"rung_slack": NAN}, "search.rung_slack"),
    (SearchSettings, {"population": 0}, "search.population"),
    (SearchSettings, {"children": 0}, "search.children"),
    (SearchSettings, {"minimum_distance": -1.0}, "search.minimum_distance"),
    (SearchSettings, {"minimum_distance": NAN}, "search.minimum_distance"),
    (SearchSettings, {"generations": -1}, "search.generations"),
    (SearchSettings, {"mutations_min": 0}, "search.mutations_min"),
    (SearchSettings, {"mutations_max": 3}, "search.mutations_max"),
    (SearchSettings, {"initial_blocks_min": 0}, "search.initial_blocks_min"),
    (SearchSettings, {"initial_blocks_max": 1}, "search.initial_blocks_max"),
    (SearchSettings, {"epochs": 0}, "search.epochs"),
    (SearchSettings, {"epochs_growth": -1}, "search.epochs_growth"),
    (SearchSettings, {"epochs_growth_every": 0}, "search.epochs_growth_every"),
    (SearchSettings, {"channels": ()}, "search.channels"),
    (SearchSettings, {"channels": (16, 0)}, "search.channels"),
    (SearchSettings, {"kernels": ()}, "search.kernels"),
    (SearchSettings, {"kernels": (3, 4)}, "search.kernels"),
    (SearchSettings, {"kernels": (-1,)}, "search.kernels"),
    (SearchSettings, {"hidden": 0}, "search.hidden"),
    (RefineSettings, {"networks": 0}, "refine.networks"),
    (RefineSettings, {"epochs": -1}, "refine.epochs"),
    (RefineSettings, {"checkpoint_every": 0}, "refine.checkpoint_every"),
    (StudyConfig, {"refine": RefineSettings(networks=5)}, "refine.networks"),
    (StudyConfig, {"refine": RefineSettings(keep="best"), "fitness_split": "test"}, "refine.keep"),
]

TOP = [
    ({"workers": -1}, "workers"),
    ({"seed": -1}, "seed"),
    ({"worker_gpus": -0.5}, "worker_gpus"),
    ({"executor": "ray", "device": "cuda"}, "worker_gpus"),
]


@pytest.mark.parametrize(
    ("record", "values", "key"), WRONG, ids=[f"{key}-{values}" for _, values, key in WRONG]
)
def test_out_of_range_is_refused_by_name(
    record: Callable[..., object], values: dict[str, Any], key: str
) -> None:
    with pytest.raises(UserError) as error:
        record(**values)
    assert error.value.where == key
    assert error.value.what
    assert error.value.remedy
    assert str(error.value).splitlines() == [
        error.value.what,
        f"  at: {key}",
        f"  try: {error.value.remedy}",
    ]


@pytest.mark.parametrize(("values", "key"), TOP)
def test_a_setting_of_no_section_is_refused_by_name(values: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError) as error:
        StudyConfig(**values)
    assert error.value.where == key


@pytest.mark.parametrize(
    ("record", "values"),
    [
        (DataSettings, {"validation_fraction": 0.5}),
        (AttackSettings, {"epsilon": Fraction(0)}),
        (AttackSettings, {"epsilon": Fraction(1)}),
        (AttackSettings, {"epsilon": Fraction(3), "name": "l2-pgd"}),
        (TrainingSettings, {"gm_weight": 0.0}),
        (SearchSettings, {"generations": 0, "epochs_growth": 0, "minimum_distance": 0.0}),
        (SearchSettings, {"population": 1, "children": 1, "mutations_min": 1, "mutations_max": 1}),
        (SearchSettings, {"channels": (1,), "kernels": (1,), "hidden": 1}),
        (RefineSettings, {"epochs": 0}),
        (StudyConfig, {"refine": RefineSettings(networks=4)}),
    ],
)
def test_the_ends_of_a_range_are_allowed(record: Callable[..., object], values: dict[str, Any]) -> None:
    record(**values)


def test_the_defaults_are_the_papers() -> None:
    config = StudyConfig()
    search = config.search
    assert (search.population, search.children, search.minimum_distance, search.generations) == (4, 2, 4, 50)
    assert (search.mutations_min, search.mutations_max) == (4, 5)
    assert (search.epochs, search.epochs_growth, search.epochs_growth_every) == (20, 5, 10)
    assert config.training.batch_size == 128
    assert (config.refine.networks, config.refine.epochs) == (2, 1000)


def test_the_defaults_that_the_paper_leaves_open() -> None:
    config = StudyConfig()
    assert (config.attack.name, config.attack.epsilon, config.attack.steps) == (
        "linf-pgd",
        Fraction(8, 255),
        10,
    )
    assert config.training.gm_weight == 1
    assert config.fitness_split == "validation"


def test_records_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        StudyConfig().search.population = 7  # type: ignore[misc]


def test_an_error_shows_only_what_it_has() -> None:
    assert str(UserError("no such file")) == "no such file"
    assert str(UserError("no such file", where="a.npz")) == "no such file\n  at: a.npz"


def test_an_address_without_a_cluster_is_refused() -> None:
    with pytest.raises(UserError, match="of no use to processes of this machine") as caught:
        StudyConfig(address="10.0.0.1:6379")
    assert caught.value.where == "address"
    assert StudyConfig(address="10.0.0.1:6379", executor="ray").executor == "ray"
