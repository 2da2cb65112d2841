"""A table over seeds: its identity, its content, its file, and what a person reads."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import sqrt
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from contragrad.attacks.library import settings_read
from contragrad.evaluate import Share, wilson
from contragrad.reproduce import protocols, table
from contragrad.reproduce.curves import Course
from contragrad.reproduce.definition import Definition
from contragrad.reproduce.definition_file import parse
from contragrad.reproduce.epsilon import Calibration
from contragrad.reproduce.figures import Crafted, Figures, Measured
from contragrad.reproduce.grounds import grounds
from contragrad.reproduce.paired import Pair
from contragrad.reproduce.provenance import Content
from contragrad.reproduce.remarks import heading
from contragrad.reproduce.setups import Setup
from contragrad.reproduce.text import as_text, in_a_file
from contragrad.settings.choices import AttackName
from contragrad.settings.config import AttackSettings
from reproductions import DEFINITION, TEXT, hold_all, seeds


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return hold_all(tmp_path_factory.mktemp("data"))


DIVERGED = "its training diverged"


def measured(**rows: Sequence[tuple[int, int] | None]) -> Measured:
    """One seed's figures; a network's are those of the two columns, None where there is none."""
    names = {"reference": "reference", "evolved": "NE+GM 1", "ordinary": "NE 1 without GM"}
    return Measured(
        figures={
            name: {
                column: DIVERGED if part is None else Share(*part)
                for column, part in zip(("clean", "attacked"), rows.get(row, (None, None)), strict=True)
            }
            for row, name in names.items()
        },
        crafted={"attacked": Crafted(attack=AttackSettings(), clean=Share(120, 200), fooled=Share(90, 120))},
        calibration={},
        looks=1,
    )


FIRST = measured(
    reference=[(120, 200), (20, 200)], evolved=[(130, 200), (100, 200)], ordinary=[(140, 200), (70, 200)]
)
SECOND = measured(
    reference=[(110, 200), (30, 200)], evolved=[(120, 200), (90, 200)], ordinary=[(100, 200), (80, 200)]
)
WITHOUT = measured(reference=[(110, 200), (30, 200)], evolved=[None, None], ordinary=[(100, 200), (80, 200)])


def printed(shown: Content) -> str:
    return in_a_file(as_text(shown))


def content(definition: Definition, setups: Sequence[Setup], found: Sequence[Measured]) -> Content:
    return table.content(definition, grounds(definition, setups), found, identity="its identity")


# Its content.


def test_a_worst_case_is_shown_with_what_it_is_of(setup: Setup) -> None:
    definition = replace(DEFINITION, worst_cases={"worst": ("clean", "attacked")})
    shares = {"reference": Share(10, 200), "NE+GM 1": Share(90, 200), "NE 1 without GM": Share(0, 200)}
    figures: Figures = {name: cells | {"worst": shares[name]} for name, cells in FIRST.figures.items()}
    found = content(definition, [setup], [replace(FIRST, figures=figures)])
    assert list(found["columns"]) == ["clean", "attacked", "worst"]
    assert found["columns"]["worst"]["worst_of"] == ["clean", "attacked"]
    assert found["networks"]["NE+GM 1"]["worst"]["mean"] == 0.45
    assert "worst: images that are right in each of clean, attacked" in printed(found)


def test_one_seed_is_told_as_it_was_measured(setup: Setup) -> None:
    found = content(DEFINITION, [setup], [FIRST])
    assert found["table"] == "small"
    assert found["title"] == "two columns, reduced data"
    assert found["identity"] == "its identity"
    assert (found["scale"], found["seeds"], found["calibration"]) == ("smoke", [0], [[]])
    assert list(found["columns"]) == ["clean", "attacked"]
    assert list(found["networks"]) == ["reference", "NE+GM 1", "NE 1 without GM"]
    assert found["networks"]["reference"]["attacked"] == {
        "published": 0.088,
        "measured": [{"hits": 20, "count": 200, "interval": wilson(20, 200)}],
        "mean": 0.1,
        "deviation": None,
        "range": [0.1, 0.1],
        "interval": wilson(20, 200),
    }
    assert [row["clean"]["published"] for row in found["networks"].values()] == [0.5, 0.578, None]
    assert [row["attacked"]["published"] for row in found["networks"].values()] == [0.088, None, None]


def test_how_long_networks_were_trained_is_told_where_it_is_known(setup: Setup) -> None:
    course = Course(fitness=(0.0, 0.25, 0.5, 0.5), planned=9, patience=None)
    told = {
        "NE+GM 1": course,
        "NE+GM 2": replace(course, patience=1),
        "reference+GM": replace(course, patience=2),
    }
    found = content(DEFINITION, seeds(setup, 4, 2), [replace(FIRST, courses={None: told}), SECOND])
    (entries, others) = found["curves"]
    assert others == []
    alike = {"data": "cifar10", "planned": 9, "epochs": 4, "best_epoch": 3}
    for entry, flat in zip(entries, (None, True, False), strict=True):
        assert entry.items() >= {**alike, "flat": flat}.items()
        assert entry["fitness"] == list(course.fitness)
    kept = "NE+GM 1 3 of 4; NE+GM 2 3 of 4, flat; reference+GM 3 of 4, not flat"
    assert f"epoch whose weights were kept, of those trained, cifar10, seed 4: {kept}" in printed(found)
    without = content(DEFINITION, [setup], [FIRST])
    assert "curves" not in without
    assert "weights were kept" not in printed(without)


def test_for_how_many_epochs_each_network_was_to_be_trained_is_told(setup: Setup) -> None:
    first = replace(FIRST, epochs={"reference": 2, "NE+GM 1": 3, "resnet18": 2})
    second = replace(SECOND, epochs={"reference": 2, "NE+GM 1": 4, "resnet18": 2})
    found = content(DEFINITION, seeds(setup, 0, 1), [first, second])
    assert found["epochs"] == [dict(first.epochs), dict(second.epochs)]
    said = in_one_line(printed(found))
    assert "epochs of training, at most 2: reference; resnet18 epochs of" in said
    assert "epochs of training, at most 3 or 4: NE+GM 1" in said
    # Older tables do not say.
    del found["epochs"]
    assert "epochs of training" not in printed(found)


def test_what_is_there_to_be_tried_is_said_to_mean_nothing(setup: Setup) -> None:
    for scale in ("smoke", "reduced"):
        said = in_one_line(printed(content(DEFINITION, [setup], [FIRST]) | {"scale": scale}))
        assert ("its figures say nothing of a method" in said) == (scale == "smoke")


def test_several_seeds_have_a_mean_and_a_range_and_each_its_own_interval(setup: Setup) -> None:
    found = content(DEFINITION, seeds(setup, 4, 2), [FIRST, SECOND])
    assert found["seeds"] == [4, 2]
    entry = found["networks"]["NE+GM 1"]["clean"]
    assert entry["measured"] == [
        {"hits": hits, "count": 200, "interval": wilson(hits, 200)} for hits in (130, 120)
    ]
    assert entry["mean"] == pytest.approx(0.625)
    assert entry["range"] == [0.6, 0.65]
    assert entry["deviation"] == pytest.approx(sqrt(2 * 0.025**2))
    assert entry["interval"] is None


def test_a_network_that_is_missing_in_one_seed_has_the_mean_of_the_others(setup: Setup) -> None:
    found = content(DEFINITION, seeds(setup, 0, 1), [FIRST, WITHOUT])
    entry = found["networks"]["NE+GM 1"]["attacked"]
    assert entry["measured"][0]["hits"] == 100
    assert entry["measured"][1] == {"missing": DIVERGED}
    assert (entry["mean"], entry["deviation"], entry["range"]) == (0.5, None, [0.5, 0.5])
    assert entry["interval"] is None


def test_a_network_that_is_missing_in_every_seed_has_no_figure(setup: Setup) -> None:
    found = content(DEFINITION, seeds(setup, 0, 1), [WITHOUT, WITHOUT])
    entry = found["networks"]["NE+GM 1"]["clean"]
    assert entry == {
        "published": 0.578,
        "measured": [{"missing": DIVERGED}, {"missing": DIVERGED}],
        "mean": None,
        "deviation": None,
        "range": None,
        "interval": None,
    }
    text = printed(found)
    assert line("NE+GM 1", text) == ["NE+GM 1", "57.8 | –", "– | –"]
    for seed in (0, 1):
        assert text.count(f"no figure: {DIVERGED}, seed {seed}") == 1


def test_every_columns_examples_are_described(setup: Setup) -> None:
    attack = AttackSettings(epsilon=Fraction(3, 255), step_size=Fraction(1, 255))
    other = replace(FIRST.crafted["attacked"], attack=attack, clean=Share(0, 200), fooled=Share(0, 0))
    found = content(DEFINITION, seeds(setup, 0, 1), [FIRST, replace(FIRST, crafted={"attacked": other})])
    assert found["columns"]["clean"] == {"measure": "accuracy", "source": None, "data": None}
    column = found["columns"]["attacked"]
    first, second = column.pop("crafted")
    assert column == {"measure": "accuracy", "source": "reference", "data": None}
    assert first["attack"] == {
        "name": "linf-pgd",
        "epsilon": "8/255",
        "steps": 10,
        "step_size": None,
        "random_start": True,
    }
    assert (second["attack"]["epsilon"], second["attack"]["step_size"]) == ("3/255", "1/255")
    assert first["source_clean_accuracy"]["hits"] == 120
    assert first["source_fooling_rate"] == {"hits": 90, "count": 120, "interval": wilson(90, 120)}
    found["columns"]["attacked"]["crafted"] = [first, second]
    said = in_one_line(printed(found))
    assert "attacked: linf-pgd on reference, ε 8/255, 3/255, 10 steps, random start; " in said
    assert "the source classifies 60.0, 0.0 % of clean images correctly" in said
    assert "and is fooled on 75.0, – % of those" in said


SAID: dict[AttackName, str] = {
    "fgsm": "",
    "autoattack": "",
    "l2-pgd": ", 10 steps of 1/255, random start",
    "mi-fgsm": ", 10 steps of 1/255",
}


@pytest.mark.parametrize(("name", "text"), SAID.items(), ids=SAID)
def test_of_an_attack_only_what_it_reads_is_kept_and_said(name: AttackName, text: str, setup: Setup) -> None:
    attack = AttackSettings(name=name, steps=10, step_size=Fraction(1, 255))
    crafted = replace(FIRST.crafted["attacked"], attack=attack)
    found = content(DEFINITION, [setup], [replace(FIRST, crafted={"attacked": crafted})])
    kept = found["columns"]["attacked"]["crafted"][0]["attack"]
    whole = {"steps": 10, "step_size": "1/255", "random_start": True}
    read = settings_read(name)
    assert kept == {
        "name": name,
        "epsilon": "8/255",
        **{key: value if key in read else None for key, value in whole.items()},
    }
    expected = f"attacked: {name} on reference, ε 8/255{text}; the source"
    assert expected in in_one_line(printed(found))
    # Older tables have what an attack does not read too.
    kept |= whole
    assert expected in in_one_line(printed(found))


def test_a_radius_is_said_in_grey_levels_where_older_tables_have_it_reduced(setup: Setup) -> None:
    attack = AttackSettings(epsilon=Fraction(12, 255), step_size=Fraction(3, 255))
    crafted = replace(FIRST.crafted["attacked"], attack=attack)
    overridden = replace(setup, overrides=("--attack.epsilon=15/255", "--attack.step_size=5/255"))
    found = content(DEFINITION, [overridden], [replace(FIRST, crafted={"attacked": crafted})])
    said = in_one_line(printed(found))
    assert "ε 12/255, 10 steps of 3/255, random start; " in said
    assert "attack.epsilon 15/255, " in said
    assert "attack.step_size 5/255, " in said
    unset = in_one_line(printed(content(DEFINITION, [setup], [FIRST])))
    assert "attack.step_size 2.5 ε / steps, attack.random_start true, training.sources reference, " in unset
    assert "search.initial none, " in unset
    found["columns"]["attacked"]["crafted"][0]["attack"] |= {"epsilon": "4/85", "step_size": "1/85"}
    assert in_one_line(printed(found)) == said


def test_one_step_is_no_steps(setup: Setup) -> None:
    crafted = replace(FIRST.crafted["attacked"], attack=AttackSettings(steps=1, random_start=False))
    found = content(DEFINITION, [setup], [replace(FIRST, crafted={"attacked": crafted})])
    assert "ε 8/255, 1 step; " in in_one_line(printed(found))


def test_a_column_without_examples_says_so(setup: Setup) -> None:
    found = content(DEFINITION, seeds(setup, 0, 1), [replace(FIRST, crafted={}), FIRST])
    assert found["columns"]["attacked"]["crafted"][0] is None
    assert "attacked: linf-pgd on reference" in printed(found)
    found = content(DEFINITION, [setup], [replace(FIRST, crafted={})])
    assert "attacked: no examples" in printed(found)


def test_a_share_of_no_images_is_no_share(setup: Setup) -> None:
    nothing = measured(reference=[(0, 0), (1, 4)])
    found = content(DEFINITION, [setup], [nothing])
    entry = found["networks"]["reference"]["clean"]
    assert entry["measured"] == [{"hits": 0, "count": 0, "interval": None}]
    assert entry["mean"] is None
    both = content(DEFINITION, seeds(setup, 0, 1), [nothing, FIRST])
    assert both["networks"]["reference"]["clean"]["mean"] == 0.6
    assert line("reference", printed(found))[1] == "50.0 | –"


Part = tuple[int, int]


def parts() -> st.SearchStrategy[Part | None]:
    cells = st.integers(0, 300).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count)))
    return st.none() | cells


@settings(max_examples=20)  # each reads the settings anew
@given(st.lists(parts(), min_size=1, max_size=4))
def test_a_summary_is_that_of_the_shares_there_are(setup: Setup, cells: list[Part | None]) -> None:
    found = content(
        DEFINITION, seeds(setup, *range(len(cells))), [measured(reference=[cell, (1, 2)]) for cell in cells]
    )
    entry = found["networks"]["reference"]["clean"]
    shares = [hits / count for hits, count in filter(None, cells) if count]
    if not shares:
        assert (entry["mean"], entry["range"], entry["interval"]) == (None, None, None)
        return
    assert entry["mean"] == pytest.approx(mean(shares))
    assert entry["range"] == [min(shares), max(shares)]
    squares = sum((share - mean(shares)) ** 2 for share in shares)
    expected = sqrt(squares / (len(shares) - 1)) if len(shares) > 1 else None
    assert entry["deviation"] == (None if expected is None else pytest.approx(expected))
    if len(cells) > 1:
        assert entry["interval"] is None
    else:
        low, high = entry["interval"]
        assert 0 <= low <= mean(shares) <= high <= 1


# Its file.


def test_a_table_is_read_as_it_was_written(setup: Setup, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    found = content(DEFINITION, seeds(setup, 0, 1), [FIRST, WITHOUT])
    table.write(found, path)
    again = table.read(path)
    assert again is not None
    assert again == json.loads(json.dumps(found))
    assert printed(again) == printed(found)
    other = tmp_path / "other.json"
    table.write(again, other)
    assert other.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("written", [None, b"", b"{", b"[1, 2]", b"3", b"\xff\xfe\xff"])
def test_what_is_no_table_is_read_as_none(written: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    if written is not None:
        path.write_bytes(written)
    assert table.read(path) is None


# What a person reads.


def line(name: str, text: str) -> list[str]:
    """A network's cells in the blocks of the table, its name first."""
    blocks = text.partition(" on the same images")[0]
    rows = [each for each in blocks.splitlines() if each[1:].partition("│")[0].strip() == name]
    return [name, *(cell.strip() for row in rows for cell in row.strip("│").split("│")[1:])]


