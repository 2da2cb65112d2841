"""Rows beside the baseline: counts, Holm's adjustment, and what a person reads."""

from math import sqrt
from statistics import pstdev
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from contragrad.reproduce.paired import Pair, entries, half_width, holm, lines, paired

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
def test_a_difference_s_interval_is_that_of_the_images_own_differences(
    answers: list[tuple[bool, bool]],
) -> None:
    differences = [int(own) - int(other) for own, other in answers]
    gained, lost, count = differences.count(1), differences.count(-1), len(differences)
    expected = 1.96 * pstdev(differences) / sqrt(count)
    assert half_width(gained, lost, count) == pytest.approx(expected)
    assert half_width(lost, gained, count) == half_width(gained, lost, count)


def test_a_pair_is_kept_with_its_interval() -> None:
    assert entries({"net": ONE})["net"] == {
        "gained": 30,
        "lost": 10,
        "count": 200,
        "half_width": pytest.approx(1.96 * sqrt(38) / 200),
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
        "columns": columns,
        "networks": {"base": {name: {} for name in columns}, "net": row},
    }


ONE = Pair(gained=30, lost=10, count=200, p=0.0022)
OTHER = Pair(gained=5, lost=9, count=200, p=0.42)


def test_worst_cases_are_told_where_there_are_any_else_attacks_each_seed() -> None:
    said, note = lines(table(True, ONE, OTHER))
    assert said == "both, beside base on the same images: net +10.0 ± 6.0 (p 0.0022), -2.0 ± 3.7 (p 0.42)"
    assert "Holm" in note
    assert "of two trained networks, not of two methods" in note
    said, _ = lines(table(False, None, OTHER))
    assert said == "attacked, beside base on the same images: net –, -2.0 ± 3.7 (p 0.42)"
    assert lines(table(True, None, None)) == []


def test_older_tables_without_intervals_are_told_with_them() -> None:
    found = table(True, ONE, OTHER)
    expected = lines(found)
    for pair in found["networks"]["net"]["both"]["beside_baseline"]:
        del pair["half_width"]
    assert lines(found) == expected


def test_without_a_baseline_nothing_is_told() -> None:
    assert lines({"baseline": None, "columns": {"a": {"source": None}}, "networks": {"net": {"a": {}}}}) == []
