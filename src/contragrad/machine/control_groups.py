"""The control groups that a Linux process is in: where a container's limits stand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Version = Literal[1, 2]
"""Of the groups, on which it depends what their files are called."""


def of_this_process(controller: str, root: Path = Path("/")) -> Iterator[tuple[Version, Path]]:
    """The folders of the process's groups for a controller, and of those above them.

    Args:
        controller: `memory` or `cpu`.
        root: where the system's files begin.
    """
    for line in text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        version: Version
        if controllers == "":
            version, base = 2, ""
        elif controller in controllers.split(","):
            version, base = 1, controller
        else:
            continue
        top = root / "sys/fs/cgroup" / base
        folder = top / path.lstrip("/")
        # In a container the path may be that of the world outside, and its files lie at the top.
        yield from ((version, group) for group in (folder, *folder.parents) if group.is_relative_to(top))


def text(path: Path) -> str:
    """What stands in a file of the system's; nothing if it cannot be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