def in_one_line(text: str) -> str:
    """The caption is as narrow as the table."""
    return " ".join(text.split())


def bounds(hits: int, count: int) -> str:
    low, high = (100 * bound for bound in wilson(hits, count))
    return f"[{low:.1f}, {high:.1f}]"


def test_published_stands_before_measured_in_per_cent(setup: Setup) -> None:
    text = printed(content(DEFINITION, [setup], [FIRST]))
    assert line("reference", text) == [
        "reference",
        f"50.0 | 60.0 {bounds(120, 200)}",
        f"8.8 | 10.0 {bounds(20, 200)} *",
    ]
    assert line("NE+GM 1", text)[2] == f"– | 50.0 {bounds(100, 200)} *"
    assert line("NE 1 without GM", text)[1] == f"– | 70.0 {bounds(140, 200)}"
    assert "small, scale smoke: two columns, reduced data" in text
    assert "only]: 200 images" in in_one_line(text)
    assert "seeds" not in text
    assert "calibrated ε" not in text
    assert "attack.epsilon 8/255" in text
    assert "fitness_split validation (test)" in text
    assert (
        "images of cifar10, on which the networks are evolved: 540 training, 60 validation, 200 test" in text
    )


def strong(hits: int) -> Measured:
    """A seed whose reference is fooled on so many of 120 images."""
    return replace(FIRST, crafted={"attacked": replace(FIRST.crafted["attacked"], fooled=Share(hits, 120))})


