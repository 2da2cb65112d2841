"""How much memory there is, and whether it will do: asked before anything is read."""

import math
import sys
from pathlib import Path

from contragrad.errors import UserError
from contragrad.machine.control_groups import Version, of_this_process, text

DIRECTIONS = 12
"""Bytes that a direction takes for each channel of a pixel: a float in parts, joined, and being written."""

JOINED = 4
"""Bytes of directions or examples likewise, joined with those of other sources; alone they are mapped."""

STATISTICS, PART = 20, 5000
"""Bytes that mean and deviation take likewise, a float and two doubles; of how many images at a time."""

FILES: dict[Version, tuple[str, str, str]] = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
"""Where a control group's limit and use stand, and the entry of `memory.stat` for what can be given back."""

UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def available(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take; None where the system does not say.

    It is the least of what the machine has free, what the process's control groups leave it, and what
    `ulimit -v` leaves it.

    Args:
        root: where the system's files begin.
    """
    found = [*_of_machine(root), *_of_groups(root), *_of_limit(root)]
    return max(0, min(found)) if found else None


def of_a_study(images: int, itemsize: int = 1, joined: int = 0) -> int:
    """About the bytes that a study's driver holds at its height for each channel of a pixel, itself left out.

    Workers, who hold as much of images, directions and examples each, come on top.

    Args:
        images: how many the study has.
        itemsize: of a channel, in bytes.
        joined: sets of directions or examples that are joined, where the study has several sources.
    """
    statistics = math.ceil(STATISTICS * min(images, PART) / images)
    return itemsize + max(DIRECTIONS, statistics, JOINED * joined)


def require(needed: int, what: str, *, where: str, remedy: str = "fewer or smaller images") -> None:
    """Refuses what there is no memory for.

    Raises:
        UserError: with both numbers.
    """
    free = available()
    if free is not None and needed > free:
        raise UserError(
            f"{what} would take about {bytes_text(needed)} of memory, and {bytes_text(free)} are free",
            where=where,
            remedy=remedy,
        )


def require_images(shape: tuple[int, ...], classes: int, *, held: int, where: str) -> None:
    """Refuses images that there is no memory for.

    Args:
        shape: of them all, their number first.
        classes: how many classes they are of.
        held: bytes that will be held for each channel of a pixel.
        where: for the message.

    Raises:
        UserError: saying about how many images of each class there is room for.
    """
    each = held * math.prod(shape[1:])
    room = (available() or 0) // each // classes
    remedy = f"smaller images, or about {room:,} of each class (data.train_per_class, data.test_per_class)"
    size = " x ".join(map(str, shape[1:]))
    require(shape[0] * each, f"to work on {shape[0]:,} images of {size}", where=where, remedy=remedy)


def bytes_text(count: int) -> str:
    """A number of bytes as people read it."""
    unit, size = next(((unit, size) for unit, size in UNITS if count >= size), UNITS[-1])
    return f"{count / size:,.1f} {unit}"


def _of_machine(root: Path) -> list[int]:
    for line in text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return [1024 * int(line.split()[1])]
    return []


def _of_groups(root: Path) -> list[int]:
    """What the process's groups, and those above them, have left; pages of files can be given back."""
    left = []
    for version, group in of_this_process("memory", root):
        limit, used, files = FILES[version]
        if (bound := text(group / limit).strip()).isdigit():
            taken = int(text(group / used).strip() or 0)
            left.append(int(bound) - taken + _entry(text(group / "memory.stat"), files))
    return left


def _of_limit(root: Path) -> list[int]:
    if sys.platform == "win32":
        return []
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return []
    pages = (text(root / "proc/self/statm") or "0").split()[0]
    return [limit - int(pages) * resource.getpagesize()]


def _entry(lines: str, name: str) -> int:
    return next((int(line.split()[1]) for line in lines.splitlines() if line.startswith(f"{name} ")), 0)
