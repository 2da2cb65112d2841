"""A run folder's names follow what they name, and its artefacts are made once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from contragrad.data.dataset import Dataset, Examples, Splits, split
from contragrad.errors import UserError
from contragrad.evolution.genome import parse
from contragrad.evolution.search import Member, State
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Measured, Rung, Trial
from contragrad.jobs.full_trainings import final_trainings
from contragrad.jobs.refine import FullTraining
from contragrad.jobs.tasks import task_name
from contragrad.run_folder.contents import (
    adversarial,
    adversarial_of,
    context,
    directions,
    load_reference,
    load_splits,
    normalisation,
    store_splits,
    untrained_reference,
)
from contragrad.run_folder.workspace import Workspace
from contragrad.settings import config_file
from contragrad.settings.choices import FitnessSplit, Keep
from contragrad.settings.config import StudyConfig
from strategies import small_settings

TINY = Problem(1, 8, 8, 3)
TRIAL = Trial(parse("conv(4,3) fc(4)"), epochs=2)


def workspace(*overrides: str, folder: Path = Path("nowhere"), weights: str | None = None) -> Workspace:
    """A workspace whose settings are the defaults, on the CPU, with some options of the command line."""
    config = config_file.read(None, ["--device=cpu", *overrides])
    return Workspace(folder=folder, config=config, data="the data", problem=TINY, weights=weights)


Namer = Callable[[Workspace], str]


def training(place: int) -> Namer:
    """The name of a network of Table 4 after a search that has found one candidate, whatever the settings."""
    found = Member(TRIAL, Measured(0.5, 0.5))
    state = State(small_settings(population=1), TINY, 0, (TRIAL.genome,), (found,))
    return lambda there: task_name(final_trainings(there, state)[place], there)


NAMES: dict[str, Namer] = {
    "split": lambda there: there.split_name,
    "reference": lambda there: there.reference_name,
    "adversarial": lambda there: there.adversarial_name("validation"),
    "attacked test": lambda there: there.adversarial_name("test"),
    "evaluation": lambda there: there.evaluation_name(TRIAL),
    "reference+GM": training(0),
    "hand-engineered+GM": training(1),
    "NE+GM": training(2),
}
NONE = frozenset[str]()
ALL = frozenset(NAMES)
TRAININGS = frozenset({"reference+GM", "hand-engineered+GM", "NE+GM"})
ATTACKED = frozenset({"adversarial", "attacked test", "evaluation"})
REFERENCE = ALL - {"split"}

CHANGES: dict[str, tuple[str, frozenset[str]]] = {
    "seed": ("1", ALL),
    "fitness_split": ("test", ALL),
    # What lies under a path is named by its content: the workspace's `data` and `weights`.
    "data.source": ("digits", NONE),
    "data.path": ("elsewhere.npz", NONE),
    "data.download": ("true", NONE),
    "data.validation_fraction": ("0.2", ALL),
    "data.image_size": ("9", NONE),
    "data.train_per_class": ("9", NONE),
    "data.test_per_class": ("9", NONE),
    "reference.architecture": ("resnet18", REFERENCE),
    "reference.factory": ("mine:make", REFERENCE),
    "reference.weights": ("elsewhere.safetensors", NONE),
    "reference.epochs": ("51", REFERENCE),
    "attack.name": ("l2-pgd", ATTACKED),
    "attack.epsilon": ("9/255", ATTACKED),
    "attack.steps": ("11", ATTACKED),
    "attack.step_size": ("1/255", ATTACKED),
    "attack.random_start": ("false", ATTACKED),
    "training.batch_size": ("64", REFERENCE),
    "training.objective": ("orthogonal", TRAININGS | {"evaluation"}),
    "training.sources": ('["another-seed"]', TRAININGS | {"evaluation"}),
    "training.gm_weight": ("2", TRAININGS | {"evaluation"}),
    "training.gm_every": ("2", TRAININGS | {"evaluation"}),
    "training.optimiser": ("sgd", REFERENCE),
    "training.precision": ("bfloat16", REFERENCE),
    # A genome's name and epochs stand in its trial, however the search came by them.
    "search.population": ("5", NONE),
    "search.children": ("3", NONE),
    "search.minimum_distance": ("3", NONE),
    "search.generations": ("51", NONE),
    "search.mutations_min": ("3", NONE),
    "search.mutations_max": ("6", NONE),
    "search.initial_blocks_min": ("3", NONE),
    "search.initial_blocks_max": ("9", NONE),
    "search.initial": ('["conv(4,3) fc(8)","conv(8,3) fc(8)","conv(4,3) fc(9)","conv(8,3) fc(9)"]', NONE),
    "search.epochs": ("21", NONE),
    "search.epochs_growth": ("6", NONE),
    "search.epochs_growth_every": ("11", NONE),
    "search.channels": ("[16]", NONE),
    "search.kernels": ("[3]", NONE),
    "search.hidden": ("64", NONE),
    "search.variation": ("random", NONE),
    "search.schedule": ("generation", NONE),
    # Rungs stand in the trial too.
    "search.rungs": ("[0.5]", NONE),
    "search.rung_slack": ("0.1", NONE),
    "search.limits.blocks": ("39", frozenset({"evaluation"})),
    "search.limits.parameters": ("1000000", frozenset({"evaluation"})),
    "search.limits.flops": ("1000000", frozenset({"evaluation"})),
    "refine.networks": ("1", NONE),
    "refine.epochs": ("1001", TRAININGS),
    "refine.keep": ("best", TRAININGS),
    "refine.patience": ("7", TRAININGS),
    "refine.together": ("true", NONE),
    "refine.checkpoint_every": ("6", NONE),
    "device": ("auto", NONE),
    "workers": ("3", NONE),
    "executor": ("ray", NONE),
    "address": ("auto", NONE),
    "worker_gpus": ("0.5", NONE),
    "memo": ("elsewhere.db", NONE),
}


BESIDE = {"address": ("--executor=ray",), "refine.patience": ("--refine.keep=best",)}
"""A setting -> those without which it is refused."""


def changed(one: Workspace, other: Workspace) -> set[str]:
    return {name for name, of in NAMES.items() if of(one) != of(other)}


@pytest.mark.parametrize("key", CHANGES)
def test_a_setting_changes_the_names_of_what_depends_on_it_and_no_others(key: str) -> None:
    value, expected = CHANGES[key]
    before = workspace(*BESIDE.get(key, ()))
    after = workspace(*BESIDE.get(key, ()), f"--{key}={value}")
    assert config_file.dotted(before.config)[key] != config_file.dotted(after.config)[key]
    assert changed(before, after) == expected


def test_for_every_setting_it_is_said_which_names_it_changes() -> None:
    assert CHANGES.keys() == config_file.dotted(StudyConfig()).keys()


def test_all_names_of_a_workspace_differ() -> None:
    assert len({of(workspace()) for of in NAMES.values()}) == len(NAMES)


def test_names_follow_the_content_of_data_and_weights_and_not_the_folder() -> None:
    before = workspace()
    assert changed(before, replace(before, data="other data")) == ALL
    assert changed(before, replace(before, folder=Path("elsewhere"))) == NONE
    given_weights = replace(before, weights="some weights")
    assert changed(before, given_weights) == REFERENCE
    assert changed(given_weights, replace(before, weights="other weights")) == REFERENCE


def test_a_given_reference_is_named_by_its_architecture_and_weights_alone() -> None:
    def given_one(*overrides: str) -> Workspace:
        return workspace(*overrides, weights="some weights")

    for override in ("--training.batch_size=64", "--training.optimiser=sgd", "--reference.epochs=51"):
        assert given_one(override).reference_name == given_one().reference_name
    assert given_one("--seed=1").reference_name == given_one().reference_name
    assert given_one("--reference.architecture=resnet18").reference_name != given_one().reference_name


def test_an_evaluation_is_named_by_all_of_its_trial() -> None:
    there = workspace()
    trials = (
        TRIAL,
        replace(TRIAL, epochs=3),
        replace(TRIAL, replicate=1),
        replace(TRIAL, genome=parse("conv(4,3) fc(5)")),
        replace(TRIAL, rungs=(Rung(1),)),
        replace(TRIAL, rungs=(Rung(2),)),
        replace(TRIAL, rungs=(Rung(1, bar=0.0),)),
        replace(TRIAL, rungs=(Rung(1, bar=0.5),)),
        replace(TRIAL, rungs=(Rung(1), Rung(2))),
    )
    assert len({there.evaluation_name(trial) for trial in trials}) == len(trials)
    assert there.evaluation_name(TRIAL) == task_name(TRIAL, there)


def test_a_best_epoch_is_named_by_the_sources_that_judge_it_whomever_it_is_trained_against() -> None:
    def name(keep: Keep, *overrides: str) -> str:
        task = FullTraining(
            name="net",
            architecture="hand-engineered-b",
            objective="gm",
            epochs=2,
            seed=0,
            keep=keep,
            sources=("reference",),
        )
        return task_name(task, workspace(*overrides))

    more = '--training.sources=["reference","another-seed"]'
    assert name("last") == name("last", more)
    assert name("best") != name("best", more)


def test_a_key_has_no_part_in_a_training_without_a_penalty() -> None:
    keyed = workspace('--training.sources=["reference","another-seed","key"]')
    assert keyed.against("gm", None, None).config.training.sources[-1] == "key"
    for objective in ("cross-entropy", "fast-adversarial", "fixed-adversarial"):
        assert keyed.against(objective, None, None).config.training.sources == ("reference", "another-seed")


def test_the_normalisation_of_known_images() -> None:
    images = torch.zeros(2, 3, 4, 2, dtype=torch.uint8)
    images[0, 0], images[1, 0] = 255, 0  # half of it white
    images[:, 1] = 51  # of one shade
    images[..., 2, 0, 0] = 255  # one pixel of eight
    found = normalisation(Examples(images, torch.zeros(2, dtype=torch.int64)))
    assert found.mean == pytest.approx((0.5, 0.2, 0.125))
    assert found.deviation == pytest.approx((0.5, 1 / 255, (1 / 8 - 1 / 64) ** 0.5))


@given(st.integers(1, 3), st.sampled_from((1, 2, 40)), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_normalisation_is_that_of_all_pixels(channels: int, count: int, whole: bool, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (count, channels, 5, 3), np.uint8)
    images = torch.from_numpy(values if whole else (values / 255).astype(np.float32))
    found = normalisation(Examples(images, torch.zeros(count, dtype=torch.int64)))
    by_channel = (values / 255).transpose(1, 0, 2, 3).reshape(channels, -1)
    assert found.mean == pytest.approx(by_channel.mean(1), abs=1e-6)
    assert found.deviation == pytest.approx(np.maximum(by_channel.std(1), 1 / 255), abs=1e-6)


def test_the_normalisation_of_many_images_counts_each_once() -> None:
    images = torch.zeros(12_001, 1, 1, 1)
    images[4_999:5_002] = images[-1] = 1
    found = normalisation(Examples(images, torch.zeros(len(images), dtype=torch.int64)))
    share = 4 / 12_001
    assert found.mean == pytest.approx((share,))
    assert found.deviation == pytest.approx(((share - share**2) ** 0.5,), rel=1e-5)


def dataset(seed: int = 0) -> Dataset:
    """Made images of which no two are equal."""
    generator = torch.Generator().manual_seed(seed)

    def part(count: int) -> Examples:
        images = torch.randint(0, 256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
        return Examples(images, torch.arange(count) % 3)

    return Dataset(part(30), part(9), classes=3, name="made")


def assert_equal(found: Splits, expected: Splits) -> None:
    for part in ("train", "validation", "test"):
        one, other = getattr(found, part), getattr(expected, part)
        assert torch.equal(one.images, other.images), part
        assert torch.equal(one.labels, other.labels), part


@pytest.mark.parametrize("fitness_split", ["validation", "test"])
def test_splits_are_stored_once_and_loaded_as_they_were(fitness_split: FitnessSplit, tmp_path: Path) -> None:
    there = workspace(f"--fitness_split={fitness_split}", "--data.validation_fraction=0.3", folder=tmp_path)
    made = dataset()
    test_too = Splits(made.train, made.test, made.test)
    expected = test_too if fitness_split == "test" else split(made, 0.3, seed=0)
    assert_equal(store_splits(there, made), expected)
    assert_equal(load_splits(there), expected)
    # The names tell what they hold; whoever gives other data under the same name gets what is there.
    assert_equal(store_splits(there, dataset(seed=1)), expected)
    assert len(list(there.artefacts.folder.iterdir())) == 1


def test_splits_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing") as caught:
        load_splits(workspace(folder=tmp_path))
    assert "splits-" in caught.value.where


def prepared(folder: Path, *overrides: str) -> tuple[Workspace, Splits]:
    """A workspace with splits and a reference that nobody has trained."""
    there = workspace(*overrides, folder=folder)
    splits = store_splits(there, dataset())
    weights = dict(untrained_reference(there, splits).state_dict())
    there.artefacts.save("network", there.reference_name, weights)
    return there, splits


def test_directions_and_adversarial_examples_are_made_once_and_found_again(tmp_path: Path) -> None:
    there, splits = prepared(tmp_path)
    made = [
        directions(there, splits),
        adversarial(there, splits, "validation"),
        adversarial(there, splits, "test"),
    ]
    there.artefacts.remove("network", there.reference_name)  # nothing can be made without it
    found = [
        directions(there, splits),
        adversarial(there, splits, "validation"),
        adversarial(there, splits, "test"),
    ]
    assert all(torch.equal(one, other) for one, other in zip(made, found, strict=True))
    for kind in ("directions", "adversarial"):
        for path in there.artefacts.folder.glob(f"{kind}-*"):
            path.unlink()
    with pytest.raises(UserError, match="missing"):
        directions(there, splits)
    with pytest.raises(UserError, match="missing"):
        adversarial(there, splits, "test")


def test_directions_are_of_the_training_images_and_examples_of_the_part_asked_for(tmp_path: Path) -> None:
    there, splits = prepared(tmp_path, "--attack.epsilon=8/255")
    found = directions(there, splits)
    assert found.shape == splits.train.images.shape
    assert found.flatten(1).norm(dim=1) == pytest.approx(torch.ones(len(splits.train)), abs=1e-5)
    for part in ("validation", "test"):
        clean = getattr(splits, part).images.float() / 255
        moved = (adversarial(there, splits, part) - clean).abs().amax((1, 2, 3))
        # An example that has not moved, or was made of another image, would stand out.
        assert moved.min() > 4 / 255
        assert moved.max() < 8.01 / 255


def test_the_reference_is_loaded_as_it_was_stored_and_frozen(tmp_path: Path) -> None:
    there, splits = prepared(tmp_path)
    weights = there.artefacts.load("network", there.reference_name)
    weights = {name: tensor + 1 for name, tensor in weights.items()}
    there.artefacts.save("network", there.reference_name, weights)
    network = load_reference(there, splits)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    found = network.state_dict()
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)


@pytest.mark.parametrize("fitness_split", ["validation", "test"])
def test_evaluations_share_what_lies_in_the_folder(fitness_split: FitnessSplit, tmp_path: Path) -> None:
    there, splits = prepared(tmp_path, f"--fitness_split={fitness_split}", "--search.limits.blocks=7")
    shared = context(there)
    expected = splits.test if fitness_split == "test" else splits.validation
    assert torch.equal(shared.train.images, splits.train.images)
    assert torch.equal(shared.train.labels, splits.train.labels)
    assert torch.equal(shared.fitness.images, expected.images)
    assert torch.equal(shared.fitness.labels, expected.labels)
    assert shared.material.directions is not None
    assert torch.equal(shared.material.directions, directions(there, splits))
    assert torch.equal(shared.adversarial, adversarial(there, splits, fitness_split))
    assert shared.normalisation == normalisation(splits.train)
    assert (shared.problem, shared.training) == (TINY, there.config.training)
    assert shared.limits == there.config.search.limits
    assert shared.limits.blocks == 7


STANDARDISING = """
import torch
from torch import nn

