"""The tutorial: its files and commands, as they stand on the page, from drawn pictures to an audit's card."""

import json
import re
from pathlib import Path

import pytest
from safetensors.torch import load_file

from contragrad.evolution.search import start
from contragrad.evolution.shapes import Problem
from contragrad.networks.architectures import construct
from contragrad.networks.network import Normalisation
from contragrad.reference import require_usable
from contragrad.settings import config_file
from tutorials import page

PAGE = page(
    "tutorial-own-network.md",
    {
        "python scripts/make_shapes.py": " --train 12 --test 4",
        "contragrad evolve": " --search.generations 1 --search.epochs 1 --refine.epochs 1 --attack.steps 2",
        "contragrad audit": " --budget 0.1 --images 8 --steps 2 --restarts 1 --queries 5",
    },
)

Run = dict[str, str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return PAGE.laid_out(tmp_path_factory.mktemp("tutorial"))


@pytest.fixture(scope="module")
def done(place: Path) -> Run:
    return PAGE.run(place)


def test_the_page_has_what_is_run() -> None:
    assert set(PAGE.files) == {"mine.py", "mine_timm.py", "train.py", "study.yaml"}
    called = [command.split()[:2] for command in PAGE.commands]
    assert ["contragrad", "evolve"] in called
    assert all(any(command.startswith(start) for command in PAGE.commands) for start in PAGE.smaller)


def test_its_study_leaves_room_for_networks(place: Path) -> None:
    config = config_file.read(place / "study.yaml")
    assert start(config.search, Problem(3, 64, 64, 5), config.seed).initial


@pytest.mark.parametrize("module", ["mine", "mine_timm"])
def test_its_networks_can_be_references(module: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if module == "mine_timm":
        pytest.importorskip("timm")
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    problem = Problem(3, 64, 64, 5)
    text = f"factory {module}:make"
    require_usable(construct(text, problem, Normalisation((0.0,), (1.0,)), 0), problem, text)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_it_runs_from_pictures_to_a_card(done: Run, place: Path) -> None:
    said = done["contragrad data check shapes"]
    shown = re.search(r"^```text\n(.*?)^```", PAGE.text, re.S | re.M)
    assert shown
    numbers = {"1,000": "60", "250": "20", "200 + 50": "12 + 4", "322.6 MB": "20.6 MB"}
    lines = re.sub("|".join(map(re.escape, numbers)), lambda found: numbers[found[0]], shown[1])
    assert said.startswith(lines.rsplit("; ", 1)[0])

    rows = {row["name"]: row for row in json.loads((place / "runs/shapes/table.json").read_text())}
    assert {"reference", "reference+GM", "hand-engineered+GM", "NE+GM 1"} <= set(rows)
    assert list((place / "runs/shapes/audit").rglob("card.json"))
    mine = load_file(place / "mine.safetensors")
    used = load_file(place / "runs/shapes" / rows["reference"]["weights"])
    assert mine.keys() == used.keys()
    assert all(mine[name].equal(used[name]) for name in mine)
    assert "4 of 4 evaluations" in done["contragrad show runs/shapes"]
