"""`contragrad report`: what the page says, of any run at any moment, and that nothing on it runs or loads."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isnan, nan
from pathlib import Path

import pytest
import yaml
from torch import Tensor

from contragrad import evaluate
from contragrad.audit.attackers import ATTACKERS
from contragrad.cli import main
from contragrad.evaluate import Interval
from contragrad.jobs import full_trainings
from contragrad.jobs.curve import Curve
from contragrad.jobs.tasks import task_name
from contragrad.page import drawings
from contragrad.page.summary import compared
from contragrad.page.write import write
from contragrad.pictures import explain
from contragrad.report import percent
from contragrad.run_folder import history
from contragrad.run_folder.workspace import CONFIGURATION, TABLE
from contragrad.settings import config_file
from contragrad.settings.choices import Keep, Source
from contragrad.settings.config import StudyConfig
from pages import (
    CONFIG,
    HOSTILE,
    ROWS,
    TOTAL,
    Read,
    audited,
    deployed,
    hostile,
    measured,
    pictured,
    plain,
    read,
    row,
    studied,
    whole,
)

LARGEST = 5_000_000

INTEGRATED_GRADIENTS = 300_000
"""Bytes that are left for their picture, which made-up studies lack."""

NOT_RECORDED = "The time of what follows is not recorded"

REAL = {
    "device": "cpu",
    "workers": 1,
    "data": {"source": "digits"},
    "reference": {"epochs": 2},
    "search": {
        "population": 2,
        "children": 1,
        "generations": 1,
        "epochs": 1,
        "minimum_distance": 1,
        "channels": [8],
        "hidden": 16,
        "initial_blocks_max": 4,
        "limits": {"flops": 300_000},
    },
    "refine": {"networks": 1, "epochs": 1},
}
"""Settings of a study that takes seconds."""

TITLES = (
    "What was found",
    "The networks on the test images",
    "Fitness over generations",
    "Clean against adversarial accuracy",
    "Lineage",
    "Architectures",
    "Training in full",
    "Where the networks look",
    "Audit",
    "Cost",
    "Settings and environment",
    "How to reproduce",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a finished run with a table and an audit."""
    return write(whole(tmp_path_factory.mktemp("finished")))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run whose names would break it."""
    return write(hostile(tmp_path_factory.mktemp("hostile")))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are not drawn as files, which takes seconds."""
    monkeypatch.setattr("contragrad.page.write.drawn", lambda chart: "<svg></svg>")


def lead(page: Read) -> str:
    """What was found, in the page's words."""
    return plain(page.text.rsplit("What was found", 1)[1].split("The networks on the test images")[0]).strip()


# What it says.


def test_the_page_has_all_sections_and_links_to_them(finished: Path) -> None:
    page = read(finished)
    ids, links = page.attributes("id"), page.attributes("href")
    assert len(ids) == len(set(ids))
    assert [f"{link.removeprefix('#')}-title" for link in links[1:]] == page.attributes("aria-labelledby")
    assert len(links) == 1 + len(TITLES)
    assert all(link.removeprefix("#") in ids for link in links)
    for title in TITLES:
        assert page.text.count(title) >= 2, title


def test_the_numbers_are_those_of_the_table(finished: Path) -> None:
    stored = json.loads((finished.parent / TABLE).read_text())
    (table,) = (table for table in read(finished).tables if table[0][:2] == ["network", "clean accuracy"])
    assert [cells[0] for cells in table[1:]] == [each["name"] for each in stored]
    for cells, each in zip(table[1:], stored, strict=True):
        for cell, kind in ((cells[1], "clean"), (cells[2], "adversarial")):
            low, high = each[f"{kind}_interval"]
            assert cell == f"{percent(each[f'{kind}_accuracy'])} [{100 * low:.1f}, {100 * high:.1f}]"
        assert cells[3] == f"{each['parameters']:,}"


