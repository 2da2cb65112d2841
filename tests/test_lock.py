"""One driver at a time: the second is told who is first, and a dead one is in nobody's way."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contragrad.engine.executors import Processes
from contragrad.engine.lock import lock_folder
from contragrad.errors import UserError
from elsewhere import fill, in_another_process, read_only, small_disk
from performers import CALLS, Call, hold


@contextmanager
def first_driver(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock."""
    process = in_another_process("keep_lock", folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(UserError) as caught, lock_folder(folder):
        pass
    assert str(folder) in caught.value.where
    assert caught.value.remedy
    for word in words:
        assert word in caught.value.what


def test_a_second_driver_is_told_who_is_first(tmp_path: Path) -> None:
    with first_driver(tmp_path) as process:
        for _ in range(2):
            refused(tmp_path, "another driver", f'"pid": {process.pid}', json.dumps(socket.gethostname()))


def test_the_lock_is_gone_after_kill_9(tmp_path: Path) -> None:
    with first_driver(tmp_path) as process:
        process.kill()
        process.wait()
        with lock_folder(tmp_path):
            refused(tmp_path, "another driver")


def test_the_lock_is_gone_after_the_block_and_after_an_error_in_it(tmp_path: Path) -> None:
    with lock_folder(tmp_path):
        pass
    for error in (ZeroDivisionError("from the block"), OSError("from the block")):
        with pytest.raises(type(error), match="from the block"), lock_folder(tmp_path):
            raise error
    with lock_folder(tmp_path):
        refused(tmp_path, "another driver")


def test_the_name_of_a_driver_before_is_not_left(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("a long name of a driver that ran here before " * 10)
    with lock_folder(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["host"] == socket.gethostname()


def test_folders_are_locked_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with lock_folder(tmp_path / "one"), lock_folder(tmp_path / "other"):
        refused(tmp_path / "one")


def test_a_worker_does_not_keep_its_drivers_lock(tmp_path: Path) -> None:
    executor = Processes(CALLS, workers=1, threads=1)
    try:
        with lock_folder(tmp_path):
            executor.offer("hold", Call(hold, tmp_path / "held"))
            executor.wait()
        with lock_folder(tmp_path):
            pass
    finally:
        executor.close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "missing", "cannot be locked", "No such file")
    with read_only(tmp_path) as folder:
        refused(folder, "cannot be locked")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path, kilobytes=16) as disk:
        fill(disk)
        refused(disk, "cannot be locked", "No space left")
