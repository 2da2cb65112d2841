"""The control groups of a Linux process: a container's limits, and the cores that they leave."""

import os
from collections.abc import Iterator
from contextlib import suppress
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


def usable_cores(root: Path = Path("/")) -> float:
    """Cores that the scheduler and the control groups leave this process.

    Args:
        root: where the system's files begin.
    """
    with suppress(AttributeError):  # not on macOS
        return min(float(len(os.sched_getaffinity(0))), *_quotas(root))
    return float(os.cpu_count() or 1)


def _quotas(root: Path) -> Iterator[float]:
    yield float("inf")
    for version, group in of_this_process("cpu", root):
        stated = text(group / "cpu.max").split()
        if version == 1:
            stated = [text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        # Without a limit the quota is "max", or -1.
        if len(stated) == 2 and all(word.isdigit() for word in stated):
            yield int(stated[0]) / int(stated[1])
