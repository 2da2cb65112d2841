"""The definitions of the paper's tables: every published number, what is refused, how deep studies are."""

from fractions import Fraction
from itertools import pairwise
from typing import Any, get_args

import pytest
import yaml

from contragrad.errors import UserError
from contragrad.jobs.recipes import RECIPES
from contragrad.reproduce.definition import Column, Definition, Experiment
from contragrad.reproduce.definition_file import parse, read
from contragrad.settings import config_file
from contragrad.settings.choices import Scale
from contragrad.settings.config import AttackSettings, StudyConfig
from contragrad.studies import shipped
from contragrad.studies.shipped import tables

REF, REF_GM, HE_GM = "reference", "reference+GM", "hand-engineered+GM"
NE_1, NE_2 = "NE+GM 1", "NE+GM 2"

Rows = dict[str, tuple[float, ...]]

PAPER: dict[str, tuple[tuple[str, ...], Rows]] = {
    "table1": (
        (REF, REF_GM, NE_1, NE_2),
        {
            "clean accuracy": (78.40, 80.82, 81.09, 80.62),
            "adversarial accuracy": (23.10, 42.90, 54.12, 53.27),
        },
    ),
    "table2": (
        (REF, REF_GM, NE_1),
        {
            "ResNet-18": (36.84, 47.40, 53.99),
            "VGG": (42.98, 52.35, 55.23),
            "DenseNet": (36.67, 48.44, 53.93),
            "SqueezeNet": (44.23, 52.48, 55.09),
        },
    ),
    "table3": (
        (REF, REF_GM, NE_1),
        {
            "MNIST clean": (97.71, 97.73, 99.10),
            "MNIST adversarial": (87.90, 95.50, 98.10),
            "KMNIST clean": (95.69, 96.06, 97.51),
            "KMNIST adversarial": (75.80, 89.10, 94.40),
        },
    ),
    "table4": (
        (REF, REF_GM, HE_GM, NE_1, NE_2),
        {
            "clean accuracy": (50.00, 53.40, 55.40, 57.80, 56.20),
            "adversarial accuracy": (8.80, 63.06, 43.32, 63.17, 63.56),
            "at calibrated ε": (8.80, 63.06, 43.32, 63.17, 63.56),
        },
    ),
    "table5": (
        (REF_GM, HE_GM, NE_1, NE_2),
        {
            "L_inf-PGD": (17.42, 30.26, 16.10, 18.77),
            "L_2-PGD": (36.04, 36.41, 28.83, 31.19),
            "FGSM": (69.07, 54.36, 60.26, 65.21),
        },
    ),
    "table6": (
        (
            *(REF, REF_GM, HE_GM, NE_1),
            *("JPEG compression", "bilateral filtering"),
            *("free adversarial training", "fast adversarial training"),
        ),
        {"L_inf-PGD": (85.00, 22.80, 24.20, 22.40, 84.4, 48.80, 51.00, 43.80)},
    ),
    "table7": (
        (REF, REF_GM, NE_1),
        {
            "MNIST clean": (93.20, 92.30, 89.10),
            "MNIST adversarial": (63.40, 77.00, 84.50),
            "MNIST at calibrated ε": (63.40, 77.00, 84.50),
            "FMNIST clean": (88.90, 85.90, 87.00),
            "FMNIST adversarial": (51.20, 82.90, 81.90),
            "FMNIST at calibrated ε": (51.20, 82.90, 81.90),
            "KMNIST clean": (85.40, 86.80, 86.60),
            "KMNIST adversarial": (56.90, 83.50, 83.70),
            "KMNIST at calibrated ε": (56.90, 83.50, 83.70),
        },
    ),
}
"""Tables 1 to 7 as they are printed: networks from left to right, then the lines, in per cent.

Tables 4's and 7's adversarial accuracies stand for the calibrated epsilon too.
"""

SECTION_OF: dict[str, Experiment] = {
    **dict.fromkeys(("table1", "table2", "table3"), "full-data"),
    **dict.fromkeys(("table4", "table5", "table6", "table7"), "reduced-data"),
}


def test_there_are_the_seven_tables_of_the_paper() -> None:
    assert tables() == ["recipes", *sorted(PAPER)]


