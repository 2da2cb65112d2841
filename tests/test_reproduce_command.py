"""What `contragrad reproduce` refuses before it begins, where it writes, and what it leaves as it was."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

from contragrad import extras
from contragrad.engine.memo import SqliteMemo
from contragrad.errors import UserError
from contragrad.evaluate import Share
from contragrad.evolution.genome import parse
from contragrad.evolution.search import Member
from contragrad.evolution.trial import Measured as Outcome
from contragrad.evolution.trial import Trial
from contragrad.jobs.recipes import Found
from contragrad.reproduce import experiment, figure3, products, table
from contragrad.reproduce.command import reproduce
from contragrad.reproduce.definition import Definition
from contragrad.reproduce.figure3 import FIGURE3, Maps
from contragrad.reproduce.figures import Measured
from contragrad.reproduce.grounds import grounds
from contragrad.reproduce.setups import FILES, Setup
from contragrad.run_folder.notes import LOOKS, note_origin
from contragrad.settings import config_file
from contragrad.settings.choices import Scale
from contragrad.studies.shipped import choices
from contragrad.watch.events import Event, Said, nobody
from elsewhere import read_only
from reproductions import DEFINITION, hold_all


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    return hold_all(tmp_path_factory.mktemp("data"))


@pytest.fixture
def setup(held: Setup, tmp_path: Path) -> Setup:
    return replace(held, out=tmp_path / "out")


class Studies:
    """Studies that nobody runs; their figures are made up, by their seed."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def measured(self, definition: Definition, setup: Setup, watch: object) -> Measured:
        self.asked.append((definition.name, setup.seed))
        share = Share(setup.seed + 1, 10)
        return Measured(
            figures={name: dict.fromkeys(definition.shown, share) for name in definition.networks},
            crafted={},
            calibration={},
            looks=1,
        )

    def maps_of(self, figure: Definition, setup: Setup, watch: object) -> Maps:
        self.asked.append((figure.name, setup.seed))
        maps = torch.linspace(-1, 1, 16).view(1, 4, 4)
        names = tuple(FIGURE3.networks)
        diverged = {"NE+GM 1"} if setup.seed == 9 else set()
        return Maps(
            images=torch.zeros(1, 3, 4, 4),
            maps={name: maps for name in names if name not in diverged},
            distances={
                name: (setup.seed + place) / 8
                for place, name in enumerate(names)
                if place and name not in diverged
            },
            deviations={name: 0.25 for name in names[1:] if name not in diverged},
            looks=1 + setup.seed // 2,
        )

    def searched(self, setup: Setup, *where: object) -> Found:
        self.asked.append(("figure4", setup.seed))
        genome = parse("conv(4,3) fc(4)")
        return Found(
            [Member(Trial(genome, 1), Outcome(0.5, 0.5)), Member(Trial(genome, 1), Outcome(0.6, 0.6))]
        )


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> Studies:
    there = Studies()
    monkeypatch.setattr(products, "measured", there.measured)
    monkeypatch.setattr(figure3, "maps_of", there.maps_of)
    monkeypatch.setattr(experiment, "searched", there.searched)
    return there


def said(what: str, setup: Setup, *seeds: int) -> str:
    """What a person reads of it."""
    output = io.StringIO()
    reproduce(what, setup, seeds or (0,), Console(file=output, width=200), nobody)
    return output.getvalue()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is refused before anything is made.


WHAT = ("table5", "figure3", "figure4")


def nothing_made(setup: Setup, studies: Studies) -> bool:
    return not studies.asked and not setup.out.exists()


def test_what_the_paper_has_not_is_refused(setup: Setup, studies: Studies) -> None:
    with pytest.raises(UserError, match="there is no cifar") as caught:
        said("cifar", setup)
    assert all(name in caught.value.remedy for name in choices())
    for near in ("tabel4", "Table4", "table4.yml"):
        with pytest.raises(UserError, match=f"there is no {near}") as caught:
            said(near, setup)
        assert caught.value.remedy == "table4"
    assert nothing_made(setup, studies)


OWN = """
title: what I want to know
experiment: reduced-data
columns: {clean: {}, reference: {source: reference}}
networks: {reference: , reference+GM: }
"""


