"""The table of recipes from the command to the last file, at the smallest scale, on real images."""

from pathlib import Path

import pytest

from contragrad.reproduce.command import RECIPES_TABLE
from contragrad.reproduce.definition_file import read
from reproductions import call, copy_databases, require_nothing_made, require_whole, table

pytestmark = [pytest.mark.slow, pytest.mark.shared_data, pytest.mark.timeout(3000)]


def test_every_recipe_meets_every_attacker(shared_data: Path, tmp_path: Path) -> None:
    # Most of the time goes into forty steps on each network's test images.
    fewer = ("--data.train_per_class", "30", "--data.test_per_class", "3", "--reference.epochs", "1")
    code, shown, progress = call("reproduce", RECIPES_TABLE, "--data", shared_data, "--out", tmp_path, *fewer)
    assert code == 0, progress
    definition = read(RECIPES_TABLE)
    assert definition.title in shown
    require_whole(tmp_path / "smoke", definition)
    assert table(tmp_path / "smoke", RECIPES_TABLE)["looks"] == 1
    again = tmp_path / "again"
    copy_databases(tmp_path / "smoke", again / "smoke")
    code, _, progress = call("reproduce", RECIPES_TABLE, "--data", shared_data, "--out", again, *fewer)
    assert code == 0, progress
    require_nothing_made(again, progress)
    assert table(again / "smoke", RECIPES_TABLE) == table(tmp_path / "smoke", RECIPES_TABLE)