@pytest.mark.parametrize("name", PAPER)
def test_every_published_number_is_the_papers_and_there_is_no_other(name: str) -> None:
    networks, lines = PAPER[name]
    found = {
        (network, column): share
        for network, published in read(name).networks.items()
        for column, share in published.items()
    }
    expected = {
        (network, column): per_cent / 100
        for column, line in lines.items()
        for network, per_cent in zip(networks, line, strict=True)
    }
    assert found.keys() == expected.keys()
    for place, share in expected.items():
        assert found[place] == pytest.approx(share, abs=1e-9), place


@pytest.mark.parametrize("name", PAPER)
def test_networks_and_columns_stand_in_the_papers_order_before_ours(name: str) -> None:
    networks, lines = PAPER[name]
    definition = read(name)
    assert (definition.name, definition.experiment) == (name, SECTION_OF[name])
    assert tuple(definition.networks)[: len(networks)] == networks
    columns = [column.name for column in definition.columns if column.name in lines]
    assert columns == list(lines)
    assert definition.networks.keys() <= RECIPES.keys()
    assert definition.title


UNDEFENDED = {"reference, another seed", "reference without GM", "NE 1 without GM"}
RIVALS = {
    "random search+GM",
    *(f"{whose}+orthogonal" for whose in ("reference", "NE 1")),
    *(f"{whose}+fixed-adversarial{more}" for whose in ("reference", "NE 1") for more in ("", "+GM")),
}
RETRAINED = {
    *("random search+GM", "reference+orthogonal"),
    *(f"reference+fixed-adversarial{more}" for more in ("", "+GM")),
}
OURS = {
    **dict.fromkeys(("table1", "table2", "table4", "table5"), UNDEFENDED | RIVALS),
    "table6": UNDEFENDED | RIVALS | {"NE+GM 2"},
    # Of architectures that are retrained on other data.
    **dict.fromkeys(("table3", "table7"), UNDEFENDED | RETRAINED),
}


def test_what_the_paper_lacks_stands_in_every_table() -> None:
    for name, rows in OURS.items():
        assert read(name).networks.keys() - set(PAPER[name][0]) == rows
    four = read("table4").networks.keys() - {REF}
    # What one of them trains the others measure as well.
    assert read("table5").networks.keys() == four
    assert read("table6").networks.keys() >= four


def columns_of(name: str) -> dict[str, Column]:
    return {column.name: column for column in read(name).columns}


def test_tables_of_fooling_rates_have_the_measure_of_their_section() -> None:
    assert {column.measure for column in read("table5").columns} == {"fooling rate"}
    assert columns_of("table6")["L_inf-PGD"].measure == "fooling rate of the reference's"
    for name in ("table1", "table2", "table3", "table4", "table7"):
        assert {column.measure for column in read(name).columns} == {"accuracy"}


def test_clean_columns_have_no_source_and_all_others_one() -> None:
    for name in tables():
        for column in read(name).columns:
            clean = "clean" in column.name or "without attack" in column.name
            assert (column.source is None) == clean, (name, column.name)


def test_the_examples_of_table_2_are_crafted_on_the_networks_that_it_names() -> None:
    found = {name: column.source for name, column in columns_of("table2").items()}
    assert found == {
        "ResNet-18": "resnet18",
        "VGG": "vgg16_bn",
        "DenseNet": "densenet121",
        "SqueezeNet": "squeezenet1_1",
    }


@pytest.mark.parametrize(
    ("name", "expected"), [("table3", ("mnist", "kmnist")), ("table7", ("mnist", "fashion-mnist", "kmnist"))]
)
def test_columns_of_other_data_are_retrained_on_those(name: str, expected: tuple[str, ...]) -> None:
    assert read(name).data == expected
    titles = {"mnist": "MNIST", "fashion-mnist": "FMNIST", "kmnist": "KMNIST"}
    for column in read(name).columns:
        assert column.data is not None
        assert column.name.split()[0] == titles[column.data]


def test_the_other_tables_are_of_the_data_that_their_networks_evolved_on() -> None:
    for name in ("table1", "table2", "table4", "table5", "table6"):
        assert read(name).data == (None,)


