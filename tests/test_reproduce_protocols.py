"""What the paper's protocol adds to a table's figures, against tables of known figures."""

import io
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from contragrad.evaluate import wilson
from contragrad.reproduce.protocols import as_text, difference, newcombe

FGSM = {"name": "fgsm", "steps": None, "step_size": None, "random_start": None}

ACCURACY = {"measure": "accuracy"}

SEPARATE: dict[str, Any] = {
    "table": "small",
    "scale": "smoke",
    "seeds": [0, 1],
    "baseline": "reference+GM",
    "differs": {
        "fitness_split": {"here": "validation", "paper": "test"},
        "refine.keep": {"here": "best", "paper": "last"},
        "search.epochs": {"here": 8, "paper": 20},
    },
    "left_open": {"attack.epsilon": "8/255"},
    "data": [{"images": {"training": 900, "validation": 100, "test": 100}}],
    "columns": {
        "clean": ACCURACY | {"source": None},
        "attacked": ACCURACY
        | {"source": "reference", "crafted": [{"attack": FGSM | {"epsilon": "8/255"}}] * 2},
        "calibrated": ACCURACY
        | {"source": "reference", "crafted": [{"attack": FGSM | {"epsilon": "3/255"}}] * 2},
        "both": ACCURACY | {"source": None, "worst_of": ["clean", "calibrated"]},
    },
    "networks": {},
}
Figures = dict[str, tuple[int | None, ...]]
"""Each seed's hits among 100 images, by network; None is a training that diverged."""

COLUMNS = ("clean", "attacked", "calibrated", "both")


def shares(*hits: int | None) -> dict[str, Any]:
    """A row's entry in one column."""
    return {
        "measured": [
            {"missing": "diverged"}
            if each is None
            else {"hits": each, "count": 100, "interval": wilson(each, 100)}
            for each in hits
        ]
    }


def by_both(separate: Figures, paper: Figures) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two tables, each network with the same figures in every column."""
    ours, theirs = deepcopy(SEPARATE), deepcopy(SEPARATE)
    ours["networks"] = {name: dict.fromkeys(COLUMNS, shares(*hits)) for name, hits in separate.items()}
    theirs["networks"] = {name: dict.fromkeys(COLUMNS, shares(*hits)) for name, hits in paper.items()}
    del theirs["differs"]["fitness_split"], theirs["differs"]["refine.keep"]
    theirs["data"] = [{"images": {"training": 1000, "test": 100}}]
    return ours, theirs


TABLES = by_both(
    {"reference+GM": (60, 50), "NE+GM 1": (61, 55)}, {"reference+GM": (62, 56), "NE+GM 1": (64, 60)}
)


def test_the_difference_is_each_seeds_and_their_mean() -> None:
    found = difference(*TABLES)["networks"]["reference+GM"]["clean"]
    assert found["added"] == pytest.approx([0.02, 0.06])
    assert found["mean"] == pytest.approx(0.04)
    assert found["deviation"] == pytest.approx(0.04 / 2**0.5)


def test_a_network_that_was_selected_is_compared_with_what_the_baseline_gains() -> None:
    found = difference(*TABLES)["networks"]
    assert "beyond_baseline" not in found["reference+GM"]["clean"]
    assert found["NE+GM 1"]["clean"]["beyond_baseline"] == pytest.approx(((3 - 2) + (5 - 6)) / 200)


def test_a_seed_without_a_figure_is_left_out_of_both() -> None:
    tables = by_both(
        {"reference+GM": (60, None), "NE+GM 1": (61, 55)}, {"reference+GM": (62, 56), "NE+GM 1": (64, 60)}
    )
    found = difference(*tables)["networks"]
    assert found["reference+GM"]["clean"]["added"] == [pytest.approx(0.02), None]
    assert found["reference+GM"]["clean"]["deviation"] is None
    assert found["NE+GM 1"]["clean"]["mean"] == pytest.approx(0.04)
    assert found["NE+GM 1"]["clean"]["beyond_baseline"] == pytest.approx(0.01)


def test_without_any_figure_there_is_no_difference() -> None:
    tables = by_both({"reference+GM": (None, None)}, {"reference+GM": (1, 2)})
    assert difference(*tables)["networks"]["reference+GM"]["clean"]["mean"] is None
    assert "–: no seed has a figure in both tables" in said(*tables)
    assert "no seed has a figure" not in said(*TABLES)
    assert "percentage points of 100 images, seeds" in said(*TABLES)
    fewer = deepcopy(TABLES)
    fewer[1]["networks"]["NE+GM 1"]["clean"]["measured"][1] = share(30, 50)
    assert "percentage points of 50 to 100 images, seeds" in said(*fewer)


def test_a_table_without_a_baseline_has_the_differences_alone() -> None:
    ours, theirs = by_both({"NE+GM 1": (61, 55)}, {"NE+GM 1": (64, 60)})
    ours["baseline"] = theirs["baseline"] = None
    assert "beyond_baseline" not in difference(ours, theirs)["networks"]["NE+GM 1"]["clean"]


def attacked(tables: tuple[dict[str, Any], ...], column: str, *epsilons: str | None) -> tuple[Any, Any]:
    """The tables, with such epsilons in the paper protocol's column, one a seed; None has no examples."""
    ours, theirs = deepcopy(tables)
    theirs["columns"][column]["crafted"] = [
        None if each is None else {"attack": FGSM | {"epsilon": each}} for each in epsilons
    ]
    return ours, theirs


