"""What was recorded earlier can still be read."""

from pathlib import Path

import pytest

from contragrad import history
from contragrad.engine.memo import SqliteMemo

RECORDS = Path(__file__).parent.parent / "records"
STUDIES = sorted(path.parent for path in RECORDS.rglob("study.db"))
DATABASES = sorted(RECORDS.rglob("*.db"))


def named(path: Path) -> str:
    return str(path.relative_to(RECORDS))


@pytest.mark.parametrize("folder", STUDIES, ids=named)
def test_a_recorded_study_is_told(folder: Path) -> None:
    told = history.load(folder)
    assert told.state is not None
    assert len(told.told) == told.state.step > 0


@pytest.mark.parametrize("path", DATABASES, ids=named)
def test_a_recorded_database_is_read_and_left_alone(path: Path) -> None:
    content = path.read_bytes()
    with SqliteMemo(path, read_only=True) as memo:
        assert memo.records()
    assert path.read_bytes() == content
