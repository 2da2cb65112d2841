"""A study's files where workers do not see its folder: sent to a node once, and brought back whole."""

import fcntl
import hashlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import ray
from ray import ObjectRef

from contragrad.errors import UserError
from contragrad.files import named, writing

CHUNK = 64 * 2**20
"""Bytes of an object in Ray's store; the smallest store holds one."""

CACHE = "CONTRAGRAD_CACHE"
"""The environment variable that says where a node keeps what it was sent."""

KEPT_FOR = 7 * 24 * 3600
"""Seconds after its last use that a file is kept."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a run folder that its tasks read and make, named relative to it.

    Args:
        folder: the run folder, as the driver has it.
        mark: a file that the driver writes, so that workers know whether they see the folder.
        reads: what must be there before a task is performed.
        makes: what a task leaves, and goes on from if it is there.
    """

    folder: Path
    mark: str
    reads: Callable[[Any], Iterable[str]]
    makes: Callable[[Any], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file in Ray's object store, with the digest of its content."""

    digest: str
    chunks: tuple["ObjectRef[bytes]", ...]


@dataclass(frozen=True, slots=True)
class Depot:
    """Puts each file of a folder into the object store once, and again only if it has changed."""

    folder: Path
    _parcels: dict[str, tuple[tuple[int, int], Parcel]] = field(default_factory=dict)

    def parcel(self, name: str) -> Parcel:
        """The file as it is now.

        Raises:
            UserError: if it cannot be read.
        """
        path = self.folder / name
        with named(path, "a file that workers need cannot be read", "contragrad resume makes it again"):
            state = path.stat()
            version = (state.st_mtime_ns, state.st_ino)
            if name not in self._parcels or self._parcels[name][0] != version:
                self._parcels[name] = (version, _pack(path))
            return self._parcels[name][1]


def _pack(path: Path) -> Parcel:
    digest, chunks = hashlib.sha256(), []
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            chunks.append(ray.put(chunk))
    return Parcel(digest.hexdigest(), tuple(chunks))


@dataclass(frozen=True, slots=True)
class Cache:
    """What a node keeps: files by content, which its workers share, and a folder for each worker."""

    root: Path

    @classmethod
    def of_node(cls) -> "Cache":
        """The cache of this node and user.

        Raises:
            UserError: if the folder is somebody else's.
        """
        default = Path(tempfile.gettempdir()) / f"contragrad-{os.getuid()}"
        root = Path(os.environ.get(CACHE) or default)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if root.stat().st_uid != os.getuid():
            raise UserError("a worker's cache is another user's", where=str(root), remedy=f"another {CACHE}")
        return cls(root)

    def claim(self) -> tuple[Path, BinaryIO]:
        """A new folder that is this process's own as long as it holds the lock, which comes with it.

        Raises:
            UserError: if it cannot be made.
        """
        with self._alone():
            self._sweep()
            path = Path(tempfile.mkdtemp(dir=self.root, prefix="worker-"))
            held = path.with_suffix(".worker").open("wb")
            fcntl.flock(held, fcntl.LOCK_EX)
            return path, held

    def _sweep(self) -> None:
        """Removes the folders of workers that are gone."""
        for path in {path.with_suffix("") for path in self.root.glob("worker-*")}:
            lock = path.with_suffix(".worker")
            with lock.open("ab") as file, suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
                lock.unlink()

    def place(self, parcel: Parcel, target: Path) -> None:
        """Gives the content a name; it is fetched if the node does not have it yet.

        Raises:
            UserError: if it cannot be written; it names the node.
        """
        kept = self.root / f"{parcel.digest}.file"
        with self._alone():
            if not kept.exists() or _digest(kept) != parcel.digest:
                self._forget()
                with writing(kept) as file:
                    for chunk in parcel.chunks:
                        file.write(ray.get(chunk))
            os.utime(kept)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.hardlink_to(kept)

    def _forget(self) -> None:
        """Removes what is old, and what a killed process has left half-written."""
        for kept in self.root.glob("*.file"):
            if kept.stat().st_mtime < time.time() - KEPT_FOR:
                kept.unlink()
        for left in self.root.glob(".*.tmp"):
            left.unlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A block that one process of the node is in at a time."""
        try:
            with (
                named(self.root, "a worker's cache cannot be written"),
                (self.root / "lock").open("wb") as file,
            ):
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except UserError as error:
            where = f"{error.where} on node {socket.gethostname()}"
            raise UserError(error.what, where=where, remedy=f"free room there, or another {CACHE}") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
