"""The paper's tables and figures from the command to the last file, at the smallest scale, on real images."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from contragrad.reproduce.command import RECIPES_TABLE
from contragrad.reproduce.definition import Definition
from contragrad.reproduce.definition_file import read
from contragrad.studies.shipped import tables
from reproductions import call, copy_databases, require_nothing_made, require_whole, table

PUBLISHED = [name for name in tables() if name != RECIPES_TABLE]
"""Another file makes the table of recipes, so that another process does."""

# All tables are made before the first test.
pytestmark = [pytest.mark.slow, pytest.mark.shared_data, pytest.mark.timeout(3000)]


@pytest.fixture(scope="module")
def everything(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all tables and figures, made once."""
    out = tmp_path_factory.mktemp("reproduce")
    code, shown, progress = call("reproduce", "all", "--data", shared_data, "--out", out)
    assert code == 0, progress
    assert all(read(name).title in shown for name in PUBLISHED)
    return out / "smoke"


@pytest.mark.parametrize("definition", [read(name) for name in PUBLISHED], ids=PUBLISHED)
def test_every_table_has_every_network_in_every_column(everything: Path, definition: Definition) -> None:
    require_whole(everything, definition)


def test_the_tables_agree_where_they_show_the_same(everything: Path) -> None:
    four, five, six = (table(everything, f"table{number}")["networks"] for number in (4, 5, 6))

    def hits(row: Any, column: str) -> Any:
        return row[column]["measured"][0]

    for name in four.keys() & six.keys():
        clean = hits(four[name], "clean accuracy")
        assert clean == hits(six[name], "clean accuracy")
        # Who is fooled was right before, and who is right afterwards is not fooled.
        if name in five:
            assert hits(five[name], "L_inf-PGD")["count"] <= clean["hits"]
        right = hits(four[name], "adversarial accuracy")["hits"]
        assert hits(six[name], "L_inf-PGD")["hits"] <= clean["count"] - right
    assert {hits(row, "L_inf-PGD")["count"] for row in six.values()} == {
        hits(four["reference"], "clean accuracy")["hits"]
    }


def test_a_table_that_is_there_is_not_made_again(everything: Path, shared_data: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in everything.rglob("*") if path.is_file()}
    code, output, progress = call("reproduce", "table4", "--data", shared_data, "--out", everything.parent)
    assert code == 0
    assert "clean and adversarial accuracy, reduced data" in output
    assert "training" not in progress
    assert files == {path: path.stat().st_mtime_ns for path in everything.rglob("*") if path.is_file()}


def test_all_tables_of_one_study_are_one_look_and_its_sources_are_told(everything: Path) -> None:
    for name in PUBLISHED:
        found = table(everything, name)
        assert found["looks"] == 1
        for column in found["columns"].values():
            for crafted in column.get("crafted", ()):
                assert crafted["source_clean_accuracy"]["count"] > 0


def test_a_table_that_was_lost_is_measured_again_and_nothing_trained(
    everything: Path, shared_data: Path
) -> None:
    path = everything / "table5" / "seeds-0" / "table.json"
    before = path.read_bytes()
    path.unlink()
    code, _, progress = call("reproduce", "table5", "--data", shared_data, "--out", everything.parent)
    assert code == 0
    assert "epochs each" not in progress
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["table4", "table5", "table6", "table7"])
def test_databases_alone_make_a_table_again_without_a_training(
    name: str, everything: Path, shared_data: Path, tmp_path: Path
) -> None:
    copy_databases(everything, tmp_path / "smoke")
    code, _, progress = call("reproduce", name, "--data", shared_data, "--out", tmp_path)
    assert code == 0, progress
    assert table(tmp_path / "smoke", name) == table(everything, name)
    require_nothing_made(tmp_path, progress)


def test_to_resume_a_study_of_the_tables_trains_nothing_and_is_no_second_look(everything: Path) -> None:
    code, _, progress = call("resume", everything / "reduced-data" / "seed-0")
    assert code == 0, progress
    assert "epochs each" not in progress
    assert "different networks" not in progress


def test_figure_3_is_a_picture_with_its_distances(everything: Path) -> None:
    found = json.loads((everything / "figure3" / "seeds-0" / "figure3.json").read_text())
    published = {name: network["published"] for name, network in found["networks"].items()}
    ours = dict.fromkeys(("reference, another seed", "NE 1 without GM"))
    assert published == {"reference+GM": 0.687, "NE+GM 1": 1.297, **ours}
    assert all(0 < network["mean"] <= 2 for network in found["networks"].values())
    assert found["data"][0]["images"]["test"] == 200
    with Image.open(everything / "figure3" / "seeds-0" / "figure3.png") as picture:
        assert min(picture.size) > 100


def test_figure_4_shows_the_hand_engineered_and_the_evolved_networks(everything: Path) -> None:
    found = {path.stem for path in (everything / "figure4" / "seeds-0").glob("*.svg")}
    expected = {"hand-engineered-a", "hand-engineered-b", "seed-0-evolved-1", "seed-0-evolved-2"}
    assert found == {f"figure4-{name}" for name in expected}


def test_both_protocols_stand_beside_each_other_with_what_the_papers_adds(
    shared_data: Path, tmp_path: Path
) -> None:
    small = ("--data.train_per_class", "20", "--data.test_per_class", "10", "--search.generations", "0")
    words = ("table5", "--protocol", "both", "--data", shared_data, "--out", tmp_path, *small)
    code, output, progress = call("reproduce", *words)
    assert code == 0, progress
    assert "what the paper's protocol adds" in output
    folder = tmp_path / "smoke-paper-protocol" / "table5" / "seeds-0"
    separate, paper = table(tmp_path / "smoke", "table5"), table(tmp_path / "smoke-paper-protocol", "table5")
    assert "fitness_split" in separate["differs"]
    assert "fitness_split" not in paper["differs"]
    assert paper["data"][0]["images"] == {"training": 200, "test": 100}
    found = json.loads((folder / "difference.json").read_text())
    assert found["settings"]["fitness_split"] == {"separate": "validation", "paper": "test"}
    assert "fitness_split validation -> test" in (folder / "difference.txt").read_text()
    for name, row in found["networks"].items():
        for column, entry in row.items():
            before, after = (each["networks"][name][column]["measured"][0] for each in (separate, paper))
            shares = [each["hits"] / each["count"] for each in (before, after) if each["count"]]
            assert entry["added"] == ([shares[1] - shares[0]] if len(shares) == 2 else [None])