@pytest.mark.parametrize(
    ("hits", "marked"), [((120,), False), ((108,), False), ((107,), True), ((120, 107), True)]
)
def test_a_figure_whose_source_is_hardly_fooled_is_marked(
    setup: Setup, hits: Sequence[int], marked: bool
) -> None:
    found = content(DEFINITION, seeds(setup, *range(len(hits))), [strong(each) for each in hits])
    text = printed(found)
    for row in ("reference", "NE+GM 1", "NE 1 without GM"):
        assert not line(row, text)[1].endswith("*"), "nobody crafted the clean images"
        assert line(row, text)[2].endswith(" *") == marked
    assert ("* the source of such examples is itself fooled on less than 90 % of" in text) == marked


def test_a_source_that_was_to_keep_its_accuracy_is_not_called_weak_for_it(setup: Setup) -> None:
    text = TEXT.replace("source: reference", "source: reference, attack: {epsilon: calibrated}")
    calibrated = parse("small", f"{text}worst_cases: {{both: [clean, attacked]}}")
    figures: Figures = {name: cells | {"both": Share(10, 200)} for name, cells in FIRST.figures.items()}
    found = content(calibrated, [setup], [replace(strong(60), figures=figures)])
    assert found["columns"]["attacked"]["calibrated"] is True
    assert "calibrated" not in found["columns"]["clean"]
    said = printed(found)
    assert not any(cell.endswith("*") for row in calibrated.networks for cell in line(row, said))
    assert said.count("attacked: no * at such figures: their ε was chosen so that") == 1
    assert "* the source of such" not in said
    # What an older table does not know it cannot say.
    del found["columns"]["attacked"]["calibrated"]
    assert line("NE+GM 1", printed(found))[2].endswith(" *")


