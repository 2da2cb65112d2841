"""A run folder with a reference, its directions and its adversarial examples, and nothing searched."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from contragrad.jobs import entry, run
from contragrad.run_folder.workspace import TABLE, Workspace
from contragrad.settings import config_file
from contragrad.studies import shipped
from contragrad.watch.live import display

ONLY = (
    "--search.generations=0",
    "--search.population=1",
    "--search.epochs=1",
    "--refine.networks=1",
    "--refine.epochs=0",
    "--refine.keep=last",
)


def prepared(folder: Path, overrides: Sequence[str]) -> Workspace:
    """The demo's study with these settings, made ready in the folder as far as it is not.

    Raises:
        UserError: if the folder holds another study.
    """
    demo = shipped.study("demo")
    config = config_file.read(demo, (*overrides, *ONLY))
    with display(Console(stderr=True)) as watch:
        if not folder.exists():
            run.create(config, folder, watch)
        entry.require_continuable(config, folder)
        if not (folder / TABLE).exists():
            run.resume(folder, (), watch)
    _, workspace = entry.open_data(config_file.read(demo, overrides), folder)
    return workspace
