"""A run folder with a reference, its directions and its adversarial examples, and nothing searched."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from contragrad import config_file, run
from contragrad.progress import Progress
from contragrad.workspace import Workspace

ONLY = (
    "--search.generations=0",
    "--search.population=1",
    "--search.epochs=1",
    "--refine.networks=1",
    "--refine.epochs=0",
    "--refine.keep=last",
)


def prepared(folder: Path, overrides: Sequence[str]) -> Workspace:
    """The demo's study with these settings, made ready in the folder unless it is there already."""
    demo = config_file.shipped("demo")
    if not folder.exists():
        with Progress(Console(stderr=True)) as progress:
            run.create(config_file.read(demo, (*overrides, *ONLY)), folder, progress)
    _, workspace = run.open_data(config_file.read(demo, overrides), folder)
    return workspace
