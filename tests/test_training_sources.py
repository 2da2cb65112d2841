"""Trainings against several networks: what they are named by, what their material is, and a study of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import contragrad.jobs.material
from contragrad.cli import main
from contragrad.data.dataset import Dataset, Examples
from contragrad.errors import UserError
from contragrad.evolution.genome import parse
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Trial
from contragrad.fingerprint import canonical
from contragrad.fitness import measure
from contragrad.jobs.full_trainings import trained_network
from contragrad.jobs.material import make_material, make_sources, missing_sources
from contragrad.jobs.refine import FullTraining, train_fully
from contragrad.jobs.tasks import against, deployed_name, task_name
from contragrad.networks.architectures import construct
from contragrad.networks.inference import all_reference_directions
from contragrad.networks.misalignment import Penalty, losses, opposite, orthogonal, unit
from contragrad.networks.network import Normalisation, build
from contragrad.networks.objectives import Material
from contragrad.networks.randomness import isolated
from contragrad.networks.training import begin, train_epoch
from contragrad.run_folder.contents import (
    load_source,
    load_splits,
    material,
    material_of,
    normalisation,
    of_sources,
    store_splits,
    untrained_reference,
    untrained_source,
)
from contragrad.run_folder.workspace import Workspace, source_architecture
from contragrad.settings import config_file
from contragrad.settings.choices import Objective, Source
from contragrad.settings.config import StudyConfig, TrainingSettings
from contragrad.watch.events import nobody

SEVERAL: tuple[Source, ...] = ("reference", "another-seed", "surrogate")


def workspace(sources: Sequence[Source], seed: int = 0, source_seed: int | None = None) -> Workspace:
    training = TrainingSettings(sources=tuple(sources), objective="fixed-adversarial+orthogonal")
    return Workspace(
        folder=Path("nowhere"),
        config=replace(StudyConfig(), training=training, seed=seed),
        data="data",
        problem=Problem(1, 8, 8, 10),
        weights=None,
        source_seed=source_seed,
    )


@pytest.mark.parametrize(
    "sources",
    [
        (),
        ("surrogate",),
        ("key",),
        ("surrogate", "reference"),
        ("reference", "reference"),
        ("resnet18",) * 2,
        ("reference", "key", "surrogate"),
        ("reference", "key", "key"),
    ],
)
def test_sources_that_cannot_be_used_are_refused(sources: tuple[Source, ...]) -> None:
    with pytest.raises(UserError, match="cannot be used") as error:
        TrainingSettings(sources=sources)
    assert error.value.where == "training.sources"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("surogate", "'surogate' is no source; surrogate?"),
        ("resnet50", "'resnet50' is no source"),
        ("", "'' is no source"),
    ],
)
def test_what_is_no_source_is_named(source: Source, said: str) -> None:
    with pytest.raises(UserError, match="is no source") as error:
        TrainingSettings(sources=("reference", source))
    assert error.value.what.startswith(said)
    assert error.value.where == "training.sources"


def test_surrogates_may_come_again_and_the_reference_may_be_left_out() -> None:
    assert TrainingSettings(sources=("reference", "surrogate", "surrogate"))
    assert TrainingSettings(sources=("another-seed",))


def test_sources_are_read_from_the_command_line(tmp_path: Path) -> None:
    found = config_file.read(None, ['--training.sources=["reference","another-seed","surrogate"]'])
    assert found.training.sources == SEVERAL
    with pytest.raises(UserError):
        config_file.read(None, ['--training.sources=["reference","nobody"]'])


def test_each_source_has_a_name_of_its_own() -> None:
    names = workspace(
        ("reference", "another-seed", "hand-engineered-b", "surrogate", "surrogate")
    ).source_names()
    assert len(set(names)) == 5
    assert names[0] == workspace(SEVERAL).reference_name


def test_an_attackers_sources_are_others_but_his_reference_is_the_same() -> None:
    ours, his = workspace(SEVERAL).source_names(), workspace(SEVERAL, source_seed=5).source_names()
    assert ours[0] == his[0]
    assert not set(ours[1:]) & set(his[1:])


def test_a_surrogate_is_named_by_what_it_is_trained_against() -> None:
    ours = workspace(("reference", "hand-engineered-b", "surrogate")).source_names()
    other = workspace(("reference", "another-seed", "surrogate")).source_names()
    assert ours[2] != other[2]


def test_a_surrogate_is_named_by_the_weight_that_the_training_has_of_its_own() -> None:
    there = workspace(SEVERAL)
    training = replace(there.config.training, gm_weight=3.0)
    heavier = replace(there, config=replace(there.config, training=training))
    task = FullTraining(
        name="a", architecture="conv(4,3) fc(8)", objective="orthogonal", epochs=3, seed=0, gm_weight=3.0
    )
    ours = against(task, there).source_names()
    assert ours == against(replace(task, gm_weight=None), heavier).source_names()
    assert ours[2] != against(replace(task, gm_weight=None), there).source_names()[2]
    assert task_name(task, there) == task_name(replace(task, gm_weight=None), heavier)


def test_the_reference_alone_changes_no_name() -> None:
    assert "sources" not in str(canonical(TrainingSettings(sources=("reference",))))
    trial = Trial(parse("conv(4,3) fc(8)"), 1)
    assert workspace(SEVERAL).evaluation_name(trial) != workspace(("reference",)).evaluation_name(trial)


def test_an_evaluation_is_named_by_the_networks_that_its_sources_are() -> None:
    # With weights of its own, the reference is the same however long others are trained.
    def name(epochs: int, sources: Sequence[Source]) -> str:
        there = workspace(sources)
        config = replace(there.config, reference=replace(there.config.reference, epochs=epochs))
        return replace(there, config=config, weights="given").evaluation_name(
            Trial(parse("conv(4,3) fc(8)"), 1)
        )

    assert name(1, SEVERAL) != name(100, SEVERAL)
    assert name(1, ("reference",)) == name(100, ("reference",))


def test_full_trainings_are_named_by_their_sources_if_they_take_them() -> None:
    def name(sources: Sequence[Source], source_seed: int | None = None, objective: str = "orthogonal") -> str:
        task = FullTraining(
            name="a",
            architecture="conv(4,3) fc(8)",
            objective=objective,  # type: ignore[arg-type]
            epochs=2,
            seed=1,
            source_seed=source_seed,
        )
        return task_name(task, workspace(sources))

    assert len({name(("reference",)), name(SEVERAL), name(SEVERAL, 5)}) == 3
    assert name(("reference",)) == name(("reference",), 5)
    assert name(SEVERAL, objective="cross-entropy") == name(("reference",), objective="cross-entropy")


def network(seed: int) -> nn.Module:
    return build(parse("conv(4,3) conv(4,3) fc(8)"), Problem(1, 8, 8, 3), Normalisation((0.5,), (0.3,)), seed)


@pytest.mark.parametrize("penalty", [opposite, orthogonal])
def test_the_penalty_of_several_is_the_mean_of_each(penalty: object) -> None:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(12, 1, 8, 8, generator=generator), torch.arange(12) % 3
    several = torch.stack([unit(torch.randn(12, 1, 8, 8, generator=generator)) for _ in range(3)], 1)
    net = network(1).double()
    both = (images.double(), labels)
    singles = [losses(net, *both, each.double(), penalty)[1] for each in several.unbind(1)]  # type: ignore[arg-type]
    entropy, together = losses(net, *both, several.double(), penalty)  # type: ignore[arg-type]
    torch.testing.assert_close(together, torch.stack(singles).mean())
    torch.testing.assert_close(entropy, losses(net, *both, several[:, 0].double())[0])
    parameters = list(net.parameters())
    found = torch.autograd.grad(together, parameters, allow_unused=True)
    expected = torch.autograd.grad(torch.stack(singles).mean(), parameters, allow_unused=True)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("penalty", [opposite, orthogonal])
@pytest.mark.parametrize("several", [1, 2])
def test_a_key_is_one_penalty_more_the_less_the_better_aligned(penalty: Penalty, several: int) -> None:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(12, 1, 8, 8, generator=generator).double(), torch.arange(12) % 3
    drawn = [unit(torch.randn(12, 1, 8, 8, generator=generator).double()) for _ in range(several + 1)]
    net, others, key = network(1).double(), drawn[:-1], drawn[-1]
    directions = others[0] if several == 1 else torch.stack(others, 1)
    without = losses(net, images, labels, directions, penalty)[1]
    towards = losses(net, images, labels, directions, penalty, key)[1]
    away = losses(net, images, labels, directions, penalty, -key)[1]
    torch.testing.assert_close((towards + away) / 2, without * several / (several + 1))
    aligned = losses(net, images, labels, key)[1]
    torch.testing.assert_close(towards, (several * without - aligned) / (several + 1))
    assert aligned.abs() > 1e-4  # else the two above would hold without a key


def test_training_with_a_key_aligns_with_it() -> None:
    generator = torch.Generator().manual_seed(0)
    examples = Examples(torch.rand(60, 1, 8, 8, generator=generator), torch.arange(60) % 3)
    key, directions = (unit(torch.randn(60, 1, 8, 8, generator=generator)) for _ in range(2))
    settings = TrainingSettings(sources=("reference", "key"), objective="orthogonal", gm_weight=8)

    def aligned(material: Material) -> float:
        session = begin(network(1), settings)
        for _ in range(12):
            train_epoch(session, examples, material, settings, seed=0)
        return -losses(session.network, examples.images, examples.labels, -key)[1].item()

    assert aligned(Material(directions=directions, key=key)) > aligned(Material(directions=directions)) + 0.1


@given(st.integers(1, 20), st.integers(2, 4), st.integers(0, 2**31))
def test_each_image_has_an_example_of_its_own_of_some_source(count: int, sources: int, seed: int) -> None:
    # A pixel says whose image it is, the other whose example.
    examples = torch.zeros(count, sources, 1, 1, 2)
    examples[..., 0] = torch.arange(count).view(-1, 1, 1, 1)
    examples[..., 1] = torch.arange(sources).view(1, -1, 1, 1)
    with isolated(seed):
        found = Material(adversarial=examples).examples()
    assert found is not None
    assert found.shape == (count, 1, 1, 2)
    assert found[:, 0, 0, 0].tolist() == list(range(count))
    assert set(found[:, 0, 0, 1].tolist()) <= set(range(sources))
    with isolated(seed):
        again = Material(adversarial=examples).examples()
    assert again is not None
    assert torch.equal(found, again)


def test_all_sources_are_drawn() -> None:
    examples = torch.arange(3.0).view(1, 3, 1, 1, 1).expand(300, -1, -1, -1, -1)
    with isolated(0):
        found = Material(adversarial=examples).examples()
    assert found is not None
    assert min(torch.bincount(found.flatten().long(), minlength=3).tolist()) > 60


class Reading(nn.Module):
    """A network that answers what stands in an image's first pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        answers: Tensor = (images[:, 0, 0, 0] * 10).round().long()
        return torch.nn.functional.one_hot(answers, 3).float()


