"""Who evaluates: what a study asks of its workers, and those that are processes of one machine."""

import contextlib
import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Protocol

from contragrad.engine import worker
from contragrad.engine.work import Result, Work, load
from contragrad.errors import UserError

TRIES = 3
"""Workers that a task may cost; then it is given up."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """A running task has come so far."""

    key: str
    message: dict[str, float]


@dataclass(frozen=True, slots=True)
class Finished:
    """A task's result, and where and with what it was made, if that was not here."""

    key: str
    result: Result
    seconds: float
    provenance: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A task that has cost too many workers: what comes in the place of its result, and how they died."""

    key: str
    reason: str


Event = Progressed | Finished | GivenUp


class TaskFailedError(RuntimeError):
    """A task raised what nobody foresaw; the message holds the worker's traceback."""


class WorkerLostError(RuntimeError):
    """Workers died again and again, and it is not a trial's fault or cannot be left out."""


class Executor(Protocol):
    """Runs tasks; results come back in any order, and each is delivered once.

    A task whose worker dies is tried again on another, and given up after a number of tries: then `GivenUp`
    is delivered in the place of its result, its key is free again, and the other tasks go on.
    """

    @property
    def slots(self) -> int:
        """Tasks that run at the same time."""
        ...

    def offer(self, key: str, task: object) -> bool:
        """Starts the task; False if every slot is taken or the task is running already."""
        ...

    def wait(self) -> list[Event]:
        """Waits until something has happened to a running task, and says what.

        Raises:
            UserError: if a task raised one.
            TaskFailedError: if a task raised anything else.
        """
        ...

    def close(self) -> None:
        """Ends what is running; closing twice is fine."""
        ...


class InProcess:
    """Runs one task at a time in the driver, while it waits."""

    slots = 1

    def __init__(self, work: Work) -> None:
        self._perform = load(work)
        self._task: tuple[str, object] | None = None

    def offer(self, key: str, task: object) -> bool:
        """Takes the task if none is waiting."""
        if self._task is not None:
            return False
        self._task = (key, task)
        return True

    def wait(self) -> list[Event]:
        """Performs the task."""
        assert self._task is not None, "there is nothing to wait for"
        (key, task), self._task = self._task, None
        events: list[Event] = []
        begun = time.monotonic()
        try:
            result = self._perform(task, lambda message: events.append(Progressed(key, message)))
        except UserError:
            raise
        except Exception as error:
            raise TaskFailedError(f"{key}: {traceback.format_exc()}") from error
        return [*events, Finished(key, result, time.monotonic() - begun)]

    def close(self) -> None:
        """Forgets a task that was not begun."""
        self._task = None


@dataclass(slots=True)
class _Seat:
    """A worker, and what it was given.

    Args:
        process: the worker.
        pipe: to it.
        key: the task that it was given, until there is a result.
        begun: when it was given that.
        suspected: whether its end would be that task's doing: it has begun the task, or has not begun any.
    """

    process: BaseProcess
    pipe: Connection
    key: str | None = None
    begun: float = 0.0
    suspected: bool = True


@dataclass(slots=True)
class Processes:
    """Runs tasks in worker processes, each with the same number of threads.

    The number of threads is the workers' own and does not follow the number of workers, so a result
    does not either. A task whose worker dies is given to a new one.
    """

    work: Work
    workers: int
    threads: int
    tries: int = TRIES
    _seats: list[_Seat] = field(default_factory=list)
    _tasks: dict[str, object] = field(default_factory=dict)
    _losses: dict[str, int] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """Tasks that run at the same time."""
        return self.workers

    def offer(self, key: str, task: object) -> bool:
        """Gives the task to a free worker, which is started if need be."""
        if key in self._tasks or len(self._tasks) >= self.workers:
            return False
        self._tasks[key] = task
        self._assign(key)
        return True

    def _assign(self, key: str) -> None:
        for idle in [seat for seat in self._seats if seat.key is None and not seat.process.is_alive()]:
            self._remove(idle)
        seat = next((seat for seat in self._seats if seat.key is None), None)
        if seat is None:
            seat = self._start()
        seat.key, seat.begun = key, time.monotonic()
        # A worker that is gone has its end of the pipe ready, and `wait` deals with it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            seat.pipe.send((key, self._tasks[key]))

    def _start(self) -> _Seat:
        # A spawned process inherits no threads, locks or accelerator state of the driver.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=worker.main, args=(theirs, self.work, self.threads), daemon=True)
        with _without_main(), _without_interrupts():
            process.start()
        theirs.close()
        seat = _Seat(process, ours)
        self._seats.append(seat)
        return seat

    def wait(self) -> list[Event]:
        """Waits for what a worker has to say of its task, or for its death if that is worth telling."""
        assert self._tasks, "there is nothing to wait for"
        while not (events := list(self._hear(self._ready()))):
            pass
        return events

    def _ready(self) -> _Seat:
        ready = wait([seat.pipe for seat in self._seats])
        seat = next(seat for seat in self._seats if seat.pipe in ready)
        # One at a time, for a task's error must not swallow another's result; then it is the others' turn.
        self._seats.remove(seat)
        self._seats.append(seat)
        return seat

    def _hear(self, seat: _Seat) -> Iterator[Event]:
        try:
            kind, content = seat.pipe.recv()
        except (EOFError, OSError):  # an OSError if it died in the middle of a message
            yield from self._lost(seat)
            return
        key = seat.key
        assert key is not None
        if kind == "begun":
            seat.suspected = True
            return
        if kind == "progress":
            yield Progressed(key, content)
            return
        seat.key, seat.suspected = None, False
        self._forget(key)
        if kind == "user error":
            what, where, remedy = content
            raise UserError(what, where=where, remedy=remedy)
        if kind == "failed":
            raise TaskFailedError(f"{key}: {content}")
        yield Finished(key, content, time.monotonic() - seat.begun)

    def _lost(self, seat: _Seat) -> Iterator[Event]:
        self._remove(seat)
        if seat.key is None:
            return
        key = seat.key
        # A new worker's death counts in any case, so a machine on which none can start is noticed.
        losses = self._losses[key] = self._losses.get(key, 0) + seat.suspected
        if losses < self.tries:
            self._assign(key)
            return
        self._forget(key)
        died = "1 worker died" if losses == 1 else f"{losses} workers died"
        yield GivenUp(key, f"{died}, the last {_death(seat.process.exitcode)}")

    def _remove(self, seat: _Seat) -> None:
        seat.process.join()
        seat.pipe.close()
        self._seats.remove(seat)

    def _forget(self, key: str) -> None:
        del self._tasks[key]
        self._losses.pop(key, None)

    def close(self) -> None:
        """Ends the workers and what they are doing."""
        for seat in self._seats:
            seat.process.kill()
        for seat in self._seats:
            seat.process.join()
            seat.pipe.close()
        self._seats.clear()
        self._tasks.clear()
        self._losses.clear()


def _death(code: int | None) -> str:
    """What an exit code says of a worker's end."""
    match code:
        case worker.OUT_OF_MEMORY:
            return "for lack of memory"
        case -9:
            return "by SIGKILL, often for lack of memory"
        case int() if code < 0:
            return f"by signal {-code}"
        case _:
            return f"with exit code {code}"


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """A block in which Ctrl-C waits; a process that begins in it does not hear it before `worker.main` says.

    It reaches the whole group, and would end a worker that is still importing with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """A block in which a spawned process is not told of the program that is running.

    It would run the program's file again, so a script without `if __name__ == "__main__":` would begin anew
    in each worker. Work is found by its module, and needs nothing of it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
