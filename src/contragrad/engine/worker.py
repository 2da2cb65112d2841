"""A worker process: performs the tasks that its driver sends, and ends when its driver does."""

import os
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

from contragrad.engine.work import Perform, Work, load
from contragrad.errors import UserError

HEARTBEAT = 1.0
"""Seconds between two looks at whether the driver lives."""


def main(pipe: Connection, work: Work, threads: int) -> None:
    """Serves the driver at the other end of the pipe until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the driver decides
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    try:
        perform = load(work)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        while True:
            _, task = pipe.recv()
            pipe.send(_answer(perform, task, pipe))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _answer(perform: Perform, task: Any, pipe: Connection) -> tuple[str, object]:
    try:
        return "result", perform(task, lambda message: pipe.send(("progress", message)))
    except UserError as error:
        return "user error", (error.what, error.where, error.remedy)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception:
        return "failed", traceback.format_exc()


def _watch(driver: int) -> None:
    """Ends the process at once when the driver is gone, even in the middle of a task."""
    while os.getppid() == driver:
        time.sleep(HEARTBEAT)
    os._exit(1)