TWO_CALIBRATED = parse(
    "two",
    """
title: x
experiment: reduced-data
columns:
  here: {source: reference, attack: {epsilon: calibrated}}
  digits: {source: reference, data: mnist, attack: {epsilon: calibrated}}
networks: {reference: {here: 0.088, digits: 0.8}}
""",
)


def test_a_source_that_could_not_be_brought_to_its_published_accuracy_is_called_weak(setup: Setup) -> None:
    """With one seed of two, and on that data set alone."""
    near = Calibration(greys=3, target=0.088, reached=0.091, images="validation")
    far = replace(near, greys=32, reached=0.2)
    crafted = Crafted(attack=AttackSettings(), clean=Share(100, 200), fooled=Share(60, 100))
    found = Measured(
        figures={"reference": dict.fromkeys(("here", "digits"), Share(20, 200))},
        crafted=dict.fromkeys(("here", "digits"), crafted),
        calibration={None: near, "mnist": near},
        looks=1,
    )
    beyond = replace(found, calibration={None: far, "mnist": near})
    shown = content(TWO_CALIBRATED, seeds(setup, 0, 1), [found, beyond])
    said = printed(shown)
    _, here, digits = line("reference", said)
    assert here.endswith(" *")
    assert not digits.endswith("*")
    assert "* the source of such" in said
    assert "here: no *" not in said
    assert "digits: no * at such figures" in said
    assert "*" not in line("reference", printed(content(TWO_CALIBRATED, [setup], [found])))[1]
    # Older tables have one calibration a seed, of the only data set.
    older = [{key: each[0][key] for key in each[0] if key != "data"} for each in shown["calibration"]]
    said = printed(shown | {"calibration": older})
    assert all(cell.endswith(" *") for cell in line("reference", said)[1:])
    assert "no *" not in said
    assert "no *" in printed(shown | {"calibration": [None, None]})


