"""All who watch a run, chosen by a command's options, as one watcher."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TextIO

from rich.console import Console

from contragrad.extras import require
from contragrad.watch.events import Event, Said, Watcher
from contragrad.watch.jsonlines import json_lines
from contragrad.watch.live import display
from contragrad.watch.places import public


@contextmanager
def watching(
    console: Console, *, json_to: TextIO | None = None, tensorboard: bool = False, mlflow: str | None = None
) -> Iterator[Watcher]:
    """The console, and whoever else is asked for.

    Args:
        console: where people read; a live table on a terminal, else lines.
        json_to: where scripts read, if any do.
        tensorboard: whether event files are written.
        mlflow: the tracking URI of MLflow, if it is told.

    Raises:
        UserError: if a package is missing.
    """
    for package, wanted in (("tensorboard", tensorboard), ("mlflow", mlflow is not None)):
        require([package] if wanted else [], package, job=f"--{package}", where=f"--{package}")
    others: dict[str, Watcher] = {}
    with ExitStack() as stack:
        if json_to is not None:
            others["--json"] = json_lines(json_to)
        if tensorboard:
            from contragrad.watch.tensorboard import tensorboard as event_files

            others["--tensorboard"] = event_files()
        if mlflow is not None:
            from contragrad.watch.mlflow import mlflow as tracking

            others["--mlflow"] = stack.enter_context(tracking(mlflow))
        yield together(stack.enter_context(display(console)), others)


def together(shown: Watcher, others: Mapping[str, Watcher]) -> Watcher:
    """One watcher of many.

    Args:
        shown: is told everything first; if it fails, so does the run.
        others: the other watchers by their names; one that fails is left out, which `shown` is told once.
    """
    left = dict(others)

    def watch(event: Event) -> None:
        shown(event)
        for name, other in tuple(left.items()):
            try:
                other(event)
            except Exception as error:
                del left[name]
                shown(Said(f"{name} is left out from here on: {_why(error)}"))

    return watch


def _why(error: Exception) -> str:
    return public(" ".join(str(error).split())) or type(error).__name__
