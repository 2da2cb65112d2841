"""A memo that drivers share: what one evaluated is known to all, and each run folder is whole by itself."""

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from contragrad.engine.evaluations import task_text
from contragrad.engine.memo import WRITER, DictMemo, Memo, Record, SqliteMemo
from contragrad.engine.shared import FROM, SharedMemo, remembering, require_shareable
from contragrad.engine.tables import SCHEMA
from contragrad.errors import UserError
from contragrad.evolution.search import State
from contragrad.jobs import entry, run, workers
from contragrad.run_folder import history
from contragrad.run_folder.workspace import DATABASE
from contragrad.settings import config_file
from contragrad.watch.events import nobody
from elsewhere import in_another_process
from performers import PATIENCE, record, sharing_state, told_by
from test_run import call_here


def elsewhere(found: Record | None) -> str | None:
    """The database that a record came from."""
    assert found is not None
    return found.provenance.get(FROM)


def stripped(found: Record | None) -> Record | None:
    """A record as whoever made it put it."""
    if found is None:
        return None
    return replace(found, provenance={key: value for key, value in found.provenance.items() if key != FROM})


@pytest.fixture
def common() -> DictMemo:
    return DictMemo()


@pytest.fixture
def one(common: DictMemo) -> SharedMemo:
    return SharedMemo(DictMemo(), common, "all.db")


@pytest.fixture
def other(common: DictMemo) -> SharedMemo:
    return SharedMemo(DictMemo(), common, "all.db")


def test_what_one_puts_the_other_finds_and_keeps(one: SharedMemo, other: SharedMemo) -> None:
    assert one.put(record(1)) == record(1)
    found = other.get("key 1")
    assert stripped(found) == record(1)
    assert elsewhere(found) == "all.db"
    assert other.own.get("key 1") == found
    assert one.get("key 1") == record(1)


def test_the_first_outcome_is_everybodys(one: SharedMemo, other: SharedMemo) -> None:
    late = replace(record(2), key="key 1")
    one.put(record(1))
    assert stripped(other.put(late)) == record(1)
    assert stripped(other.get("key 1")) == record(1)
    assert stripped(other.own.get("key 1")) == record(1)
    assert one.get("key 1") == record(1)


def test_what_a_study_has_is_not_changed_by_others(one: SharedMemo, other: SharedMemo) -> None:
    other.own.put(replace(record(2), key="key 1"))
    one.put(record(1))
    assert other.get("key 1") == replace(record(2), key="key 1")


def test_what_was_given_up_is_the_studys_own(one: SharedMemo, other: SharedMemo) -> None:
    given_up = replace(record(1), outcome={"given_up": "3 workers died"})
    assert one.put(given_up) == given_up
    assert one.get("key 1") == given_up
    assert other.get("key 1") is None
    assert other.put(record(1)) == record(1)
    assert one.get("key 1") == given_up


def test_a_database_in_which_something_was_given_up_may_be_shared(one: SharedMemo, common: DictMemo) -> None:
    """That of a former study: so a new one tries again what that one gave up."""
    common.put(replace(record(1), outcome={"given_up": "3 workers died"}))
    assert one.get("key 1") is None
    assert one.put(record(1)) == record(1)
    assert one.get("key 1") == record(1)


def test_notes_are_the_studys_own(one: SharedMemo, other: SharedMemo, common: DictMemo) -> None:
    one.set_meta("state 1", "here")
    assert one.get_meta("state 1") == "here"
    assert other.get_meta("state 1") is None
    assert not common._meta


@dataclass
class Full:
    """A memo on a disk without room."""

    records: dict[str, Record] = field(default_factory=dict)

    def get(self, key: str) -> Record | None:
        return None

    def put(self, record: Record) -> Record:
        raise UserError("the database cannot be used: disk is full")

    def get_meta(self, key: str) -> str | None:
        return None

    def set_meta(self, key: str, content: str) -> None:
        raise AssertionError


def test_what_cannot_be_shared_is_not_lost() -> None:
    own = DictMemo()
    with pytest.raises(UserError, match="full"):
        SharedMemo(own, Full(), "all.db").put(record(1))
    assert own.get("key 1") == record(1)


# The files.