OWN = parse(
    "own",
    """
title: x
experiment: reduced-data
columns:
  clean:
  white box: {source: itself}
  adaptive: {source: surrogate}
networks: {reference: , NE+GM 1: , NE 1 without GM: }
worst_cases: {worst: [white box, adaptive]}
""",
)


def own_sources(*fooled: int | None) -> Measured:
    """A seed in which each row's surrogate is fooled on so many of 100 images; None has diverged."""
    figures: Figures = {}
    own: dict[str, dict[str, Share]] = {}
    for name, each in zip(OWN.networks, fooled, strict=True):
        there = Share(50, 200)
        adaptive = "its surrogate diverged" if each is None else there
        figures[name] = {"clean": there, "white box": there, "adaptive": adaptive, "worst": adaptive}
        own[name] = {"white box": Share(60, 100)} | ({} if each is None else {"adaptive": Share(each, 100)})
    weakest = Share(min(each for each in fooled if each is not None), 100)
    crafted = Crafted(attack=AttackSettings(), clean=Share(100, 200), fooled=weakest)
    return Measured(
        figures=figures,
        crafted={"white box": replace(crafted, fooled=Share(60, 100)), "adaptive": crafted},
        calibration={},
        looks=1,
        own=own,
    )


def test_the_success_on_each_rows_own_source_is_kept_and_the_weak_ones_are_marked(
    setup: Setup, tmp_path: Path
) -> None:
    found = content(OWN, seeds(setup, 0, 1), [own_sources(95, 40, None), own_sources(97, 99, 91)])
    rows = found["networks"]
    assert [share and share["hits"] for share in rows["NE+GM 1"]["adaptive"]["source_fooling_rate"]] == [
        40,
        99,
    ]
    assert rows["NE 1 without GM"]["adaptive"]["source_fooling_rate"] == [
        None,
        {"hits": 91, "count": 100, "interval": wilson(91, 100)},
    ]
    assert "source_fooling_rate" not in rows["reference"]["clean"]
    assert "source_fooling_rate" not in rows["reference"]["worst"]
    table.write(found, tmp_path / "table.json")
    text = printed(table.read(tmp_path / "table.json") or {})
    marked = {name: [cell.endswith(" *") for cell in line(name, text)[1:]] for name in OWN.networks}
    # How often the network itself is fooled is the white box's figure, and no weakness of its source.
    assert marked == {
        "reference": [False, False, False, False],
        "NE+GM 1": [False, False, True, True],
        "NE 1 without GM": [False, False, False, False],
    }
    said = in_one_line(text)
    assert (
        "adaptive: each row's surrogate is fooled on: reference 95.0, 97.0 %; NE+GM 1 40.0, 99.0 %; "
        "NE 1 without GM –, 91.0 %" in said
    )
    assert "of a worst case, one of its sources" in said


