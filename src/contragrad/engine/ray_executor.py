"""Who evaluates, beyond one machine: workers on the nodes of a Ray cluster.

Imported only where it is asked for. Ray pickles what driver and workers of one cluster send each other.
"""

import math
import pickle
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import ObjectRef
from ray.exceptions import RayError, RayTaskError

from contragrad.engine.evaluations import provenance
from contragrad.engine.executors import (
    TRIES,
    Event,
    Progressed,
    TaskFailedError,
    WorkerLostError,
)
from contragrad.engine.ray_cluster import cause_of, is_of_node, require_room, require_same, room_of
from contragrad.engine.ray_files import Depot, Files, Parcel
from contragrad.engine.ray_node import Foreman, Job, Sight, ending
from contragrad.engine.ray_seats import Losses, Seat
from contragrad.engine.work import Work
from contragrad.errors import UserError
from contragrad.files import write_text, writing

STARTING = 60.0
"""Seconds that the first tasks wait for a node with room, and then for the workers to start there."""

LOOKING = 5.0
"""Seconds between two looks at how much room the cluster has."""

ABSENT = 600.0
"""Seconds without any worker after which the cluster is given up."""


@dataclass(slots=True, kw_only=True)
class RayExecutor:
    """Runs tasks on the nodes of the cluster that this process is connected to.

    Args:
        work: what workers do.
        workers: how many; 0 are as many as the cluster has room for, as nodes come and go.
        threads: CPUs of a worker.
        gpus: GPUs of a worker, a share of one or several.
        files: the tasks', which workers are sent that do not see their folder; None if there are none.
        grows: whether nodes may still join the cluster.
        tries: workers that a task may cost before it is given up.
    """

    work: Work
    workers: int
    threads: int
    gpus: float = 0.0
    files: Files | None = None
    grows: bool = True
    tries: int = TRIES
    _sight: Sight | None = None
    _depot: Depot | None = None
    _seats: list[Seat] = field(default_factory=list)
    _tasks: dict[str, object] = field(default_factory=dict)
    _losses: Losses = field(default_factory=Losses)
    _begun: bool = False
    _unplaced: int = 0
    _looked: float = -math.inf
    _seen: float = 0.0

    @property
    def slots(self) -> int:
        """Workers that have a place, or one that is waited for; before the first task, places for them."""
        if self._begun:
            return max(1, self._placed())
        room = room_of(self.threads, self.gpus)
        return max(1, min(self.workers or room, room))

    def offer(self, key: str, task: object) -> bool:
        """Gives the task to a free worker; the first one waits until workers have started.

        Raises:
            UserError: if the cluster has no room for a worker, or a node cannot run one.
        """
        if not self._begun:
            self._begin()
        if key in self._tasks or len(self._tasks) >= self.slots:
            return False
        self._tasks[key] = task
        self._assign()
        return True

    def wait(self) -> list[Event]:
        """Waits for a worker to say something, or to be lost, or for a node to come.

        Raises:
            WorkerLostError: if there has been no worker for long.
        """
        assert self._tasks, "there is nothing to wait for"
        self._fill()
        self._assign()
        waiting = [seat.awaited for seat in self._seats if seat.awaited is not None]
        ready, _ = ray.wait(waiting, timeout=LOOKING) if waiting else ([], None)
        if self._placed():
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > ABSENT:
            raise WorkerLostError(
                f"the cluster has had no room for a worker for {ABSENT / 60:.0f} minutes\n"
                "  try: `ray status` says what there is; nothing is lost, and resume goes on"
            )
        if not ready:
            if not waiting:
                time.sleep(LOOKING)
            return []
        seat = next(seat for seat in self._seats if seat.awaited is ready[0])
        # Then it is the others' turn.
        self._seats.remove(seat)
        self._seats.append(seat)
        return list(self._hear(seat))

    def close(self) -> None:
        """Ends the workers and what they are doing."""
        for seat in self._seats:
            ray.kill(seat.foreman)
        self._seats.clear()
        self._losses.forget(*self._tasks)
        self._tasks.clear()
        self._begun, self._unplaced, self._looked = False, 0, -math.inf
        self._sight = self._depot = None
        if self.files is not None:
            (self.files.folder / self.files.mark).unlink(missing_ok=True)

    def _begin(self) -> None:
        """Asks for workers and waits for those that there is room for, so that the first tasks find them."""
        if self.files is not None:
            self._depot = Depot(self.files.folder)
            self._sight = Sight(self.files.folder.absolute(), self.files.mark, secrets.token_hex(16))
            write_text(self.files.folder / self.files.mark, self._sight.content)
        self._fill()  # a cluster may grow by what it is asked for
        room = require_room(self.threads, self.gpus, STARTING if self.grows else 0.0)
        self._begun = True
        self._fill()
        self._seen, end = time.monotonic(), time.monotonic() + STARTING
        while self._placed() < min(room, len(self._seats)) and (left := end - time.monotonic()) > 0:
            ready, _ = ray.wait([seat.awaited for seat in self._seats if seat.place is None], timeout=left)
            for seat in [seat for seat in self._seats if seat.awaited in ready]:
                list(self._hear(seat))

    def _placed(self) -> int:
        return sum(seat.place is not None for seat in self._seats)

    def _fill(self) -> None:
        """Asks for the workers that are missing; where there is no room yet, they come when there is."""
        if time.monotonic() - self._looked < LOOKING and self._seats:
            return
        self._looked = time.monotonic()
        foreman: Any = ray.remote(Foreman)
        foreman = foreman.options(num_cpus=self.threads, num_gpus=self.gpus, max_restarts=0)
        for _ in range((self.workers or room_of(self.threads, self.gpus)) - len(self._seats)):
            actor = foreman.remote(pickle.dumps(self.work), sys.path, self.threads, self._sight)
            self._seats.append(Seat(actor, awaited=actor.place.remote()))

    def _assign(self) -> None:
        running = {seat.key for seat in self._seats}
        free = [seat for seat in self._seats if seat.place is not None and seat.key is None]
        for seat, key in zip(free, [key for key in self._tasks if key not in running], strict=False):
            seat.key, seat.begun = key, False
            self._perform(seat, {})

    def _perform(self, seat: Seat, supplied: dict[str, Parcel]) -> None:
        assert seat.key is not None
        task, files = self._tasks[seat.key], self.files
        names = ((), ()) if files is None else (tuple(files.reads(task)), tuple(files.makes(task)))
        begun = () if files is None else tuple(name for name in names[1] if (files.folder / name).exists())
        job = Job(seat.key, pickle.dumps(task), *names, begun)
        seat.awaited = seat.foreman.perform.options(num_returns="streaming").remote(job, supplied)

    def _hear(self, seat: Seat) -> Iterator[Event]:
        try:
            if isinstance(seat.awaited, ObjectRef):
                seat.place = ray.get(seat.awaited)
                seat.awaited, self._unplaced = None, 0
                require_same(provenance(), seat.place.provenance, seat.place.address)
                return
            kind, content = ray.get(next(seat.awaited))
        except RayTaskError as error:
            if seat.key is None:
                raise
            self._forget(seat.key)
            seat.free()
            raise TaskFailedError(f"on node {seat.address}: {error}") from error
        except RayError as error:
            yield from self._lost(seat, error)
            return
        key, files = seat.key, self.files
        assert key is not None
        match kind:
            case "begun":
                seat.begun = True
            case "progress":
                yield Progressed(key, content)
            case "lacking":
                assert self._depot is not None
                self._perform(seat, {name: self._depot.parcel(name) for name in content})
            case "file":
                assert files is not None
                name, data = content
                if name not in files.makes(self._tasks[key]):
                    raise TaskFailedError(f"{key}: a worker sent {name!r}, which is none of its task's files")
                with writing(files.folder / name, "a worker's file cannot be written") as file:
                    file.write(data)
            case "kept":
                assert files is not None
                for name in set(files.makes(self._tasks[key])) - set(content):
                    (files.folder / name).unlink(missing_ok=True)
            case "died":
                seat.free()
                self._losses.workers[key] += 1
                yield from self._given_up(key, f"on node {seat.address}: {content}")
            case "user error" | "failed" | "result":
                seat.free()
                self._forget(key)
                yield ending(kind, content)

    def _lost(self, seat: Seat, error: RayError) -> Iterator[Event]:
        of_node = is_of_node(error)
        for each in [seat, *(seat.idle_beside(self._seats) if of_node else ())]:
            self._seats.remove(each)
            ray.kill(each.foreman)  # it may be only out of reach
        self._looked = -math.inf
        self._unplaced += seat.place is None and not of_node
        if self._unplaced >= self.tries:
            raise UserError(
                f"a worker cannot be started on the cluster: {cause_of(error)}",
                where="executor: ray",
                remedy="pip install 'contragrad[ray]' on every node",
            )
        # A worker that died before it began was not killed by its task.
        if (key := seat.key) is not None and seat.begun:
            (self._losses.nodes if of_node else self._losses.workers)[key] += 1
            yield from self._given_up(key, f"node {seat.address}: {cause_of(error)}")

    def _given_up(self, key: str, how: str) -> Iterator[Event]:
        """The end of a task that has cost too much; until then it waits for another worker."""
        if (end := self._losses.given_up(key, self.tries, how)) is not None:
            self._forget(key)
            yield end

    def _forget(self, key: str) -> None:
        del self._tasks[key]
        self._losses.forget(key)
