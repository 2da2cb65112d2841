"""What was recorded earlier can still be read."""

import re
import shutil
from pathlib import Path

import pytest

from contragrad.engine.memo import SqliteMemo
from contragrad.run_folder import history
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE

RECORDS = Path(__file__).parent.parent / "records"
RETRAINED = re.compile(r"seed-\d+-(mnist|fashion-mnist|kmnist)(-\d+-\d+)?")
"""Studies that only retrain, on other data, what another one found."""

DATABASES = sorted(RECORDS.rglob("*.db"))


def named(path: Path) -> str:
    return str(path.relative_to(RECORDS))


# Copies are read: beside an old database that is read SQLite leaves files of its own.


@pytest.mark.parametrize("path", [path for path in DATABASES if path.name == DATABASE], ids=named)
def test_a_recorded_study_is_told(path: Path, tmp_path: Path) -> None:
    for name in (CONFIGURATION, DATABASE):
        shutil.copy(path.with_name(name), tmp_path)
    told = history.load(tmp_path)
    assert told.state is not None
    assert len(told.told) == told.state.step
    # A study that only retrains what another found has no search of its own.
    assert told.state.step > 0 or RETRAINED.fullmatch(path.parent.name)


@pytest.mark.parametrize("path", DATABASES, ids=named)
def test_a_recorded_database_is_read(path: Path, tmp_path: Path) -> None:
    with SqliteMemo(Path(shutil.copy(path, tmp_path)), read_only=True) as memo:
        assert memo.records()