def test_a_column_crafts_with_the_studys_attack_and_what_it_changes() -> None:
    own = AttackSettings(epsilon=Fraction(4, 255), steps=7, random_start=False)
    five = {name: column.crafted_by(own, None) for name, column in columns_of("table5").items()}
    assert five["L_inf-PGD"] == own
    assert five["L_2-PGD"] == AttackSettings(
        name="l2-pgd", epsilon=Fraction(1, 2), steps=7, random_start=False
    )
    assert five["FGSM"] == AttackSettings(name="fgsm", epsilon=Fraction(16, 255), steps=7, random_start=False)
    four = columns_of("table4")
    assert four["adversarial accuracy"].crafted_by(own, Fraction(1, 255)) == own
    calibrated = four["at calibrated ε"].crafted_by(own, Fraction(1, 255))
    assert calibrated == AttackSettings(epsilon=Fraction(1, 255), steps=7, random_start=False)


def test_a_step_s_length_is_taken_over_into_no_other_ball() -> None:
    step = Fraction(1, 255)
    own = AttackSettings(epsilon=Fraction(4, 255), step_size=step)
    five = {name: column.crafted_by(own, None) for name, column in columns_of("table5").items()}
    assert {name: attack.step_size for name, attack in five.items()} == {
        "L_inf-PGD": step,
        "L_2-PGD": None,
        "FGSM": None,
    }
    calibrated = columns_of("table4")["at calibrated ε"]
    assert calibrated.crafted_by(own, Fraction(4, 255)).step_size == step
    assert calibrated.crafted_by(own, Fraction(3, 255)).step_size is None
    itself = Column(name="any", measure="accuracy", attack={"name": "l2-pgd", "step_size": Fraction(1, 2)})
    assert itself.crafted_by(own, None).step_size == Fraction(1, 2)


def test_tables_4_and_7_alone_have_a_calibrated_epsilon_of_each_data_set() -> None:
    found = {(name, column.data) for name in tables() for column in read(name).columns if column.calibrated}
    assert found == {("table4", None), *(("table7", data) for data in read("table7").data)}


# What is refused.


def small(**changes: Any) -> dict[str, Any]:
    """A small definition that is right, but for the changes."""
    content = {
        "title": "a title",
        "experiment": "reduced-data",
        "columns": {"clean": None, "attacked": {"source": "reference"}},
        "networks": {"reference": {"clean": 0.5, "attacked": 0.1}, "NE+GM 1": None},
    }
    return content | changes


def parsed(content: object) -> Definition:
    return parse("small", yaml.safe_dump(content, sort_keys=False))


def test_a_small_definition_is_read() -> None:
    assert parsed(small()) == Definition(
        name="small",
        title="a title",
        experiment="reduced-data",
        columns=(
            Column(name="clean", measure="accuracy", attack={}),
            Column(name="attacked", measure="accuracy", source="reference", attack={}),
        ),
        networks={"reference": {"clean": 0.5, "attacked": 0.1}, "NE+GM 1": {}},
    )


def test_numbers_of_an_attack_may_be_fractions() -> None:
    (_, read_) = parsed(column(source="reference", attack={"epsilon": "4/255", "step_size": "1/255"})).columns
    assert read_.attack == {"epsilon": Fraction(4, 255), "step_size": Fraction(1, 255)}


def test_data_sets_may_have_an_epsilon_of_their_own() -> None:
    found = parsed(column(source="reference", data="mnist") | {"epsilons": {"mnist": "0.3"}})
    assert found.epsilons == {"mnist": Fraction(3, 10)}
    assert (found.epsilon_of("mnist"), found.epsilon_of(None)) == (Fraction(3, 10), None)
    # What columns of a data set attack with is what its networks are trained with.
    recipes = read("recipes")
    for each in recipes.columns:
        if each.source is not None:
            own = config_file.read(shipped.study("reduced-data/reduced")).attack.epsilon
            assert each.attack["epsilon"] == recipes.epsilons.get(each.data, own)  # type: ignore[arg-type]


def test_rows_with_a_penalty_may_have_a_weight_of_their_own() -> None:
    assert parsed(small(weights={"NE+GM 1": 3})).weights == {"NE+GM 1": 3.0}
    assert parsed(small()).weights == {}


def two_attacks(**changes: Any) -> dict[str, Any]:
    """A definition with two columns that are attacked, a and b."""
    attacked = {
        name: {"source": "reference", "attack": {"steps": steps}} for name, steps in (("a", 1), ("b", 2))
    }
    columns = {"clean": None, **attacked, "last": {"source": "itself"}}
    return small(columns=columns, networks={"reference": None}, **changes)


