"""What runs on a node of a Ray cluster: a foreman, who has one worker process perform what he is given.

The worker is a process of its own, as on one machine: the same start, threads and memory, so the same
results. If it dies the foreman lives and tells, so a task that kills its worker is told from a lost node.
"""

import contextlib
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray

from contragrad.engine.evaluations import provenance
from contragrad.engine.executors import Finished, GivenUp, Processes, Progressed, TaskFailedError
from contragrad.engine.ray_files import Cache, Parcel
from contragrad.engine.work import Perform, Result, Work, load
from contragrad.errors import UserError
from contragrad.files import named

Message = tuple[str, Any]
"""What a foreman says of a task: a kind and a content, see `Foreman.perform`."""


@dataclass(frozen=True, slots=True)
class Sight:
    """How a worker knows the run folder when it sees it: by the content of its mark, not by its path."""

    folder: Path
    mark: str
    content: str

    def holds(self) -> bool:
        """Whether the folder is visible here."""
        try:
            return (self.folder / self.mark).read_text() == self.content
        except (OSError, UnicodeDecodeError):
            return False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a foreman is.

    Args:
        node: the name that Ray gives the node.
        address: the node's.
        provenance: the machine, and the versions that its workers run.
    """

    node: str
    address: str
    provenance: dict[str, str]


@dataclass(frozen=True, slots=True)
class Job:
    """A task with the names of the files that go with it.

    Args:
        key: the task's.
        task: the task, pickled; the foreman does not load what it is about.
        reads: files that must be there.
        makes: files that it leaves.
        begun: those of them that are there from an earlier try.
    """

    key: str
    task: bytes
    reads: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    begun: tuple[str, ...] = ()


class Foreman:
    """An actor with one worker process.

    Args:
        work: what workers do, pickled.
        path: where the driver finds modules, and its workers do.
        threads: of the worker.
        sight: the run folder; None if tasks have no files.
    """

    def __init__(self, work: bytes, path: Sequence[str], threads: int, sight: Sight | None) -> None:
        self._sees = sight is None or sight.holds()
        folder = sight.folder if sight is not None else None
        if not self._sees:
            self._cache = Cache.of_node()
            folder, self._lock = self._cache.claim()
        self._folder = folder or Path()
        self._workers = Processes(
            Work("contragrad.engine.ray_node:unpickled", (work, tuple(path), folder)),
            workers=1,
            threads=threads,
            tries=1,
        )

    def place(self) -> Place:
        """Where this is; answered as soon as the cluster has room for it."""
        address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        return Place(ray.get_runtime_context().get_node_id(), address, provenance())

    def perform(self, job: Job, supplied: Mapping[str, Parcel]) -> Iterator[Message]:
        """Performs the task and says: ("lacking", files) if it must be supplied with them first, or
        ("begun", None), ("progress", message), ("file", (name, content)), ("kept", files), and at last
        ("result", Finished), ("user error", its words), ("failed", a traceback) or ("died", how).
        """
        try:
            if lacking := [name for name in self._lacking(job) if name not in supplied]:
                yield "lacking", tuple(lacking)
                return
            yield "begun", None
            for name, parcel in supplied.items():
                self._cache.place(parcel, self._folder / name)
            yield from self._performed(job)
        except UserError as error:
            yield "user error", (error.what, error.where, error.remedy)
        except TaskFailedError as error:
            yield "failed", str(error)

    def _lacking(self, job: Job) -> list[str]:
        if self._sees:
            return []
        return [*(name for name in job.reads if not (self._folder / name).exists()), *job.begun]

    def _performed(self, job: Job) -> Iterator[Message]:
        before = self._versions(job.makes)
        self._workers.offer(job.key, job.task)
        while True:
            for event in self._workers.wait():
                after = self._versions(job.makes)
                for name in (name for name in after if after[name] != before.get(name)):
                    if (content := self._content(name)) is not None:
                        yield "file", (name, content)
                before = after
                match event:
                    case Progressed(_, message):
                        yield "progress", message
                    case Finished():
                        if not self._sees:
                            yield "kept", tuple(after)
                        yield "result", replace(event, provenance=provenance())
                        return
                    case GivenUp(_, reason):
                        yield "died", reason
                        return

    def _versions(self, names: Iterable[str]) -> dict[str, int]:
        """When the files that the driver does not see were written, as far as they are there."""
        found: dict[str, int] = {}
        if not self._sees:
            for name in names:
                # The worker may remove a checkpoint at any time.
                with contextlib.suppress(FileNotFoundError):
                    found[name] = (self._folder / name).stat().st_mtime_ns
        return found

    def _content(self, name: str) -> bytes | None:
        path = self._folder / name
        with named(path, "a worker's file cannot be read"):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None


def ending(kind: str, content: Any) -> Finished:
    """The result that a foreman's last message holds.

    Raises:
        UserError: if the task raised one.
        TaskFailedError: if it raised anything else.
    """
    if kind == "user error":
        what, where, remedy = content
        raise UserError(what, where=where, remedy=remedy)
    if kind == "failed":
        raise TaskFailedError(content)
    assert isinstance(content, Finished)
    return content


def unpickled(argument: tuple[bytes, Sequence[str], Path | None]) -> Perform:
    """A worker's function for pickled tasks of pickled work, whose files are in a folder of this node."""
    work, path, folder = argument
    sys.path += [place for place in path if place not in sys.path]
    perform = load(pickle.loads(work), folder)

    def perform_pickled(task: bytes, report: Callable[[dict[str, float]], None]) -> Result:
        return perform(pickle.loads(task), report)

    return perform_pickled