def trained_in_full(folder: Path, lost: Sequence[str] = ()) -> list[list[str]]:
    """Gives each network of the run the curve of a training of its own length; what the page says of them.

    Args:
        folder: the run's.
        lost: networks whose curve cannot be read.
    """
    there, state = history.stored_workspace(folder), history.load(folder).state
    assert state is not None
    rows = []
    for epochs, task in enumerate(full_trainings.planned_trainings(there, state), start=2):
        best = task.keep == "best"
        fitness = [0.1, 0.25, *([0.2] * (epochs - 2))] if best else [nan] * epochs
        losses = [1 / epoch for epoch in range(1, epochs + 1)]
        penalty = [nan if task.objective == "cross-entropy" else -loss for loss in losses]
        there.artefacts.save("curve", task_name(task, there), Curve(losses, penalty, fitness).tensors())
        kept = 2 if best else epochs
        said = ["25.0 %" if best else "–", f"{losses[kept - 1]:.3f}"]
        aligned = "–" if isnan(penalty[0]) else f"{penalty[kept - 1]:.3f}"
        if task.name in lost:
            there.artefacts.path("curve", task_name(task, there)).write_bytes(b"\0")
        else:
            rows.append([task.name, str(epochs), str(kept), *said, aligned])
    return rows


@pytest.mark.parametrize("lost", [(), ("reference+GM",)], ids=["all", "without one"])
@pytest.mark.parametrize(
    ("keep", "title"), [("best", "Fitness by epoch"), ("last", "Cross-entropy by epoch")]
)
def test_the_curves_of_trainings_are_shown(
    keep: Keep, title: str, lost: Sequence[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    studied(folder, replace(CONFIG, refine=replace(CONFIG.refine, keep=keep)))
    rows = trained_in_full(folder, lost)
    page = read(write(folder))
    assert title in page.text
    (table,) = (table for table in page.tables if table[0][:2] == ["network", "epochs"])
    assert table[1:] == rows
    drawn = (folder / "report.figures" / "training.svg").read_text()
    judged = [row[0] for row in rows if keep == "last" or row[3] != "–"]
    assert judged
    assert all(name in drawn for name in judged)


def test_of_a_training_of_which_a_part_is_unknown_no_epoch_is_named(tmp_path: Path, quick: None) -> None:
    folder = tmp_path / "run"
    studied(folder, replace(CONFIG, refine=replace(CONFIG.refine, keep="best")))
    there, state = history.stored_workspace(folder), history.load(folder).state
    assert state is not None
    task = full_trainings.planned_trainings(there, state)[0]
    known = Curve([0.5, 0.4], [0.3, 0.2], [nan, 0.5])
    there.artefacts.save("curve", task_name(task, there), known.tensors())
    (table,) = (table for table in read(write(folder)).tables if table[0][:2] == ["network", "epochs"])
    assert table[1:] == [[task.name, "2", "–", "–", "–", "–"]]


def test_without_curves_it_is_said_why(tmp_path: Path, quick: None) -> None:
    studied(tmp_path / "begun", steps=5)
    assert "Networks are trained in full once the search has ended." in read(write(tmp_path / "begun")).text
    studied(tmp_path / "ended")
    assert "No curve of a training is there" in read(write(tmp_path / "ended")).text


def test_what_was_found_is_said_with_intervals_audit_and_looks(finished: Path) -> None:
    said = lead(read(finished))
    assert said.startswith(
        "Of 1,000 test images, NE+GM 1, the evolved network that did best on the validation images, "
        "classifies 86.7 % [84.5, 88.7] correctly as they are and 88.6 % [86.5, 90.4] as adversarial "
        "examples crafted on the reference (linf-pgd, ε = 8/255), which itself classifies "
        "90.9 % [89.0, 92.5] and 41.4 % [38.4, 44.5]. "
    )
    assert "better than reference+GM (70.0 % [67.1, 72.8])" in said
    assert "not told apart from hand-engineered+GM (92.1 % [90.3, 93.6])" in said
    assert "the strongest attacker whom NE+GM 1 withstands is “recipe and architecture”" in said
    assert "the weakest who defeats it is “queries”" in said
    assert said.endswith("the test images were looked at once.")
    assert "robust" not in said


@pytest.mark.parametrize(
    ("own", "other", "said"),
    [
        ((0.5, 0.6), (0.3, 0.49), "better than"),
        ((0.5, 0.6), (0.3, 0.5), "not told apart from"),
        ((0.5, 0.6), (0.55, 0.57), "not told apart from"),
        ((0.5, 0.6), (0.6, 0.7), "not told apart from"),
        ((0.5, 0.6), (0.61, 0.7), "worse than"),
    ],
)
def test_two_intervals_tell_who_is_better_only_if_they_lie_apart(
    own: Interval, other: Interval, said: str
) -> None:
    assert compared(own, other) == said


def test_every_trial_and_every_attacker_is_on_the_page(finished: Path) -> None:
    tables = read(finished).tables
    trials = next(table for table in tables if table[0][0] == "trial")
    assert [cells[0] for cells in trials[1:]] == [str(number) for number in range(1, TOTAL + 1)]
    attackers = next(table for table in tables if table[0][0] == "attacker")
    assert {cells[1] for cells in attackers[1:]} == {"withstood", "defeated"}
    assert len(attackers) == 11
    checks = next(table for table in tables if table[0][0] == "check")
    assert len(checks) == 30


def test_settings_that_differ_stand_beside_their_defaults(finished: Path) -> None:
    tables = [table for table in read(finished).tables if table[0][0] == "setting"]
    changed = {cells[0]: cells[1:] for cells in tables[0][1:]}
    assert changed["search.population"] == ["3", "4"]
    assert "search.children" not in changed
    assert len(tables[1]) > len(tables[0])


def test_every_figure_is_a_file_too(finished: Path) -> None:
    page = read(finished)
    folder = finished.with_suffix(".figures")
    files = {path.name for path in folder.iterdir()}
    plots = {"table.svg", "fitness.svg", "accuracies.svg", "lineage.svg", "audit-1.svg"}
    assert files == plots | {"architecture-0.svg", "architecture-1.svg", "architecture-2.svg"}
    assert files <= set(page.attributes("id"))
    for name in plots:
        assert "<svg" in (folder / name).read_text()
    assert "the folder beside it that has its name and ends in .figures." in page.text


def texts(value: object) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


# Of any run, at any moment.


@pytest.mark.usefixtures("quick")
def test_a_study_that_has_not_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config_file.write(StudyConfig(), tmp_path / CONFIGURATION)
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"
    page = read(tmp_path / "report.html")
    assert lead(page).startswith(
        "The search has not begun: none of its 404 evaluations is there. Nothing has been"
    )
    assert NOT_RECORDED not in page.text
    # As of a model that was audited in a folder of its own.
    audited(tmp_path)
    assert "In the audit at ε = 8/255 the strongest attacker" in lead(read(write(tmp_path)))


@pytest.mark.parametrize("steps", [1, 3, 10, TOTAL])
@pytest.mark.usefixtures("quick")
def test_a_study_that_is_under_way(steps: int, tmp_path: Path) -> None:
    studied(tmp_path, steps=steps)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    page = read(write(tmp_path))
    said = lead(page)
    assert f"{steps} of {TOTAL} evaluations" in said
    assert "No evolved network has been trained in full and measured on the test images" in said
    assert said.startswith("The search has ended" if steps == TOTAL else "The search is in generation")
    assert "There is no table" in page.text
    assert "No network of this study was audited" in page.text
    assert f"asks {len(ATTACKERS)} attackers, from weak to strong, as far as five minutes go" in page.text
    assert NOT_RECORDED in page.text
    assert "in full for" not in page.text
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.usefixtures("quick")
def test_notes_say_what_makes_figures_too_good(tmp_path: Path) -> None:
    studied(tmp_path, replace(CONFIG, fitness_split="test"))
    measured(tmp_path, looks=2)
    text = plain(read(write(tmp_path)).text)
    assert "The test images were measured 2 times, for different networks" in text
    assert "the test images were looked at 2 times" in text
    assert "The search chose its networks by their accuracy on the test images" in text
    assert "It was not audited" in text


@pytest.mark.usefixtures("quick")
def test_a_table_of_an_earlier_end_is_named_so(tmp_path: Path) -> None:
    studied(tmp_path, steps=TOTAL - 1)
    measured(tmp_path)
    text = plain(read(write(tmp_path)).text)
    assert "the table is of an earlier end of the search" in text
    assert "training the networks of the table, which is of an earlier end, in full." in text


@pytest.mark.usefixtures("quick")
def test_a_table_of_other_networks_than_those_found_is_named_so(tmp_path: Path) -> None:
    studied(tmp_path)
    measured(tmp_path)
    rows = evaluate.read(tmp_path / TABLE)
    assert "earlier end of the search" not in plain(read(write(tmp_path)).text)
    evaluate.write((*rows[:-1], replace(rows[-1], architecture="conv(9,3) fc(4)")), tmp_path / TABLE)
    assert "the table is of an earlier end of the search" in plain(read(write(tmp_path)).text)


@pytest.mark.usefixtures("quick")
def test_a_network_without_rivals_or_reference(tmp_path: Path) -> None:
    studied(tmp_path)
    measured(tmp_path, [row("NE+GM 1", 867, 886)])
    page = read(write(tmp_path))
    said = lead(page)
    assert "training the table’s other networks in full for" in page.text
    assert "no other network that was trained in the same way" in said
    assert "which itself" not in said


@pytest.mark.usefixtures("quick")
def test_a_card_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    studied(tmp_path)
    audited(tmp_path).write_text('{"title": "half a ca')
    text = read(write(tmp_path)).text
    assert "card.json cannot be read (JSONDecodeError" in text
    assert "No network of this study was audited" not in text


@pytest.mark.usefixtures("quick")
def test_an_audit_of_an_earlier_network_says_nothing_of_the_present_one(tmp_path: Path) -> None:
    studied(tmp_path)
    measured(tmp_path)
    audited(tmp_path, fingerprint="another")
    page = read(write(tmp_path))
    assert "It was not audited (the audits that are there are of earlier networks), so" in lead(page)
    assert "whom NE+GM 1 withstands" not in page.text
    assert "What follows is of an earlier network: the table’s NE+GM 1 has other weights." in page.text
    assert "an earlier NE+GM 1 at ε = 8/255" in page.text
    audited(tmp_path, "anew")
    page = read(write(tmp_path))
    assert "the strongest attacker whom NE+GM 1 withstands is “recipe and architecture”" in lead(page)
    assert page.text.count("What follows is of an earlier network") == 1


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (("reference", "key"), "crafted on the reference (linf-pgd"),
        (("resnet18", "key"), "crafted on resnet18 (linf-pgd"),
        (
            ("reference", "another-seed", "surrogate", "key"),
            "crafted on each of reference, another-seed and surrogate (linf-pgd",
        ),
    ],
)
@pytest.mark.usefixtures("quick")
def test_the_networks_that_examples_are_crafted_on_are_named(
    sources: tuple[Source, ...], said: str, tmp_path: Path
) -> None:
    studied(tmp_path, replace(CONFIG, training=replace(CONFIG.training, sources=sources)), steps=10)
    assert said in lead(read(write(tmp_path)))