class Standardising(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, images):
        away = images - images.mean((1, 2, 3), keepdim=True)
        return self.layer((away / (away.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-5)).flatten(1))
"""
"""A network whose logits are finite everywhere, and whose gradients are not at an image of one shade."""


def with_blank_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Workspace, Splits]:
    """Two of the training images and one of the validation images are of one shade."""
    (folder / "standardising.py").write_text(STANDARDISING)
    monkeypatch.syspath_prepend(folder)
    words = ("--reference.factory=standardising:Standardising", "--attack.random_start=false")
    there = workspace(*words, folder=folder)
    made = dataset()
    made.train.images[:2] = made.test.images[:1] = 255
    splits = Splits(made.train, made.test, made.test)
    weights = dict(untrained_reference(there, splits).state_dict())
    there.artefacts.save("network", there.reference_name, weights)
    return there, splits


def test_directions_that_are_not_finite_are_counted_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, splits = with_blank_images(tmp_path, monkeypatch)
    with pytest.raises(UserError, match="not finite at 2 of 30 training images") as caught:
        directions(there, splits)
    assert caught.value.where == "the reference, factory standardising:Standardising"
    assert not list(there.artefacts.folder.glob("directions-*"))


@pytest.mark.parametrize("part", ["train", "validation"])
def test_examples_that_cannot_be_crafted_name_the_source_and_the_split(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, splits = with_blank_images(tmp_path, monkeypatch)
    with pytest.raises(UserError, match=f"the {part} images: linf-pgd met gradients") as caught:
        adversarial(there, splits, part)
    assert caught.value.where == "the reference, factory standardising:Standardising"
    other = workspace('--training.sources=["reference","another-seed"]', folder=tmp_path)
    settings = replace(other.config, reference=there.config.reference, attack=there.config.attack)
    other = replace(other, config=settings)
    source = (other.source_names()[1], lambda: untrained_reference(there, splits))
    with pytest.raises(UserError, match=f"the {part} images") as caught:
        adversarial_of(other, splits, part, source=source)
    assert caught.value.where == "training.sources: another-seed"


def test_given_weights_may_be_gone_once_they_are_kept(tmp_path: Path) -> None:
    made = dataset()
    splits = Splits(made.train, made.test, made.test)
    file = tmp_path / "mine.safetensors"
    weights = {name: t + 1 for name, t in untrained_reference(workspace(), splits).state_dict().items()}
    save_file(weights, file)
    there = workspace(f"--reference.weights={file}", folder=tmp_path / "run", weights="mine")
    given = dict(untrained_reference(there, splits).state_dict())
    there.artefacts.save("network", there.reference_name, given)
    file.unlink()
    found = load_reference(there, splits).state_dict()
    assert all(torch.equal(found[name], weights[name]) for name in weights)
