"""The workers that a driver has on a Ray cluster, as it sees them, and what tasks have cost of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from contragrad.engine.executors import GivenUp
from contragrad.engine.ray_node import Place

NODES = 5
"""Nodes that may be lost under a task before it is given up: it may be what kills them."""


@dataclass(slots=True, eq=False)
class Seat:
    """A foreman, where he is once he has a place, and his task if he has one.

    Args:
        foreman: the actor.
        place: None as long as the cluster has no room.
        awaited: what he says next: his place, or the stream of his task's messages.
        key: the task's.
        begun: whether he has said that he performs it.
    """

    foreman: Any
    place: Place | None = None
    awaited: Any = None
    key: str | None = None
    begun: bool = False

    @property
    def address(self) -> str:
        """The node's."""
        return "unknown" if self.place is None else self.place.address

    def free(self) -> None:
        """Leaves it without a task."""
        self.key = self.awaited = None

    def idle_beside(self, seats: Iterable["Seat"]) -> list["Seat"]:
        """Those on its node that have no task, and do not tell by themselves if they are gone."""
        if self.place is None:
            return []
        placed = [seat for seat in seats if seat.place is not None and seat.place.node == self.place.node]
        return [seat for seat in placed if seat.key is None and seat is not self]


@dataclass(frozen=True, slots=True)
class Losses:
    """What each task has cost, by its key: workers that died, and nodes that were lost under it."""

    workers: Counter[str] = field(default_factory=Counter)
    nodes: Counter[str] = field(default_factory=Counter)

    def given_up(self, key: str, tries: int, how: str) -> GivenUp | None:
        """The end of a task that has cost so many workers, or too many nodes."""
        died, nodes = self.workers[key], self.nodes[key]
        if died < tries and nodes < NODES:
            return None
        return GivenUp(key, f"{died} workers died and {nodes} nodes were lost; the last {how}")

    def forget(self, *keys: str) -> None:
        """Begins anew with these tasks."""
        for key in keys:
            del self.workers[key], self.nodes[key]
