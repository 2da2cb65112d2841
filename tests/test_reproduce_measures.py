"""The figures of the tables against slow loops written from the paper's words, and the search for epsilon."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from math import sqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from contragrad.engine.memo import DictMemo
from contragrad.evaluate import Share
from contragrad.evolution.shapes import Problem
from contragrad.reproduce import epsilon, experiment, figures
from contragrad.reproduce.definition import Column, Measure
from contragrad.reproduce.definition_file import parse
from contragrad.reproduce.epsilon import STRONGEST, Calibration, nearest
from contragrad.reproduce.figures import Measured
from contragrad.reproduce.measures import cell
from contragrad.run_folder.workspace import Workspace
from contragrad.settings import config_file
from contragrad.settings.config import AttackSettings

MEASURES: tuple[Measure, ...] = ("accuracy", "fooling rate", "fooling rate of the reference's")

Image = tuple[int, int, int, int]
"""Its label, and the answers: of the network to what was crafted, of the network and the source to itself."""


def images() -> st.SearchStrategy[list[Image]]:
    answer = st.integers(0, 2)
    return st.lists(st.tuples(answer, answer, answer, answer), max_size=30)


def found(measure: Measure, shown: list[Image]) -> Share:
    columns: Tensor = torch.tensor(shown, dtype=torch.int64).reshape(-1, 4)
    labels, answers, clean, source = columns.unbind(1)
    return cell(measure, answers == labels, clean=clean == labels, source=source == labels)


def counted(measure: Measure, shown: list[Image]) -> Share:
    """The same from the paper's words, an image at a time."""
    hits = count = 0
    for label, answer, clean, source in shown:
        match measure:
            case "accuracy":
                # How many of the images are given their label.
                count += 1
                if answer == label:
                    hits += 1
            case "fooling rate":
                # "all the clean images that are correctly classified by both the reference network and the
                # network that is being tested" are extracted and attacked; those that change are fooled.
                if source == label and clean == label:
                    count += 1
                    if answer != label:
                        hits += 1
            case "fooling rate of the reference's":
                # "the correctly classified clean images using the reference network only".
                if source == label:
                    count += 1
                    if answer != label:
                        hits += 1
    return Share(hits, count)


@pytest.mark.parametrize("measure", MEASURES)
@given(shown=images())
def test_a_figure_is_what_the_papers_words_say(measure: Measure, shown: list[Image]) -> None:
    assert found(measure, shown) == counted(measure, shown)


@given(images())
def test_the_reference_is_fooled_alike_by_both_rates(shown: list[Image]) -> None:
    own = [(label, answer, source, source) for label, answer, _, source in shown]
    assert found("fooling rate", own) == found("fooling rate of the reference's", own)


