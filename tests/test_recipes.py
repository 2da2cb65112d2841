"""The recipes of the tables' networks: what each trains, for how long, and from which stream."""

from dataclasses import replace
from functools import cache
from typing import cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contragrad.defences import FILTERS
from contragrad.evolution.genome import parse
from contragrad.evolution.search import Member
from contragrad.evolution.trial import Abandoned, Infeasible, Measured, Outcome, Trial
from contragrad.fingerprint import stream_seed
from contragrad.fitness import trial_seed
from contragrad.jobs.recipes import RECIPES, UNDEFENDED, Found, Recipe, best, label, main_job
from contragrad.jobs.refine import FullTraining
from contragrad.networks.architectures import HAND_ENGINEERED
from contragrad.settings import config_file
from contragrad.settings.choices import Objective, Source
from contragrad.settings.config import StudyConfig
from strategies import outcomes

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


@cache
def config(*overrides: str) -> StudyConfig:
    return config_file.read(None, ["--device=cpu", "--refine.epochs=30", *overrides])


def trial(number: int, epochs: int = 20) -> Trial:
    """The trial of a genome that is told by the number."""
    return Trial(parse(f"conv({number},3) fc(4)"), epochs)


def member(number: int, fitness: float, epochs: int = 20) -> Member:
    return Member(trial(number, epochs), Measured(fitness, 1.0))


# By fitness: 2, 1, 3 of the evolved, 7, 8 of the random, and 10, 9 of the coevolved ones.
EVOLVED = (member(1, 0.5, 25), member(2, 0.6), member(3, 0.4, 40))
RANDOM = (member(8, 0.2, 99), member(7, 0.3, 99))
COEVOLVED = (member(9, 0.1, 99), member(10, 0.2, 99))
JOINED: tuple[Source, ...] = ("reference", "surrogate conv(9,3) fc(4)")
FOUND = Found(EVOLVED, RANDOM, COEVOLVED, JOINED)

REF_TEXT = str(HAND_ENGINEERED["hand-engineered-a"])
OTHER_TEXT = str(HAND_ENGINEERED["hand-engineered-b"])
REF_SEED = stream_seed(5, "baseline", "reference")


def text(number: int) -> str:
    return str(trial(number).genome)


def seed(number: int) -> int:
    return trial_seed(trial(number))


TRAINED = [name for name, recipe in RECIPES.items() if recipe.objective is not None]

WHOSE = {
    "reference, another": (REF_TEXT, stream_seed(5, "baseline", "another")),
    "hand-engineered": (OTHER_TEXT, stream_seed(5, "baseline", "hand-engineered")),
    "NE+GM 2": (text(1), seed(1)),
    "NE": (text(2), seed(2)),
    "random": (text(7), seed(7)),
    "coevolved": (text(10), seed(10)),
    "": (REF_TEXT, REF_SEED),
}
"""Architecture and seed of networks whose names begin so; of several beginnings the first counts."""

SHORT = {"mixed": "mixed-adversarial", "ensemble": "ensemble-adversarial"}
"""Objectives that are shorter in names."""


def against(name: str) -> tuple[Source, ...] | None:
    """Whom a network is trained against, if they are not the study's."""
    if name.startswith("coevolved"):
        return JOINED
    if "several" in name or "ensemble" in name:
        return ("reference", "another-seed", "hand-engineered-b")
    if "key" in name:
        return ("reference", "key")
    return ("reference", "surrogate", "surrogate") if "surrogates" in name or "together" in name else None


def objective_of(name: str) -> str:
    """What a network is trained for."""
    plain = name.partition(",")[0].lower()
    if plain.endswith(" adversarial training"):
        return plain.removesuffix(" training").replace(" ", "-")
    _, *parts = plain.removesuffix(" 1").removesuffix(" 2").split("+")
    return "+".join(SHORT.get(part, part) for part in parts) or "cross-entropy"


@pytest.mark.parametrize("name", TRAINED)
def test_a_recipe_gives_the_training_that_its_name_says(name: str) -> None:
    architecture, own = next(whose for beginning, whose in WHOSE.items() if name.startswith(beginning))
    objective = objective_of(name)
    # The two best of the evolved were trained for 25 and 20 epochs; 30 more follow.
    epochs = 14 if objective == "free-adversarial" else 55
    if name == "reference, another seed":
        epochs = 17
    settings = config("--seed=5", "--reference.epochs=17")
    assert RECIPES[name].training(name, settings, FOUND) == FullTraining(
        name=name,
        architecture=architecture,
        objective=cast(Objective, objective),
        epochs=epochs,
        seed=own,
        keep="last",
        sources=against(name),
        together="together" in name,
    )
    assert RECIPES[name].filter is None


@pytest.mark.parametrize("name", TRAINED)
def test_a_network_whose_best_epoch_is_kept_is_trained_until_its_curve_is_flat(name: str) -> None:
    settings = config("--refine.keep=best", "--refine.patience=7")
    task = RECIPES[name].training(name, settings, FOUND)
    assert task is not None
    assert (task.keep, task.patience) == (
        ("last", None) if objective_of(name) == "cross-entropy" else ("best", 7)
    )


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in TRAINED])
def test_the_reference_itself_is_not_trained_and_seen_through_the_filter_that_its_name_says(
    name: str,
) -> None:
    recipe = RECIPES[name]
    assert recipe.training(name, config(), FOUND) is None
    assert recipe == Recipe(of="reference", filter=recipe.filter)
    if name != "reference":
        assert recipe.filter == name.split()[0].lower()
        assert recipe.filter in FILTERS


