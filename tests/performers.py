"""What worker processes and second drivers do in tests; they import it by name, so torch is not here."""

import fcntl
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from contragrad.engine import executors
from contragrad.engine.executors import Finished, Processes
from contragrad.engine.lock import lock_folder
from contragrad.engine.memo import DictMemo, Memo, Record, SqliteMemo
from contragrad.engine.shared import remembering
from contragrad.engine.study import Event, Told, run
from contragrad.engine.work import Perform, Result, Work
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.search import State
from contragrad.evolution.shapes import Problem
from contragrad.evolution.trial import Infeasible, Measured, Outcome, Stopped, Trial, outcome_to_json
from contragrad.fingerprint import fingerprint
from contragrad.settings.search import SearchSettings

Report = Callable[[dict[str, float]], None]

PATIENCE = 60.0
"""Seconds after which a test waits for something that will not come."""


@dataclass(frozen=True)
class Call:
    """A task: a function of this module, and what it is called with."""

    function: Callable[[Any, Report], Result]
    argument: object = None


def calls(offset: int) -> Perform:
    """A setup whose tasks are calls; the offset shows that its argument has come over."""
    assert offset == 7

    def perform(task: Call, report: Report) -> Result:
        return task.function(task.argument, report)

    return perform


CALLS = Work("performers:calls", 7)


def calls_after_torch(dtype: object) -> Perform:
    """The same setup; its argument is a type of torch's, which is therefore there before it."""
    assert "torch" in sys.modules
    return calls(7)


def toys(argument: None) -> Perform:
    """A setup whose tasks are trials."""
    return lambda trial, report: outcome_to_json(toy(trial))


def toys_but(deadly: str) -> Perform:
    """The same, where one genome's trials kill their process."""

    def perform(trial: Trial, report: Report) -> Result:
        if str(trial.genome) == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome_to_json(toy(trial))

    return perform


def with_files(argument: None, folder: Path) -> Perform:
    """A task that reads one file and makes another, and is killed once, when it has a checkpoint."""

    def perform(task: str, report: Report) -> Result:
        checkpoint = folder / f"{task}.checkpoint"
        if not checkpoint.exists():
            checkpoint.write_text("half")
            report({"done": 0.5})
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / f"{task}.made").write_text(f"{(folder / 'read').read_text()}, {checkpoint.read_text()}")
        checkpoint.unlink()
        return {"folder": str(folder)}

    return perform