@given(images())
def test_without_an_attack_nobody_is_fooled_of_those_that_were_right(shown: list[Image]) -> None:
    still = [(label, clean, clean, source) for label, _, clean, source in shown]
    assert found("fooling rate", still).hits == 0


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval by its formula."""
    z = 1.959963984540054
    share = hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


@given(st.integers(1, 2000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_a_share_lies_in_its_wilson_interval(part: tuple[int, int]) -> None:
    hits, count = part
    figure = Share(hits, count)
    assert figure.share == hits / count
    assert figure.interval == pytest.approx(wilson(hits, count), abs=1e-9)
    assert figure.interval is not None
    low, high = figure.interval
    assert low - 1e-12 <= hits / count <= high + 1e-12


def test_where_no_image_counts_there_is_no_share() -> None:
    nothing = found("fooling rate", [(0, 0, 1, 1), (1, 1, 1, 0)])
    assert nothing == Share(0, 0)
    assert nothing.share is None
    assert nothing.interval is None


# The epsilon at which the reference is as often right as the published one.

CALIBRATION = Calibration(greys=3, target=0.1, reached=0.1, images="validation")

PLACES = range(1, STRONGEST + 1)


def falling() -> st.SearchStrategy[list[float]]:
    """What a function that never rises is at each place, often the same at several."""
    steps = st.lists(st.integers(0, 3), min_size=STRONGEST, max_size=STRONGEST)
    return steps.map(lambda drops: [(100 - sum(drops[:place])) / 100 for place in range(1, STRONGEST + 1)])


def at(values: list[float]) -> Callable[[int], float]:
    return lambda place: values[place - 1]


def distance(values: list[float], place: int, wanted: float) -> float:
    return abs(values[place - 1] - wanted)


@given(falling(), st.floats(-0.2, 1.2))
def test_the_nearest_place_is_as_near_as_any_of_all(values: list[float], wanted: float) -> None:
    place = nearest(at(values), wanted)
    assert place in PLACES
    assert distance(values, place, wanted) == min(distance(values, each, wanted) for each in PLACES)


@given(st.integers(1, STRONGEST))
def test_a_value_that_is_there_is_found(place: int) -> None:
    assert nearest(lambda each: 1 / each, 1 / place) == place


def test_values_beyond_both_ends_give_the_ends() -> None:
    assert nearest(lambda place: 1 / place, 2.0) == 1
    assert nearest(lambda place: 1 / place, 0.0) == STRONGEST


@given(falling(), st.floats(0, 1))
def test_few_places_are_looked_at(values: list[float], wanted: float) -> None:
    looked: list[int] = []

    def noted(place: int) -> float:
        looked.append(place)
        return values[place - 1]

    nearest(noted, wanted)
    assert set(looked) <= set(PLACES)
    assert len(set(looked)) <= 7


LABELS = torch.zeros(5100, dtype=torch.int64)


@pytest.mark.parametrize(("split", "part"), [("validation", "validation"), ("test", "train")])
def test_epsilon_is_calibrated_in_grey_levels_and_never_on_the_test_images(
    split: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_file.read(None, ["--attack.steps=7", f"--fitness_split={split}"])
    seen: list[AttackSettings] = []

    def crafted(workspace: object, splits: object, of: str, *, attack: AttackSettings) -> Fraction:
        assert of == part
        seen.append(attack)
        return attack.epsilon

    def predict(network: object, images: Fraction) -> Tensor:
        assert network == "the reference"
        wrong = round(5100 * 20 * images)
        return LABELS + (torch.arange(len(LABELS)) < wrong)

    monkeypatch.setattr(epsilon, "adversarial_of", crafted)
    monkeypatch.setattr(epsilon, "predict", predict)
    place: Any = SimpleNamespace(
        workspace=Workspace(folder=Path(), config=config, data="", problem=Problem(1, 4, 4, 3), weights=None),
        splits=SimpleNamespace(**{part: SimpleNamespace(labels=LABELS)}),
        memo=DictMemo(),
        reference=lambda: "the reference",
    )
    column = Column(
        name="any", measure="accuracy", source="reference", attack={"name": "fgsm"}, calibrated=True
    )
    # 1 - 20 ε is 0.3725 at 8 grey levels and 0.2941 at 9, 0.9216 at 1 and negative at 32.
    for target, greys, clamped in ((0.36, 8, False), (0.31, 9, False), (0.95, 1, True), (0.9, 1, False)):
        found = epsilon.calibrate(place, column, target)
        assert found.epsilon == Fraction(greys, 255)
        assert found.clamped == clamped
        assert (found.target, found.images) == (target, "training" if part == "train" else part)
        assert found.reached == pytest.approx(1 - 20 * greys / 255)
    assert {(attack.name, attack.steps) for attack in seen} == {("fgsm", 7)}
    assert all((attack.epsilon * 255).denominator == 1 for attack in seen)
    crafted_before, place.reference = len(seen), None
    assert epsilon.calibrate(place, column, target) == found
    assert len(seen) == crafted_before, "what was asked before was asked again"


@pytest.mark.parametrize(
    ("greys", "reached", "clamped"),
    [(1, 0.4, True), (1, 0.5, False), (1, 0.6, False), (32, 0.6, True), (32, 0.4, False), (7, 0.6, False)],
)
def test_an_epsilon_at_an_end_is_clamped_if_the_target_lies_beyond(
    greys: int, reached: float, clamped: bool
) -> None:
    found = Calibration(greys=greys, target=0.5, reached=reached, images="validation")
    assert found.clamped == clamped


def test_each_data_set_keeps_its_calibrated_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
title: three data sets
experiment: reduced-data
columns:
  own: {source: reference, attack: {epsilon: calibrated}}
  other: {data: mnist, source: reference, attack: {epsilon: calibrated}}
  last: {data: kmnist}
networks:
  reference: {own: 0.5, other: 0.6}
"""

    def of_data(definition: object, columns: list[Column], *rest: object) -> Measured:
        chosen = {
            column.data: replace(CALIBRATION, target=0.6 if column.data else 0.5)
            for column in columns
            if column.calibrated
        }
        return Measured(figures={}, crafted={}, calibration=chosen, looks=1)

    monkeypatch.setattr(experiment, "searched", lambda *where: None)
    monkeypatch.setattr(experiment, "opened", lambda *where, **more: nullcontext())
    monkeypatch.setattr(figures, "_of_data", of_data)
    nowhere: Any = None
    found = figures.measured(parse("small", text), nowhere, nowhere).calibration
    assert {data: each.target for data, each in found.items()} == {None: 0.5, "mnist": 0.6}
