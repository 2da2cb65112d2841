"""The tutorial of an audit: anyone's network and a public one, as they stand on the page."""

import json
import sys
from pathlib import Path

import pytest

from contragrad.evolution.shapes import Problem
from contragrad.networks.architectures import construct
from contragrad.networks.network import Normalisation
from contragrad.reference import require_usable
from tutorials import page

PAGE = page(
    "tutorial-audit.md",
    {
        "python scripts/make_shapes.py": " --train 12 --test 4",
        "contragrad audit": " --budget 2 --images 8 --steps 2 --restarts 1 --queries 5 --surrogates 1"
        " --distilled 20 --reference.epochs 1",
    },
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return PAGE.laid_out(tmp_path_factory.mktemp("tutorial"))


def test_the_page_has_what_is_run() -> None:
    assert set(PAGE.files) == {"mine.py", "public.py", "train.py", "study.yaml"}
    assert all(any(command.startswith(start) for command in PAGE.commands) for start in PAGE.smaller)


@pytest.mark.parametrize("module", ["mine", "public"])
def test_its_networks_can_be_references(module: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.delitem(sys.modules, module, raising=False)  # the other tutorial has one of that name
    problem, text = Problem(3, 64, 64, 5), f"factory {module}:make"
    require_usable(construct(text, problem, Normalisation((0.0,), (1.0,)), 0), problem, text)
    monkeypatch.delitem(sys.modules, module)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_it_runs_from_pictures_to_a_card(place: Path) -> None:
    printed = PAGE.run(place)
    (path,) = (place / "runs/mine/audit").rglob("card.json")
    assert path.parent.parent.name.startswith("mine-make-")
    card = json.loads(path.read_text())
    assert card["title"] == "transfer resistance of mine:make from public:make"
    assert card["target"]["recipe_known"] is True
    assert card["target"]["objective"] == "cross-entropy"
    assert card["reference_made"] == "with the weights of public.safetensors"
    assert any(each["attempts"] for each in card["attackers"])
    assert card["title"] in printed[PAGE.commands[-1]]