def test_a_figure_that_is_not_there_has_no_mark(setup: Setup) -> None:
    text = printed(content(OWN, [setup], [own_sources(95, 40, None)]))
    assert line("NE 1 without GM", text)[3:] == ["– | –", "– | –"]


def test_an_older_table_that_does_not_have_each_rows_success_is_printed_as_it_was(setup: Setup) -> None:
    found = content(OWN, [setup], [own_sources(95, 40, 97)])
    for row in found["networks"].values():
        for entry in row.values():
            entry.pop("source_fooling_rate", None)
    text = printed(found)
    assert "*" not in text
    assert "adaptive: linf-pgd on surrogate (the weakest row's)" in text
    assert "40.0 % of those" in text


def test_several_seeds_are_read_with_their_range(setup: Setup) -> None:
    text = printed(content(DEFINITION, seeds(setup, 4, 2), [FIRST, SECOND]))
    assert line("NE+GM 1", text)[1] == "57.8 | 62.5 ± 3.5 (60.0–65.0)"
    assert (
        "mean, ± standard deviation and (range) over seeds 4, 2; 200 images; each seed's own interval "
        "stands in table.json and reaches " in in_one_line(text)
    )
    assert " at most (95 % Wilson intervals, of the sampling of the test images only)" in in_one_line(text)


def test_an_older_table_of_several_seeds_is_printed_without_the_interval_of_its_mean(setup: Setup) -> None:
    found = content(DEFINITION, seeds(setup, 4, 2), [FIRST, SECOND])
    expected = printed(found)
    for row in found["networks"].values():
        for entry in row.values():
            entry["interval"] = [0.1, 0.2]
    assert printed(found) == expected


def test_how_far_the_intervals_of_several_seeds_reach_is_said(setup: Setup) -> None:
    found = content(DEFINITION, seeds(setup, 0, 1), [FIRST, SECOND])
    low, high = wilson(1, 2)
    found["networks"]["NE+GM 1"]["clean"]["measured"][1] = {"hits": 1, "count": 2, "interval": [low, high]}
    reach = 100 * (high - 1 / 2)
    assert f"table.json and reaches {reach:.1f} points from its figure at most" in in_one_line(printed(found))


def test_a_figure_of_one_seed_among_several_has_no_range(setup: Setup) -> None:
    text = printed(content(DEFINITION, seeds(setup, 0, 1), [FIRST, WITHOUT]))
    assert line("NE+GM 1", text)[1] == "57.8 | 65.0"
    assert "(55.0–60.0)" in line("reference", text)[1]


def test_a_seed_in_which_no_image_counts_gives_neither_a_range_nor_a_number_of_images(setup: Setup) -> None:
    empty: Figures = {"reference": {"clean": Share(0, 0), "attacked": DIVERGED}}
    nothing = replace(FIRST, figures=FIRST.figures | empty)
    text = printed(content(DEFINITION, seeds(setup, 0, 1), [FIRST, nothing]))
    assert line("reference", text)[1] == "50.0 | 60.0"
    assert "over seeds 0, 1; 200 images; " in in_one_line(text)