def test_a_seed_whose_examples_are_of_another_epsilon_is_left_out_of_the_column_and_its_worst_cases() -> None:
    tables = attacked(TABLES, "calibrated", "5/255", "3/255")
    found = difference(*tables)
    for network, row in found["networks"].items():
        assert list(row) == list(COLUMNS)
        whole = difference(*TABLES)["networks"][network]
        assert (row["clean"], row["attacked"]) == (whole["clean"], whole["attacked"])
        for name in ("calibrated", "both"):
            assert row[name]["added"] == [None, whole[name]["added"][1]]
            assert row[name]["mean"] == whole[name]["added"][1]
            assert row[name]["deviation"] is None
    assert found["networks"]["NE+GM 1"]["both"]["beyond_baseline"] == pytest.approx((5 - 6) / 100)
    why = "fgsm, ε 3/255 -> fgsm, ε 5/255"
    assert found["left_out"] == {"calibrated": {"0": why}, "both": {"0": why}}
    for name in found["left_out"]:
        assert f"left out: {name}, seed 0 ({why})\n" in said(*tables)


def test_a_column_without_any_seed_that_can_be_compared_is_left_out_and_so_is_its_worst_case() -> None:
    tables = attacked(TABLES, "calibrated", "5/255", None)
    found = difference(*tables)
    for row in found["networks"].values():
        assert list(row) == ["clean", "attacked"]
    assert found["left_out"].keys() == {"calibrated", "both"}
    text = said(*tables)
    assert text.count("seed 1 (fgsm, ε 3/255 -> no examples)\n") == 2
    assert " both ┃" not in text
    assert "left out" not in said(*TABLES)
    assert difference(*TABLES)["left_out"] == {}


def test_a_seed_without_examples_in_both_has_none_to_compare() -> None:
    ours, theirs = attacked(TABLES, "attacked", None, "8/255")
    ours["columns"]["attacked"]["crafted"][0] = None
    found = difference(ours, theirs)
    assert found["left_out"] == {"attacked": {"0": "no examples"}}
    assert found["networks"]["NE+GM 1"]["attacked"]["added"] == [None, pytest.approx(0.05)]


def test_an_attack_in_an_older_table_s_words_is_the_same_attack() -> None:
    ours, theirs = attacked(TABLES, "calibrated", "1/85", "1/85")
    for each in theirs["columns"]["calibrated"]["crafted"]:
        each["attack"] |= {"steps": 1, "random_start": True}
    assert difference(ours, theirs)["left_out"] == {}
    for each in theirs["columns"]["calibrated"]["crafted"]:
        each["attack"]["name"] = "linf-pgd"
    assert list(difference(ours, theirs)["networks"]["NE+GM 1"]) == ["clean", "attacked"]


