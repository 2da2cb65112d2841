"""`contragrad demo`, `evolve`, `resume` and `show`: a study, the main job."""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

import contragrad
from contragrad.commands.command import Command, path_of
from contragrad.errors import UserError
from contragrad.studies import shipped
from contragrad.watch.places import public

if TYPE_CHECKING:
    from contragrad.watch.events import Watcher


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=path_of, default=Path("runs/demo"), help="run folder to make")
    add_watchers(parser)


def add_watchers(parser: argparse.ArgumentParser) -> None:
    """The options that say who is told of a run as it goes."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="for scripts: each event is a line of JSON on standard output, the table the last one",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write event files into the run folder's tensorboard/"
    )
    parser.add_argument("--mlflow", metavar="URI", help="log to MLflow there: a server, or a folder")


@contextmanager
def watched(options: argparse.Namespace) -> Iterator["Watcher"]:
    """A block with the watcher that those options ask for."""
    from contragrad.watch.watching import watching

    with watching(
        Console(stderr=True),
        json_to=sys.stdout if options.json else None,
        tensorboard=options.tensorboard,
        mlflow=options.mlflow,
    ) as watch:
        yield watch


def _demo(options: argparse.Namespace, overrides: list[str]) -> None:

    _create(shipped.study("demo"), options, overrides)


def _add_evolve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-h", "--help", action="store_true", help="show every setting")
    parser.add_argument(
        "--config", type=path_of, action="append", help="study file (YAML); the options override it"
    )
    parser.add_argument("--out", type=path_of, help="run folder to make; named by the time if left out")
    add_watchers(parser)


def _evolve(options: argparse.Namespace, overrides: list[str]) -> None:
    if options.help:
        _print_settings()
        return
    study_files = options.config or [None]
    if len(study_files) > 1:
        raise UserError(
            "there is more than one study file",
            where=f"--config: {', '.join(map(str, study_files))}",
            remedy="one --config; options override it",
        )
    from contragrad.results import run_folder_by_time

    options.out = options.out or run_folder_by_time()
    _create(study_files[0], options, overrides)


def _print_settings() -> None:
    from jsonargparse import ArgumentParser

    from contragrad.settings import config_file

    parser = ArgumentParser(
        prog="contragrad evolve",
        description="A new study: evolve networks against a reference.",
        print_config=None,
    )
    parser.add_argument("--out", type=str, help="run folder to make; named by the time if left out")
    add_watchers(parser)
    config_file.add_settings(parser)
    parser.print_help()


def _create(study_file: Path | None, options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad.jobs import run
    from contragrad.settings import config_file

    config = config_file.read(study_file, overrides)
    with watched(options) as watch:
        rows = run.create(config, options.out, watch)
    if not options.json:
        print_result(rows, options.out)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=path_of, help="its run folder")


def _add_resume(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    add_watchers(parser)


def _resume(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad.jobs import run

    with watched(options) as watch:
        rows = run.resume(options.run, overrides, watch)
    if not options.json:
        print_result(rows, options.run)


def print_result(rows: Sequence["contragrad.evaluate.Row"], folder: Path) -> None:
    """Prints the table of a study that has ended, and where it lies."""
    from contragrad.results import study_table

    console = Console()
    console.print(study_table(rows))
    console.print(f"run folder: {folder}", markup=False, emoji=False, highlight=False, soft_wrap=True)


def _add_show(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("--json", action="store_true", help="for scripts")


def _show(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad import evaluate, report
    from contragrad.results import study_table
    from contragrad.run_folder import history
    from contragrad.run_folder.notes import LOOKS
    from contragrad.run_folder.workspace import TABLE

    found = history.load(options.run)
    table = options.run / TABLE
    rows = evaluate.read(table) if table.is_file() else ()
    if options.json:
        print(json.dumps(report.history_json(found, rows)))
        return
    console = Console()
    settings = found.config.search
    total = settings.population * (1 + settings.generations * settings.children)
    elsewhere = f", {found.elsewhere} of them made by other studies" if found.elsewhere else ""
    console.print(f"{len(found.told)} of {total} evaluations{elsewhere}", highlight=False)
    for event in found.told:
        console.print(
            f"[{event.after.step}] {history.placement(event)}; {report.outcome_text(event.outcome)}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if found.state is not None:
        console.print(report.population_table(found.state.population))
    if rows:
        console.print(study_table(rows))
    if found.looks > 1:
        console.print(LOOKS.format(found.looks), soft_wrap=True)


def _resumed(options: argparse.Namespace) -> str:
    folder = getattr(options, "run", None) or options.out
    if folder is None or not (folder / "study.yaml").exists():
        return ""
    words = ["contragrad", "resume", str(folder)]
    if options.tensorboard:
        words.append("--tensorboard")
    if options.mlflow:
        words += ["--mlflow", public(options.mlflow)]
    words += _kept_by_no_file(options.overrides)
    return f"; `{shlex.join(words)}` goes on from here"


def _kept_by_no_file(overrides: Sequence[str]) -> list[str]:
    """Those of the settings that the next command has to say again."""
    from contragrad.settings.checks import trusting

    keys = {f"--{key}" for key in trusting()}
    words = iter(overrides)
    found: list[str] = []
    for word in words:
        if word.partition("=")[0] in keys:
            found += [word] if "=" in word else [word, next(words, "")]
    return found


DEMO = Command(
    name="demo",
    help="the main job on the images that ship with the package, in minutes",
    add=_add_demo,
    call=_demo,
    takes_settings=True,
    way_on=_resumed,
)
EVOLVE = Command(
    name="evolve",
    help="a new study: evolve networks against a reference",
    add=_add_evolve,
    call=_evolve,
    takes_settings=True,
    own_help=True,
    way_on=_resumed,
)
RESUME = Command(
    name="resume",
    help="go on with an interrupted study",
    add=_add_resume,
    call=_resume,
    takes_settings=True,
    first=("RUN", "run"),
    settings_help="Where it runs, where its files lie, --search.generations and --refine.* may be given "
    "anew, as --key value: contragrad evolve --help lists them.",
    way_on=_resumed,
)
SHOW = Command(name="show", help="what a study has found so far", add=_add_show, call=_show)