def test_a_worst_case_stands_after_its_columns() -> None:
    found = parsed(two_attacks(worst_cases={"worst": ["b", "a"]}))
    assert found.worst_cases == {"worst": ("a", "b")}
    assert found.shown == ("clean", "a", "b", "worst", "last")
    both = parsed(two_attacks(worst_cases={"both": ["clean", "a"]}))
    assert both.shown == ("clean", "a", "both", "b", "last")


def column(**value: object) -> dict[str, Any]:
    return small(columns={"clean": None, "attacked": value})


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown network": (small(networks={"nobody": None}), "small: networks.nobody"),
    "an unknown column": (small(networks={"reference": {"dirty": 0.5}}), "small: reference.dirty"),
    "per cent in a share's place": (small(networks={"reference": {"clean": 50.0}}), "small: reference.clean"),
    "a negative share": (small(networks={"reference": {"attacked": -0.01}}), "small: reference.attacked"),
    "no number at all": (
        small(networks={"reference": {"attacked": float("nan")}}),
        "small: reference.attacked",
    ),
    "an unknown experiment": (small(experiment="half-data"), "small: experiment"),
    "an unknown measure": (column(measure="hit rate"), "small: attacked: measure"),
    "an unknown attack": (column(source="reference", attack={"name": "cw"}), "small: attacked: attack.name"),
    "unknown data": (column(data="svhn"), "small: attacked: data"),
    "a key too many": (column(source="reference", sauce="resnet18"), "small: attacked.sauce"),
}


@pytest.mark.parametrize(("content", "where"), WRONG.values(), ids=WRONG)
def test_a_wrong_definition_is_refused_by_the_place_that_is_wrong(
    content: dict[str, Any], where: str
) -> None:
    with pytest.raises(UserError) as caught:
        parsed(content)
    assert caught.value.where == where
    assert caught.value.remedy


def test_a_misspelt_network_is_answered_by_the_nearest_and_another_by_all() -> None:
    for name, remedy in (("refrence+GM", "reference+GM"), ("nobody", f"one of: {'; '.join(RECIPES)}")):
        with pytest.raises(UserError) as caught:
            parsed(small(networks={name: None}))
        assert caught.value.remedy == remedy


def attacking(**attack: object) -> dict[str, Any]:
    return column(source="reference", attack=attack)


SENSELESS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    # What is wrong, where, and what would be right.
    "steps that are text": (attacking(steps="many"), "many", "attack.steps", "a whole number"),
    "a part of a step": (attacking(steps=2.5), "2.5", "attack.steps", "a whole number"),
    "no steps": (attacking(steps=0), "0", "attack.steps", "1 or more"),
    "grey levels in an epsilon's place": (attacking(epsilon=8), "8", "attack.epsilon", "8/255"),
    "a negative epsilon": (attacking(epsilon=-0.1), "-1/10", "attack.epsilon", "0 or more"),
    "an epsilon that is text": (attacking(epsilon="eight"), "eight", "attack.epsilon", "calibrated"),
    "a step of no length": (attacking(step_size=0), "0", "attack.step_size", "positive"),
    "a start that is neither": (
        attacking(random_start="maybe"),
        "maybe",
        "attack.random_start",
        "true or false",
    ),
    "a calibrated fooling rate": (
        column(measure="fooling rate", source="reference", attack={"epsilon": "calibrated"}),
        "fooling rate",
        "measure",
        "accuracy",
    ),
    "a calibrated source of each row's": (
        column(source="itself", attack={"epsilon": "calibrated"}),
        "itself",
        "source",
        "reference",
    ),
    "a calibrated epsilon of no attack": (
        column(attack={"epsilon": "calibrated"}),
        "",
        "source",
        "no attack",
    ),
    "an attack on nothing": (column(attack={"steps": 3}), "", "source", "no attack"),
    "a reference's rate of another source": (
        column(measure="fooling rate of the reference's", source="resnet18"),
        "resnet18",
        "source",
        "reference, or none",
    ),
}


