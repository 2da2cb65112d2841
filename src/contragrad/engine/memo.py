"""The memo: every evaluation ever made for a study, by the name of what was asked."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from contragrad import __version__
from contragrad.engine import rows, tables
from contragrad.errors import UserError
from contragrad.fingerprint import Plain

LONGEST = 2**26
"""Bytes of a value or a row: ours have some thousands."""

WRITER = "contragrad"
"""The note that says which contragrad worked on the study last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An evaluation as it is remembered.

    Args:
        key: the fingerprint of all that the outcome depends on.
        task: what was asked, for people.
        outcome: what came out, JSON.
        seconds: how long it took.
        provenance: where and with what it was made; no part of its identity.
    """

    key: str
    task: str
    outcome: dict[str, Plain]
    seconds: float
    provenance: dict[str, str]


class Memo(Protocol):
    """Remembers evaluations. What `put` has returned survives the end of the process."""

    def get(self, key: str) -> Record | None:
        """The evaluation of that name, if it was ever made."""
        ...

    def put(self, record: Record) -> Record:
        """Remembers the evaluation and gives what is remembered: the first one put under its name."""
        ...

    def get_meta(self, key: str) -> str | None:
        """A note under a name."""
        ...

    def set_meta(self, key: str, content: str) -> None:
        """Replaces a note."""
        ...


class DictMemo:
    """A memo in memory."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._meta: dict[str, str] = {}

    def get(self, key: str) -> Record | None:
        """The evaluation of that name, if it was ever made."""
        return self._records.get(key)

    def put(self, record: Record) -> Record:
        """Remembers the evaluation and gives what is remembered: the first one put under its name."""
        return self._records.setdefault(record.key, record)

    def get_meta(self, key: str) -> str | None:
        """A note under a name."""
        return self._meta.get(key)

    def set_meta(self, key: str, content: str) -> None:
        """Replaces a note."""
        self._meta[key] = content


class SqliteMemo:
    """A memo in an SQLite file. Only drivers open it, and whoever reads it only.

    Args:
        path: the file, made if it is missing.
        read_only: change nothing; the file must be there.

    Raises:
        UserError: if the file is no database of ours, or one of a newer version. An older one is migrated;
            where it is only read, in a copy in memory, and an empty one holds nothing.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        if path.is_symlink() and not path.exists():
            raise UserError(
                "the database is a link that leads nowhere",
                where=f"{path} -> {path.readlink()}",
                remedy="what it leads to, or no link: a new database would begin anew",
            )
        address = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        with self._readable():
            # Autocommit: each statement is a transaction of its own, and is durable when it returns.
            self._connection = sqlite3.connect(
                address, uri=True, isolation_level=None, timeout=tables.PATIENCE
            )
        try:
            with self._readable():
                self._require_ours()
                if not read_only:
                    tables.prepare(self._connection)
                elif tables.version(self._connection) < tables.SCHEMA:
                    self._prepare_copy()
        except BaseException:
            self.close()
            raise

    def _require_ours(self) -> None:
        # What a schema says is run: a database from somebody else may say anything.
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        self._connection.execute("pragma trusted_schema = off")
        self._connection.execute("pragma cell_size_check = on")
        found = tables.version_of_ours(self._connection)
        if found is None:
            raise UserError(
                "the database is none of contragrad's", where=str(self._path), remedy="a new run folder"
            )
        if found > tables.SCHEMA:
            writer = self._writer()
            raise UserError(
                f"the database has version {found}, and this contragrad {__version__} knows {tables.SCHEMA}",
                where=str(self._path),
                remedy=f"contragrad {writer}, which wrote it"
                if writer
                else "the newer contragrad that wrote it",
            )

    def _writer(self) -> str | None:
        """The contragrad that wrote it, as far as tables of a newer version still say so."""
        with contextlib.suppress(sqlite3.OperationalError):
            row = self._connection.execute("select content from meta where key = ?", (WRITER,)).fetchone()
            return None if row is None else str(row[0])
        return None

    def _prepare_copy(self) -> None:
        """Reads a copy with the tables of this version; they are empty where none were made before a kill."""
        older = self._connection
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        older.backup(self._connection)
        older.close()
        tables.prepare(self._connection)
        self._connection.execute("pragma query_only = on")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise UserError(
                f"the database cannot be used: {error}",
                where=str(self._path),
                remedy="free room and writing rights; nothing that was stored is lost",
            ) from error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter over its own message
            raise UserError(
                f"the file is no database of contragrad, or damaged: {error}",
                where=str(self._path),
                remedy="a backup of the file, or a new run folder",
            ) from error

    def get(self, key: str) -> Record | None:
        """The evaluation of that name, if it was ever made."""
        with self._readable():
            row = self._connection.execute(
                "select task, outcome, seconds, provenance from evaluation where key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        return self._record(key, *row)

    def records(self) -> tuple[Record, ...]:
        """Everything that is remembered, in the order in which it was put."""
        with self._readable():
            rows = self._connection.execute(
                "select key, task, outcome, seconds, provenance from evaluation order by rowid"
            ).fetchall()
        return tuple(self._record(*row) for row in rows)

    def _record(self, key: str, task: str, outcome: str, seconds: float, provenance: str) -> Record:
        try:
            found, taken, made = rows.values(task, outcome, seconds, provenance)
        except ValueError as error:
            raise UserError(
                f"evaluation {key} is damaged: {error}",
                where=str(self._path),
                remedy="a backup of the file; or delete that row, and resume evaluates it again",
            ) from error
        return Record(key=key, task=task, outcome=found, seconds=taken, provenance=made)

    def put(self, record: Record) -> Record:
        """Remembers the evaluation and gives what is remembered: the first one put under its name."""
        values = (
            record.key,
            record.task,
            json.dumps(record.outcome),
            record.seconds,
            json.dumps(record.provenance),
        )
        with self._readable():
            self._connection.execute("insert or ignore into evaluation values (?, ?, ?, ?, ?)", values)
        stored = self.get(record.key)
        assert stored is not None
        return stored

    def get_meta(self, key: str) -> str | None:
        """A note under a name."""
        with self._readable():
            row = self._connection.execute("select content from meta where key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, content: str) -> None:
        """Replaces a note."""
        with self._readable():
            self._connection.execute("insert or replace into meta values (?, ?)", (key, content))

    def close(self) -> None:
        """Closes the file, which then is the whole memo; closing twice is fine."""
        if not self._read_only:
            # Somebody else who has it open just now keeps the log, and closes it in our place.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("pragma journal_mode = delete")
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
