"""Each figure of a recorded table is what the answers in the studies beside it come to, counted anew."""

import json
import sqlite3
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from contragrad.reproduce.trainings import source_of

RECORDS = Path(__file__).parent.parent / "records"

Asked = tuple[str, tuple[str, Fraction, str] | None]
"""A network, and what it was shown: an attack, its radius and its source; None are the images themselves."""

STUDIES = {
    path: sorted(path.parent.parent.glob("seed-*/study.db"))
    for path in sorted(RECORDS.rglob("table.json"))
    if "columns" in json.loads(path.read_text())
}
TABLES = [path for path, studies in STUDIES.items() if studies]


def answers(path: Path) -> dict[Asked, list[bool]]:
    """What the networks of a study answered, by what its rows say of themselves."""
    found: dict[Asked, list[bool]] = {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
        rows = database.execute("select task, outcome from evaluation").fetchall()
    for task, text in rows:
        outcome = json.loads(text)
        if "right" not in outcome:
            continue
        network, _, shown = task.partition(" on the test images")
        examples = None
        if shown:
            attack, radius, source = shown.removeprefix(", ").replace(" on ", " ", 1).split(" ", 2)
            examples = (attack, Fraction(radius), source)
        bits = "".join(f"{byte:08b}" for byte in bytes.fromhex(outcome["right"]))
        found[network, examples] = [bit == "1" for bit in bits[: outcome["images"]]]
    return found


def study_of(path: Path, seed: int, data: str | None, epsilon: str | None) -> Path:
    """The study of a seed and a data set, beside the table."""
    names = [f"seed-{seed}", *filter(None, (data, epsilon and epsilon.replace("/", "-")))]
    return path.parent.parent / "-".join(names) / "study.db"


def count(measure: str, right: list[bool], clean: list[bool], source: list[bool]) -> tuple[int, int]:
    """A figure as hits and images, by the definitions of sections 3.2, 4.2.2 and 4.2.3."""
    if measure == "accuracy":
        return sum(right), len(right)
    counted = [
        here
        for here, own, theirs in zip(right, clean, source, strict=True)
        if theirs and (own or measure != "fooling rate")
    ]
    return counted.count(False), len(counted)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: str(path.relative_to(RECORDS)))
def test_a_recorded_tables_figures_are_those_of_its_studies(path: Path) -> None:
    table = json.loads(path.read_text())
    epsilons = {data["name"]: data.get("epsilon") for data in table["data"]}
    counted = 0
    for place, seed in enumerate(table["seeds"]):
        studies: dict[str | None, dict[Asked, list[bool]]] = {}
        for column in table["columns"].values():
            if (data := column["data"]) not in studies:
                studies[data] = answers(study_of(path, seed, data, epsilons.get(data or "")))
        for network, row in table["networks"].items():
            rights: dict[str, list[bool]] = {}
            for name, column in table["columns"].items():
                asked = studies[column["data"]]
                if of := column.get("worst_of"):
                    right = [all(each) for each in zip(*(rights[each] for each in of), strict=True)]
                    source = "reference"
                else:
                    source = column["source"] or "reference"
                    source = source_of(network, source)
                    right = asked[network, examples_of(column, place, source)]
                rights[name] = right
                measured = row[name]["measured"][place]
                expected = count(column["measure"], right, asked[network, None], asked[source, None])
                assert (measured["hits"], measured["count"]) == expected, (seed, network, name)
                counted += 1
    assert counted == len(table["seeds"]) * len(table["networks"]) * len(table["columns"])


def examples_of(column: dict[str, Any], place: int, source: str) -> tuple[str, Fraction, str] | None:
    """What a column shows with a seed."""
    if column["source"] is None:
        return None
    attack = column["crafted"][place]["attack"]
    return attack["name"], Fraction(attack["epsilon"]), source


def test_there_are_recorded_tables() -> None:
    assert {path.parent.name for path in TABLES} >= {"table4", "table5", "table6", "table7", "fashion-mnist"}