def test_a_study_that_begins_to_share_offers_what_it_has(tmp_path: Path) -> None:
    own, shared = tmp_path / "study.db", tmp_path / "all.db"
    given_up = replace(record(3), outcome={"given_up": "3 workers died"})
    with remembering(own, None) as memo:
        for each in (record(1), record(2), given_up):
            memo.put(each)
        memo.set_meta("state 1", "here")
    with SqliteMemo(shared) as common:
        common.put(replace(record(5), key="key 2"))
    with remembering(own, str(shared)) as memo:
        assert memo.get("key 2") == record(2)
    with SqliteMemo(shared, read_only=True) as common:
        assert [found.key for found in common.records()] == ["key 2", "key 1"]
        assert common.get("key 2") == replace(record(5), key="key 2")
        assert common.get_meta("state 1") is None


def test_a_run_folder_needs_no_shared_database(tmp_path: Path) -> None:
    shared = tmp_path / "all.db"
    with remembering(tmp_path / "one.db", str(shared)) as memo:
        memo.put(record(1))
    with remembering(tmp_path / "other.db", str(shared)) as memo:
        found = memo.get("key 1")
    shared.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.db", "other.db"]
    with SqliteMemo(tmp_path / "other.db", read_only=True) as memo:
        assert memo.get("key 1") == found
    assert stripped(found) == record(1)
    assert elsewhere(found) == str(shared)


def not_a_database(path: Path) -> None:
    path.write_text("search: {generations: 3}\n" * 100)


def another_programs(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript("create table guests (name text);")


def newer(path: Path) -> None:
    with SqliteMemo(path) as memo:
        memo.set_meta(WRITER, "9.8.7")
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"pragma user_version = {SCHEMA + 1}")


def a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "what", "remedy"),
    [
        (not_a_database, "no database of contragrad", "another file"),
        (another_programs, "none of contragrad's", "another file"),
        (newer, f"version {SCHEMA + 1}", "contragrad 9.8.7, which wrote it"),
        (a_folder, "it is a folder", "a file in it"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    make: Callable[[Path], None], what: str, remedy: str, tmp_path: Path
) -> None:
    shared, own = tmp_path / "all.db", tmp_path / "study.db"
    make(shared)
    content = shared.read_bytes() if shared.is_file() else None
    for attempt in (require_shareable, remember):
        with pytest.raises(UserError, match=what) as caught:
            attempt(str(shared), own)
        assert caught.value.where == f"memo: {shared}"
        assert remedy in caught.value.remedy
    assert (shared.read_bytes() if shared.is_file() else None) == content


def remember(shared: str, own: Path) -> None:
    with remembering(own, shared):
        pass


def test_places_that_cannot_be_shared_are_refused(tmp_path: Path) -> None:
    own = tmp_path / "study.db"
    for shared, what in (
        (tmp_path / "missing" / "all.db", "its folder is not there"),
        (tmp_path / "x" / ".." / "study.db", "the study's own database"),
    ):
        (tmp_path / "x").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=what):
            remember(str(shared), own)
        assert not own.exists()


def test_a_wrong_place_is_told_before_a_run_folder_is_made(tmp_path: Path) -> None:
    done = call_here("evolve", "--out", tmp_path / "run", "--memo", tmp_path / "missing" / "all.db")
    assert done.returncode == 2
    assert f"at: memo: {tmp_path}/missing/all.db" in done.stderr
    assert f"try: mkdir -p {tmp_path}/missing" in done.stderr
    assert not list(tmp_path.iterdir())


# Drivers at the same time.


def sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("pragma integrity_check").fetchall() == [("ok",)]


def test_drivers_that_make_the_file_at_the_same_moment_all_find_everything(tmp_path: Path) -> None:
    shared, count = tmp_path / "all.db", 5
    drivers = [
        in_another_process("share_records", tmp_path / f"{number}.db", shared) for number in range(count)
    ]
    for driver in drivers:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "ready\n"
    for driver in drivers:
        assert driver.stdin is not None
        driver.stdin.write("go\n")
        driver.stdin.flush()
    said = [driver.communicate(timeout=PATIENCE)[0] for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0] * count
    assert len(set(said)) == 1, "they go on with different outcomes"
    assert len(said[0].splitlines()) == 30
    assert sound(shared)


Search = tuple[str, str]
"""A seed and a number of children."""

A, B, OTHER_SEED = ("0", "2"), ("0", "3"), ("5", "2")


def begun(folder: Path, shared: Path, search: Search) -> subprocess.Popen[str]:
    return in_another_process("sharing_search", folder, shared, *search)


