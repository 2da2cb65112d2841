"""A memo that studies share: what one of them has evaluated, the others do not evaluate again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from contragrad.engine.memo import Memo, Record, SqliteMemo
from contragrad.errors import UserError
from contragrad.evolution.trial import GIVEN_UP

FROM = "from"
"""In a record's provenance: the shared database that a study has it from."""


@dataclass(frozen=True, slots=True)
class SharedMemo:
    """A study's own memo, and one that the drivers of other studies have open too.

    What is found in the shared one is kept in the study's own, which stays complete by itself. Notes stay in
    the study's own, and so do trials that were given up: another study's workers may bear them.

    Args:
        own: the study's.
        shared: everybody's.
        place: what provenance calls the shared one.
    """

    own: Memo
    shared: Memo
    place: str

    def get(self, key: str) -> Record | None:
        """The evaluation of that name, if the study or another one ever made it."""
        found = self.own.get(key)
        if found is None and (other := self.shared.get(key)) is not None and not _is_given_up(other):
            return self._keep(other)
        return found

    def put(self, record: Record) -> Record:
        """Remembers the evaluation and gives what is remembered: the first that any study put."""
        if _is_given_up(record):
            return self.own.put(record)
        try:
            first = self.shared.put(record)
        except UserError:
            self.own.put(record)  # the work is not lost
            raise
        return self.own.put(record) if first == record or _is_given_up(first) else self._keep(first)

    def _keep(self, other: Record) -> Record:
        return self.own.put(replace(other, provenance=other.provenance | {FROM: self.place}))

    def get_meta(self, key: str) -> str | None:
        """A note of the study's own."""
        return self.own.get_meta(key)

    def set_meta(self, key: str, content: str) -> None:
        """Replaces a note of the study's own."""
        self.own.set_meta(key, content)


def _is_given_up(record: Record) -> bool:
    return GIVEN_UP in record.outcome


@contextmanager
def remembering(own: Path, shared: str | None) -> Iterator[Memo]:
    """A study's memo until the block ends.

    Args:
        own: its database.
        shared: the path of one that it shares, made if it is missing; others are offered what the study has.

    Raises:
        UserError: if either cannot be used.
    """
    require_shareable(shared, own)
    with SqliteMemo(own) as memo:
        if shared is None:
            yield memo
            return
        with _opened(shared) as others:
            for record in memo.records():
                if not _is_given_up(record) and others.get(record.key) is None:
                    others.put(record)
            yield SharedMemo(memo, others, str(_path(shared).absolute()))


def require_shareable(shared: str | None, own: Path) -> None:
    """Checks that a database, if there is one, can be shared or made; writes nothing.

    Raises:
        UserError: saying why not.
    """
    if shared is None:
        return
    path, where = _path(shared), f"memo: {shared}"
    if path.is_dir():
        raise UserError("it is a folder", where=where, remedy=f"a file in it: {path / 'shared.db'}")
    if not path.absolute().parent.is_dir():
        raise UserError("its folder is not there", where=where, remedy=f"mkdir -p {path.parent}")
    if path.resolve() == own.resolve():
        raise UserError("it is the study's own database", where=where, remedy="a file outside its run folder")
    if path.exists():
        _opened(shared, read_only=True).close()


def _opened(shared: str, *, read_only: bool = False) -> SqliteMemo:
    try:
        return SqliteMemo(_path(shared), read_only=read_only)
    except UserError as error:
        remedy = "another file" if "run folder" in error.remedy else error.remedy
        raise UserError(error.what, where=f"memo: {shared}", remedy=remedy) from error


def _path(shared: str) -> Path:
    return Path(shared).expanduser()
