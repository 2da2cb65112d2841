"""Every memo keeps one contract; the one on disk survives what happens to disks and processes."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contragrad.engine import tables
from contragrad.engine.memo import WRITER, DictMemo, Memo, Record, SqliteMemo
from contragrad.engine.shared import SharedMemo, remembering
from contragrad.engine.tables import SCHEMA
from contragrad.errors import UserError
from elsewhere import fill, in_another_process, read_only, small_disk
from performers import record

# The contract.


@pytest.fixture(params=["dict", "sqlite", "shared", "shared files"])
def memo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Memo]:
    if request.param == "dict":
        yield DictMemo()
        return
    if request.param == "shared":
        yield SharedMemo(DictMemo(), DictMemo(), "all.db")
        return
    if request.param == "shared files":
        with remembering(tmp_path / "study.db", str(tmp_path / "all.db")) as memo:
            yield memo
        return
    with SqliteMemo(tmp_path / "study.db") as memo:
        yield memo


def test_what_was_never_put_is_not_there(memo: Memo) -> None:
    memo.put(record(1))
    assert memo.get("key 2") is None
    assert memo.get("") is None
    assert memo.get_meta("key 1") is None


def test_what_was_put_comes_back(memo: Memo) -> None:
    for number in range(3):
        assert memo.put(record(number)) == record(number)
    assert [memo.get(f"key {number}") for number in range(3)] == [record(number) for number in range(3)]


def test_the_first_record_of_a_name_stays(memo: Memo) -> None:
    memo.put(record(1))
    assert memo.put(replace(record(2), key="key 1")) == record(1)
    assert memo.get("key 1") == record(1)


def test_a_note_is_replaced_and_is_no_record(memo: Memo) -> None:
    memo.set_meta("a", "1")
    memo.set_meta("b", "2")
    memo.set_meta("a", "3")
    assert (memo.get_meta("a"), memo.get_meta("b"), memo.get_meta("c")) == ("3", "2", None)
    assert memo.get("a") is None


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(TEXTS, parts, max_size=3),
    max_leaves=5,
)
RECORDS = st.builds(
    Record,
    key=TEXTS,
    task=TEXTS,
    outcome=st.dictionaries(TEXTS, PLAIN, max_size=3),
    seconds=st.floats(0, 1e9),
    provenance=st.dictionaries(TEXTS, TEXTS, max_size=3),
)
NOTES = st.tuples(TEXTS, TEXTS)


@given(st.lists(RECORDS | NOTES, max_size=5))
def test_sqlite_remembers_what_a_dict_remembers(written: list[Record | tuple[str, str]]) -> None:
    plain = DictMemo()
    with TemporaryDirectory() as folder, SqliteMemo(Path(folder) / "study.db") as stored:
        for item in written:
            if isinstance(item, Record):
                assert stored.put(item) == plain.put(item)
            else:
                stored.set_meta(*item)
                plain.set_meta(*item)
        for item in written:
            key = item.key if isinstance(item, Record) else item[0]
            assert stored.get(key) == plain.get(key)
            assert stored.get_meta(key) == plain.get_meta(key)


# The file.


def test_records_and_notes_survive_reopening(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with SqliteMemo(path) as memo:
        memo.put(record(1))
        memo.set_meta("note", "kept")
    for _ in range(2):
        with SqliteMemo(path) as memo:
            assert memo.get("key 1") == record(1)
            assert memo.get_meta("note") == "kept"


def test_closing_twice_is_fine(tmp_path: Path) -> None:
    memo = SqliteMemo(tmp_path / "study.db")
    memo.close()
    memo.close()


def test_the_file_says_which_version_it_has_and_how_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with SqliteMemo(path), sqlite3.connect(path) as database:
        assert database.execute("pragma user_version").fetchone() == (SCHEMA,)
        assert database.execute("pragma journal_mode").fetchone() == ("wal",)
    database.close()


def refused(path: Path, *words: str) -> None:
    """The file is not opened, the error names it and says these words, and the file is as it was."""
    content = path.read_bytes() if path.is_file() else None
    with pytest.raises(UserError) as caught:
        SqliteMemo(path)
    assert caught.value.where == str(path)
    assert caught.value.remedy
    for word in words:
        assert word in str(caught.value)
    assert (path.read_bytes() if path.is_file() else None) == content


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with SqliteMemo(path) as memo:
        memo.set_meta(WRITER, "9.8.7")
    with sqlite3.connect(path) as database:
        database.execute(f"pragma user_version = {SCHEMA + 1}")
    database.close()
    refused(path, f"version {SCHEMA + 1}", f"knows {SCHEMA}", "contragrad 9.8.7, which wrote it")


def test_a_newer_version_without_notes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(f"create table anything (x); pragma user_version = {SCHEMA + 1};")
    refused(path, f"version {SCHEMA + 1}", "the newer contragrad that wrote it")


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contragrad whose tables have moved on by two versions."""
    moves = {
        SCHEMA: "alter table evaluation add column label text;",
        SCHEMA + 1: "update evaluation set label = task;",
    }
    monkeypatch.setattr(tables, "MIGRATIONS", tables.MIGRATIONS | moves)
    monkeypatch.setattr(tables, "SCHEMA", SCHEMA + 2)


def test_every_older_version_can_be_migrated() -> None:
    assert set(tables.MIGRATIONS) == set(range(1, SCHEMA))


