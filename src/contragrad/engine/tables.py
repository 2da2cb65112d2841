"""The tables of a database of evaluations: made and migrated, whoever else opens it at the same time."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

SCHEMA = 1
"""Version of the tables, kept in the database's user_version."""

MIGRATIONS: dict[int, str] = {}
"""A version -> the statements that make the next version's tables of it."""

TABLES = """
create table evaluation (
    key text primary key,
    task text not null,
    outcome text not null,
    seconds real not null,
    provenance text not null
) strict;
create table meta (key text primary key, content text not null) strict;
"""

PATIENCE = 30.0
"""Seconds that others are waited for."""


def version(connection: sqlite3.Connection) -> int:
    """The version of its tables; 0 if there are none, or none of ours."""
    return int(connection.execute("pragma user_version").fetchone()[0])


def version_of_ours(connection: sqlite3.Connection) -> int | None:
    """The version of its tables, 0 if it is empty; None if it holds what is none of ours."""
    with _transaction(connection, "deferred"):
        found = version(connection)
        if found > SCHEMA:
            return found
        strange = "select 1 from sqlite_master"
        if found > 0:
            strange += " where type in ('view', 'trigger') or sql like 'create virtual%'"
        return None if found < 0 or connection.execute(strange).fetchone() else found


def prepare(connection: sqlite3.Connection) -> None:
    """Makes the tables, or migrates them; from then on what is written is durable, and read meanwhile."""
    _write_ahead(connection)
    connection.execute("pragma synchronous = full")
    with _transaction(connection, "immediate"):
        if version(connection) == 0:
            _execute(connection, TABLES, SCHEMA)
    migrate(connection)


def migrate(connection: sqlite3.Connection) -> None:
    """Makes tables of an older version those of this one, whole or not at all."""
    with _transaction(connection, "immediate"):
        for older in range(version(connection), SCHEMA):
            _execute(connection, MIGRATIONS[older], older + 1)


def _write_ahead(connection: sqlite3.Connection) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError as error:
            # Who comes while another switches a new file is refused at once, whatever patience it has.
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _execute(connection: sqlite3.Connection, script: str, made: int) -> None:
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute(f"pragma user_version = {made}")


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"begin {kind}")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
