"""What killed writers leave beside a file is removed by the next; what is being written is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contragrad import files
from contragrad.errors import UserError
from contragrad.files import new_folder, sweep, write_text, writing

KILLED = """
import os, signal, sys
from pathlib import Path
from contragrad import files
with getattr(files, sys.argv[1])(Path(sys.argv[2])) as beside:
    if sys.argv[1] == "new_folder":
        (beside / "content").write_text("half")
    print("begun", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_folder(path: Path) -> None:
    with new_folder(path) as beside:
        (beside / "content").write_text("whole")


@pytest.mark.parametrize(
    ("function", "again"),
    [("writing", lambda path: write_text(path, "whole")), ("new_folder", write_folder)],
)
def test_what_a_killed_writer_left_is_removed_by_the_next_of_the_same_file(
    function: str, again: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "some.file"
    other = tmp_path / f".other.file.{os.getpid()}.tmp"
    other.write_text("somebody else's")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, function, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    beside = f".some.file.{process.pid}.tmp"
    sweep(path)
    assert names(tmp_path) == sorted([other.name, beside]), "it is being written"
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert beside in names(tmp_path)
    again(path)
    assert names(tmp_path) == sorted([other.name, "some.file"])


def fail(path: Path, error: Exception) -> None:
    with writing(path) as file:
        file.write(b"half" * 1000)
        raise error


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "some.file"
    write_text(path, "before")
    with pytest.raises(ZeroDivisionError):
        fail(path, ZeroDivisionError())
    with pytest.raises(UserError, match="Input/output error") as caught:
        fail(path, OSError(5, "Input/output error"))
    assert caught.value.where == str(path)
    assert path.read_text() == "before"
    assert names(tmp_path) == ["some.file"]


def test_a_file_swept_before_it_was_claimed_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, claims = tmp_path / "file", 0
    claim = files._claim

    def swept_once(descriptor: int) -> None:
        nonlocal claims
        claims += 1
        if claims == 1:
            files.sweep(path)  # another process, between open and lock
        claim(descriptor)

    monkeypatch.setattr(files, "_claim", swept_once)
    files.write_text(path, "whole")
    assert (path.read_text(), claims) == ("whole", 2)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
