"""An executor that says which tasks it begins; what they come to, it says anyway."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contragrad.engine.executors import Event, Executor


@dataclass(frozen=True, slots=True)
class Announcing:
    """Another executor, whose tasks are announced with their keys as they are begun."""

    executor: Executor
    announce: Callable[[str, Any], None]

    @property
    def slots(self) -> int:
        """The other's."""
        return self.executor.slots

    def offer(self, key: str, task: object) -> bool:
        """Offers the task to the other, and announces it if it is taken."""
        taken = self.executor.offer(key, task)
        if taken:
            self.announce(key, task)
        return taken

    def wait(self) -> list[Event]:
        """What the other waits for."""
        return self.executor.wait()

    def close(self) -> None:
        """Closes the other."""
        self.executor.close()
