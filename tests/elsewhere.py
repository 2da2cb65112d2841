"""Where tests need another place: another process, a disk that is small, a folder that cannot be written."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest


def in_another_process(function: str, *words: str | Path) -> subprocess.Popen[str]:
    """A Python process that calls a function of performers.py."""
    code = f"import sys, performers; performers.{function}(*sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of this size, mounted on the folder; skips the test where that is not allowed."""
    with _mounted(folder, f"size={kilobytes}k"):
        yield folder


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """The folder, made so that nothing can be written in it; root needs a file system for that."""
    if os.geteuid() == 0:
        with _mounted(folder, "ro"):
            yield folder
        return
    folder.chmod(0o500)
    try:
        yield folder
    finally:
        folder.chmod(0o700)


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        _lacking("only root can mount a tmpfs, on Linux")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        _lacking(f"a tmpfs cannot be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        # Lazily: mapped tensors may still be held.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room that is left."""
    path = disk / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return path


def _lacking(what: str) -> NoReturn:
    if os.environ.get("CONTRAGRAD_DISKS") == "required":
        pytest.fail(what)
    pytest.skip(what)