@pytest.mark.parametrize("what", WHAT)
def test_a_folder_of_other_settings_is_refused_at_any_seed_and_named(
    what: str, setup: Setup, studies: Studies
) -> None:
    other = replace(setup, seed=1)
    folder = other.folder("reduced-data", None)
    folder.mkdir(parents=True)
    config = other.config("reduced-data", None)
    config_file.write(replace(config, search=replace(config.search, generations=3)), folder / "study.yaml")
    with pytest.raises(UserError, match="this one has 3 already") as caught:
        said(what, setup, 0, 1)
    assert caught.value.where == f"search.generations, in {folder}"
    assert "another --out" in caught.value.remedy
    config_file.write(replace(config, seed=7), folder / "study.yaml")
    with pytest.raises(UserError, match="this one has 7, not 1") as caught:
        said(what, setup, 0, 1)
    assert caught.value.where == f"seed, in {folder}"
    assert not studies.asked


def test_a_study_of_other_data_or_a_database_that_is_none_is_refused_at_any_seed(
    setup: Setup, studies: Studies, tmp_path: Path
) -> None:
    (ground,) = grounds(DEFINITION, [replace(setup, seed=1)])
    folder = ground.workspace.folder
    folder.mkdir(parents=True)
    config_file.write(ground.workspace.config, folder / "study.yaml")
    with SqliteMemo(folder / "study.db") as memo:
        note_origin(memo, replace(ground.workspace, data="other images"))
    with pytest.raises(UserError, match="the data are not those that this study began with") as caught:
        said("table5", setup, 0, 1)
    assert str(folder) in caught.value.where
    (folder / "study.db").write_text("garbage")
    with pytest.raises(UserError, match="no database of contragrad, or damaged"):
        said("table5", setup, 0, 1)
    (folder / "study.db").unlink()
    (folder / "study.db").symlink_to(tmp_path / "not mounted.db")
    with pytest.raises(UserError, match="a link that leads nowhere"):
        said("table5", setup, 0, 1)
    assert not studies.asked
    assert not (tmp_path / "not mounted.db").exists()
    (folder / "study.db").unlink()
    with SqliteMemo(folder / "study.db") as memo:
        note_origin(memo, ground.workspace)
    assert "written: " in said("table5", setup, 0, 1)


@pytest.mark.parametrize(("what", "file"), [("table5", "table.json"), ("figure3", "figure3.json")])
def test_a_folder_in_the_tables_own_place_is_refused(
    what: str, file: str, setup: Setup, studies: Studies
) -> None:
    path = setup.base / what / "seeds-0" / file
    path.mkdir(parents=True)
    with pytest.raises(UserError, match="a folder is in the file's place") as caught:
        said(what, setup)
    assert caught.value.where == str(path)
    assert not studies.asked


def test_a_table_that_takes_the_place_of_another_says_so(setup: Setup, studies: Studies) -> None:
    said("table5", setup)
    other = replace(setup, overrides=("--refine.epochs=3",))
    assert "written, in the place of one of other settings or data: " in said("table5", other)
    assert "kept as it was: " in said("table5", other)


@pytest.mark.parametrize("what", WHAT)
def test_what_is_there_is_kept_though_its_study_was_made_longer(
    what: str, setup: Setup, studies: Studies
) -> None:
    text = said(what, setup)
    folder, config = setup.folder("reduced-data", None), setup.config("reduced-data", None)
    folder.mkdir(parents=True)
    config_file.write(replace(config, search=replace(config.search, generations=3)), folder / "study.yaml")
    assert said(what, setup) == text.replace("written: ", "kept as it was: ")
    assert len(studies.asked) == 1


def test_images_of_another_shape_are_no_images_of_a_set(
    setup: Setup, studies: Studies, tmp_path: Path
) -> None:
    hold_all(tmp_path)
    (tmp_path / FILES["mnist"]).rename(tmp_path / FILES["cifar10"])
    with pytest.raises(UserError, match="these are no images of cifar10: 1x28x28, not 3x32x32") as caught:
        said("table5", replace(setup, data=tmp_path))
    assert str(tmp_path / FILES["cifar10"]) in caught.value.where
    assert nothing_made(setup, studies)


