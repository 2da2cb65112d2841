"""A table's figures for one seed: which network is measured on what was crafted on which, in which folder.

The networks are known ones: their answers are drawn from what made the network, which image it sees, and by
which attack on which network the image was crafted. Whatever is wired wrongly gives other figures.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contragrad.data.dataset import Examples, Splits
from contragrad.defences import FILTERS
from contragrad.engine.memo import DictMemo
from contragrad.errors import UserError
from contragrad.evaluate import Share
from contragrad.evolution.genome import parse
from contragrad.evolution.search import Member
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Measured as Outcome
from contragrad.evolution.trial import Trial
from contragrad.fingerprint import fingerprint, stream_seed
from contragrad.jobs import full_trainings
from contragrad.jobs.recipes import RECIPES, Found
from contragrad.jobs.refine import FullTraining
from contragrad.jobs.tasks import task_name
from contragrad.networks.objectives import step_cost
from contragrad.pictures.explain import pixel_distance, relative
from contragrad.reference import architecture
from contragrad.reproduce import asking, experiment, figure3, figures
from contragrad.reproduce import definition_file as definitions
from contragrad.reproduce.asking import TRAINED_AT_ONCE
from contragrad.reproduce.definition import Column, Definition
from contragrad.reproduce.definition_file import read
from contragrad.reproduce.epsilon import Calibration
from contragrad.reproduce.experiment import Place
from contragrad.reproduce.figures import Measured
from contragrad.reproduce.measures import cell
from contragrad.reproduce.questions import Questions
from contragrad.reproduce.setups import Setup
from contragrad.reproduce.trainings import surrogate
from contragrad.run_folder import contents
from contragrad.run_folder.notes import SEEN
from contragrad.run_folder.workspace import Workspace
from contragrad.settings import config_file
from contragrad.settings.config import AttackSettings
from contragrad.studies.shipped import tables
from contragrad.watch.events import nobody

TABLES = [name for name in tables() if name.startswith("table")]
"""The paper's, whose sources are the same for all rows."""

CONFIG = config_file.read(None, ["--device=cpu", "--attack.steps=3"])
CALIBRATION = Calibration(greys=3, target=0.1, reached=0.1, images="validation")
IMAGES = 24
CLASSES = 3

CODES: list[str] = []
"""What a pixel of a crafted image says: the network and the attack by which it was crafted."""


def code(text: str) -> int:
    if text not in CODES:
        CODES.append(text)
    return CODES.index(text) + 1


def answer(network: str, image: int, crafted: str, seen_through: str) -> int:
    return int(fingerprint("test/1", network, image, crafted, seen_through)[:8], 16) % CLASSES


class Known(nn.Module):
    """A network that is told by what made it."""

    def __init__(self, made_by: str) -> None:
        super().__init__()
        self.made_by = made_by
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        corner = (images[:, 0, 0, :3] * 255).round().long().tolist()
        answers = [
            answer(self.made_by, image, CODES[crafted - 1] if crafted else "", filter_of(through))
            for image, crafted, through in corner
        ]
        return F.one_hot(torch.tensor(answers), CLASSES).float()


def filter_of(number: int) -> str:
    return ["", *FILTERS][number]


def through(name: str) -> Any:
    """A filter that marks what goes through it."""

    def marked(images: Tensor) -> Tensor:
        images = images.clone()
        images[:, 0, 0, 2] = (list(FILTERS).index(name) + 1) / 255
        return images

    return marked


def on(source: str, attack: AttackSettings) -> str:
    return f"{attack} on {source}"


def craft(network: Known, images: Tensor, labels: Tensor, attack: AttackSettings, *, seed: int) -> Tensor:
    crafted = images.float() / 255
    crafted[:, 0, 0, 1] = code(on(network.made_by, attack)) / 255
    return crafted


def made_by(task: FullTraining, data: str) -> str:
    return f"{task.architecture}, {task.objective}, {task.epochs} epochs, seed {task.seed}, on {data}"


