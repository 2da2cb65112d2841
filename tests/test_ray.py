"""The executor on Ray keeps the contract of all, on a cluster of nodes; workers and nodes may be lost."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="the extra ray is not installed")

from ray.cluster_utils import Cluster

from clusters import cluster_of, descendants, join, kill_node, node_of, parent, raylet
from contragrad.engine import ray_executor, ray_node
from contragrad.engine.executors import TRIES, Event, Executor, GivenUp, Progressed
from contragrad.engine.ray_executor import RayExecutor
from contragrad.engine.ray_files import Files
from contragrad.engine.work import Work
from contragrad.errors import UserError
from performers import CALLS, PATIENCE, Call, die, die_once, echo, hold, meet, threads
from test_executors import (
    finish,
    results,
    test_a_closed_executor_runs_nothing_and_closing_twice_is_fine,
    test_a_user_error_comes_over_whole,
    test_an_executor_goes_on_after_errors,
    test_an_offer_is_refused_when_every_slot_is_taken,
    test_an_offer_is_refused_while_the_key_is_running_and_taken_after_it,
    test_any_other_error_names_its_task_and_shows_where_it_was_raised,
    test_each_result_is_delivered_once,
    test_progress_comes_in_order_and_before_the_result,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * PATIENCE)]

CONTRACT = (
    test_a_closed_executor_runs_nothing_and_closing_twice_is_fine,
    test_a_user_error_comes_over_whole,
    test_an_executor_goes_on_after_errors,
    test_an_offer_is_refused_when_every_slot_is_taken,
    test_an_offer_is_refused_while_the_key_is_running_and_taken_after_it,
    test_any_other_error_names_its_task_and_shows_where_it_was_raised,
    test_each_result_is_delivered_once,
    test_progress_comes_in_order_and_before_the_result,
)
"""Every executor's, collected here once more for this module's `executor`."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def cluster(cache: Path) -> Iterator[Cluster]:
    with cluster_of(2, cache) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def shared(cluster: Cluster) -> Iterator[RayExecutor]:
    with closing(RayExecutor(work=CALLS, workers=0, threads=1)) as executor:
        yield executor


@pytest.fixture
def executor(shared: RayExecutor) -> Iterator[Executor]:
    assert shared.slots == 2
    yield shared
    assert not shared._tasks


