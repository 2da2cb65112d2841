"""Every executor keeps one contract; processes may be lost, and never outlive their driver."""

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch

from contragrad.engine.executors import (
    TRIES,
    Event,
    Executor,
    Finished,
    GivenUp,
    InProcess,
    Processes,
    Progressed,
    TaskFailedError,
)
from contragrad.engine.work import Result, Work
from contragrad.errors import UserError
from elsewhere import in_another_process
from performers import (
    CALLS,
    PATIENCE,
    Call,
    Report,
    complain,
    count,
    die,
    die_by,
    die_once,
    die_once_in_the_middle_of_a_message,
    divide_by_zero,
    echo,
    hold,
    ignore_sigterm_and_hold,
    leave,
    leave_at_once,
    meet,
    run_out_of_memory,
    threads,
    touch,
)

pytestmark = pytest.mark.timeout(2 * PATIENCE)

KINDS = {"in process": 0, "one process": 1, "two processes": 2}


def make(workers: int, work: Work = CALLS) -> Executor:
    return Processes(work, workers=workers, threads=1) if workers else InProcess(work)


@pytest.fixture(params=KINDS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with closing(make(KINDS[request.param])) as executor:
        yield executor


@pytest.fixture(params=[1, 2], ids=["one process", "two processes"])
def processes(request: pytest.FixtureRequest) -> Iterator[Processes]:
    with closing(Processes(CALLS, workers=request.param, threads=1)) as executor:
        yield executor


@pytest.fixture
def two_processes() -> Iterator[Processes]:
    with closing(Processes(CALLS, workers=2, threads=1)) as executor:
        yield executor


def finish(executor: Executor, *keys: str) -> list[Event]:
    """What happens until these tasks are done."""
    events: list[Event] = []
    while not set(keys) <= {event.key for event in events if isinstance(event, Finished)}:
        events += executor.wait()
    return events


def results(events: list[Event]) -> list[tuple[str, Result]]:
    return [(event.key, event.result) for event in events if isinstance(event, Finished)]


# The contract.


def test_each_result_is_delivered_once(executor: Executor) -> None:
    waiting = [f"task {number}" for number in range(9)]
    events: list[Event] = []
    running: set[str] = set()
    while waiting or running:
        while waiting and executor.offer(waiting[0], Call(echo, f"result of {waiting[0]}")):
            running.add(waiting.pop(0))
        assert 0 < len(running) <= executor.slots
        new = executor.wait()
        running -= {key for key, _ in results(new)}
        events += new
    assert sorted(results(events)) == [
        (f"task {number}", {"echo": f"result of task {number}"}) for number in range(9)
    ]
    assert all(isinstance(event, Finished) and event.seconds >= 0 for event in events)


def test_progress_comes_in_order_and_before_the_result(executor: Executor) -> None:
    assert executor.offer("counting", Call(count, 4))
    *progress, last = finish(executor, "counting")
    assert progress == [Progressed("counting", {"number": number}) for number in range(4)]
    assert isinstance(last, Finished)
    assert last.result == {"counted": 4}


def test_an_offer_is_refused_when_every_slot_is_taken(executor: Executor, tmp_path: Path) -> None:
    for slot in range(executor.slots):
        assert executor.offer(f"task {slot}", Call(echo, slot))
    assert not executor.offer("one more", Call(touch, tmp_path / "refused"))
    events = finish(executor, *(f"task {slot}" for slot in range(executor.slots)))
    assert len(results(events)) == executor.slots
    assert executor.offer("one more", Call(echo, "now"))
    assert results(finish(executor, "one more")) == [("one more", {"echo": "now"})]
    assert not (tmp_path / "refused").exists()


def test_an_offer_is_refused_while_the_key_is_running_and_taken_after_it(executor: Executor) -> None:
    assert executor.offer("same", Call(echo, 1))
    assert not executor.offer("same", Call(echo, 2))
    assert results(finish(executor, "same")) == [("same", {"echo": 1})]
    assert executor.offer("same", Call(echo, 3))
    assert results(finish(executor, "same")) == [("same", {"echo": 3})]


def test_a_user_error_comes_over_whole(executor: Executor) -> None:
    executor.offer("wrong", Call(complain))
    with pytest.raises(UserError) as caught:
        finish(executor, "wrong")
    error = caught.value
    assert (error.what, error.where, error.remedy) == ("what is wrong", "where it is", "what is right")


def test_any_other_error_names_its_task_and_shows_where_it_was_raised(executor: Executor) -> None:
    executor.offer("the failing one", Call(divide_by_zero))
    with pytest.raises(TaskFailedError) as caught:
        finish(executor, "the failing one")
    for word in ("the failing one", "Traceback", "performers.py", "in divide_by_zero", "ZeroDivisionError"):
        assert word in str(caught.value)


def test_an_executor_goes_on_after_errors(executor: Executor) -> None:
    for call, error in ((Call(complain), UserError), (Call(divide_by_zero), TaskFailedError)):
        assert executor.offer("again", call)
        with pytest.raises(error):
            finish(executor, "again")
    assert executor.offer("again", Call(echo, 1))
    assert results(finish(executor, "again")) == [("again", {"echo": 1})]


def test_a_closed_executor_runs_nothing_and_closing_twice_is_fine(executor: Executor, tmp_path: Path) -> None:
    executor.close()
    assert executor.offer("task", Call(echo, 1))
    executor.close()
    executor.close()
    assert executor.offer("task", Call(echo, 2))
    assert results(finish(executor, "task")) == [("task", {"echo": 2})]


def test_what_cannot_be_set_up_is_told_at_once_or_with_the_first_task() -> None:
    work = Work("performers:broken", "this")
    with pytest.raises(LookupError, match="nothing can be set up with this"):
        InProcess(work)
    with closing(Processes(work, workers=1, threads=1)) as executor:
        executor.offer("task", Call(echo))
        with pytest.raises(TaskFailedError) as caught:
            executor.wait()
        assert "LookupError: nothing can be set up with this" in str(caught.value)


# Processes.


def test_two_processes_run_two_tasks_at_a_time(two_processes: Processes, tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    assert two_processes.offer("left", Call(meet, (left, right)))
    assert two_processes.offer("right", Call(meet, (right, left)))
    assert len(results(finish(two_processes, "left", "right"))) == 2


def test_an_error_leaves_the_others_running(two_processes: Processes, tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    two_processes.offer("left", Call(meet, (left, right)))
    two_processes.offer("wrong", Call(complain))
    with pytest.raises(UserError):
        two_processes.wait()
    two_processes.offer("right", Call(meet, (right, left)))
    assert len(results(finish(two_processes, "left", "right"))) == 2


@pytest.mark.parametrize("first", ["fine", "wrong"])
def test_an_error_does_not_swallow_a_result_that_came_with_it(two_processes: Processes, first: str) -> None:
    calls = {"fine": Call(echo, 1), "wrong": Call(complain)}
    for key in (first, *calls):
        two_processes.offer(key, calls[key])
    for seat in two_processes._seats:
        assert seat.pipe.poll(PATIENCE)
    events: list[Event] = []
    errors = 0
    while len(events) + errors < 2:
        try:
            events += two_processes.wait()
        except UserError:
            errors += 1
    assert errors == 1
    assert results(events) == [("fine", {"echo": 1})]


def test_a_talkative_task_does_not_silence_the_others(two_processes: Processes) -> None:
    two_processes.offer("talkative", Call(count, 100_000))
    two_processes.offer("quiet", Call(echo, 1))
    assert "talkative" not in dict(results(finish(two_processes, "quiet")))


def test_a_killed_worker_is_replaced_and_its_task_is_done(processes: Processes, tmp_path: Path) -> None:
    path = tmp_path / "begun"
    assert processes.offer("task", Call(die_once, path))
    assert results(finish(processes, "task")) == [("task", {"survived": True})]
    assert path.read_text() == "begun\n"


def test_a_worker_killed_from_outside_is_replaced(two_processes: Processes, tmp_path: Path) -> None:
    held, left, right = tmp_path / "held", tmp_path / "left", tmp_path / "right"
    two_processes.offer("held", Call(hold, held))
    two_processes.offer("left", Call(meet, (left, right)))
    pids: list[int] = []
    while len(pids) < 3:
        for event in two_processes.wait():
            assert isinstance(event, Progressed)
            assert event.key == "held"
            pids.append(int(event.message["pid"]))
            if len(pids) < 3:
                os.kill(pids[-1], signal.SIGKILL)
    assert len(set(pids)) == 3
    right.touch()
    assert [key for key, _ in results(finish(two_processes, "left"))] == ["left"]


def test_ctrl_c_does_not_end_a_worker_that_is_still_beginning(processes: Processes) -> None:
    processes.offer("task", Call(echo, 1))
    process = processes._seats[0].process
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    assert results(finish(processes, "task")) == [("task", {"echo": 1})]
    assert processes._seats[0].process is process
    assert process.is_alive()


def test_an_idle_worker_may_be_lost(processes: Processes) -> None:
    processes.offer("one", Call(echo, 1))
    finish(processes, "one")
    for seat in processes._seats:
        seat.process.kill()
        seat.process.join()
    processes.offer("other", Call(echo, 2))
    assert results(finish(processes, "other")) == [("other", {"echo": 2})]


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "not noticed"])
def test_an_idle_workers_death_is_not_the_next_tasks(
    noticed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Processes(CALLS, workers=1, threads=1, tries=1)) as executor:
        executor.offer("one", Call(echo, 1))
        finish(executor, "one")
        (seat,) = executor._seats
        seat.process.kill()
        seat.process.join()
        if not noticed:  # it dies between the look and the task
            monkeypatch.setattr(seat.process, "is_alive", lambda: True)
        executor.offer("other", Call(echo, 2))
        assert results(executor.wait()) == [("other", {"echo": 2})]
        # The death of who has begun a task is still that task's, and so is that of who has never begun any.
        executor.offer("deadly", Call(die, tmp_path / "begun"))
        assert until_given_up(executor, "deadly").startswith("1 worker died")


def test_workers_that_cannot_even_begin_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contragrad.engine.worker.main", leave_at_once)
    with closing(Processes(CALLS, workers=1, threads=1)) as executor:
        executor.offer("task", Call(echo, 1))
        assert until_given_up(executor, "task") == f"{TRIES} workers died, the last with exit code 3"


def test_a_worker_may_be_lost_in_the_middle_of_a_message(processes: Processes, tmp_path: Path) -> None:
    processes.offer("task", Call(die_once_in_the_middle_of_a_message, tmp_path / "begun"))
    processes._seats[0].process.join()
    assert results(finish(processes, "task")) == [("task", {"survived": True})]


def until_given_up(executor: Executor, key: str) -> str:
    """Why the task was given up; nothing else comes to an end before that."""
    while True:
        for event in executor.wait():
            if isinstance(event, GivenUp):
                assert event.key == key
                return event.reason
            assert isinstance(event, Progressed)


@pytest.mark.parametrize(
    ("tries", "said"), [(1, "1 worker died"), (2, "2 workers died"), (TRIES, f"{TRIES} workers died")]
)
def test_a_task_that_kills_its_workers_is_given_up_and_the_others_go_on(
    tries: int, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "begun"
    with closing(Processes(CALLS, workers=1, threads=1, tries=tries)) as executor:
        for again in (1, 2):
            assert executor.offer("deadly", Call(die, path))
            assert (
                until_given_up(executor, "deadly") == f"{said}, the last by SIGKILL, often for lack of memory"
            )
            assert path.read_text() == "begun\n" * tries * again
        assert executor.offer("harmless", Call(echo, 1))
        assert results(finish(executor, "harmless")) == [("harmless", {"echo": 1})]


@pytest.mark.parametrize(
    ("call", "how"),
    [
        (Call(run_out_of_memory), "for lack of memory"),
        (Call(die_by, signal.SIGSEGV), f"by signal {signal.SIGSEGV}"),
        (Call(leave, 3), "with exit code 3"),
    ],
    ids=["memory", "signal", "exit code"],
)
def test_a_task_that_is_given_up_says_how_its_workers_died(call: Call, how: str) -> None:
    with closing(Processes(CALLS, workers=1, threads=1, tries=1)) as executor:
        executor.offer("deadly", call)
        assert until_given_up(executor, "deadly") == f"1 worker died, the last {how}"


def test_a_task_that_is_given_up_leaves_the_others_running(two_processes: Processes, tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    assert two_processes.offer("left", Call(meet, (left, right)))
    assert two_processes.offer("deadly", Call(die, tmp_path / "begun"))
    until_given_up(two_processes, "deadly")
    assert two_processes.offer("right", Call(meet, (right, left)))
    assert len(results(finish(two_processes, "left", "right"))) == 2


@pytest.mark.parametrize("task", [hold, ignore_sigterm_and_hold])
def test_close_ends_what_is_running(
    task: Callable[[Path, Report], Result], two_processes: Processes, tmp_path: Path
) -> None:
    paths = [tmp_path / "one", tmp_path / "other"]
    for path in paths:
        two_processes.offer(path.name, Call(task, path))
    told: set[str] = set()
    while len(told) < 2:
        told |= {event.key for event in two_processes.wait()}
    two_processes.close()
    for path in paths:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("moment", ["start", "task"])
def test_workers_end_when_their_driver_is_killed(moment: str, tmp_path: Path) -> None:
    driver = in_another_process("drive", tmp_path, moment)
    # Its workers have its standard output open, so it ends with the last of them.
    driver.communicate(timeout=PATIENCE)
    assert driver.returncode == -signal.SIGKILL
    assert (tmp_path / "begun").exists() or moment == "start"


@pytest.mark.parametrize(
    ("work", "number"),
    [(CALLS, 1), (Work("performers:calls_after_torch", torch.float32), 1)],
    ids=["torch comes later", "torch is there"],
)
def test_a_worker_has_its_number_of_threads(work: Work, number: int) -> None:
    with closing(Processes(work, workers=1, threads=number)) as executor:
        executor.offer("threads", Call(threads))
        expected = {"torch": number, "variables": [str(number)] * 2}
        assert results(finish(executor, "threads")) == [("threads", expected)]