def test_a_definition_of_ones_own_is_a_table_called_as_its_file(
    setup: Setup, studies: Studies, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(OWN)
    text = said(str(tmp_path / "mine.yaml"), setup)
    assert "what I want to know" in text
    assert studies.asked == [("mine", 0)]
    assert {path.name for path in (setup.base / "mine/seeds-0").iterdir()} == {"table.json", "table.txt"}


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("table4.yaml", OWN, "there is a table4 already"),
        ("figure3.yaml", OWN, "there is a figure3 already"),
        ("reduced-data.yaml", OWN, "there is a reduced-data already"),
        ("mine.yaml", "title: [", "the definition is no YAML"),
        ("mine.yaml", OWN + "columns: {}", "the definition is no YAML: .*twice"),
        ("mine.yaml", "", "the definition is wrong"),
        ("mine.yaml", OWN.replace("clean: {}", "clean: {source: nobody}"), "the definition is wrong"),
        ("mine.yaml", OWN.replace("reference: ,", "reference: 3,"), "the definition is wrong"),
        ("mine.yaml", OWN.replace("reference: ,", "reference: [0.5],"), "the definition is wrong"),
        ("mine.yaml", OWN.replace("clean: {}", "clean: {attack: 3}"), "the definition is wrong"),
        ("mine.yaml", OWN.replace("clean: {}", "clean: {attack: [a]}"), "the definition is wrong"),
        ("mine.yaml", OWN.replace("clean: {}", "4: {}"), "the definition is wrong"),
        ("mine.yaml", OWN.replace("clean: {}", "clean: 4"), "the definition is wrong"),
        ("mine.yaml", OWN + "epsilons: {fashion-mnist: 16/255}", "the definition is wrong"),
        ("missing.yaml", None, "the definition cannot be read"),
    ],
)
def test_a_definition_of_ones_own_that_is_wrong_is_refused(
    name: str, text: str | None, what: str, setup: Setup, studies: Studies, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=what):
        said(str(tmp_path / name), setup)
    assert nothing_made(setup, studies)