def test_what_differs_is_told_and_nothing_else() -> None:
    found = difference(*TABLES)
    assert found["settings"] == {
        "fitness_split": {"separate": "validation", "paper": "test"},
        "refine.keep": {"separate": "best", "paper": "last"},
    }
    text = said(*TABLES)
    assert "fitness_split validation -> test, refine.keep best -> last" in text
    assert "900 training images -> 1,000, 100 validation images -> 0\n" in text


def test_a_setting_that_an_older_table_alone_tells_is_no_difference() -> None:
    ours, theirs = deepcopy(TABLES)
    ours["left_open"]["search.population"] = 4
    assert difference(ours, theirs)["settings"] == difference(*TABLES)["settings"]


def test_a_person_reads_points_and_what_is_beyond_the_baselines() -> None:
    text = " ".join(said(*TABLES).split())
    assert "+4.0 ± 2.8" in text
    assert "+4.0 ± 1.4 [+0.0]" in text
    assert "[how much more than to reference+GM]" in text


@given(
    st.lists(st.integers(0, 100), min_size=2, max_size=2),
    st.lists(st.integers(0, 100), min_size=2, max_size=2),
)
def test_a_table_adds_to_another_what_that_lacks_of_it(before: list[int], after: list[int]) -> None:
    one: Figures = {"reference+GM": tuple(before)}
    two: Figures = {"reference+GM": tuple(after)}
    there, back = (
        difference(*by_both(*pair))["networks"]["reference+GM"]["clean"] for pair in ((one, two), (two, one))
    )
    assert there["added"] == pytest.approx([-each for each in back["added"]])
    assert there["mean"] == pytest.approx(-back["mean"])


def test_a_seed_that_is_left_out_has_no_interval_and_is_not_counted() -> None:
    ours, theirs = deepcopy(TABLES)
    theirs["columns"]["calibrated"]["crafted"][0] = {"attack": FGSM | {"epsilon": "5/255"}}
    for table in (ours, theirs):
        table["networks"]["NE+GM 1"]["calibrated"] = {"measured": [share(1, 7), share(55, 100)]}
    found = difference(ours, theirs)
    first, second = found["networks"]["NE+GM 1"]["calibrated"]["cells"]
    assert first is None
    assert second["counts"] == [100, 100]
    assert found["counted"] == [100, 100]


def share(hits: int, count: int) -> dict[str, Any]:
    return {"hits": hits, "count": count, "interval": wilson(hits, count)}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Newcombe's table II, examples a, b and h, method 10.
        ((48, 80), (56, 70), (0.0524, 0.3339)),
        ((3, 10), (9, 10), (0.1705, 0.8090)),
        ((0, 10), (10, 10), (0.6075, 1.0)),
    ],
)
def test_the_interval_of_a_difference_is_newcombes(
    first: tuple[int, int], second: tuple[int, int], expected: tuple[float, float]
) -> None:
    assert newcombe(share(*first), share(*second)) == pytest.approx(expected, abs=1e-4)


def of_one_seed(hits: tuple[int, int], counts: tuple[int, int], measure: str) -> str:
    """What is said of one row with these shares in a column of that measure."""
    tables = by_both({"reference+GM": (1, 1)}, {"reference+GM": (1, 1)})
    for table, each, count in zip(tables, hits, counts, strict=True):
        table["seeds"] = [0]
        table["columns"] = {"rate": {"measure": measure, "source": None}}
        table["networks"] = {"reference+GM": {"rate": {"measured": [share(each, count)]}}}
    return " ".join(said(*tables).split())


def test_of_one_seed_a_difference_has_its_interval_and_shares_of_few_images_their_number() -> None:
    text = of_one_seed((0, 4), (11, 28), "fooling rate")
    low, high = newcombe(share(0, 11), share(4, 28))
    assert f"+14.3 ({100 * low:+.1f} to {100 * high:+.1f}) of 11, 28" in text
    assert "where more is worse: rate" in text
    text = of_one_seed((60, 62), (100, 100), "accuracy")
    assert "+2.0 (" in text
    assert " of 100, 100" not in text
    assert "more is worse" not in text


def said(separate: dict[str, Any], paper: dict[str, Any]) -> str:
    output = io.StringIO()
    Console(file=output, width=200).print(as_text(difference(separate, paper)))
    return output.getvalue()
