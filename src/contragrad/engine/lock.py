"""One driver at a time for a run folder."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from contragrad.errors import UserError
from contragrad.files import named


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """A block in which no other driver works on the folder; a killed driver's lock is gone with it.

    Raises:
        UserError: naming the driver that has it, or why the folder cannot be locked.
    """
    path = folder / "lock"
    remedy = "a folder that exists and can be written, on a disk with room"
    with ExitStack() as stack:
        with named(path, "the run folder cannot be locked", remedy):
            try:
                # Unbuffered: a full disk shows here, not when the file is closed.
                file = stack.enter_context(path.open("a+b", buffering=0))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.truncate(0)
                file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
            except BlockingIOError as error:
                raise UserError(
                    f"another driver works on this run: {_named_in(path)}",
                    where=str(folder),
                    remedy="wait for it, or end it",
                ) from error
        yield


def _named_in(path: Path) -> str:
    """Who has the lock; he may have it and not have written his name yet."""
    for _ in range(100):
        if name := path.read_text():
            return name
        time.sleep(0.01)
    return "it has not said which"