def test_the_calibrated_epsilon_of_each_seed_is_said(setup: Setup) -> None:
    near = Calibration(greys=3, target=0.088, reached=0.091, images="validation")
    far = replace(near, greys=32, reached=0.2)
    found = [replace(FIRST, calibration={None: near}), replace(SECOND, calibration={None: far})]
    shown = content(DEFINITION, seeds(setup, 0, 1), found)
    assert shown["calibration"] == [
        [
            {
                "data": "cifar10",
                "greys": 3,
                "target": 0.088,
                "reached": 0.091,
                "images": "validation",
                "epsilon": "3/255",
                "clamped": False,
            }
        ],
        [
            {
                "data": "cifar10",
                "greys": 32,
                "target": 0.088,
                "reached": 0.2,
                "images": "validation",
                "epsilon": "32/255",
                "clamped": True,
            }
        ],
    ]
    said = in_one_line(printed(shown))
    first = "ε, seed 0: 3/255, where the reference classifies 9.1 % of the validation images correctly; "
    assert f"{first}published 8.8 % calibrated" in said
    assert "published 8.8 %, which no ε reaches that was tried" in said
    # Older tables have one a seed, or none.
    older = [{key: value for key, value in each.items() if key != "data"} for (each,) in shown["calibration"]]
    assert in_one_line(printed(shown | {"calibration": older})) == said
    assert "calibrated ε" not in printed(shown | {"calibration": [None, None]})


def test_calibrated_epsilons_of_several_data_sets_are_said_with_them(setup: Setup) -> None:
    near = Calibration(greys=3, target=0.088, reached=0.091, images="validation")
    found = replace(FIRST, calibration={None: near, "mnist": replace(near, greys=20)})
    said = in_one_line(printed(content(DEFINITION, [setup], [found])))
    assert "calibrated ε of cifar10, seed 0: 3/255, where" in said
    assert "calibrated ε of mnist, seed 0: 20/255, where" in said


RECORDED = [
    path
    for path in sorted((Path(__file__).parent.parent / "records").rglob("table.json"))
    if "identity" in (table.read(path) or ())
]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: str(path.parent.name))
def test_recorded_tables_are_still_printed(path: Path) -> None:
    recorded = table.read(path)
    assert recorded is not None
    file = io.StringIO()
    Console(file=file, width=500).print(as_text(recorded))
    text = file.getvalue()
    assert heading(recorded, recorded["table"]) in in_one_line(text)
    for name in recorded["networks"]:
        assert len(line(name, text)) == 1 + len(recorded["columns"])
    assert "ε 1/85" not in text
    assert "fgsm" not in text or ": fgsm on reference, ε 16/255; the source" in text


def test_there_are_recorded_tables() -> None:
    assert len(RECORDED) >= 4


def test_rows_that_are_one_network_are_said_to_be(setup: Setup) -> None:
    found = content(DEFINITION, seeds(setup, 0, 1), [replace(FIRST, alike=(("NE+GM 1", "twin"),)), SECOND])
    assert found["alike"] == [[["NE+GM 1", "twin"]], []]
    said = in_one_line(printed(found))
    assert "one and the same network, seed 0: NE+GM 1 and twin" in said
    assert "seed 1: NE+GM 1" not in said
    # Older tables do not say.
    del found["alike"]
    assert "the same network" not in printed(found)


def test_the_protocol_stands_in_the_title(setup: Setup) -> None:
    papers = content(DEFINITION, [replace(setup, paper_protocol=True)], [FIRST])
    assert papers["protocol"] == "paper"
    assert "small, scale smoke, the paper's protocol: two columns" in printed(papers)
    ours = content(DEFINITION, [setup], [FIRST])
    assert ours["protocol"] == "separate"
    assert "small, scale smoke: two columns" in printed(ours)


RATES = parse(
    "rates",
    """
title: x
experiment: reduced-data
columns:
  clean:
  of both: {source: reference, measure: fooling rate}
  of its: {source: reference, measure: "fooling rate of the reference's"}
networks: {reference: }
""",
)


def test_what_a_fooling_rate_is_of_and_which_way_is_better_is_said(setup: Setup) -> None:
    figures: Figures = {"reference": dict.fromkeys(("clean", "of both", "of its"), Share(1, 2))}
    said = in_one_line(printed(content(RATES, [setup], [replace(FIRST, figures=figures)])))
    assert "of both: of the images that source and network classify correctly, the share" in said
    assert "of its: of the images that the reference classifies correctly, the share" in said
    assert said.count("lower is better") == 2
    assert "lower is better" not in printed(content(DEFINITION, [setup], [FIRST]))