@pytest.mark.parametrize(
    ("column", "where"),
    [
        ("{source: reference, attack: {name: sgm}}", "mine: reference: attack.name: sgm"),
        ("{source: itself, attack: {name: sgm}}", "mine: reference: attack.name: sgm"),
        ("{source: vgg16_bn, data: mnist, attack: {name: sgm}}", "mine: reference: attack.name: sgm"),
    ],
)
def test_an_attack_that_cannot_read_a_network_is_refused_before_anything_is_trained(
    column: str, where: str, setup: Setup, studies: Studies, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(OWN.replace("{source: reference}", column))
    with pytest.raises(UserError, match="sgm reads the skips") as caught:
        said(str(tmp_path / "mine.yaml"), setup)
    assert caught.value.where == where
    assert nothing_made(setup, studies)


def test_an_attack_that_can_read_its_network_is_taken(setup: Setup, studies: Studies, tmp_path: Path) -> None:
    of_skips = OWN.replace("{source: reference}", "{source: resnet18, attack: {name: sgm}}")
    (tmp_path / "mine.yaml").write_text(of_skips)
    assert "what I want to know" in said(str(tmp_path / "mine.yaml"), setup)


def test_a_wrong_definition_is_named_with_its_file(setup: Setup, studies: Studies, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(OWN.replace("{source: reference}", "{source: nobody}"))
    with pytest.raises(UserError) as caught:
        said(str(tmp_path / "mine.yaml"), setup)
    assert caught.value.where == f"{tmp_path / 'mine.yaml'}: reference: source"
    assert caught.value.what == "the definition is wrong: nobody"


@pytest.mark.parametrize(
    ("what", "module"),
    [
        ("table6", "kornia"),
        ("figure3", "captum"),
        ("figure3", "matplotlib"),
        ("figure4", "matplotlib"),
        ("all", "kornia"),
        ("all", "captum"),
    ],
)
def test_a_missing_package_is_named_before_the_first_table(
    what: str, module: str, setup: Setup, studies: Studies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == module else name)
    with pytest.raises(UserError, match=f"needs {module}") as caught:
        said(what, setup)
    assert "paper" in caught.value.remedy
    assert nothing_made(setup, studies)


def test_tables_without_the_filter_need_no_package(
    setup: Setup, studies: Studies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert "fooling rate by attack" in said("table5", setup)


def test_data_that_a_later_table_lacks_are_named_before_the_first(
    setup: Setup, studies: Studies, tmp_path: Path
) -> None:
    some = hold_all(tmp_path / "some")
    (some.data / "kmnist_reduced.npz").unlink()
    with pytest.raises(UserError, match="the reduced kmnist"):
        said("all", replace(some, out=setup.out))
    assert nothing_made(setup, studies)


@pytest.mark.parametrize("what", WHAT)
def test_a_file_in_the_folders_place_is_refused(
    what: str, setup: Setup, studies: Studies, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for out in (file, file / "below", link, link / "below"):
        with pytest.raises(UserError, match="the folder cannot be made") as caught:
            said(what, replace(setup, out=out))
        assert str(out) in caught.value.where
    assert not studies.asked
    assert file.read_text() == "mine"


@pytest.mark.parametrize("what", WHAT)
def test_a_folder_that_cannot_be_written_is_refused(
    what: str, setup: Setup, studies: Studies, tmp_path: Path
) -> None:
    (tmp_path / "locked").mkdir()
    with read_only(tmp_path / "locked") as locked:
        with pytest.raises(UserError, match="the folder cannot be made"):
            said(what, replace(setup, out=locked / "out"))
        assert not studies.asked


@pytest.mark.parametrize("what", WHAT)
def test_no_empty_folder_is_left_of_what_was_refused_later(
    what: str, setup: Setup, studies: Studies, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*what: object, **more: object) -> Any:
        raise UserError("no")

    monkeypatch.setattr(products, "measured", refuse)
    monkeypatch.setattr(figure3, "maps_of", refuse)
    monkeypatch.setattr(experiment, "searched", refuse)
    with pytest.raises(UserError, match="no"):
        said(what, setup)
    assert not setup.out.exists()


# Where a table lies, and when it is made.


def test_a_table_lies_below_its_scale_and_seeds_and_is_kept(setup: Setup, studies: Studies) -> None:
    first = said("table5", setup, 0, 2)
    folder = setup.out / "smoke" / "table5" / "seeds-0-2"
    assert first.splitlines()[-1] == f"written: {folder / 'table.json'}"
    assert studies.asked == [("table5", 0), ("table5", 2)]
    before = files(setup.out)
    assert set(before) == {f"smoke/table5/seeds-0-2/{name}" for name in ("table.json", "table.txt")}
    again = said("table5", setup, 0, 2)
    assert again.splitlines()[-1] == f"kept as it was: {folder / 'table.json'}"
    assert again.splitlines()[:-1] == first.splitlines()[:-1]
    assert len(studies.asked) == 2
    assert files(setup.out) == before


def test_fewer_seeds_leave_the_table_of_more_alone(setup: Setup, studies: Studies) -> None:
    said("table5", setup, 0, 1, 2)
    before = files(setup.out)
    said("table5", setup, 0)
    assert files(setup.out).items() > before.items()
    for words in ((0, 1, 2), (0,)):
        assert "kept as it was" in said("table5", setup, *words)


def test_a_table_of_other_settings_or_data_is_made_again(
    setup: Setup, studies: Studies, tmp_path: Path
) -> None:
    said("table5", setup)
    assert "written" in said("table5", replace(setup, overrides=("--refine.epochs=3",)))
    assert "written" in said("table5", setup)
    other = hold_all(tmp_path / "other")
    assert "kept" in said("table5", replace(other, out=setup.out))


@pytest.mark.parametrize("damaged", ["", "{", "[]"])
def test_a_table_that_cannot_be_read_is_made_again(damaged: str, setup: Setup, studies: Studies) -> None:
    said("table5", setup)
    path = setup.out / "smoke" / "table5" / "seeds-0" / "table.json"
    before = path.read_bytes()
    path.write_text(damaged)
    assert "written" in said("table5", setup)
    assert path.read_bytes() == before


def test_a_kill_before_the_last_file_leaves_no_table_that_passes_for_whole(
    setup: Setup, studies: Studies, monkeypatch: pytest.MonkeyPatch
) -> None:
    said("table5", setup)
    folder = setup.out / "smoke" / "table5" / "seeds-0"

    def killed(*what: object) -> None:
        raise KeyboardInterrupt

    changed = replace(setup, overrides=("--refine.epochs=3",))
    with monkeypatch.context() as patch:
        patch.setattr(table, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            said("table5", changed)
    assert "refine.epochs 3" in (folder / "table.txt").read_text()
    assert "written" in said("table5", changed)
    assert json.loads((folder / "table.json").read_text())["differs"]["refine.epochs"]["here"] == 3
    assert "refine.epochs 3" in (folder / "table.txt").read_text()


# Figures.


def test_figure_3_is_of_all_seeds_and_kept_like_a_table(setup: Setup, studies: Studies) -> None:
    text = said("figure3", setup, 0, 1)
    folder = setup.out / "smoke" / "figure3" / "seeds-0-1"
    shown = json.loads((folder / "figure3.json").read_text())
    assert (shown["scale"], shown["seeds"], shown["looks"]) == ("smoke", [0, 1], 1)
    assert {round(each.pop("deviation"), 4) for each in shown["networks"].values()} == {0.0884}
    deviations = {name: each.pop("deviation_over_images") for name, each in shown["networks"].items()}
    assert deviations == {name: [0.25, 0.25] for name in shown["networks"]}
    assert shown["networks"] == {
        "reference+GM": {
            "published": 0.687,
            "measured": [0.125, 0.25],
            "mean": 0.1875,
            "range": [0.125, 0.25],
        },
        "NE+GM 1": {"published": 1.297, "measured": [0.25, 0.375], "mean": 0.3125, "range": [0.25, 0.375]},
        "reference, another seed": {
            "published": None,
            "measured": [0.375, 0.5],
            "mean": 0.4375,
            "range": [0.375, 0.5],
        },
        "NE 1 without GM": {
            "published": None,
            "measured": [0.5, 0.625],
            "mean": 0.5625,
            "range": [0.5, 0.625],
        },
    }
    assert "the formula is ours" in shown["formula"].lower()
    assert shown["pictured"].startswith("seed 0: the first test images")
    assert "from a black image on" in shown["maps"]
    assert f"maps: {shown['maps']}" in " ".join(text.split())
    assert shown["differs"]["search.generations"] == {"here": 1, "paper": 50}
    spread = "(0.125–0.250 over seeds 0, 1); from image to image ± 0.250"
    assert f"reference+GM: published 0.687, measured 0.188 ± 0.088 {spread}" in text
    assert (
        "reference, another seed: published –, measured 0.438 ± 0.088 (0.375–0.500 over seeds 0, 1)" in text
    )
    assert "The formula is ours" in text
    # What stands side by side is not of the same networks, and both say so.
    assert "ResNet-34 as the reference, on all of CIFAR-10" in shown["published_of"]
    assert f"published distances: {shown['published_of']}" in " ".join(text.split())
    assert "search.generations 1 (50)" in text
    with Image.open(folder / "figure3.png") as picture:
        assert min(picture.size) > 50
    before = files(setup.out)
    again = said("figure3", setup, 0, 1)
    assert len(studies.asked) == 2
    assert again.splitlines()[:-1] == text.splitlines()[:-1]
    assert "kept as it was" in again
    assert files(setup.out) == before
    # A file of before it was said has it in its text.
    older = {key: value for key, value in shown.items() if key != "published_of"}
    table.write(older, folder / "figure3.json")
    assert said("figure3", setup, 0, 1) == re.sub(" ± 0.088|; from image to image ± 0.250", "", again)


def test_figure_3_of_one_seed_has_no_range_and_of_a_diverged_network_no_distance(
    setup: Setup, studies: Studies
) -> None:
    text = said("figure3", setup, 9)
    assert re.search(
        r"^reference\+GM: published 0\.687, measured 1\.250; from image to image ± 0\.250$", text, re.M
    )
    assert re.search(r"^NE\+GM 1: published 1\.297, measured –$", text, re.M)
    assert LOOKS.format(5) in " ".join(text.split())
    both = said("figure3", setup, 0, 9)
    assert re.search(
        r"^NE\+GM 1: published 1\.297, measured 0\.250; from image to image ± 0\.250$", both, re.M
    )


def test_figure_4_draws_the_networks_of_every_seed_and_looks_at_no_test_images(
    setup: Setup, studies: Studies
) -> None:
    text = said("figure4", setup, 0, 1)
    evolved = [f"seed-{seed}-evolved-{rank}" for seed in (0, 1) for rank in (1, 2)]
    expected = {f"figure4-{name}.svg" for name in ("hand-engineered-a", "hand-engineered-b", *evolved)}
    folder = setup.out / "smoke" / "figure4" / "seeds-0-1"
    assert {path.name for path in folder.iterdir()} == {*expected, "figure4.json", "figure4.txt"}
    assert text.splitlines()[-1] == f"written: {folder / 'figure4.json'}"
    shown = json.loads((folder / "figure4.json").read_text())
    assert (shown["figure"], shown["scale"], shown["seeds"]) == ("figure4", "smoke", [0, 1])
    assert [f"figure4-{name}.svg" for name in shown["architectures"]] == [
        line.partition(": ")[0] for line in text.splitlines() if line.startswith("figure4-")
    ]
    assert {f"figure4-{name}.svg" for name in shown["architectures"]} == expected
    assert {shown["architectures"][name] for name in evolved} == {"conv(4,3) fc(4)"}


def test_a_drawings_title_has_the_papers_letter_or_the_tables_row(setup: Setup, studies: Studies) -> None:
    said("figure4", setup, 3)
    folder = setup.out / "smoke" / "figure4" / "seeds-3"
    for name, title in (("hand-engineered-b", "(b) hand-engineered"), ("seed-3-evolved-2", "NE 2, seed 3")):
        assert f">{title}<" in (folder / f"figure4-{name}.svg").read_text()


def test_figure_4_is_kept_like_a_table(setup: Setup, studies: Studies) -> None:
    text = said("figure4", setup)
    before = files(setup.out)
    again = said("figure4", setup)
    assert studies.asked == [("figure4", 0)]
    assert again.splitlines()[:-1] == text.splitlines()[:-1]
    assert again.splitlines()[-1].startswith("kept as it was: ")
    assert files(setup.out) == before
    assert "written" in said("figure4", replace(setup, overrides=("--search.generations=2",)))


@pytest.mark.parametrize("what", ["figure3", "figure4"])
def test_a_figure_whose_picture_was_lost_is_made_again(what: str, setup: Setup, studies: Studies) -> None:
    text = said(what, setup)
    before = files(setup.out)
    for name in (name for name in before if name.endswith((".png", ".svg"))):
        assert f"picture: {setup.out / name}\n" in text
        (setup.out / name).unlink()
        assert "written: " in said(what, setup)
        assert files(setup.out).keys() == before.keys()


def test_a_tables_text_that_was_lost_or_is_of_an_older_version_is_written_again(
    setup: Setup, studies: Studies
) -> None:
    said("table5", setup)
    before = files(setup.out)
    path = setup.base / "table5" / "seeds-0" / "table.txt"
    for spoil in (path.unlink, lambda: path.write_text("older")):
        spoil()
        assert "kept as it was" in said("table5", setup)
        assert files(setup.out) == before
    assert studies.asked == [("table5", 0)]


def test_a_table_can_be_looked_at_where_nothing_can_be_written(
    setup: Setup, studies: Studies, monkeypatch: pytest.MonkeyPatch
) -> None:
    said("table5", setup)
    folder = setup.base / "table5" / "seeds-0"
    (folder / "table.txt").write_text("older")

    def refused(path: Path, text: str) -> None:
        raise UserError("it cannot be written", where=str(path))

    monkeypatch.setattr(products, "write_text", refused)
    text = said("table5", setup)
    assert f"): {folder / 'table.txt'}\nkept as it was: " in text
    assert "its text was not renewed (" in text


@pytest.mark.parametrize(("scale", "hours"), [("smoke", False), ("reduced", True)])
def test_where_expected_hours_stand_is_told_before_they_begin(
    scale: Scale, hours: bool, setup: Setup, studies: Studies
) -> None:
    events: list[Event] = []
    for _ in range(2):
        reproduce("table5", replace(setup, scale=scale), (0,), Console(file=io.StringIO()), events.append)
    told = [each.text for each in events if isinstance(each, Said)]
    assert [text.startswith("how long it may take: ") for text in told] == [True] * hours
    assert all(text.endswith("studies/tables/table5.yaml") for text in told)


def test_all_makes_every_table_and_figure_of_the_paper(setup: Setup, studies: Studies) -> None:
    text = said("all", setup)
    papers = [name for name in choices() if name != "recipes"]
    assert [name for name, _ in studies.asked] == papers
    assert {path.name for path in (setup.out / "smoke").iterdir()} == set(papers)
    assert text.count("written: ") == len(papers)
