"""What was recorded earlier can still be read."""

import re
import shutil
from pathlib import Path

import pytest

from contragrad.engine import study
from contragrad.engine.memo import SqliteMemo
from contragrad.run_folder import history
from contragrad.run_folder.workspace import CONFIGURATION, DATABASE

RECORDS = Path(__file__).parent.parent / "records"
RETRAINED = re.compile(r"seed-\d+-(mnist|fashion-mnist|kmnist)(-\d+-\d+)?")
"""Studies that only retrain, on other data, what another one found."""

NOTES = {"2026-11-24_demo": "step"}
"""Under what older studies noted where the search stood; what they noted then is made otherwise now."""

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
    stood = dict(study.standing(each.after) for each in told.told)
    with SqliteMemo(tmp_path / DATABASE, read_only=True) as memo:
        notes = NOTES.get(path.parent.name, study.STEP)
        steps = range(1, len(memo.records()) + 2)
        assert sum(memo.get_meta(f"{notes} {step}") is not None for step in steps) == told.state.step
        if notes == study.STEP:
            assert {name: memo.get_meta(name) for name in stood} == stood
    # A study that only retrains what another found has no search of its own.
    assert told.state.step > 0 or RETRAINED.fullmatch(path.parent.name)


@pytest.mark.parametrize("path", DATABASES, ids=named)
def test_a_recorded_database_is_read(path: Path, tmp_path: Path) -> None:
    with SqliteMemo(Path(shutil.copy(path, tmp_path)), read_only=True) as memo:
        assert memo.records()
