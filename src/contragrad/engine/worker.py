"""A worker process: performs the tasks that its driver sends, and ends when its driver does."""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from typing import Any

from contragrad.engine.memory import keep_freed_memory
from contragrad.engine.work import Perform, Work, load
from contragrad.errors import UserError


def main(pipe: Connection, work: Work, threads: int) -> None:
    """Serves the driver at the other end of the pipe until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the driver decides
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # its driver had it wait until here
    threading.Thread(target=_watch, daemon=True).start()
    keep_freed_memory()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)

    # Loaded with the first task, so that what goes wrong in it is told like a task's failure.
    @cache
    def loaded() -> Perform:
        perform = load(work)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        return perform

    try:
        while True:
            _, task = pipe.recv()
            pipe.send(("begun", None))  # from here on, the task may be what ends this process
            pipe.send(_answer(loaded, task, pipe))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _answer(loaded: Callable[[], Perform], task: Any, pipe: Connection) -> tuple[str, object]:
    try:
        return "result", loaded()(task, lambda message: pipe.send(("progress", message)))
    except UserError as error:
        return "user error", (error.what, error.where, error.remedy)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        if _is_lack_of_memory(error):
            # As if the system had ended it: a new worker tries again with nothing in its memory.
            os._exit(OUT_OF_MEMORY)
        return "failed", traceback.format_exc()


OUT_OF_MEMORY = 12
"""A worker's exit code when memory was lacking."""


def _is_lack_of_memory(error: Exception) -> bool:
    # torch has errors of its own for accelerators, and a plain RuntimeError for the CPU.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def _watch() -> None:
    """Ends the process at once when the driver is gone, even in the middle of a task."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()  # waits at a pipe that closes with the driver, also if it was gone before we began
    os._exit(1)
