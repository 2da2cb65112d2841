"""Rows beside the baseline: counts, Holm's adjustment, and what a person reads."""

import io
import re
from math import sqrt
from statistics import mean, pstdev
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import binomtest

from contragrad.reproduce.paired import Pair, entries, holm, interval, paired, tables

ANSWERS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@given(ANSWERS)
def test_a_pair_counts_the_images_on_which_two_networks_differ(answers: list[tuple[bool, bool]]) -> None:
    own, other = (torch.tensor(each) for each in zip(*answers, strict=True))
    pair = paired(own, other)
    assert (pair.gained, pair.lost) == (answers.count((True, False)), answers.count((False, True)))
    assert pair.count == len(answers)
    assert pair.gained - pair.lost == int(own.sum()) - int(other.sum()), "their accuracies' difference"
    assert paired(other, own) == Pair(gained=pair.lost, lost=pair.gained, count=pair.count, p=pair.p)
    differ = pair.gained + pair.lost
    assert pair.p == (binomtest(pair.gained, differ).pvalue if differ else 1)


@given(ANSWERS)
def test_a_difference_s_interval_is_that_of_the_images_own_differences_and_two_more_images(
    answers: list[tuple[bool, bool]],
) -> None:
    differences = [int(own) - int(other) for own, other in answers]
    gained, lost, count = differences.count(1), differences.count(-1), len(differences)
    doubled = [*differences, *differences, 1, -1, 0, 0]  # half an image of each kind, twice
    reach = 1.96 * pstdev(doubled) / sqrt(count + 2)
    low, high = interval(gained, lost, count)
    assert low == pytest.approx(max(-1, mean(doubled) - reach))
    assert high == pytest.approx(min(1, mean(doubled) + reach))
    assert interval(lost, gained, count) == pytest.approx((-high, -low))
    assert low < (gained - lost) / count < high or abs(gained - lost) == count


# By hand: of 40 that differ among 200, 41 among 202, around 20 / 202 = 0.09901 with a variance of
# 41 / 202 - 0.09901^2 = 0.19317, so 1.96 * sqrt(0.19317 / 202) = 0.06061. Of none among 1,000,
# 1.96 * sqrt(1 / 1002 / 1002) = 1.96 / 1002 = 0.001956.
@pytest.mark.parametrize(
    ("gained", "lost", "count", "low", "high"),
    [
        (30, 10, 200, 0.03840, 0.15962),
        (0, 0, 1000, -0.001956, 0.001956),
        (0, 0, 1, -1.96 / 3, 1.96 / 3),
        (1, 0, 1, -0.5102, 1),
    ],
)
def test_intervals_that_were_worked_out_by_hand(
    gained: int, lost: int, count: int, low: float, high: float
) -> None:
    assert interval(gained, lost, count) == pytest.approx((low, high), abs=1e-5, rel=2e-4)


def test_a_pair_is_kept_with_its_interval() -> None:
    assert entries({"net": ONE})["net"] == {
        "gained": 30,
        "lost": 10,
        "count": 200,
        "interval": pytest.approx((0.03840, 0.15962), abs=1e-5),
        "p": 0.0022,
        "p_holm": 0.0022,
    }


def test_holms_adjustment_of_known_p_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_an_adjusted_p_value_is_no_smaller_no_larger_than_bonferronis_and_in_the_same_order(
    values: list[float],
) -> None:
    adjusted = holm(values)
    for value, each in zip(values, adjusted, strict=True):
        assert value <= each <= min(1.0, len(values) * value)
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [adjusted[index] for index in order] == sorted(adjusted)


def table(worst: bool, *pairs: Pair | None) -> dict[str, Any]:
    """A table whose row `net` has such pairs with its baseline, one a seed."""
    told = [None if pair is None else entries({"net": pair})["net"] for pair in pairs]
    columns: dict[str, object] = {"clean": {"source": None}, "attacked": {"source": "reference"}}
    row: dict[str, object] = {"clean": {"beside_baseline": told}, "attacked": {"beside_baseline": told}}
    if worst:
        columns["both"] = {"source": None, "worst_of": ["clean", "attacked"]}
        row["both"] = {"beside_baseline": told}
    return {
        "baseline": "base",
        "seeds": list(range(len(pairs))),
        "columns": columns,
        "networks": {"base": {name: {} for name in columns}, "net": row},
    }


def said(found: dict[str, Any]) -> list[list[str]]:
    """The only table's title and its lines, cell by cell."""
    (shown,) = tables(found)
    file = io.StringIO()
    Console(file=file, width=200).print(shown)
    title, *rows = file.getvalue().splitlines()
    cells = [[cell.strip() for cell in re.split("[│┃]", row)[1:-1]] for row in rows]
    return [[title.strip()], *filter(None, cells)]


ONE = Pair(gained=30, lost=10, count=200, p=0.0022)
OTHER = Pair(gained=5, lost=9, count=200, p=0.42)
SAID_ONE = "+10.0 [+3.8, +16.0] (p 0.0022)"
SAID_OTHER = "-2.0 [-5.7, +1.8] (p 0.42)"


def test_worst_cases_are_told_where_there_are_any_else_attacks_each_seed() -> None:
    assert said(table(True, ONE, OTHER)) == [
        ["both, beside base on the same images"],
        ["network", "seed 0", "seed 1"],
        ["net", SAID_ONE, SAID_OTHER],
    ]
    assert said(table(False, None, OTHER)) == [
        ["attacked, beside base on the same images"],
        ["network", "seed 0", "seed 1"],
        ["net", "–", SAID_OTHER],
    ]
    assert tables(table(True, None, None)) == []


def test_older_tables_without_intervals_are_told_with_them() -> None:
    found = table(True, ONE, OTHER)
    expected = said(found)
    for pair in found["networks"]["net"]["both"]["beside_baseline"]:
        del pair["interval"]
        pair["half_width"] = 0.0
    assert said(found) == expected


def test_where_no_image_differs_the_interval_has_a_width() -> None:
    found = table(True, Pair(gained=0, lost=0, count=1000, p=1.0))
    assert said(found)[-1] == ["net", "+0.0 [-0.2, +0.2] (p 1)"]


def test_without_a_baseline_nothing_is_told() -> None:
    assert (
        tables({"baseline": None, "columns": {"a": {"source": None}}, "networks": {"net": {"a": {}}}}) == []
    )
