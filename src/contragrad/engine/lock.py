"""One driver at a time for a run folder."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contragrad.errors import UserError


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """A block in which no other driver works on the folder; a killed driver's lock is gone with it.

    Raises:
        UserError: naming the driver that has it.
    """
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise UserError(
                f"another driver works on this run: {file.read().strip()}",
                where=str(folder),
                remedy="wait for it, or end it",
            ) from error
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        file.flush()
        yield