@pytest.mark.usefixtures("quick")
def test_pictures_of_many_audits_have_names_of_their_own(tmp_path: Path) -> None:
    studied(tmp_path, steps=10)
    pictured(audited(tmp_path), 10)
    pictured(audited(tmp_path, "reference"), 10)
    page = read(write(tmp_path))
    ids = page.attributes("id")
    assert {"audit-1-matrix.png", "audit-2-matrix.png", "audit-2-curves.png"} < set(ids)
    assert len(ids) == len(set(ids))
    assert f"the audits’ pictures lie in {tmp_path / 'audit'}." in page.text


@pytest.mark.usefixtures("quick")
def test_a_reference_that_is_no_genome_is_not_drawn(tmp_path: Path) -> None:
    reference = replace(CONFIG.reference, architecture="resnet18")
    studied(tmp_path, replace(CONFIG, reference=reference))
    page = read(write(tmp_path))
    assert "The reference, resnet18, is no row of blocks as genomes are, and is not drawn." in page.text
    assert "architecture-1.svg" in page.attributes("id")
    assert "architecture-0.svg" not in page.attributes("id")


def test_without_weights_the_section_says_what_to_do(finished: Path) -> None:
    text = read(finished).text
    assert "There is no picture here, for an artefact of the study is missing or damaged" in text
    assert "contragrad resume makes it again" in text