def begun_earlier(path: Path) -> None:
    with SqliteMemo(path) as memo:
        memo.put(record(1))


def test_an_older_version_is_migrated(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "study.db"
    begun_earlier(path)
    request.getfixturevalue("later")
    with SqliteMemo(path) as memo:
        assert memo.get("key 1") == record(1)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("pragma user_version").fetchone() == (SCHEMA + 2,)
        assert database.execute("select label from evaluation").fetchone() == (record(1).task,)


def test_an_older_version_that_is_only_read_stays_as_it_is(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "study.db"
    begun_earlier(path)
    content = path.read_bytes()
    request.getfixturevalue("later")
    with SqliteMemo(path, read_only=True) as memo:
        assert memo.get("key 1") == record(1)
        assert tables.version(memo._connection) == SCHEMA + 2
        with pytest.raises(UserError, match="readonly"):
            memo.set_meta("note", "changed")
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_migration_that_fails_leaves_the_older_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.db"
    begun_earlier(path)
    monkeypatch.setattr(tables, "SCHEMA", SCHEMA + 1)
    broken = {SCHEMA: "alter table evaluation add column label text; insert into nowhere values (1);"}
    monkeypatch.setattr(tables, "MIGRATIONS", broken)
    with pytest.raises(UserError, match="nowhere"):
        SqliteMemo(path)
    monkeypatch.undo()
    with SqliteMemo(path) as memo:
        assert memo.get("key 1") == record(1)
        assert tables.version(memo._connection) == SCHEMA


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    path.write_text("search: {generations: 3}\n" * 100)
    refused(path, "not a database")


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with sqlite3.connect(path) as database:
        database.execute("create table guests (name text)")
    database.close()
    refused(path, "none of contragrad's")


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "missing" / "study.db", "unable to open")
    refused(tmp_path, "unable to open")
    with read_only(tmp_path) as folder:
        refused(folder / "study.db", "unable to open")


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with SqliteMemo(path) as memo:
        for number in range(20):
            memo.put(record(number))
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with SqliteMemo(path) as memo, pytest.raises(UserError, match="damaged") as caught:
        memo.get("key 7")
    assert caught.value.where == str(path)


@pytest.mark.parametrize("column", ["outcome", "provenance"])
def test_a_damaged_record_is_named_and_leaves_the_others(tmp_path: Path, column: str) -> None:
    path = tmp_path / "study.db"
    with SqliteMemo(path) as memo:
        memo.put(record(1))
        memo.put(record(2))
        with sqlite3.connect(path) as database:
            database.execute(f"update evaluation set {column} = '{{\"number\": ' where key = 'key 1'")
        database.close()
        with pytest.raises(UserError, match="key 1 is damaged") as caught:
            memo.get("key 1")
        assert caught.value.where == str(path)
        assert memo.get("key 2") == record(2)


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    put = 0

    def put_until_it_fails(memo: Memo) -> None:
        nonlocal put
        while True:
            memo.put(record(put))
            put += 1

    with small_disk(tmp_path, kilobytes=512) as disk:
        path, ballast = disk / "study.db", disk / "ballast"
        ballast.write_bytes(bytes(100_000))
        with SqliteMemo(path) as memo:
            with pytest.raises(UserError, match="full") as caught:
                put_until_it_fails(memo)
            assert put > 20
            assert caught.value.where == str(path)
            with pytest.raises(UserError, match="full"):
                memo.set_meta("note", "x" * 10_000)
        with SqliteMemo(path) as memo:
            assert all(memo.get(f"key {number}") == record(number) for number in range(put))
            assert memo.get(f"key {put}") is None
            ballast.unlink()
            assert memo.put(record(put)) == record(put)


def test_a_database_is_not_begun_on_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path, kilobytes=64) as disk:
        ballast = fill(disk)
        with pytest.raises(UserError, match="full"):
            SqliteMemo(disk / "study.db")
        ballast.unlink()
        with SqliteMemo(disk / "study.db") as memo:
            assert memo.get("key 0") is None


def test_kill_9_in_the_middle_of_writing_loses_nothing_that_was_put(tmp_path: Path) -> None:
    path, moments = tmp_path / "study.db", Random(0)
    for _ in range(5):
        process = in_another_process("write_records", path)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(moments.randint(1, 40))]
        process.kill()
        said += process.communicate()[0].splitlines()
        with SqliteMemo(path) as memo:
            assert memo.get_meta("last") is not None
            for number in range(len(said)):
                assert memo.get(f"key {number}") == record(number)
        with sqlite3.connect(path) as database:
            assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
        database.close()


def test_a_memo_that_is_only_read_changes_nothing_while_its_driver_writes(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with SqliteMemo(path) as memo, SqliteMemo(path, read_only=True) as reader:
        memo.set_meta("note", "kept")
        assert reader.get_meta("note") == "kept"
        with pytest.raises(UserError, match="readonly"):
            reader.set_meta("note", "changed")
        assert memo.get_meta("note") == "kept"


def test_a_memo_that_is_only_read_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        SqliteMemo(tmp_path / "none.db", read_only=True)
    assert not list(tmp_path.iterdir())


def test_a_closed_memo_is_one_file_and_reading_it_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    with SqliteMemo(path) as memo:
        memo.set_meta("note", "kept")
    for _ in range(2):
        assert list(tmp_path.iterdir()) == [path]
        with SqliteMemo(path, read_only=True) as reader:
            assert reader.get_meta("note") == "kept"
