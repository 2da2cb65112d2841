"""A real study of seconds in one process, for those who disturb it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from contragrad.engine import executors
from contragrad.engine.work import Work
from contragrad.jobs import run, workers
from contragrad.run_folder.workspace import Workspace
from contragrad.settings import config_file
from contragrad.settings.config import StudyConfig
from contragrad.watch.events import Event, nobody

SETTINGS = {
    "device": "cpu",
    "data.source": "npz",
    "reference.epochs": "2",
    "attack.steps": "2",
    "training.batch_size": "20",
    "search.population": "2",
    "search.generations": "1",
    "search.children": "1",
    "search.epochs": "1",
    "search.channels": "[4]",
    "search.hidden": "8",
    "search.initial_blocks_max": "6",
    "search.limits.flops": "100000",
    "refine.networks": "1",
    "refine.epochs": "2",
    "refine.checkpoint_every": "1",
}

Silent = Callable[[Event], None]


def config_of(folder: Path, **changes: str) -> StudyConfig:
    """The settings, and a few images in a file of the folder."""
    digits = load_digits()
    images, labels = (digits.images * 15).astype(np.uint8), digits.target
    data = folder / "digits.npz"
    np.savez(data, x_train=images[:100], y_train=labels[:100], x_test=images[100:150], y_test=labels[100:150])
    settings = (
        SETTINGS | {"data.path": str(data)} | {key.replace("__", "."): text for key, text in changes.items()}
    )
    return config_file.read(None, [f"--{key}={text}" for key, text in settings.items()])


@contextmanager
def in_process(workspace: Workspace) -> Iterator[executors.Executor]:
    """An executor without other processes, in the place of `workers.executor_of`."""
    executor = executors.InProcess(Work(setup="contragrad.jobs.tasks:prepare", argument=workspace))
    try:
        yield executor
    finally:
        executor.close()


def ended(config: StudyConfig, folder: Path) -> Path:
    """The run folder of a study that has ended in this process."""
    with pytest.MonkeyPatch.context() as patch:
        without_workers(patch)
        run.create(config, folder, nobody)
    return folder


def without_workers(patch: pytest.MonkeyPatch) -> None:
    """Every study of this process evaluates in it."""
    patch.setattr(workers, "executor_of", in_process)