def toy(trial: Trial) -> Outcome:
    """An outcome that depends on nothing but the trial, and ties often."""
    digits = int(trial.genome.hash, 16) + trial.epochs
    return (
        Infeasible("unlucky")
        if digits % 7 == 0
        else raced(trial, Measured(digits % 5 / 4, digits // 5 % 5 / 4))
    )


def raced(trial: Trial, end: Measured) -> Outcome:
    """What the trial comes to at its rungs, where its fitness is made up, or at its end."""
    levels = [(int(trial.genome.hash, 16) // 35 + place) % 5 / 4 for place in range(len(trial.rungs))]
    for rung, level in zip(trial.rungs, levels, strict=True):
        if rung.bar is not None and level < rung.bar:
            return Stopped(rung.epoch, level)
    return replace(end, curve=tuple(levels))


def with_a_deadly_network(argument: tuple[Any, int]) -> Perform:
    """A study's own tasks, of which the trial in that place of its search ends who performs it."""
    from contragrad.evolution.search import ask, start, tell
    from contragrad.jobs.tasks import prepare

    workspace, place = argument
    state = start(workspace.config.search, workspace.problem, workspace.config.seed)
    for _ in range(place - 1):
        state = tell(state, ask(state), Infeasible("not known"))
    deadly, perform = ask(state), prepare(workspace)

    def performed(task: Any, report: Report) -> Result:
        return die_by(signal.SIGSEGV, report) if task == deadly else perform(task, report)

    return performed


def broken(argument: object) -> Perform:
    """A setup that fails."""
    raise LookupError(f"nothing can be set up with {argument}")


# Tasks.


def echo(argument: Any, report: Report) -> Result:
    return {"echo": argument}


def count(upto: int, report: Report) -> Result:
    for number in range(upto):
        report({"number": number})
    return {"counted": upto}


def touch(path: Path, report: Report) -> Result:
    path.touch()
    return {"touched": str(path)}


def complain(argument: object, report: Report) -> Result:
    raise UserError("what is wrong", where="where it is", remedy="what is right")


def divide_by_zero(argument: object, report: Report) -> Result:
    return {"never": 1 / 0}


def threads(argument: object, report: Report) -> Result:
    import torch

    variables = [os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")]
    return {"torch": torch.get_num_threads(), "variables": [*variables]}


def hold(path: Path, report: Report) -> Result:
    """Locks the file, and ends only with its process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        report({"pid": os.getpid()})
        while True:
            signal.pause()


def stay(path: Path, report: Report) -> Result:
    """Says nothing to its driver, and ends only with its process."""
    path.touch()
    while True:
        signal.pause()


def ignore_sigterm_and_hold(path: Path, report: Report) -> Result:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return hold(path, report)


def die(path: Path, report: Report) -> Result:
    """Notes that it was begun, and kills its process."""
    with path.open("a") as file:
        file.write("begun\n")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def die_by(number: signal.Signals, report: Report) -> Result:
    """Is ended by the signal, and leaves no core."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), number)
    raise AssertionError


def leave(code: int, report: Report) -> Result:
    """Ends its process as if it were done."""
    os._exit(code)


def leave_at_once(pipe: object, work: object, threads: object) -> None:
    """A worker that ends before it has taken a task."""
    os._exit(3)


def run_out_of_memory(argument: object, report: Report) -> Result:
    raise MemoryError


def die_once(path: Path, report: Report) -> Result:
    return {"survived": True} if path.exists() else die(path, report)


def die_once_in_the_middle_of_a_message(path: Path, report: Report) -> Result:
    """Is killed while it sends more than the pipe holds to a driver that does not read."""
    if not path.exists():
        path.touch()
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGKILL)).start()
        report({"x" * 10_000_000: 1.0})
    return {"survived": True}


def meet(paths: tuple[Path, Path], report: Report) -> Result:
    """Ends only while another task is running that waits for this one."""
    mine, others = paths
    mine.touch()
    wait_for(others)
    return {"met": str(others)}


def wait_for(path: Path) -> None:
    """Waits until the file is there."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.01)


# Second drivers: `in_another_process("function", ...)` in a test calls them with words.


def drive(folder: str, moment: str) -> None:
    """A driver that is killed while its worker is starting, or in the middle of a task."""
    executor = Processes(CALLS, workers=1, threads=1)
    path = Path(folder) / "begun"
    executor.offer("task", Call(stay, path))
    if moment == "task":
        wait_for(path)
    os.kill(os.getpid(), signal.SIGKILL)


def keep_lock(folder: str) -> None:
    with lock_folder(Path(folder)):
        print("locked", flush=True)
        sys.stdin.read()


def record(number: int) -> Record:
    return Record(
        key=f"key {number}",
        task=f"task {number}",
        outcome={"number": number, "text": "x" * 3000},
        seconds=number / 2,
        provenance={"host": "here"},
    )


def write_records(path: str) -> None:
    """Puts records and says which ones have been put, until it is killed."""
    memo = SqliteMemo(Path(path))
    number = 0
    while True:
        memo.put(record(number))
        memo.set_meta("last", str(number))
        print(number, flush=True)
        number += 1


def share_records(own: str, shared: str) -> None:
    """Puts records of its own under names that others use too, and says what is remembered."""
    print("ready", flush=True)
    sys.stdin.readline()
    with remembering(Path(own), shared) as memo:
        for number in range(30):
            found = memo.put(replace(record(number), seconds=float(os.getpid())))
            print(number, found.seconds)


def sharing_search(folder: str, shared: str, seed: str, children: str) -> None:
    """A small search in a folder of its own, which says each step and at last where it ends."""
    with remembering(Path(folder) / "study.db", shared) as memo:
        final = sharing_state(
            memo, seed, children, seconds=0.02, on_event=lambda event: print("step", flush=True)
        )
    print(repr(final))


def sharing_state(
    memo: Memo,
    seed: str,
    children: str,
    *,
    seconds: float = 0.0,
    slots: int = 1,
    on_event: Callable[[Event], None] = lambda event: None,
) -> State:
    """Where that search ends; trials are named by what they are, and few are possible."""
    settings = SearchSettings(
        population=3,
        children=int(children),
        minimum_distance=0.0,
        generations=3,
        mutations_min=1,
        mutations_max=1,
        initial_blocks_min=1,
        initial_blocks_max=2,
        epochs=1,
        epochs_growth=0,
        channels=(4,),
        kernels=(1,),
        hidden=4,
    )
    state = search.start(settings, Problem(3, 32, 32, 10), int(seed))
    with closing(Slowly(seconds, slots)) as executor:
        return run(state, memo=memo, executor=executor, key_of=trial_key, on_event=on_event)


def trial_key(trial: Trial) -> str:
    return fingerprint("test/1", repr(trial))


def told_by(words: tuple[str, str]) -> set[str]:
    """The names of what that search is told."""
    told: set[str] = set()

    def note(event: Event) -> None:
        if isinstance(event, Told):
            told.add(trial_key(event.trial))

    sharing_state(DictMemo(), *words, on_event=note)
    return told


@dataclass
class Slowly:
    """An executor whose trials take their time, each after the one before."""

    seconds: float
    slots: int
    tasks: dict[str, Trial] = field(default_factory=dict)

    def offer(self, key: str, task: object) -> bool:
        assert isinstance(task, Trial)
        if key in self.tasks or len(self.tasks) >= self.slots:
            return False
        self.tasks[key] = task
        return True

    def wait(self) -> list[executors.Event]:
        time.sleep(self.seconds)
        key = next(iter(self.tasks))
        return [Finished(key, outcome_to_json(toy(self.tasks.pop(key))), self.seconds)]

    def close(self) -> None:
        self.tasks.clear()


def save_artefacts(folder: str) -> None:
    """Saves an artefact again and again with other content, until it is killed."""
    import torch

    from contragrad.artefacts import Artefacts

    artefacts = Artefacts(Path(folder))
    number = 0
    while True:
        artefacts.save("network", "same", {"tensor": torch.full((1_000_000,), number, dtype=torch.int64)})
        print(number, flush=True)
        number += 1


def die_while_saving(folder: str, moment: str) -> None:
    """Is killed in the middle of writing an artefact, or when it is written and not yet under its name."""
    import torch

    from contragrad.artefacts import Artefacts

    if moment == "writing":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # the kernel kills who writes more
    else:
        setattr(os, "fsync", lambda file: os.kill(os.getpid(), signal.SIGKILL))  # noqa: B010
    Artefacts(Path(folder)).save("kind", "name", {"tensor": torch.zeros(100_000)})