@pytest.mark.parametrize(
    ("first", "second"), [(A, A), (A, B), (A, OTHER_SEED)], ids=["same", "children", "seed"]
)
@pytest.mark.timeout(4 * PATIENCE)
def test_drivers_that_share_end_where_they_would_have_ended_alone_even_if_one_is_killed(
    first: Search, second: Search, tmp_path: Path
) -> None:
    shared, folders = tmp_path / "all.db", (tmp_path / "first", tmp_path / "second")
    moments = Random(0)
    for folder in folders:
        folder.mkdir()
    steady = begun(folders[0], shared, first)
    for _ in range(2):
        killed = begun(folders[1], shared, second)
        assert killed.stdout is not None
        for _ in range(moments.randint(1, 8)):
            killed.stdout.readline()
        killed.kill()
        killed.communicate()
    ended = begun(folders[1], shared, second)
    finals = [driver.communicate(timeout=PATIENCE)[0].splitlines()[-1] for driver in (steady, ended)]
    assert finals == [repr(alone(search)) for search in (first, second)]
    assert all(sound(path) for path in (shared, *(folder / DATABASE for folder in folders)))
    with SqliteMemo(shared, read_only=True) as common:
        known = {found.key: found for found in common.records()}
    taken = []
    for folder, search in zip(folders, (first, second), strict=True):
        with SqliteMemo(folder / DATABASE, read_only=True) as own:
            records = {found.key: found for found in own.records()}
        assert told_by(search) <= set(records) <= set(known), "what was told is not known to all"
        assert all(stripped(found) == known[key] for key, found in records.items())
        taken += [key for key, found in records.items() if FROM in found.provenance]
    assert taken, "nothing was shared"


def alone(search: Search) -> State:
    """Where a search ends that shares with nobody."""
    return sharing_state(DictMemo(), *search)


def test_a_driver_goes_on_with_what_another_has_put_meanwhile(tmp_path: Path) -> None:
    """Nobody waits for the outcome of a trial that is known already, though it was not when it was begun."""
    common = DictMemo()
    sharing_state(SharedMemo(DictMemo(), common, "all.db"), *A)
    late = Late(common)
    assert sharing_state(SharedMemo(DictMemo(), late, "all.db"), *A, slots=3) == alone(A)
    assert late.found > 5


@dataclass
class Late:
    """A memo of others, who put each record just after it is asked for the first time."""

    memo: Memo
    asked: set[str] = field(default_factory=set)
    found: int = 0

    def get(self, key: str) -> Record | None:
        if key not in self.asked:
            self.asked.add(key)
            return None
        self.found += 1
        return self.memo.get(key)

    def put(self, record: Record) -> Record:
        return self.memo.put(record)

    def get_meta(self, key: str) -> str | None:
        raise AssertionError

    def set_meta(self, key: str, content: str) -> None:
        raise AssertionError


# A real study.


@pytest.mark.slow
def test_another_study_trains_only_what_the_first_did_not(tmp_path: Path) -> None:
    shared = tmp_path / "all.db"

    def searched(name: str, *words: str) -> Iterator[tuple[str, bool]]:
        config = config_file.read(
            None,
            (
                *("--device=cpu", "--workers=1", "--data.source=digits", "--reference.epochs=1"),
                *("--search.population=2", "--search.epochs=1", "--search.channels=[8]"),
                *("--search.hidden=16", "--search.initial_blocks_max=4", "--search.limits.flops=300000"),
                f"--memo={shared}",
                *words,
            ),
        )
        dataset, workspace = entry.entered(config, tmp_path / name, nobody)
        with run.opened(workspace, dataset, nobody) as (memo, splits):
            run.make_shared(workspace, splits, nobody)
            with workers.executor_of(workspace) as executor:
                final = run.evolve(workspace, memo, executor, nobody)
            assert final.finished
        with SqliteMemo(tmp_path / name / DATABASE, read_only=True) as own:
            for found in own.records():
                yield found.task, FROM in found.provenance

    first = dict(searched("first", "--search.generations=0"))
    assert list(first.values()) == [False, False]
    second = dict(searched("second", "--search.generations=1", "--search.children=1"))
    assert set(first) < set(second)
    assert {task for task, taken in second.items() if taken} == set(first)
    found = history.load(tmp_path / "second")
    # A trial that the search asks for twice is told twice.
    assert found.elsewhere == sum(second[task_text(event.trial)] for event in found.told) >= 2
    shown = call_here("show", tmp_path / "second").stdout
    assert shown.startswith(f"4 of 4 evaluations, {found.elsewhere} of them made by other studies\n")