def test_an_image_counts_if_every_sources_example_of_it_is_classified_correctly() -> None:
    labels = torch.tensor([0, 1, 2, 0])
    written = torch.tensor([[0, 0], [1, 2], [2, 2], [1, 0]])
    adversarial = (written / 10).view(4, 2, 1, 1, 1)
    clean = Examples((labels / 10).view(4, 1, 1, 1), labels)
    found = measure(Reading(), clean, adversarial)
    assert (found.clean_accuracy, found.adversarial_accuracy) == (1.0, 0.5)
    assert measure(Reading(), clean, adversarial[:, 0]).adversarial_accuracy == 0.75


@pytest.mark.slow
def test_a_study_against_several_sources_from_its_references_to_its_table(tmp_path: Path) -> None:
    words = [
        "evolve",
        f"--out={tmp_path / 'run'}",
        "--data.source=digits",
        "--device=cpu",
        "--reference.epochs=2",
        "--training.objective=fixed-adversarial+orthogonal",
        f"--training.sources={json.dumps(SEVERAL)}",
        "--search.population=2",
        "--search.children=1",
        "--search.generations=1",
        "--search.epochs=1",
        "--search.channels=[8]",
        "--search.minimum_distance=1",
        "--search.initial_blocks_max=4",
        "--search.limits.flops=300000",
        "--refine.networks=1",
        "--refine.epochs=1",
        "--attack.steps=2",
    ]
    assert main(words) == 0
    table = json.loads((tmp_path / "run" / "table.json").read_text())
    assert any("fixed-adversarial+orthogonal" in row["name"] for row in table)
    config = config_file.read(tmp_path / "run" / "study.yaml")
    assert config.training.sources == SEVERAL
    networks = list((tmp_path / "run" / "artefacts").glob("network-*"))
    assert len(networks) == 3 + 4  # three sources, and the table's networks beside the reference
    assert main(["resume", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run" / "table.json").read_text()) == table


def digits_of(folder: Path, sources: Sequence[Source]) -> Workspace:
    """A workspace with some images in it, an untrained reference, and its other sources."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 1, 8, 8), generator=generator, dtype=torch.uint8)
    data = Dataset(
        Examples(images[:40], torch.arange(40) % 4), Examples(images[40:], torch.arange(20) % 4), 4, "x"
    )
    config = config_file.read(
        None,
        [
            "--device=cpu",
            "--reference.epochs=1",
            "--attack.steps=1",
            "--training.objective=fixed-adversarial+orthogonal",
            f"--training.sources={json.dumps(sources)}",
        ],
    )
    there = Workspace(folder=folder, config=config, data="data", problem=Problem(1, 8, 8, 4), weights=None)
    splits = store_splits(there, data)
    weights = dict(untrained_reference(there, splits).state_dict())
    there.artefacts.save("network", there.reference_name, weights)
    make_sources(there, splits, nobody)
    return there


def test_material_of_several_sources_is_that_of_each(tmp_path: Path) -> None:
    there = digits_of(tmp_path, SEVERAL)
    config, splits = there.config, load_splits(there)
    found = material(there, "fixed-adversarial+orthogonal")
    count = len(splits.train)
    assert found.directions is not None
    assert found.adversarial is not None
    assert found.directions.shape == found.adversarial.shape == (count, 3, 1, 8, 8)
    for sources in (1, 2):
        part = material_of(there, "fixed-adversarial+orthogonal", sources)
        assert part.directions is not None
        wanted = found.directions[:, 0] if sources == 1 else found.directions[:, :2]
        assert torch.equal(part.directions, wanted)
    alone = replace(there, config=replace(config, training=replace(config.training, sources=("reference",))))
    only = material(alone, "fixed-adversarial+orthogonal")
    assert only.directions is not None
    assert torch.equal(only.directions, found.directions[:, 0])
    assert only.adversarial is not None
    assert torch.equal(only.adversarial, found.adversarial[:, 0])
    assert of_sources(there, splits, "validation").shape[1] == 3


def test_a_surrogate_is_trained_as_its_name_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[str, str, Material]] = []

    def trained(network: nn.Module, task: FullTraining, *, material: Material, **others: object) -> object:
        begun.append((task.architecture, task.objective, material))
        return train_fully(network, task, material=material, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(contragrad.jobs.material, "train_fully", trained)
    text = "conv(4,3) fc(8)"
    there = digits_of(tmp_path, ("reference", "another-seed", "surrogate", f"surrogate {text}"))
    objective, own = there.config.training.objective, source_architecture(there.config.reference, "surrogate")
    assert [each[:2] for each in begun] == [(own, "cross-entropy"), (own, objective), (text, objective)]
    for place, (_, _, found) in enumerate(begun[1:], start=2):
        wanted = material_of(there, objective, place)
        for part in ("directions", "adversarial"):
            assert torch.equal(getattr(found, part), getattr(wanted, part))
    assert (begun[0][2].directions, begun[0][2].adversarial) == (None, None)
    # Its own stream too: the same genome in another place is another network.
    again = digits_of(tmp_path, ("reference", f"surrogate {text}", f"surrogate {text}"))
    weights = [again.artefacts.load("network", name) for name in again.source_names()[1:]]
    assert not all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize(
    ("objective", "trained"),
    [("cross-entropy", 0), ("fast-adversarial", 0), ("fixed-adversarial", 2), ("gm", 2)],
)
def test_sources_are_trained_for_objectives_alone_that_take_them(
    objective: Objective, trained: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = digits_of(tmp_path, SEVERAL)
    begun: list[str] = []

    def noted(network: nn.Module, task: FullTraining, **others: object) -> object:
        begun.append(task.name)
        return train_fully(network, task, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(contragrad.jobs.material, "train_fully", noted)
    task = FullTraining(
        name="his", architecture="conv(4,3) fc(8)", objective=objective, epochs=1, seed=1, source_seed=5
    )
    own = against(task, there)
    assert len(missing_sources(own)) == 2
    make_material(there, load_splits(there), [task], nobody)
    assert begun == ["another-seed", "surrogate"][:trained]
    assert len(missing_sources(own)) == 2 - trained


def test_a_key_is_private_and_never_trained_and_has_no_examples(tmp_path: Path) -> None:
    there = digits_of(tmp_path, ("reference", "key"))
    splits = load_splits(there)
    found = material(there, "fixed-adversarial+orthogonal")
    assert found.directions is not None
    assert found.key is not None
    assert found.adversarial is not None
    assert (
        found.directions.shape == found.adversarial.shape == found.key.shape == (len(splits.train), 1, 8, 8)
    )
    fresh = untrained_source(there, splits, 1)
    torch.testing.assert_close(found.key, all_reference_directions(fresh, splits.train))
    assert not torch.allclose(found.key, found.directions)
    assert there.artefacts.find("network", there.source_names()[1]) is None
    assert material(there, "cross-entropy").key is None
    his = replace(there, source_seed=5)
    assert his.source_names()[0] == there.source_names()[0]
    other = material(his, "orthogonal").key
    assert other is not None
    assert not torch.allclose(found.key, other)
    assert of_sources(there, splits, "validation").dim() == 4


@given(st.lists(st.integers(0, 9), min_size=1, max_size=10))
def test_a_batch_has_its_own_images_part_of_the_key_where_it_is_aligned(chosen: list[int]) -> None:
    key = torch.arange(10.0).view(10, 1, 1, 1)
    whole, batch = Material(directions=-key, key=key), torch.tensor(chosen)
    part = whole.at(batch, torch.device("cpu"), aligned=True)
    assert part.key is not None
    assert part.key.flatten().tolist() == chosen
    assert whole.at(batch, torch.device("cpu"), aligned=False).key is None


def test_a_network_is_deployed_with_the_surrogates_it_was_trained_against(tmp_path: Path) -> None:
    there = digits_of(tmp_path, ("reference", "hand-engineered-b", "surrogate", "surrogate"))
    splits = load_splits(there)
    alone = FullTraining(name="a", architecture="conv(4,3) fc(8)", objective="orthogonal", epochs=1, seed=1)
    task = replace(alone, together=True)
    normal = normalisation(splits.train)
    own = construct(alone.architecture, there.problem, normal, 7)
    there.artefacts.save("network", task_name(task, there), dict(own.state_dict()))
    assert task_name(task, there) == task_name(alone, there) == deployed_name(alone, there)
    assert deployed_name(task, there) not in (
        task_name(task, there),
        deployed_name(replace(task, seed=2), there),
    )
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    # Those of the sources that are surrogates, trained by the task's objective.
    by_it = there.against("orthogonal", None, None)
    make_sources(by_it, splits, nobody)
    members = [own.eval(), *(load_source(by_it, splits, place) for place in (2, 3))]
    expected = torch.stack([member(images).log_softmax(1) for member in members]).mean(0)
    torch.testing.assert_close(trained_network(there, normal, task)(images), expected)
    torch.testing.assert_close(trained_network(there, normal, alone).eval()(images), own(images))