def told_pids(executor: Executor, key: str, count: int, then: Callable[[int], None]) -> list[int]:
    """The processes in which a task that holds was tried, each of which meets its fate when it is known."""
    pids: list[int] = []
    while len(pids) < count:
        for event in executor.wait():
            if isinstance(event, Progressed) and event.key == key:
                pids.append(int(event.message["pid"]))
                then(pids[-1])
    return pids


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_as_many_run_at_a_time_as_the_cluster_has_room_for(executor: Executor, tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    assert executor.offer("left", Call(meet, (left, right)))
    assert executor.offer("right", Call(meet, (right, left)))
    assert len(results(finish(executor, "left", "right"))) == 2


def test_a_worker_has_its_number_of_threads(executor: Executor) -> None:
    executor.offer("threads", Call(threads))
    assert results(finish(executor, "threads")) == [("threads", {"torch": 1, "variables": ["1", "1"]})]


def test_a_killed_worker_is_replaced_and_its_task_is_done(executor: Executor, tmp_path: Path) -> None:
    path = tmp_path / "begun"
    assert executor.offer("task", Call(die_once, path))
    assert results(finish(executor, "task")) == [("task", {"survived": True})]
    assert path.read_text() == "begun\n"


def test_a_task_that_kills_its_workers_is_given_up_and_the_others_go_on(
    executor: Executor, tmp_path: Path
) -> None:
    path = tmp_path / "begun"
    executor.offer("deadly", Call(die, path))
    executor.offer("harmless", Call(echo, 1))
    events: list[Event] = []
    while len(events) < 2:
        events += executor.wait()
    [given_up] = [event for event in events if isinstance(event, GivenUp)]
    assert given_up.key == "deadly"
    for said in (f"{TRIES} workers died", "127.0.0.", "SIGKILL"):
        assert said in given_up.reason
    assert path.read_text() == "begun\n" * TRIES
    assert results(events) == [("harmless", {"echo": 1})]


def test_what_cannot_be_set_up_is_told_with_the_first_task(cluster: Cluster, shared: RayExecutor) -> None:
    shared.close()
    with closing(RayExecutor(work=Work("performers:broken", "this"), workers=1, threads=1)) as executor:
        executor.offer("task", Call(echo))
        with pytest.raises(RuntimeError, match="LookupError: nothing can be set up with this"):
            finish(executor, "task")


@pytest.mark.parametrize("sees", [True, False], ids=["seen", "not seen"])
def test_files_reach_workers_and_come_back_and_a_killed_task_goes_on_from_its_checkpoint(
    sees: bool,
    cluster: Cluster,
    shared: RayExecutor,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared.close()
    if not sees:
        sight = ray_node.Sight
        monkeypatch.setattr(ray_executor, "Sight", lambda folder, *mark: sight(Path("/nowhere"), *mark))
    (tmp_path / "read").write_text("whole")
    files = Files(
        folder=tmp_path,
        mark=".mark",
        reads=lambda task: ["read"],
        makes=lambda task: [f"{task}.checkpoint", f"{task}.made"],
    )
    executor = RayExecutor(work=Work("performers:with_files", None), workers=0, threads=1, files=files)
    with closing(executor):
        for task in ("one", "two"):
            assert executor.offer(task, task)
        found = dict(results(finish(executor, "one", "two")))
        assert (tmp_path / ".mark").exists()
        places = {Path(str(result["folder"])) for result in found.values()}
        assert places == {tmp_path} if sees else all(place.parent == cache for place in places)
        kept = {path.read_text() for path in cache.glob("*.file")}
        assert kept == (set() if sees else {"whole", "half"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "read": "whole",
        "one.made": "whole, half",
        "two.made": "whole, half",
    }


def test_a_cluster_without_room_is_refused(cluster: Cluster) -> None:
    for executor, said in (
        (RayExecutor(work=CALLS, workers=1, threads=2, grows=False), "2 CPUs"),
        (RayExecutor(work=CALLS, workers=0, threads=1, gpus=0.5, grows=False), "0.5 GPUs"),
    ):
        with closing(executor), pytest.raises(UserError, match=said):
            executor.offer("task", Call(echo))


def test_idle_workers_may_be_lost(executor: Executor, shared: RayExecutor, cluster: Cluster) -> None:
    executor.offer("one", Call(echo, 1))
    finish(executor, "one")
    idle = [pid for node in cluster.worker_nodes for pid in descendants(raylet(node)) if is_foreman(pid)]
    assert len(idle) == shared.slots == 2
    for pid in idle:
        kill(pid)
    shared.tries = 1
    executor.offer("other", Call(echo, 2))
    assert results(finish(executor, "other")) == [("other", {"echo": 2})]
    shared.tries = TRIES


def is_foreman(pid: int) -> bool:
    return b"ray::Foreman" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_node_may_be_lost_and_another_may_come(
    executor: Executor, shared: RayExecutor, cluster: Cluster, tmp_path: Path
) -> None:
    executor.offer("held", Call(hold, tmp_path / "held"))
    # A process that supervises the worker, the worker alone, and at last its whole node.
    fates: Iterator[Callable[[int], None]] = iter(
        (
            lambda pid: kill(parent(pid)),
            kill,
            lambda pid: kill_node(cluster, node_of(cluster, pid)),
            lambda pid: None,
        )
    )
    pids = told_pids(executor, "held", 4, lambda pid: next(fates)(pid))
    assert len(set(pids)) == 4
    # The first two may have been the task's doing, the third was not.
    assert (shared._losses.workers["held"], shared._losses.nodes["held"]) == (2, 1)
    assert shared.slots == 1
    join(cluster, "127.0.0.5")
    while shared.slots < 2:
        assert not executor.wait()
    shared.close()


def test_workers_share_a_declared_gpu(shared: RayExecutor, cluster: Cluster, tmp_path: Path) -> None:
    shared.close()
    join(cluster, "127.0.0.6", num_cpus=3, num_gpus=1)
    left, right = tmp_path / "left", tmp_path / "right"
    with closing(RayExecutor(work=CALLS, workers=0, threads=1, gpus=0.5)) as executor:
        assert executor.slots == 2
        assert executor.offer("left", Call(meet, (left, right)))
        assert executor.offer("right", Call(meet, (right, left)))
        assert len(results(finish(executor, "left", "right"))) == 2
        assert {seat.place.address for seat in executor._seats if seat.place} == {"127.0.0.6"}