@pytest.mark.parametrize(("content", "what", "where", "remedy"), SENSELESS.values(), ids=SENSELESS)
def test_what_would_fail_or_mislead_after_hours_is_refused(
    content: dict[str, Any], what: str, where: str, remedy: str
) -> None:
    with pytest.raises(UserError) as caught:
        parsed(content)
    assert what in caught.value.what
    assert caught.value.where == f"small: attacked: {where}"
    assert remedy in caught.value.remedy


def test_each_data_set_may_have_one_calibrated_epsilon() -> None:
    def calibrated(**data: str) -> dict[str, Any]:
        return {"source": "reference", "attack": {"epsilon": "calibrated"}, **data}

    columns = {"own": calibrated(), "other": calibrated(data="mnist")}
    both = small(columns=columns, networks={"reference": {"own": 0.1, "other": 0.6}})
    assert [each.calibrated for each in parsed(both).columns] == [True, True]
    with pytest.raises(UserError) as caught:
        parsed(both | {"networks": {"reference": {"own": 0.1}}})
    assert caught.value.where == "small: reference.other"
    with pytest.raises(UserError) as caught:
        parsed(both | {"columns": columns | {"again": calibrated(data="mnist")}})
    assert caught.value.where == "small: again: attack.epsilon"
    assert "other has that" in caught.value.remedy


@pytest.mark.parametrize("section", ["columns", "networks"])
def test_a_table_of_nothing_is_refused(section: str) -> None:
    with pytest.raises(UserError) as caught:
        parsed(small(**{"networks": {"reference": None}, section: {}}))
    assert (caught.value.where, caught.value.remedy) == (f"small: {section}", "one or more")


def test_the_reference_s_rate_of_clean_images_is_allowed() -> None:
    (_, found) = parsed(column(measure="fooling rate of the reference's")).columns
    assert found.source is None


def test_what_would_be_right_is_said() -> None:
    with pytest.raises(UserError) as caught:
        parsed(WRONG["an unknown network"][0])
    assert "NE+GM 1" in caught.value.remedy
    with pytest.raises(UserError) as caught:
        parsed(WRONG["a key too many"][0])
    assert "source" in caught.value.remedy


MALFORMED: dict[str, tuple[object, str]] = {
    "an unknown source": (column(source="resnet99"), "small: attacked"),
    "a key too many in the attack": (column(source="reference", attack={"epsilom": 0.1}), "small: attacked"),
    "a key too many at the top": (small(networkz={}), "small"),
    "no columns": ({key: value for key, value in small().items() if key != "columns"}, "small"),
    "a share that is text": (small(networks={"reference": {"clean": "50 %"}}), "small: reference.clean"),
    "an epsilon that is text": (column(source="reference", attack={"epsilon": "eight"}), "small: attacked"),
    "a step that is text": (
        column(source="reference", attack={"step_size": "1/0"}),
        "small: attacked: attack.step_size",
    ),
    "an epsilon of data that is text": (
        column(source="reference", data="mnist") | {"epsilons": {"mnist": "eight"}},
        "small: epsilons.mnist",
    ),
    "a negative epsilon of data": (
        column(source="reference", data="mnist") | {"epsilons": {"mnist": "-8/255"}},
        "small: epsilons.mnist",
    ),
    "an epsilon of data that no column has": (small(epsilons={"mnist": "8/255"}), "small: epsilons.mnist"),
    "a worst case that is called as a column": (
        two_attacks(worst_cases={"clean": ["a", "b"]}),
        "small: worst_cases.clean",
    ),
    "a worst case of one column twice": (two_attacks(worst_cases={"w": ["a", "a"]}), "small: worst_cases.w"),
    "a worst case of no names": (two_attacks(worst_cases={"w": [["a"], "b"]}), "small: worst_cases.w"),
    "a worst case of one column": (
        small(worst_cases={"worst": ["attacked"]}),
        "small: worst_cases.worst",
    ),
    "a baseline that is no row": (small(baseline="NE+GM 2"), "small: baseline"),
    "a baseline that is no text": (small(baseline=["reference"]), "small: baseline"),
    "a worst case over two data sets": (
        small(
            columns={"attacked": {"source": "reference"}, "other": {"source": "reference", "data": "mnist"}},
            networks={"reference": None},
            worst_cases={"worst": ["attacked", "other"]},
        ),
        "small: worst_cases.worst",
    ),
    "worst cases without names": (small(worst_cases=["attacked"]), "small: worst_cases"),
    "epsilons without data": (small(epsilons=["8/255"]), "small: epsilons"),
    "a fooling rate of the images as they are": (
        small(columns={"fooled": {"measure": "fooling rate"}}, networks={"reference": None}),
        "small: fooled: source",
    ),
    "a weight of no row": (small(weights={"reference+GM": 1}), "small: weights.reference+GM"),
    "a weight of what has no penalty": (small(weights={"reference": 1}), "small: weights.reference"),
    "a negative weight": (small(weights={"NE+GM 1": -1}), "small: weights.NE+GM 1"),
    "a weight that is none": (small(weights={"NE+GM 1": "two"}), "small: weights.NE+GM 1"),
    "a weight without end": (small(weights={"NE+GM 1": float("inf")}), "small: weights.NE+GM 1"),
    "a weight that is yes": (small(weights={"NE+GM 1": True}), "small: weights.NE+GM 1"),
    "weights without rows": (small(weights=[1]), "small: weights"),
    "an empty file": (None, "small"),
}


