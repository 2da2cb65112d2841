"""The paper's tables and figures from the command to the last file, at the smallest scale, on real images."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from contragrad.cli import main
from contragrad.reproduce.definition import Definition, names, read

# All tables are made before the first test.
pytestmark = [pytest.mark.slow, pytest.mark.shared_data, pytest.mark.timeout(3000)]


def call(*words: str | Path) -> tuple[int, str, str]:
    """Exit code, output and progress of a command."""
    output, progress = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(progress):
        code = main([*map(str, words)])
    return code, output.getvalue(), progress.getvalue()


@pytest.fixture(scope="module")
def everything(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all tables and figures, made once, and of the table of recipes."""
    out = tmp_path_factory.mktemp("reproduce")
    shown = ""
    for what in ("all", "recipes"):
        code, output, progress = call("reproduce", what, "--data", shared_data, "--out", out)
        assert code == 0, progress
        shown += output
    assert all(definition.title in shown for definition in map(read, names()))
    return out / "smoke"


def table(everything: Path, name: str) -> Any:
    return json.loads((everything / name / "seeds-0" / "table.json").read_text())


@pytest.mark.parametrize("definition", [read(name) for name in names()], ids=names())
def test_every_table_has_every_network_in_every_column(everything: Path, definition: Definition) -> None:
    found = table(everything, definition.name)
    assert found["networks"].keys() == definition.networks.keys()
    for name, row in found["networks"].items():
        for column in definition.columns:
            entry = row[column.name]
            assert entry["published"] == definition.networks[name].get(column.name)
            (measured,) = entry["measured"]
            assert 0 <= measured["hits"] <= measured["count"]
    assert (everything / definition.name / "seeds-0" / "table.txt").read_text().count("│") > len(
        definition.networks
    )


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
    for name in names():
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


def test_to_resume_a_study_of_the_tables_trains_nothing_and_is_no_second_look(everything: Path) -> None:
    code, _, progress = call("resume", everything / "reduced-data" / "seed-0")
    assert code == 0, progress
    assert "epochs each" not in progress
    assert "different networks" not in progress


def test_figure_3_is_a_picture_with_its_distances(everything: Path) -> None:
    found = json.loads((everything / "figure3" / "seeds-0" / "figure3.json").read_text())
    published = {name: network["published"] for name, network in found["networks"].items()}
    assert published == {"reference+GM": 0.687, "NE+GM 1": 1.297}
    assert all(0 < network["mean"] <= 2 for network in found["networks"].values())
    assert found["data"][0]["images"]["test"] == 200
    with Image.open(everything / "figure3" / "seeds-0" / "figure3.png") as picture:
        assert min(picture.size) > 100


def test_figure_4_shows_the_hand_engineered_and_the_evolved_networks(everything: Path) -> None:
    found = {path.stem for path in (everything / "figure4" / "seeds-0").glob("*.svg")}
    expected = {"hand-engineered-a", "hand-engineered-b", "seed-0-evolved-1", "seed-0-evolved-2"}
    assert found == {f"figure4-{name}" for name in expected}


def test_the_papers_protocol_has_a_folder_of_its_own(shared_data: Path, tmp_path: Path) -> None:
    small = ("--data.train_per_class", "20", "--data.test_per_class", "10", "--search.generations", "0")
    words = ("table5", "--protocol", "paper", "--data", shared_data, "--out", tmp_path, *small)
    code, _, progress = call("reproduce", *words)
    assert code == 0, progress
    found = json.loads((tmp_path / "smoke-paper-protocol" / "table5" / "seeds-0" / "table.json").read_text())
    assert "fitness_split" not in found["differs"]
    assert found["data"][0]["images"] == {"training": 200, "test": 100}
