"""Text files and folders that are there whole or not at all, and errors that say which could not be had."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contragrad.errors import UserError


@contextmanager
def named(
    path: Path, what: str, remedy: str = "free room and writing rights, or another place"
) -> Iterator[None]:
    """A block whose OSError becomes an error that a person can act on.

    Raises:
        UserError: naming the path and what the system said.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{what}: {error.strerror or error}", where=str(path), remedy=remedy) from error


def write_text(path: Path, text: str) -> None:
    """Writes the file beside its place and renames it, so that nobody reads half of it.

    Raises:
        UserError: if it cannot be written; what was there before is left.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with named(path, "the file cannot be written"):
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name when the block ends; it is gone if the block fails.

    Raises:
        UserError: if it cannot be made.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with named(path, "the folder cannot be made"):
        try:
            beside.mkdir(parents=True)
            yield beside
            beside.rename(path)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