@pytest.mark.parametrize(("content", "where"), MALFORMED.values(), ids=MALFORMED)
def test_other_wrong_definitions_are_refused_too(content: object, where: str) -> None:
    with pytest.raises(UserError) as caught:
        parsed(content)
    assert caught.value.where.startswith(where)


# The studies behind the tables.

SCALES: tuple[Scale, ...] = get_args(Scale)
EXPERIMENTS: tuple[Experiment, ...] = get_args(Experiment)


def study(experiment: Experiment, scale: Scale) -> StudyConfig:
    return config_file.read(shipped.study(f"{experiment}/{scale}"))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_study_has_the_reference_of_its_section_and_can_give_two_networks(
    experiment: Experiment, scale: Scale
) -> None:
    config = study(experiment, scale)
    expected = "resnet34" if experiment == "full-data" else "hand-engineered-a"
    assert config.reference.architecture == expected
    assert config.refine.networks >= 2
    assert config.training.objective == "gm"
    assert config.attack.name == "linf-pgd"
    assert config.search.variation == "mutation"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_full_scale_has_the_depth_of_section_4(experiment: Experiment) -> None:
    config = study(experiment, "full")
    assert config.search.population in (4, 5)
    assert config.search.children == 2
    assert config.search.minimum_distance == 4
    assert config.search.generations == 50
    assert (config.search.mutations_min, config.search.mutations_max) == (4, 5)
    growth = (config.search.epochs, config.search.epochs_growth, config.search.epochs_growth_every)
    assert growth == (20, 5, 10)
    assert config.refine.epochs == 1000
    assert config.refine.keep == "last"
    assert config.training.batch_size == 128
    # Algorithm 1 itself, and no shortcut.
    assert (config.search.schedule, config.search.rungs, config.training.gm_every) == ("sequential", (), 1)


def test_the_full_scale_has_all_images_of_its_experiment() -> None:
    whole, cut = study("full-data", "full").data, study("reduced-data", "full").data
    assert whole.source == "cifar10"
    assert cut.source == "npz"
    for data in (whole, cut):
        assert (data.train_per_class, data.test_per_class) == (None, None)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_smaller_scale_is_less_deep(experiment: Experiment) -> None:
    depths = [
        (config.search.generations, config.search.epochs, config.refine.epochs, config.reference.epochs)
        for config in (study(experiment, scale) for scale in ("smoke", "reduced", "full"))
    ]
    for shallow, deep in pairwise(depths):
        assert all(low < high for low, high in zip(shallow, deep, strict=True))


@pytest.mark.parametrize("published", ["true", "1.5", "-0.1", ".nan", "57.8", "'0.5'", "[0.5]"])
def test_what_is_no_share_is_no_published_figure(published: str) -> None:
    text = "{title: x, experiment: reduced-data, columns: {clean: }, networks: {reference: {clean: SHARE}}}"
    assert parse("own", text.replace("SHARE", "0.5")).networks == {"reference": {"clean": 0.5}}
    with pytest.raises(UserError, match="the definition is wrong") as caught:
        parse("own", text.replace("SHARE", published))
    assert caught.value.remedy == "a share in [0, 1]"