def test_each_data_set_has_a_block_of_its_own(setup: Setup) -> None:
    figures: Figures = {"reference": {"here": Share(20, 200), "digits": Share(160, 200)}}
    found = content(TWO_CALIBRATED, [setup], [replace(FIRST, figures=figures, crafted={})])
    text = printed(found)
    assert "two, scale smoke: x, reduced data; cifar10" in text
    assert "two, scale smoke: x, reduced data; mnist" in text
    assert text.count("┃ network") == 2
    assert line("reference", text)[1:] == ["8.8 | 10.0 " + bounds(20, 200), "80.0 | 80.0 " + bounds(160, 200)]


def test_a_second_look_at_the_test_images_is_said(setup: Setup) -> None:
    found = [FIRST, replace(SECOND, looks=2)]
    shown = content(DEFINITION, seeds(setup, 0, 1), found)
    assert shown["looks"] == 2
    assert "the test images were measured 2 times, for different networks" in in_one_line(printed(shown))
    assert "different networks" not in printed(content(DEFINITION, [setup], [FIRST]))


def test_shares_of_different_numbers_of_images_are_said_from_the_fewest_to_the_most(setup: Setup) -> None:
    found = measured(reference=[(600, 1000), (20, 150)], evolved=[(3, 500), (2, 300)])
    assert "only]: 150 to 1,000 images" in in_one_line(printed(content(DEFINITION, [setup], [found])))


def test_what_is_printed_is_plain_text_without_trailing_blanks(setup: Setup) -> None:
    text = printed(content(DEFINITION, [setup], [FIRST]))
    assert text.endswith("\n")
    assert "\x1b" not in text
    assert all(each == each.rstrip() for each in text.splitlines())


ODD = {
    "title": "[/b]\x1b[2Jmine",
    "experiment": "reduced-data",
    "columns": {"clean [test]": None, "[/test] \x1b[31m": {"source": "reference"}},
    "worst_cases": {"both [/i]\x07": ["clean [test]", "[/test] \x1b[31m"]},
    "baseline": "reference",
    "networks": {"reference": None, "NE+GM 1": None},
}


def test_a_name_of_somebodys_own_is_neither_markup_nor_what_a_terminal_obeys(setup: Setup) -> None:
    definition = parse("small", yaml.safe_dump(ODD))
    share = Share(50, 200)
    pair = Pair(gained=3, lost=2, count=200, p=0.5)
    found = Measured(
        figures={name: dict.fromkeys(definition.shown, share) for name in definition.networks},
        crafted={"[/test] \x1b[31m": replace(FIRST.crafted["attacked"], fooled=Share(120, 120))},
        calibration={},
        looks=1,
        pairs={name: {"NE+GM 1": pair} for name in definition.shown},
    )
    shown = content(definition, [setup], [found])
    difference = protocols.as_text(protocols.difference(shown, shown))
    for text in (printed(shown), in_a_file(difference)):
        assert {sign for sign in text if not sign.isprintable()} == {"\n"}
        for name in ("clean [test]", r"[/test] \x1b[31m", r"both [/i]\x07"):
            assert text.count(f" {name} ┃") == 1
    assert r"[/b]\x1b[2Jmine, reduced data" in printed(shown)
    assert r"[/test] \x1b[31m: linf-pgd on reference" in printed(shown)
    assert r"both [/i]\x07, beside reference on the same images" in in_one_line(printed(shown))


def test_what_is_printed_does_not_depend_on_the_terminal(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = content(DEFINITION, [setup], [FIRST])
    expected = printed(shown)
    for name, value in (("COLUMNS", "40"), ("TERM", "dumb"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
        assert printed(shown) == expected


def test_colours_that_are_forced_do_not_reach_the_file(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in printed(content(DEFINITION, [setup], [FIRST]))


def test_a_narrow_terminal_loses_no_figure(setup: Setup) -> None:
    shown = content(DEFINITION, seeds(setup, 0, 1), [FIRST, SECOND])
    file = io.StringIO()
    Console(file=file, width=60).print(as_text(shown))
    for figure in ("62.5", "(60.0–65.0)", "12.5", "(10.0–15.0)", "57.8", "8.8"):
        assert figure in file.getvalue()


def test_a_table_of_which_every_network_is_missing_can_be_read(setup: Setup) -> None:
    """Table 5 has no reference among its networks."""
    text: dict[str, Any] = yaml.safe_load(TEXT)
    del text["networks"]["reference"]
    definition: Definition = parse("small", yaml.safe_dump(text, sort_keys=False))
    nothing = measured(evolved=[None, None], ordinary=[None, None])
    assert "57.8 | –" in printed(content(definition, [setup], [nothing]))