def test_the_reference_from_another_seed_is_another_network_than_those_from_its_stream() -> None:
    trainings = [recipe.training(name, config(), FOUND) for name, recipe in RECIPES.items()]
    seeds = {task.name: task.seed for task in trainings if task is not None and task.architecture == REF_TEXT}
    own = seeds.pop("reference, another seed")
    assert len(set(seeds.values())) == 1
    assert own not in seeds.values()
    assert own != stream_seed(0, "reference")


@given(st.integers(1, 60), st.integers(0, 60))
def test_free_adversarial_training_has_a_quarter_of_the_epochs_rounded_up(epochs: int, more: int) -> None:
    settings = replace(config(), refine=replace(config().refine, networks=1, epochs=more))
    found = Found([member(1, 0.5, epochs)])

    def epochs_of(name: str) -> int:
        task = RECIPES[name].training(name, settings, found)
        assert task is not None
        return task.epochs

    assert epochs_of("fast adversarial training") == epochs + more
    quarter = epochs_of("free adversarial training")
    assert 4 * quarter - 3 <= epochs + more <= 4 * quarter


def test_epochs_are_those_of_the_longest_of_the_refined_whoever_is_trained() -> None:
    for networks, expected in ((1, 50), (2, 55), (3, 70)):
        settings = config(f"--refine.networks={networks}")
        for name in ("reference+GM", "NE+GM 1", "random search+GM", "NE 1 without GM"):
            task = RECIPES[name].training(name, settings, FOUND)
            assert task is not None
            assert task.epochs == expected


@pytest.mark.parametrize("name", TRAINED)
def test_the_weights_kept_are_the_settings_but_of_networks_without_a_defence(name: str) -> None:
    task = RECIPES[name].training(name, config("--refine.keep=best"), FOUND)
    assert task is not None
    # To choose an epoch by adversarial accuracy would be a defence.
    assert task.keep == ("last" if RECIPES[name].objective == "cross-entropy" else "best")


def test_a_study_of_cross_entropy_keeps_its_own_networks_as_it_says() -> None:
    settings = config("--refine.keep=best", "--training.objective=cross-entropy")
    kept = {}
    for name in ("NE 1 without GM", "reference, another seed"):
        task = RECIPES[name].training(name, settings, FOUND)
        assert task is not None
        kept[name] = task.keep
    assert kept == {"NE 1 without GM": "best", "reference, another seed": "last"}


def test_the_architecture_of_the_reference_is_the_studys() -> None:
    for name in ("reference+GM", "reference, another seed", "free adversarial training"):
        task = RECIPES[name].training(name, config("--reference.architecture=resnet34"), FOUND)
        assert task is not None
        assert task.architecture == "torchvision resnet34"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("NE+GM 2", Found(EVOLVED[:1], RANDOM)),
        ("random search+GM", Found(EVOLVED)),
        ("NE+GM 1", Found([], RANDOM)),
    ],
)
def test_too_few_found_networks_are_an_error(name: str, found: Found) -> None:
    with pytest.raises(ValueError, match=r"there are \d (evolved|random) networks, not \d") as caught:
        RECIPES[name].training(name, config("--refine.networks=1"), found)
    assert str(len(found.random if name.startswith("random") else found.evolved)) in str(caught.value)


@given(st.lists(outcomes(), max_size=6), st.integers(0, 7))
def test_the_best_are_by_fitness_and_the_first_one_on_ties_and_the_given_up_last(
    found: list[Outcome], count: int
) -> None:
    population = [Member(trial(number), outcome) for number, outcome in enumerate(found, start=1)]
    rest = [place for place, outcome in enumerate(found) if isinstance(outcome, Abandoned)]
    order = (
        sorted(set(range(len(found))) - set(rest), key=lambda place: (-found[place].fitness, place)) + rest
    )
    assert best(population, count) == [population[place] for place in order[:count]]


def test_an_infeasible_network_is_the_last_that_is_chosen() -> None:
    population = [Member(trial(1), Infeasible("diverged")), member(2, 0.0)]
    task = RECIPES["NE+GM 1"].training("NE+GM 1", config(), Found(population))
    assert task is not None
    assert task.architecture == text(2)


# The main job.


@pytest.mark.parametrize("own", OBJECTIVES)
@pytest.mark.parametrize("networks", [0, 1, 3])
def test_the_main_job_has_the_names_of_table_4_with_the_studys_objective(
    own: Objective, networks: int
) -> None:
    called = "GM" if own == "gm" else own
    assert label(own) == called
    found = main_job(own, networks)
    expected = ["reference", f"reference+{called}", f"hand-engineered+{called}"]
    expected += [f"NE+{called} {rank}" for rank in range(1, networks + 1)]
    assert list(found) == [*expected, UNDEFENDED]
    assert [recipe.of for recipe in found.values()] == [
        "reference",
        "reference",
        "hand-engineered",
        *["evolved"] * networks,
        "another",
    ]
    assert [recipe.rank for recipe in found.values()][3:-1] == list(range(1, networks + 1))
    assert found["reference"] == Recipe(of="reference")
    assert {recipe.objective for name, recipe in found.items() if name not in ("reference", UNDEFENDED)} == {
        own
    }
    assert found[UNDEFENDED].objective == "cross-entropy"


@pytest.mark.parametrize("own", OBJECTIVES)
def test_a_name_of_the_main_job_that_the_tables_have_too_is_the_same_training(own: Objective) -> None:
    found = main_job(own, 2)
    both = found.keys() & RECIPES.keys()
    assert "reference" in both
    assert own != "gm" or both == found.keys()
    for name in both:
        trainings = [recipes[name].training(name, config(), FOUND) for recipes in (found, RECIPES)]
        assert trainings[0] == trainings[1]