@pytest.fixture
def compared_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The networks whose maps were drawn last; no map is computed."""
    names: list[str] = []

    def figure(images: Tensor, maps: Sequence[Tensor], shown: Sequence[str], path: Path) -> None:
        names[:] = shown
        path.write_bytes(b"drawn")

    monkeypatch.setattr(explain, "figure", figure)
    monkeypatch.setattr(explain, "integrated_gradients", lambda network, images, labels: images)
    return names


@pytest.mark.usefixtures("quick")
def test_only_networks_whose_very_weights_were_measured_look_at_test_images(
    tmp_path: Path, compared_names: list[str]
) -> None:
    studied(tmp_path)
    measured(tmp_path)
    deployed(tmp_path)
    assert "integrated-gradients.png" in read(write(tmp_path)).attributes("id")
    assert compared_names == ["reference", "reference+GM", "NE+GM 1", "NE+GM 2"]
    # As after a study was lengthened, its networks trained and the table not yet made again.
    rows = evaluate.read(tmp_path / TABLE)
    former = [replace(row, weights="artefacts/network-former.safetensors") for row in rows]
    evaluate.write((*rows[:3], *former[3:4], *rows[4:]), tmp_path / TABLE)
    write(tmp_path)
    assert compared_names == ["reference", "reference+GM", "NE+GM 2"]
    compared_names.clear()
    evaluate.write((rows[0], *former[1:]), tmp_path / TABLE)
    page = read(write(tmp_path))
    assert "the networks that the search now ends with were not measured on the test images" in page.text
    assert f"Try: contragrad resume {tmp_path}." in page.text
    assert not compared_names


@pytest.mark.usefixtures("quick")
def test_the_device_that_networks_were_trained_on_need_not_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compared_names: list[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    studied(tmp_path, replace(CONFIG, device="cuda"))
    measured(tmp_path)
    deployed(tmp_path)
    assert "There is no picture here" not in read(write(tmp_path)).text
    assert len(compared_names) == 4


# Nothing runs that is not its own, and nothing is loaded.


@pytest.mark.parametrize("name", ["finished", "broken"])
def test_the_page_is_small_and_asks_for_nothing(name: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(name)
    assert path.stat().st_size < LARGEST
    page = read(path)
    assert all(source.startswith("data:image/") for source in page.attributes("src"))
    assert all(link.startswith("#") for link in page.attributes("href"))
    assert {tag for tag, _ in page.elements}.isdisjoint({"link", "iframe", "object", "embed", "base", "form"})
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
    kinds = [attributes.get("type") for tag, attributes in page.elements if tag == "script"]
    assert kinds.count(None) == 1
    assert set(kinds) == {None, "application/json"}


@pytest.mark.slow
def test_the_page_of_a_long_study_with_many_audits_is_small(tmp_path: Path) -> None:
    config = StudyConfig(device="cpu")
    assert len(studied(tmp_path, config)) == 404
    measured(tmp_path)
    for number in range(7):
        # Three of a recorded audit's four pictures have 205,063 bytes.
        pictured(audited(tmp_path, f"network {number}"), 60_000)
    path = write(tmp_path)
    page = read(path)
    shown = [name for name in page.attributes("id") if name.endswith("-matrix.png")]
    assert shown == [f"audit-{number}-matrix.png" for number in range(1, 7)]
    assert path.stat().st_size < LARGEST - INTEGRATED_GRADIENTS


def test_hostile_names_are_only_text(broken: Path) -> None:
    page = read(broken)
    assert page.text.count(HOSTILE) > 10
    assert f"infeasible: {HOSTILE}" in page.text
    assert [HOSTILE] * 3 in [row[:3] for table in page.tables for row in table]  # where it was made
    assert all(json.loads(script) for script in page.scripts[:-1])
    assert any(HOSTILE in text for script in page.scripts[:-1] for text in texts(json.loads(script)))
    assert "vegaEmbed" not in page.text
    assert r"\x1b[31m\x00" in page.text
    figures = list(broken.with_suffix(".figures").glob("*.svg"))
    assert figures
    for path in (broken, *figures):
        assert not set("\x1b\0") & set(path.read_text())


# Files and wrong input.


@pytest.mark.usefixtures("quick")
def test_another_place_for_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    studied(run, steps=2)
    out = tmp_path / "shown" / "page.html"
    assert main(["report", str(run), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.is_file()
    assert (tmp_path / "shown" / "page.figures" / "architecture-0.svg").is_file()
    assert not (run / "report.figures").exists()


@pytest.mark.usefixtures("quick")
def test_nobody_elses_files_are_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    studied(run, steps=2)
    table = tmp_path / "paper" / "table.svg"
    table.parent.mkdir()
    table.write_text("mine")
    before = set(run.iterdir())
    out = ["--out", str(tmp_path / "paper.html")]
    assert main(["report", str(run), *out]) == 0
    assert main(["report", str(run), "--out", str(tmp_path / "run.html")]) == 0
    assert table.read_text() == "mine"
    assert set(run.iterdir()) == before
    # Its own files are replaced, and what a kill has left is nobody's.
    (tmp_path / "paper.figures" / ".fitness.svg.123.tmp").touch()
    assert main(["report", str(run), *out]) == 0
    (tmp_path / "paper.figures" / "figure.tex").touch()
    (tmp_path / "paper.html").unlink()
    assert main(["report", str(run), *out]) == 2
    said = plain(capsys.readouterr().err)
    assert "the folder for figures holds figure.tex, which is none" in said
    assert not (tmp_path / "paper.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "there is no study in this folder"),
        (["run", "--out", "page"], "try: page.html"),
        (["run", "--out", "run/study.db/page.html"], "the folder cannot be made"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_wrong_input_is_refused(
    words: Sequence[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    studied(tmp_path / "run", steps=1)
    monkeypatch.chdir(tmp_path)
    assert main(["report", *words]) == 2
    assert said in capsys.readouterr().err


def test_missing_packages_are_told_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("contragrad.extras.find_spec", lambda name: None)
    assert main(["report", "nowhere"]) == 2
    said = capsys.readouterr().err
    assert "the report needs altair and captum and jinja2 and matplotlib and vl_convert" in said
    assert "pip install 'contragrad[report]'" in said


def test_a_damaged_table_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    studied(tmp_path, steps=1)
    evaluate.write(ROWS, tmp_path / TABLE)
    (tmp_path / TABLE).write_text("[{}]")
    assert main(["report", str(tmp_path)]) == 2
    assert "the table cannot be read" in capsys.readouterr().err


def test_pictures_keep_their_bytes(tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    path.write_bytes(b"\x89PNG")
    assert drawings.embedded(path) == "data:image/png;base64,iVBORw=="


@pytest.mark.slow
def test_a_real_run_shows_where_its_networks_look(tmp_path: Path) -> None:
    study_file = tmp_path / "study.yaml"
    study_file.write_text(yaml.safe_dump(REAL))
    run = tmp_path / "run"
    assert main(["evolve", "--config", str(study_file), "--out", str(run)]) == 0
    assert main(["report", str(run)]) == 0
    page = read(run / "report.html")
    assert "integrated-gradients.png" in page.attributes("id")
    assert (run / "report.figures" / "integrated-gradients.png").stat().st_size > 10_000
    assert "There is no picture here" not in page.text
    assert "the test images were looked at once" in page.text
    # The picture is of networks that the table has measured: it is no second look.
    assert history.load(run).looks == 1
    stored = json.loads((run / TABLE).read_text())
    assert [each["name"] for each in stored] == [cells[0] for cells in page.tables[0][1:]]
