"""What the executor on Ray makes of workers and nodes that it loses; Ray itself is played here."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray", reason="the extra ray is not installed")

from ray.exceptions import NodeDiedError, RayError

from contragrad.engine import ray_cluster, ray_executor
from contragrad.engine.evaluations import provenance
from contragrad.engine.executors import TRIES, Event, Finished, GivenUp, WorkerLostError
from contragrad.engine.ray_executor import RayExecutor
from contragrad.engine.ray_node import Place
from contragrad.engine.ray_seats import NODES
from contragrad.errors import UserError
from performers import CALLS

NODE_LOST = NodeDiedError("its node has died")  # type: ignore[no-untyped-call]
DIED = RayError("the actor died")
BEGUN = ("begun", None)
DONE = ("result", Finished("task", {"echo": 1}, 0.0))


@dataclass(eq=False)
class Said:
    """What Ray's object is in this play: a content, or the error that comes in its place."""

    content: Any


@dataclass(frozen=True)
class Part:
    """What an actor says: the node that it is on, or what happens before it is, and then of its task."""

    node: str | Exception
    of_task: tuple[Any, ...] = ()


@dataclass
class Actor:
    """A foreman, and the tasks that it was given."""

    part: Part
    performed: list[str] = field(default_factory=list)

    @property
    def place(self) -> Any:
        node = self.part.node
        where = node if isinstance(node, Exception) else Place(node, f"address of {node}", provenance())
        return SimpleNamespace(remote=lambda: Said(where))

    @property
    def perform(self) -> Any:
        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=self._perform))

    def _perform(self, job: Any, supplied: object) -> Iterator[Said]:
        self.performed.append(job.key)
        return map(Said, self.part.of_task)


@dataclass
class Play:
    """A cluster: its actors, by the parts that they are given in turn, and which of them were ended."""

    parts: deque[Part]
    room: int
    actors: list[Actor] = field(default_factory=list)
    ended: list[Actor] = field(default_factory=list)

    def remote(self, kind: object) -> Any:
        return SimpleNamespace(options=lambda **options: SimpleNamespace(remote=self._start))

    def _start(self, *arguments: object) -> Actor:
        self.actors.append(Actor(self.parts.popleft()))
        return self.actors[-1]

    def kill(self, actor: Actor) -> None:
        self.ended.append(actor)

    def wait(self, waiting: list[object], timeout: float) -> tuple[list[object], None]:
        return waiting[:1], None

    def get(self, said: Said) -> Any:
        if isinstance(said.content, Exception):
            raise said.content
        return said.content


def play(monkeypatch: pytest.MonkeyPatch, *parts: Part, room: int) -> tuple[RayExecutor, Play]:
    played = Play(deque(parts), room)
    monkeypatch.setattr(ray_executor, "ray", played)
    monkeypatch.setattr(ray_executor, "ObjectRef", Said)
    for module in (ray_executor, ray_cluster):
        monkeypatch.setattr(module, "room_of", lambda threads, gpus: played.room)
    return RayExecutor(work=CALLS, workers=room, threads=1), played


def ended(executor: RayExecutor) -> Event:
    """What one task comes to."""
    assert executor.offer("task", "what is done")
    for _ in range(100):
        for event in executor.wait():
            return event
    raise AssertionError("nothing comes of it")


def test_idle_workers_that_are_lost_with_their_node_count_against_no_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = NODES + 3
    lost = [Part("one", (NODE_LOST,))] * many
    executor, played = play(monkeypatch, *lost, *[Part("other", (BEGUN, DONE))] * many, room=many)
    assert ended(executor) == DONE[1]
    assert played.ended == played.actors[:many]
    assert [len(actor.performed) for actor in played.actors[:many]] == [1] + [0] * (many - 1)


def test_idle_workers_that_died_count_against_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    many = TRIES + 1
    gone = [Part("one", (DIED,))] * many
    executor, _ = play(monkeypatch, *gone, *[Part("one", (BEGUN, DONE))] * many, room=many)
    assert ended(executor) == DONE[1]


@pytest.mark.parametrize(
    ("error", "tries", "said"),
    [
        (DIED, TRIES, f"{TRIES} workers died and 0 nodes were lost"),
        (NODE_LOST, NODES, f"0 workers died and {NODES} nodes were lost"),
    ],
    ids=["worker", "node"],
)
def test_those_that_performed_it_do(
    error: Exception, tries: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = [Part(f"node {place}", (BEGUN, error)) for place in range(tries + 2)]
    executor, played = play(monkeypatch, *deadly, room=2)
    event = ended(executor)
    assert isinstance(event, GivenUp)
    assert said in event.reason
    assert sum(len(actor.performed) for actor in played.actors) == tries


def test_a_node_that_is_lost_leaves_what_runs_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be only out of reach, and who has a task tells by himself."""
    executor, played = play(
        monkeypatch, Part("one", (BEGUN, NODE_LOST)), Part("one", (BEGUN, DONE)), Part("other"), room=2
    )
    assert executor.offer("lost", 1)
    assert executor.offer("task", 2)
    events: list[Event] = []
    while not events:
        events = executor.wait()
    assert events == [DONE[1]]
    assert played.ended == played.actors[:1]


def test_workers_that_wait_on_a_lost_node_are_no_sign_of_a_missing_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pending, found = [Part(NODE_LOST)] * TRIES, [Part("other", (BEGUN, DONE))] * TRIES
    executor, _ = play(monkeypatch, *pending, *found, room=TRIES)
    assert ended(executor) == DONE[1]


def test_workers_that_cannot_start_are(monkeypatch: pytest.MonkeyPatch) -> None:
    executor, _ = play(monkeypatch, *[Part(DIED)] * TRIES, room=TRIES)
    with pytest.raises(UserError, match="the actor died") as caught:
        executor.offer("task", "what is done")
    assert "contragrad[ray]" in caught.value.remedy


def test_the_first_task_waits_for_a_node_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    executor, played = play(monkeypatch, Part("one", (BEGUN, DONE)), room=1)
    played.room = 0
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        played.room = len(looks) // 3

    monkeypatch.setattr(time, "sleep", sleep)
    assert ended(executor) == DONE[1]
    assert len(looks) == 3


def test_a_cluster_that_stays_without_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    executor, _ = play(monkeypatch, Part("one"), room=1)
    monkeypatch.setattr(ray_cluster, "room_of", lambda threads, gpus: 0)
    monkeypatch.setattr(ray_executor, "STARTING", 0.1)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(UserError, match="1 CPUs"):
        executor.offer("task", "what is done")


def test_to_ask_for_the_slots_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    executor, played = play(monkeypatch, room=3)
    assert executor.slots == 3
    played.room = 0
    assert executor.slots == 1
    assert not played.actors


def test_a_cluster_that_stays_empty_is_given_up_with_a_way_on(monkeypatch: pytest.MonkeyPatch) -> None:
    executor, _ = play(monkeypatch, Part("one", (BEGUN, NODE_LOST)), *[Part(NODE_LOST)] * 99, room=1)
    monkeypatch.setattr(ray_executor, "ABSENT", 0.0)
    with pytest.raises(WorkerLostError, match=r"\n  try: .*resume"):
        ended(executor)