class Pair:
    """Two workers who are never asked for anything."""

    slots = 2


@dataclass
class World:
    """Run folders by data set, whose networks are there once they are asked for."""

    folder: Path
    diverged: Sequence[str] = ()
    places: dict[str, Place] = field(default_factory=dict)
    epsilons: dict[str, object] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)
    groups: list[Sequence[FullTraining]] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    def place(self, data: str) -> Place:
        if data not in self.places:
            first = 30 * len(self.places)
            images = torch.zeros(IMAGES, 1, 4, 4, dtype=torch.uint8)
            images[:, 0, 0, 0] = torch.arange(first, first + IMAGES)
            test = Examples(images, (torch.arange(IMAGES) * (len(self.places) + 1) // 5) % CLASSES)
            folder = Workspace(
                folder=self.folder / data, config=CONFIG, data=data, problem=Problem(1, 4, 4, 3), weights=None
            )
            pair: Any = Pair()
            self.places[data] = Place(
                workspace=folder,
                splits=Splits(test, test, test),
                memo=DictMemo(),
                executor=pair,
                reference=lambda: self.reference(data),
            )
        return self.places[data]

    def reference(self, data: str) -> "Known":
        self.made.append(data)
        return Known(f"the reference of {data}")

    @contextmanager
    def opened(
        self, setup: object, name: str, data: str | None, watch: object, *, epsilon: object = None
    ) -> Iterator[Place]:
        self.epsilons[data or "own"] = epsilon
        self.open.append(data or "own")
        try:
            yield self.place(data or "own")
        finally:
            self.open.pop()

    def train(
        self, there: Workspace, tasks: Sequence[FullTraining], executor: object, watch: object
    ) -> tuple[FullTraining, ...]:
        assert self.open == [there.data], "trained in another folder than the one that is open"
        assert there.data in self.made, "trained before there was a reference"
        self.trained += [task.name for task in tasks]
        self.groups.append(tasks)
        return tuple(task for task in tasks if task.name not in self.diverged)


def member(number: int, fitness: float) -> Member:
    return Member(Trial(parse(f"conv({number},3) fc(4)"), 20), Outcome(fitness, 1.0))


FOUND = Found(
    [member(1, 0.5), member(2, 0.6), member(3, 0.4)], [member(4, 0.1), member(5, 0.7), member(6, 0.2)]
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    there = World(tmp_path)
    monkeypatch.setattr(experiment, "searched", lambda *where: FOUND)
    monkeypatch.setattr(experiment, "opened", there.opened)
    monkeypatch.setattr(full_trainings, "train", there.train)
    monkeypatch.setattr(
        full_trainings, "trained_network", lambda folder, normal, task: Known(made_by(task, folder.data))
    )
    monkeypatch.setattr(asking, "make_material", lambda *what: None)
    monkeypatch.setattr(figures, "calibrate", lambda *what: CALIBRATION)
    monkeypatch.setattr(asking, "FILTERS", {name: through(name) for name in FILTERS})
    monkeypatch.setattr(contents, "craft", craft)
    return there


def measured(definition: Definition) -> Measured:
    nothing: Any = None
    return figures.measured(definition, nothing, nobody)


# What is to be expected.


def made(name: str, data: str) -> tuple[str, str]:
    """What made the network of a row or the source of a column, and through which filter it sees."""
    training = (
        RECIPES[name].training(name, CONFIG, FOUND)
        if name in RECIPES
        else FullTraining(
            name=name,
            architecture=f"torchvision {name}",
            objective="cross-entropy",
            epochs=CONFIG.reference.epochs,
            seed=stream_seed(CONFIG.seed, "source", name),
        )
    )
    if training is None:
        return f"the reference of {data}", RECIPES[name].filter or ""
    return made_by(training, data), ""


def answers(name: str, place: Place, crafted: str) -> Tensor:
    images = place.splits.test.images[:, 0, 0, 0].tolist()
    network, seen_through = made(name, place.workspace.data)
    return torch.tensor([answer(network, image, crafted, seen_through) for image in images])


def crafted_by(column: Column, place: Place) -> str:
    if column.source is None:
        return ""
    source, _ = made(column.source, place.workspace.data)
    return on(source, column.crafted_by(CONFIG.attack, CALIBRATION.epsilon))


def right(world: World, name: str, column: Column) -> Tensor:
    place = world.place(column.data or "own")
    return answers(name, place, crafted_by(column, place)) == place.splits.test.labels


def expected(definition: Definition, world: World, name: str, column: Column) -> Share:
    place = world.place(column.data or "own")
    labels = place.splits.test.labels
    return cell(
        column.measure,
        answers(name, place, crafted_by(column, place)) == labels,
        clean=answers(name, place, "") == labels,
        source=answers(column.source or "reference", place, "") == labels,
    )


def test_what_two_searches_have_found_alike_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = read("table4")
    assert measured(definition).alike == ()
    monkeypatch.setattr(experiment, "searched", lambda *where: replace(FOUND, random=FOUND.evolved))
    assert measured(definition).alike == (("NE+GM 1", "random search+GM"),)


@pytest.mark.parametrize("name", TABLES)
def test_every_figure_is_of_its_network_and_of_examples_of_its_source(name: str, world: World) -> None:
    definition = read(name)
    found = measured(definition)
    columns = {column.name: column for column in definition.columns}
    for network, cells in found.figures.items():
        assert cells.keys() == set(definition.shown)
        for column in definition.columns:
            assert cells[column.name] == expected(definition, world, network, column)
        for worst, of in definition.worst_cases.items():
            held = torch.stack([right(world, network, columns[each]) for each in of]).all(0)
            assert cells[worst] == Share(int(held.sum()), IMAGES)
    assert found.looks == 1


def test_each_row_stands_beside_the_baseline_image_by_image(world: World) -> None:
    definition = read("table4")
    found = measured(definition)
    columns = {column.name: column for column in definition.columns}
    assert found.pairs.keys() == set(definition.shown)
    others = definition.networks.keys() - {"reference+GM"}
    for name, column in columns.items():
        assert found.pairs[name].keys() == others
        baseline = right(world, "reference+GM", column)
        for network, pair in found.pairs[name].items():
            own = right(world, network, column)
            assert (pair.gained, pair.lost) == (int((own & ~baseline).sum()), int((baseline & ~own).sum()))
            assert pair.count == IMAGES
    assert found.pairs["right on both"].keys() == others
    assert not measured(read("table5")).pairs, "it has no accuracy, and no baseline"


def test_a_row_is_beside_no_baseline_that_diverged(world: World) -> None:
    definition = definitions.parse("own", OWN + "baseline: reference+GM")
    world.diverged = ["reference+GM"]
    assert measured(definition).pairs == {"white box": {}, "adaptive": {}}


OWN = """
title: x
experiment: reduced-data
columns:
  white box: {source: itself}
  adaptive: {source: surrogate}
networks: {reference: , reference+GM: , NE 1 without GM: }
"""


def test_columns_may_be_crafted_on_the_row_itself_and_on_what_an_attacker_trains_by_its_recipe(
    world: World,
) -> None:
    definition = definitions.parse("own", OWN)
    found = measured(definition)
    place = world.place("own")
    labels = place.splits.test.labels
    attack = CONFIG.attack
    for name in definition.networks:
        training = RECIPES[name].training(name, CONFIG, FOUND)
        own, _ = made(name, "own")
        task = surrogate(name, training, CONFIG)
        assert task.seed != getattr(training, "seed", None)
        assert (task.architecture, task.objective) == (
            (training.architecture, training.objective)
            if training
            else (architecture(CONFIG.reference), "cross-entropy")
        )
        for column, source in (("white box", own), ("adaptive", made_by(task, "own"))):
            right = answers(name, place, on(source, attack)) == labels
            assert found.figures[name][column] == Share(int(right.sum()), IMAGES)
            images = place.splits.test.images[:, 0, 0, 0].tolist()
            clean, after = (
                torch.tensor([answer(source, image, shown, "") for image in images]) == labels
                for shown in ("", on(source, attack))
            )
            assert found.own[name][column] == Share(int((clean & ~after).sum()), int(clean.sum()))
    assert found.crafted.keys() == {"white box", "adaptive"}
    for column, each in found.crafted.items():
        assert each.fooled.share == min(own[column].share or 0.0 for own in found.own.values())
    assert len(set(world.trained)) == len(world.trained) == 2 + 3


def test_a_worst_case_counts_the_images_that_hold_in_each_of_its_columns(world: World) -> None:
    definition = definitions.parse("own", OWN + "worst_cases: {worst of two: [white box, adaptive]}")
    found = measured(definition)
    place = world.place("own")
    labels = place.splits.test.labels
    for name in definition.networks:
        task = surrogate(name, RECIPES[name].training(name, CONFIG, FOUND), CONFIG)
        own, other = (
            answers(name, place, on(source, CONFIG.attack)) == labels
            for source in (made(name, "own")[0], made_by(task, "own"))
        )
        worst = found.figures[name]["worst of two"]
        assert worst == Share(int((own & other).sum()), IMAGES)
    assert definition.shown == ("white box", "adaptive", "worst of two")


def test_an_attacker_may_train_several_surrogates(world: World) -> None:
    more = "  second: {source: surrogate 2}\n  third: {source: surrogate 3}\n"
    text = OWN.replace("networks:", f"{more}networks:")
    definition = definitions.parse("own", text + "worst_cases: {all three: [adaptive, second, third]}")
    found, place = measured(definition), world.place("own")
    labels = place.splits.test.labels
    for name in definition.networks:
        training = RECIPES[name].training(name, CONFIG, FOUND)
        tasks = [surrogate(name, training, CONFIG, number) for number in (1, 2, 3)]
        assert tasks[0] == surrogate(name, training, CONFIG), "the first is what it was when there was one"
        assert len({task.seed for task in tasks}) == 3
        assert len({task.source_seed for task in tasks}) == (3 if training else 1)
        each = [answers(name, place, on(made_by(task, "own"), CONFIG.attack)) == labels for task in tasks]
        for column, right in zip(("adaptive", "second", "third"), each, strict=True):
            assert found.figures[name][column] == Share(int(right.sum()), IMAGES)
        assert found.figures[name]["all three"] == Share(int(torch.stack(each).all(0).sum()), IMAGES)


def test_a_source_without_examples_is_a_gap_of_its_columns(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "reference+GM"
    broken = made_by(surrogate(name, RECIPES[name].training(name, CONFIG, FOUND), CONFIG), "own")

    def fails(network: Known, *what: Any, **how: Any) -> Tensor:
        if network.made_by == broken:
            raise FloatingPointError("linf-pgd met gradients that are not finite")
        return craft(network, *what, **how)

    monkeypatch.setattr(contents, "craft", fails)
    for _ in range(2):  # the second time it is remembered
        rows = measured(definitions.parse("own", OWN)).figures
        why = rows[name]["adaptive"]
        assert isinstance(why, str)
        assert "no examples can be crafted at the test images" in why
        assert isinstance(rows[name]["white box"], Share)
        assert isinstance(rows["NE 1 without GM"]["adaptive"], Share)
    assert len(set(world.trained)) == len(world.trained)


def test_examples_that_cannot_be_crafted_cost_no_other_figure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = "  small: {source: itself, attack: {epsilon: 2/255}}\n"
    definition = definitions.parse("own", OWN)
    before = measured(definition).figures

    def fails(network: Known, images: Tensor, labels: Tensor, attack: AttackSettings, *, seed: int) -> Tensor:
        if attack.epsilon == Fraction(2, 255) and network.made_by != "the reference of own":
            raise FloatingPointError("linf-pgd met gradients that are not finite")
        return craft(network, images, labels, attack, seed=seed)

    monkeypatch.setattr(contents, "craft", fails)
    rows = measured(definitions.parse("own", OWN.replace("networks:", f"{small}networks:"))).figures
    name = "reference+GM"
    assert str(rows[name]["small"]).startswith(f"on {name} no examples can be crafted at the test images")
    assert {column: rows[name][column] for column in before[name]} == before[name]
    assert measured(definition).figures == before


@pytest.mark.parametrize(
    "rows", ["reference: , reference+GM: , NE 1 without GM: ", "NE+GM 1: , reference: ", "NE+GM 1: "]
)
def test_each_row_comes_right_after_its_own_sources(rows: str, world: World) -> None:
    columns = "columns: {own: {source: surrogate}, first: {source: reference}, unseen: {source: plain}}"
    text = f"title: x\nexperiment: reduced-data\n{columns}\nnetworks: {{{rows}}}\n"
    definition = definitions.parse("own", text)
    with world.opened(None, "", None, nobody) as place:
        questions = Questions(definition, definition.columns, place.workspace, place.memo, FOUND)
    order = questions.by_rows()
    assert len(order) == len(set(order))
    assert set(order) == set(questions.names)
    for row in definition.networks:
        sources = {f"surrogate of {row}", "reference", "plain"} - {row}
        assert all(order.index(source) < order.index(row) for source in sources - {row})
        own = order[order.index(f"surrogate of {row}") : order.index(row)]
        assert set(own) <= sources


def test_a_reference_that_is_given_has_no_epochs_that_are_told(world: World) -> None:
    definition = definitions.parse("own", OWN)
    with world.opened(None, "", None, nobody) as place:
        config = place.workspace.config
        for weights in (None, "given.safetensors"):
            reference = replace(config.reference, weights=weights)
            workspace = replace(place.workspace, config=replace(config, reference=reference))
            questions = Questions(definition, definition.columns, workspace, place.memo, FOUND)
            told = {name: task.epochs for name, task in questions.tasks.items()}
            assert "reference" not in told
            own = {"reference": config.reference.epochs} if weights is None else {}
            assert questions.epochs() == told | own


def test_no_network_but_the_reference_stays_in_memory(world: World) -> None:
    definition = definitions.parse("own", OWN)
    with world.opened(None, "", None, nobody) as place:
        questions = Questions(definition, definition.columns, place.workspace, place.memo, FOUND)
        asked = asking.Asking(questions, place, nobody)
        asked.ask()
    assert list(asked.networks) == ["reference"]
    assert len(world.trained) == 5


def test_a_worst_case_without_one_of_its_columns_is_missing(world: World) -> None:
    definition = definitions.parse("own", OWN + "worst_cases: {worst of two: [white box, adaptive]}")
    world.diverged = ("surrogate of reference+GM",)
    rows = measured(definition).figures
    assert rows["reference+GM"]["worst of two"] == rows["reference+GM"]["adaptive"]
    assert isinstance(rows["reference+GM"]["worst of two"], str)
    assert isinstance(rows["reference"]["worst of two"], Share)


def test_a_data_set_with_an_epsilon_of_its_own_is_opened_with_it(world: World) -> None:
    text = OWN.replace("{source: itself}", "{source: itself, data: mnist}") + "epsilons: {mnist: 16/255}"
    measured(definitions.parse("own", text))
    assert world.epsilons == {"own": None, "mnist": Fraction(16, 255)}


def test_each_data_set_is_attacked_at_its_own_calibrated_epsilon(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
title: x
experiment: reduced-data
columns:
  own: {source: reference, attack: {epsilon: calibrated}}
  other: {data: mnist, source: reference, attack: {epsilon: calibrated}}
networks: {reference: {own: 0.1, other: 0.6}}
"""

    def calibrate(place: Place, column: Column, published: float) -> Calibration:
        assert place.workspace.data == (column.data or "own")
        return Calibration(greys=round(10 * published), target=published, reached=0.0, images="validation")

    monkeypatch.setattr(figures, "calibrate", calibrate)
    found = measured(definitions.parse("own", text))
    epsilons = {column: each.attack.epsilon for column, each in found.crafted.items()}
    assert epsilons == {"own": Fraction(1, 255), "other": Fraction(6, 255)}
    assert {data: each.greys for data, each in found.calibration.items()} == {None: 1, "mnist": 6}


def test_networks_are_trained_several_at_once_the_longest_first(world: World) -> None:
    measured(read("table4"))
    at_once = TRAINED_AT_ONCE * Pair.slots
    # The reference is asked among the first, and is there.
    assert [len(group) for group in world.groups[:-1]] == [at_once - 1, *[at_once] * (len(world.groups) - 2)]
    assert len(world.groups) > 1
    for group in world.groups:
        costs = [task.epochs * step_cost(task.objective) for task in group]
        assert costs == sorted(costs, reverse=True)
    assert len({task.objective for task in world.groups[0]}) > 1


def test_a_filtered_network_has_no_columns_of_its_own() -> None:
    with pytest.raises(UserError) as error:
        definitions.parse("own", OWN.replace("reference+GM: ", "JPEG compression: "))
    assert "filtered" in error.value.remedy


@pytest.mark.parametrize("name", TABLES)
def test_sources_are_measured_on_themselves(name: str, world: World) -> None:
    definition = read(name)
    found = measured(definition)
    assert list(found.crafted) == [column.name for column in definition.columns if column.source]
    for column in definition.columns:
        if column.source is None:
            continue
        place, crafted = world.place(column.data or "own"), found.crafted[column.name]
        labels = place.splits.test.labels
        clean = answers(column.source, place, "") == labels
        held = answers(column.source, place, crafted_by(column, place)) == labels
        assert crafted.attack == column.crafted_by(CONFIG.attack, CALIBRATION.epsilon)
        assert crafted.clean == Share(int(clean.sum()), IMAGES)
        assert crafted.fooled == Share(int((clean & ~held).sum()), int(clean.sum()))


@pytest.mark.parametrize("name", TABLES)
def test_looks_are_noted_where_the_networks_were_measured(name: str, world: World) -> None:
    definition = read(name)
    measured(definition)
    trained = [task for row in definition.networks if (task := RECIPES[row].training(row, CONFIG, FOUND))]
    assert world.places.keys() == {data or "own" for data in definition.data}
    for data, place in world.places.items():
        (look,) = json.loads(place.memo.get_meta(SEEN) or "")
        sources = {column.source for column in definition.columns if (column.data or "own") == data}
        assert look.keys() == {task.name for task in trained} | sources - {None, "reference"}
        assert {task.name: task_name(task, place.workspace) for task in trained}.items() <= look.items()


@pytest.mark.parametrize("name", TABLES)
def test_what_was_answered_is_not_asked_again(name: str, world: World) -> None:
    definition = read(name)
    found = measured(definition)
    assert set(world.made) == set(world.places)
    world.trained.clear()
    world.made.clear()
    assert measured(definition) == found
    assert not world.trained
    assert not world.made, "the reference was made to be asked nothing"


def test_what_was_asked_is_remembered_in_words_that_name_nothing(world: World) -> None:
    definition = definitions.parse(
        "own", OWN.replace("{source: itself}", "{source: itself, attack: {epsilon: 3/255}}")
    )
    found = measured(definition)
    records = world.place("own").memo._records  # type: ignore[attr-defined]
    tasks = [record.task for record in records.values()]
    assert "reference+GM on the test images, linf-pgd 3/255 on reference+GM" in tasks
    for key, record in records.items():
        records[key] = replace(record, task="other words")
    world.trained.clear()
    assert measured(definition) == found
    assert not world.trained


def test_a_killed_table_goes_on_without_the_weights_of_what_was_answered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = read("table4")
    whole = measured(definition)
    world.places.clear()
    world.trained.clear()
    train = world.train

    def killed(there: Workspace, tasks: Sequence[FullTraining], *who: object) -> tuple[FullTraining, ...]:
        if len(world.trained) > 3:
            raise KeyboardInterrupt
        return train(there, tasks, *who)

    with monkeypatch.context() as patch:
        patch.setattr(full_trainings, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            measured(definition)
    before = set(world.trained)
    world.trained.clear()
    assert measured(definition) == whole
    assert len(before) > 3
    assert not set(world.trained) & before


def test_a_network_that_diverged_is_not_trained_again(world: World) -> None:
    world.diverged = ("NE+GM 1",)
    found = measured(read("table4"))
    world.trained.clear()
    assert measured(read("table4")) == found
    assert not world.trained


def test_a_source_that_diverged_costs_its_columns_alone(world: World) -> None:
    world.diverged = ("vgg16_bn",)
    definition = read("table2")
    found = measured(definition)
    assert "VGG" not in found.crafted
    for network, row in found.figures.items():
        for column in definition.columns:
            gap = column.source == "vgg16_bn"
            wanted = expected(definition, world, network, column)
            assert row[column.name] == ("the training of vgg16_bn diverged" if gap else wanted)


def test_a_network_that_diverged_costs_its_row_alone(world: World) -> None:
    world.diverged = ("NE+GM 1",)
    definition = read("table4")
    found = measured(definition)
    for network, row in found.figures.items():
        for column in definition.columns:
            gap = network == "NE+GM 1"
            wanted = expected(definition, world, network, column)
            assert row[column.name] == ("the training of NE+GM 1 diverged" if gap else wanted)
    (look,) = json.loads(world.place("own").memo.get_meta(SEEN) or "")
    assert "NE+GM 1" not in look


def test_what_became_of_a_training_is_said(world: World) -> None:
    place, definition = world.place("own"), definitions.parse("own", OWN)
    task = RECIPES["reference+GM"].training("reference+GM", CONFIG, FOUND)
    assert task is not None
    reason = torch.tensor(list(b"diverged: the loss was not finite"), dtype=torch.uint8)
    place.workspace.artefacts.save("diverged", task_name(task, place.workspace), {"reason": reason})
    world.diverged = ["reference+GM"]
    rows = measured(definition).figures
    assert (
        rows["reference+GM"]["white box"] == "the training of reference+GM diverged: the loss was not finite"
    )
    assert isinstance(rows["reference"]["white box"], Share)


def test_the_maps_of_figure_3_are_its_networks_and_those_shown_are_classified_correctly(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gradients(network: Known, images: Tensor, labels: Tensor) -> Tensor:
        """A map that the network and the image make."""
        maps = []
        for image in images:
            seed = int(fingerprint("map/1", network.made_by, int(image[0, 0, 0]))[:8], 16)
            maps.append(torch.rand(image.shape, generator=torch.Generator().manual_seed(seed)) - 0.5)
        return torch.stack(maps)

    monkeypatch.setattr(figure3, "integrated_gradients", gradients)
    setup = Setup(scale="reduced", seed=0, paper_protocol=False, data=Path(), out=Path())
    found = figure3.maps_of(figure3.FIGURE3, setup, nobody)
    place = world.place("own")
    test = place.splits.test
    expected_maps = {
        name: relative(gradients(Known(made(name, "own")[0]), test.images, test.labels))
        for name in ("reference", "reference+GM", "NE+GM 1", "reference, another seed", "NE 1 without GM")
    }
    assert list(found.maps) == list(expected_maps)
    own = expected_maps.pop("reference")
    assert found.distances == {
        name: pytest.approx(pixel_distance(own, theirs).mean().item())
        for name, theirs in expected_maps.items()
    }
    right = sum((answers(name, place, "") == test.labels).long() for name in found.maps)
    assert isinstance(right, Tensor)
    shown = [test.images[:, 0, 0, 0].tolist().index(int(image[0, 0, 0])) for image in found.images]
    assert sorted(right[shown].tolist()) == sorted(right.tolist())[-len(shown) :]
    assert torch.equal(found.maps["reference"], own[shown])
    (look,) = json.loads(place.memo.get_meta(SEEN) or "")
    assert look.keys() == expected_maps.keys()
