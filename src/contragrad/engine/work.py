"""What workers are for, by name, so that the engine knows nothing of networks."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contragrad.fingerprint import Plain

Result = dict[str, Plain]
"""What a task comes to; the memo can hold it."""

Perform = Callable[[Any, Callable[[dict[str, float]], None]], Result]
"""(task, report) -> result; `report` takes what a running task has to say."""


@dataclass(frozen=True, slots=True)
class Work:
    """What the workers of a study do.

    Args:
        setup: `package.module:function`; called once in each worker, it returns a `Perform`.
        argument: what `setup` is called with, any value that can be sent.
    """

    setup: str
    argument: object


def load(work: Work, folder: Path | None = None) -> Perform:
    """What performs a task: the named setup function, called.

    Args:
        work: what workers do.
        folder: where this worker has the work's files, if that is not where its driver has them.
    """
    module, _, function = work.setup.partition(":")
    setup = getattr(importlib.import_module(module), function)
    perform: Perform = setup(work.argument) if folder is None else setup(work.argument, folder)
    return perform
