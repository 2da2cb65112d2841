"""What a table is known by, and what is said of its data and settings."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from contragrad.errors import UserError
from contragrad.evolution.shapes import Problem
from contragrad.fingerprint import fingerprint
from contragrad.jobs.recipes import RECIPES
from contragrad.networks.architectures import HAND_ENGINEERED
from contragrad.reproduce import figure3, provenance
from contragrad.reproduce.definition import Definition
from contragrad.reproduce.definition_file import parse, read
from contragrad.reproduce.figure3 import FIGURE3, Maps, figure_of
from contragrad.reproduce.grounds import TABLE, Ground, _names, grounds, stand_ins
from contragrad.reproduce.grounds import identity as identity_of
from contragrad.reproduce.provenance import told
from contragrad.reproduce.remarks import lines
from contragrad.reproduce.setups import Setup
from contragrad.reproduce.unsaid import kept_last
from contragrad.run_folder import workspace
from contragrad.run_folder.workspace import Workspace
from contragrad.settings import config_file
from contragrad.settings.choices import Scale
from contragrad.settings.config import DataSettings
from contragrad.studies.shipped import tables
from reproductions import DEFINITION, TEXT, hold, hold_all, seeds


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return hold_all(tmp_path_factory.mktemp("data"))


def identity(definition: Definition, setups: list[Setup]) -> str:
    return identity_of(definition, grounds(definition, setups))


def test_the_parameters_of_defences_are_told(setup: Setup) -> None:
    found = told(read("table6"), grounds(read("table6"), [setup]))
    assert found["defences"] == {
        "JPEG compression": "quality 75",
        "bilateral filtering": "kernel size 5, sigma color 0.2, sigma space 1",
        "free adversarial training": "4 steps of ε on each batch, and so many times fewer epochs",
        "fast adversarial training": "one step of 1.25 ε",
    }
    said = next(line for line in lines(found) if line.startswith("parameters of defences"))
    assert "JPEG compression: quality 75; bilateral filtering: kernel size 5" in said
    assert told(DEFINITION, grounds(DEFINITION, [setup]))["defences"] == {}
    others = told(read("recipes"), grounds(read("recipes"), [setup]))["defences"]
    assert (
        others["mixed PGD adversarial training"] == "5 steps of 0.5 ε, in equal parts with the clean images"
    )
    assert others["ensemble adversarial training"].endswith(
        "the clean images and fixed examples of the sources"
    )
    assert "reference+fixed-adversarial" not in others


@pytest.mark.parametrize(("scale", "kept"), [("smoke", []), ("reduced", ["reference", "NE 1 without GM"])])
def test_the_rows_that_keep_their_last_weights_are_named(scale: Scale, kept: list[str], setup: Setup) -> None:
    found = told(DEFINITION, grounds(DEFINITION, [replace(setup, scale=scale)]))
    assert found["kept_last"] == kept
    said = [line for line in lines(found) if line.startswith("weights of the last of all epochs")]
    assert [line.rpartition(": ")[2] for line in said] == [", ".join(kept)] * bool(kept)


def test_a_network_without_a_defence_keeps_its_best_weights_where_that_is_the_objective() -> None:
    rows = parse("own", TEXT.replace("NE 1 without GM:", "NE 1 without GM:\n  reference, another seed:"))
    config = config_file.read(None, ["--refine.keep=best", "--training.objective=cross-entropy"])
    assert kept_last(rows, config) == ["reference", "reference, another seed"]
    given = replace(config, reference=replace(config.reference, weights="mine.safetensors"))
    assert kept_last(rows, given) == ["reference, another seed"]


def test_published_figures_of_full_data_beside_reduced_ones_are_named(setup: Setup) -> None:
    for name, expected in (("table1", True), ("table4", False)):
        found = told(read(name), grounds(read(name), [setup]))
        assert (found["published_on"] is not None) == expected
        assert any(line.startswith("published figures: of full data") for line in lines(found)) == expected
    ours = parse("own", TEXT.replace("reduced-data", "full-data").replace("{clean: 0.578}", ""))
    assert told(ours, grounds(ours, [setup]))["published_on"] is not None
    nothing = replace(ours, networks={name: {} for name in ours.networks})
    assert told(nothing, grounds(nothing, [setup]))["published_on"] is None


def test_figure_3_at_full_is_of_the_full_data_experiment_as_in_the_paper(setup: Setup) -> None:
    assert figure_of("smoke") == figure_of("reduced") == FIGURE3
    full = figure_of("full")
    assert full == replace(FIGURE3, experiment="full-data")
    whole = replace(of(), setup=replace(setup, scale="full"))
    maps = Maps(images=torch.zeros(1), maps={}, distances={"reference+GM": 0.5}, deviations={}, looks=1)
    shown = figure3.content(full, [whole], [maps], identity="i")
    assert (shown["published_of"], shown["published_on"]) == (None, None)
    assert "published distances" not in str(figure3.as_text(shown))
    part = figure3.content(full, [replace(whole, images={"training": 10, "test": 1})], [maps], identity="i")
    assert part["scale"] == "full"
    smaller = figure3.content(FIGURE3, [whole], [maps], identity="i")
    assert "published distances: of the paper's full-data experiment" in str(figure3.as_text(smaller))


# What a table is known by.


def test_a_table_of_the_same_definition_and_settings_has_the_same_identity(setup: Setup) -> None:
    found = identity(DEFINITION, seeds(setup, 0, 1))
    assert found == identity(parse("small", TEXT), seeds(setup, 0, 1))
    # Where it is written and with how many workers changes nothing.
    moved = replace(setup, out=Path("elsewhere"), overrides=("--workers=3", "--device=cpu"))
    assert found == identity(DEFINITION, seeds(moved, 0, 1))


def test_a_table_is_known_by_what_its_files_hold_and_not_by_their_place(setup: Setup, tmp_path: Path) -> None:
    other = replace(setup, data=tmp_path)
    path = hold(tmp_path, "cifar10")
    assert identity(DEFINITION, [other]) == identity(DEFINITION, [setup])
    hold(tmp_path, "cifar10", shade=1)
    assert identity(DEFINITION, [other]) != identity(DEFINITION, [setup])
    shutil.copy(setup.data / path.name, path)
    assert identity(DEFINITION, [other]) == identity(DEFINITION, [setup])


def test_other_data_of_the_columns_alone_are_another_table(setup: Setup, tmp_path: Path) -> None:
    definition = parse("small", TEXT.replace("{source: reference}", "{source: reference, data: mnist}"))
    found = []
    for shade in (0, 1):
        hold(tmp_path, "cifar10")
        hold(tmp_path, "mnist", shade=shade)
        found.append(identity(definition, [replace(setup, data=tmp_path)]))
    assert found[0] != found[1]


def test_a_table_is_known_by_its_references_given_weights(setup: Setup, tmp_path: Path) -> None:
    found = []
    for content, name in ((b"some", "first"), (b"some", "second"), (b"others", "first")):
        weights = tmp_path / name
        weights.write_bytes(content)
        given = replace(setup, overrides=(f"--reference.weights={weights}",))
        found.append(identity(DEFINITION, [given]))
    assert found[0] == found[1]
    assert len({*found, identity(DEFINITION, [setup])}) == 3


def test_a_recipe_that_trains_otherwise_is_another_table(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identity(DEFINITION, [setup])
    monkeypatch.setitem(RECIPES, "NE 1 without GM", replace(RECIPES["NE 1 without GM"], rank=2))
    assert identity(DEFINITION, [setup]) != before
    monkeypatch.undo()
    monkeypatch.setitem(RECIPES, "NE+GM 2", replace(RECIPES["NE+GM 2"], objective="orthogonal"))
    assert identity(DEFINITION, [setup]) == before, "it is none of this table's"


def test_another_meaning_of_evaluations_is_another_table(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identity(DEFINITION, [setup])
    monkeypatch.setattr(workspace, "EVALUATION", "evaluation/next")
    assert identity(DEFINITION, [setup]) != before


CHANGED_DEFINITIONS = {
    "its name": ("other", TEXT),
    "a title": ("small", TEXT.replace("two columns", "both")),
    "an experiment": ("small", TEXT.replace("reduced-data", "full-data")),
    "a column's name": ("small", TEXT.replace("clean", "pure")),
    "a published number": ("small", TEXT.replace("0.578", "0.579")),
    "a network": ("small", TEXT.replace("NE+GM 1", "NE+GM 2")),
    "a network more": ("small", f"{TEXT}  NE+GM 2:\n"),
    "a measure": ("small", TEXT.replace("{source: reference}", "{source: reference, measure: fooling rate}")),
    "a source": ("small", TEXT.replace("{source: reference}", "{source: resnet18}")),
    "an attack": ("small", TEXT.replace("{source: reference}", "{source: reference, attack: {steps: 3}}")),
    "an epsilon": (
        "small",
        TEXT.replace("{source: reference}", "{source: reference, attack: {epsilon: 1/255}}"),
    ),
    "a calibration": (
        "small",
        TEXT.replace("{source: reference}", "{source: reference, attack: {epsilon: calibrated}}"),
    ),
    "the data": ("small", TEXT.replace("{source: reference}", "{source: reference, data: mnist}")),
}


@pytest.mark.parametrize(("name", "text"), CHANGED_DEFINITIONS.values(), ids=CHANGED_DEFINITIONS)
def test_another_definition_is_another_table(name: str, text: str, setup: Setup) -> None:
    assert (name, text) != ("small", TEXT)
    assert identity(parse(name, text), [setup]) != identity(DEFINITION, [setup])


OTHER_DATA = TEXT.replace("{source: reference}", "{source: reference, data: mnist}")


def test_what_older_definitions_knew_nothing_of_is_named_only_where_it_is(setup: Setup) -> None:
    plain = parse("small", OTHER_DATA)
    with_epsilon = parse("small", f"{OTHER_DATA}epsilons: {{mnist: 16/255}}\n")
    with_worst = replace(plain, worst_cases={"worst": ("clean", "attacked")})
    with_baseline = replace(plain, baseline="reference")
    with_weight = replace(plain, weights={"NE+GM 1": 3.0})
    others = (with_epsilon, with_worst, with_baseline, with_weight)
    assert len({identity(each, [setup]) for each in (plain, *others)}) == 5
    content = asdict(plain)
    del content["epsilons"], content["worst_cases"], content["baseline"], content["weights"]
    of = grounds(plain, [setup])
    assert identity_of(plain, of) == fingerprint(TABLE, content, [_names(plain, ground) for ground in of])


def test_a_data_set_s_own_epsilon_is_in_its_study_its_folder_and_what_is_told(setup: Setup) -> None:
    definition = parse("small", f"{OTHER_DATA}epsilons: {{mnist: 16/255}}\n")
    own, other = grounds(definition, [setup])
    assert own.workspace.config.attack.epsilon == Fraction(8, 255)
    assert other.workspace.config.attack.epsilon == Fraction(16, 255)
    assert (own.workspace.folder.name, other.workspace.folder.name) == ("seed-0", "seed-0-mnist-16-255")
    found = told(definition, [own, other])
    assert [data["epsilon"] for data in found["data"]] == [None, "16/255"]
    assert [line.endswith(", attack.epsilon 16/255") for line in lines(found)[:2]] == [False, True]


def test_a_weight_of_a_rows_own_is_trained_with_and_told(setup: Setup) -> None:
    definition = parse("small", f"{TEXT}weights: {{NE+GM 1: 3}}\n")
    (own,) = grounds(definition, [setup])
    found = {task.name: task.gm_weight for task in stand_ins(definition, own)[1]}
    assert found == {"NE+GM 1": 3.0, "NE 1 without GM": None}
    told_ = told(definition, [own])
    assert told_["weights"] == {"NE+GM 1": 3.0}
    assert "training.gm_weight of their own have: NE+GM 1 3" in lines(told_)
    (plain,) = grounds(DEFINITION, [setup])
    assert not any("of their own" in line for line in lines(told(DEFINITION, [plain])))


CHANGED_SETUPS: dict[str, Callable[[Setup], list[Setup]]] = {
    "another seed": lambda setup: seeds(setup, 1),
    "more seeds": lambda setup: seeds(setup, 0, 1),
    "another scale": lambda setup: [replace(setup, scale="reduced")],
    "the paper's protocol": lambda setup: [replace(setup, paper_protocol=True)],
    "a setting of the attack": lambda setup: [replace(setup, overrides=("--attack.steps=4",))],
    "a setting of the search": lambda setup: [replace(setup, overrides=("--search.generations=2",))],
    "a setting of the refinement": lambda setup: [replace(setup, overrides=("--refine.epochs=2",))],
    "the images of a class": lambda setup: [replace(setup, overrides=("--data.train_per_class=59",))],
}


@pytest.mark.parametrize("change", CHANGED_SETUPS.values(), ids=CHANGED_SETUPS)
def test_other_settings_are_another_table(change: Callable[[Setup], list[Setup]], setup: Setup) -> None:
    assert identity(DEFINITION, change(setup)) != identity(DEFINITION, [setup])


# What is refused before anything is made.


def test_a_table_of_more_networks_than_a_search_will_have_is_refused(setup: Setup) -> None:
    one = replace(setup, overrides=("--search.population=1", "--refine.networks=1"))
    assert identity(DEFINITION, [one])
    with pytest.raises(UserError, match="table4 has 2 networks of a population, which is to have 1"):
        grounds(read("table4"), [one])


def test_the_missing_data_of_any_column_are_named(setup: Setup, tmp_path: Path) -> None:
    for name in ("cifar10", "mnist"):
        hold(tmp_path, name)
    with pytest.raises(UserError, match="the reduced kmnist is not in this folder"):
        grounds(read("table7"), [replace(setup, data=tmp_path)])


# What is said of it.


def shown(setup: Setup, definition: Definition = DEFINITION) -> provenance.Content:
    return told(definition, grounds(definition, [setup]))


COMPARED = {"reference.architecture"}
"""What the paper has by the experiment."""

LEFT_OPEN = {
    "reference.epochs",
    "attack.epsilon",
    "attack.steps",
    "attack.step_size",
    "attack.random_start",
    "training.sources",
    "training.gm_weight",
    "training.optimiser",
    "training.precision",
    "search.initial_blocks_min",
    "search.initial_blocks_max",
    "search.initial",
    "search.channels",
    "search.kernels",
    "search.hidden",
}
"""What the paper leaves open. A new setting is none of these before somebody has looked."""


def test_every_setting_is_the_papers_or_said() -> None:
    keys = set(config_file.dotted(config_file.read(None)))
    assert keys >= provenance.PAPER.keys() | set(provenance.UNSAID)
    assert not provenance.PAPER.keys() & set(provenance.UNSAID)
    assert keys - provenance.PAPER.keys() - set(provenance.UNSAID) - COMPARED == LEFT_OPEN


def test_what_no_setting_says_but_the_paper_leaves_open_is_told(setup: Setup) -> None:
    rows = parse("small", TEXT + "  hand-engineered+GM:\n")
    for definition, overrides, drawn in (
        (parse("small", TEXT), (), ["hand-engineered-a"]),
        (rows, (), ["hand-engineered-a", "hand-engineered-b"]),
        (rows, ("--reference.architecture=resnet18",), ["hand-engineered-b"]),
    ):
        found = shown(replace(setup, overrides=overrides), definition)
        assert found["architectures"] == {name: str(HAND_ENGINEERED[name]) for name in drawn}
        said = "\n".join(lines(found))
        assert all(f"{name}: {HAND_ENGINEERED[name]}" in said for name in drawn)
        assert "loss that attacks climb, which the paper leaves open: the log-odds" in said
        # Older files do not say.
        del found["architectures"], found["climbed"]
        assert "log-odds" not in "\n".join(lines(found))


def test_settings_are_said_with_their_own_values_and_the_papers(setup: Setup) -> None:
    changed = (
        *("--training.gm_weight=3", "--search.channels=[8]", "--training.gm_every=2", "--refine.keep=best"),
        *("--search.rungs=[0.5]", "--data.validation_fraction=0.2"),
    )
    found = shown(replace(setup, overrides=changed))
    left, differs = found["left_open"], found["differs"]
    assert (left["attack.epsilon"], left["attack.steps"]) == ("8/255", 3)
    assert (left["training.gm_weight"], left["search.channels"]) == (3.0, [8])
    assert differs["refine.keep"] == {"here": "best", "paper": "last"}
    assert differs["fitness_split"] == {"here": "validation", "paper": "test"}
    assert differs["training.gm_every"] == {"here": 2, "paper": 1}
    assert differs["search.rungs"] == {"here": [0.5], "paper": []}
    assert differs["search.generations"] == {"here": 1, "paper": 50}
    assert differs["search.population"] == {"here": 2, "paper": "4 or 5"}
    assert differs["refine.networks"] == {"here": 2, "paper": "all 4 or 5"}
    assert left.keys() == LEFT_OPEN
    assert differs["data.validation_fraction"] == {"here": 0.2, "paper": None}
    assert differs["search.limits.flops"] == {"here": 2_000_000, "paper": None}
    assert "search.mutations_min" not in differs
    said = " ".join(lines(found))
    assert "search.generations 1 (50)" in said
    assert "data.validation_fraction 0.2 (none)" in said
    assert "training.gm_weight 3.0" in said


@pytest.mark.parametrize(
    ("experiment", "own"), [("full-data", "resnet34"), ("reduced-data", "hand-engineered-a")]
)
def test_another_reference_than_the_experiments_is_said(experiment: str, own: str, setup: Setup) -> None:
    definition = parse("small", TEXT.replace("reduced-data", experiment))
    found = shown(setup, definition)
    assert "reference.architecture" not in found["differs"] | found["left_open"]
    other = replace(setup, overrides=("--reference.architecture=resnet18",))
    differs = shown(other, definition)["differs"]
    assert differs["reference.architecture"] == {"here": "resnet18", "paper": own}


def test_the_papers_depth_and_protocol_leave_its_limits_alone_to_be_said(setup: Setup) -> None:
    found = shown(replace(setup, scale="full", paper_protocol=True))
    limits = {f"search.limits.{name}" for name in ("blocks", "parameters", "flops")}
    assert found["differs"].keys() == {*limits, "refine.networks"}


@pytest.mark.parametrize(
    ("population", "networks", "differ"),
    [
        (4, 4, set()),
        (5, 5, set()),
        (5, 4, {"refine.networks"}),
        (4, 2, {"refine.networks"}),
        (3, 3, {"search.population", "refine.networks"}),
        (6, 5, {"search.population", "refine.networks"}),
    ],
)
def test_a_population_of_four_or_five_all_of_which_is_refined_is_the_papers(
    population: int, networks: int, differ: set[str], setup: Setup
) -> None:
    changed = (f"--search.population={population}", f"--refine.networks={networks}")
    differs = shown(replace(setup, overrides=changed))["differs"]
    assert differs.keys() & {"search.population", "refine.networks"} == differ


def test_what_it_was_made_with_is_told_and_changes_no_identity(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = identity(DEFINITION, [setup])
    made = shown(setup)["made_with"]
    assert made.keys() == {"contragrad", "torch", "python", "machine"}
    assert (made["contragrad"], made["torch"]) == (version("contragrad"), version("torch"))
    monkeypatch.setattr(provenance, "made_here", lambda: made | {"torch": "9", "host": "mine"})
    assert shown(setup)["made_with"] == made | {"torch": "9"}
    assert identity(DEFINITION, [setup]) == before


def test_the_data_are_counted_and_named(setup: Setup) -> None:
    (own,) = shown(setup)["data"]
    assert own["images"] == {"training": 540, "validation": 60, "test": 200}
    assert (own["name"], own["source"], own["evolved_on"]) == ("cifar10", "npz", True)
    assert own["fingerprint"] == grounds(DEFINITION, [setup])[0].workspace.data
    (paper,) = shown(replace(setup, paper_protocol=True))["data"]
    assert paper["images"] == {"training": 600, "test": 200}
    assert (
        "540 training, 60 validation, 200 test (the paper's: 10,000 training, 1,000 test); npz, "
        f"{own['fingerprint']}" in lines(shown(setup))[0]
    )


@pytest.mark.parametrize(
    ("images", "published"),
    [
        ({"training": 9000, "validation": 1000, "test": 1000}, None),
        ({"training": 10_000, "test": 1000}, None),
        ({"training": 8100, "validation": 900, "test": 1000}, {"training": 10_000, "test": 1000}),
        ({"training": 10_000, "test": 999}, {"training": 10_000, "test": 1000}),
    ],
)
def test_images_are_the_papers_if_all_that_are_not_tested_are_as_many(
    images: dict[str, int], published: dict[str, int] | None, setup: Setup
) -> None:
    ground = replace(grounds(DEFINITION, [setup])[0], images=images)
    (own,) = told(DEFINITION, [ground])["data"]
    assert own["published_images"] == published


@pytest.mark.parametrize("name", tables())
def test_where_kmnist_stands_it_is_said_what_it_is_cut_from(name: str, setup: Setup) -> None:
    definition = read(name)
    if definition.experiment == "full-data":
        definition = replace(definition, experiment="reduced-data")
    found = shown(setup, definition)
    assert [data["name"] for data in found["data"]] == ["cifar10", *filter(None, definition.data)]
    (said,) = {"official test set" in " ".join(lines(found))}
    assert said == ("kmnist" in definition.data)


def of(**data: Any) -> Ground:
    """A study on data that are not there."""
    config = config_file.read(None, ["--device=cpu"])
    whole: dict[str, Any] = {"source": "cifar10", "path": "somewhere"}
    config = replace(config, data=DataSettings(**whole | data))
    nowhere: Any = Setup(scale="full", seed=0, paper_protocol=False, data=Path(), out=Path())
    there = Workspace(
        folder=Path(), config=config, data="its name", problem=Problem(3, 32, 32, 10), weights=None
    )
    return Ground(setup=nowhere, data=None, workspace=there, images={"training": 5, "test": 1})


def test_a_title_says_full_data_of_all_of_them_alone() -> None:
    cut = (of(train_per_class=1000), of(test_per_class=100), of(source="npz"), of(source="digits", path=None))
    assert told(DEFINITION, [of()])["title"] == "two columns, full data"
    for ground in cut:
        assert told(DEFINITION, [ground])["title"] == "two columns, reduced data"
    assert told(DEFINITION, [of(), replace(cut[0], data="mnist")])["title"] == "two columns, reduced data"
