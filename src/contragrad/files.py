"""Files and folders that are there whole or not at all, and errors that say which could not be had.

What is written has another name until it is whole, `.NAME.PID.tmp` beside its place. A killed process leaves
that behind; whoever writes the same file next removes it. Who is still writing holds a lock on it.
"""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

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
    with writing(path) as file:
        file.write(text.encode())


@contextmanager
def writing(path: Path, what: str = "the file cannot be written") -> Iterator[BinaryIO]:
    """A file to fill, which is on disk and gets its name when the block ends; it is gone if the block fails.

    Raises:
        UserError: if it cannot be written; what was there before is left.
    """
    with named(path, what):
        sweep(path)
        beside = _beside(path)
        try:
            with _begun(beside) as file:
                yield file
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
    with named(path, "the folder cannot be made"), scratch_folder(path) as beside:
        try:
            yield beside
        except UserError as error:
            # Nobody has heard of the other name, and it is gone.
            where = error.where.replace(str(beside), str(path))
            raise UserError(error.what, where=where, remedy=error.remedy) from error
        try:
            beside.rename(path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            raise UserError(
                "somebody else has made the folder just now",
                where=str(path),
                remedy="wait for whoever it was, or another place",
            ) from error


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """A folder beside the path for what shall come to lie there; it is gone when the block ends."""
    sweep(path)
    beside = _beside(path)
    try:
        beside.mkdir(parents=True)
        descriptor = os.open(beside, os.O_RDONLY)
        try:
            _claim(descriptor)
            yield beside
        finally:
            os.close(descriptor)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def sweep(path: Path) -> None:
    """Removes what killed processes left half-written beside the path; never what is being written."""
    left = re.compile(rf"\.{re.escape(path.name)}\.\d+\.tmp")
    with suppress(OSError):
        for each in path.parent.iterdir():
            if left.fullmatch(each.name):
                _remove(each)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _begun(beside: Path) -> BinaryIO:
    """The file, claimed; who sweeps may have taken it for a killed one's before it was."""
    while True:
        file = beside.open("wb")
        _claim(file.fileno())
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), beside.stat()):
                return file
        file.close()


def _claim(descriptor: int) -> None:
    # Some network file systems have no locks; then a half-written file is only not protected.
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _remove(left: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(left, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
