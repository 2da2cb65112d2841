"""The command: parse, call, print. Data go to standard output, progress to standard error."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import get_args

from rich.console import Console

import contragrad
from contragrad.choices import Scale
from contragrad.engine.executors import WorkerLostError
from contragrad.engine.memory import keep_freed_memory
from contragrad.errors import UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0, 2 for what the user can mend, 130 for Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    options, rest = parser.parse_known_args(words)
    if rest and options.command not in ("evolve", "resume", "demo", "reproduce", "calibrate", "audit"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if options.command == "resume" and words[1].startswith("-"):
        parser.error("the run folder comes before the options: contragrad resume RUN --key value")
    keep_freed_memory()
    try:
        options.call(options, rest)
    except (UserError, WorkerLostError) as error:
        print(f"contragrad: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print(f"contragrad: interrupted{_way_on(options)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _way_on(options: argparse.Namespace) -> str:
    # Their folders are studies of which they are not the main job.
    if options.command in ("calibrate", "reproduce", "audit"):
        return "; the same command goes on from here"
    folder = getattr(options, "run", None) or getattr(options, "out", None)
    if options.command == "show" or folder is None or not (folder / "study.yaml").exists():
        return ""
    return f"; `contragrad resume {folder}` goes on from here"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="contragrad", description=contragrad.__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"contragrad {contragrad.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo", help="the main job on the images that ship with the package, in minutes", allow_abbrev=False
    )
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), help="run folder to make")
    demo.set_defaults(call=_demo)

    evolve = commands.add_parser(
        "evolve", help="a new study: evolve networks against a reference", allow_abbrev=False, add_help=False
    )
    evolve.add_argument("-h", "--help", action="store_true", help="show every setting")
    evolve.add_argument(
        "--config", type=Path, action="append", help="study file (YAML); the options override it"
    )
    evolve.add_argument("--out", type=Path, help="run folder to make; named by the time if left out")
    evolve.set_defaults(call=_evolve)

    resume = commands.add_parser("resume", help="go on with an interrupted study", allow_abbrev=False)
    resume.add_argument("run", type=Path, help="its run folder")
    resume.set_defaults(call=_resume)

    calibrate = commands.add_parser(
        "calibrate", help="which weight λ of the GM loss a data set wants", allow_abbrev=False
    )
    calibrate.add_argument("--config", type=Path, help="study file (YAML); options override it")
    calibrate.add_argument(
        "--weights", type=float, nargs="+", default=[0.25, 0.5, 1, 2, 4], help="what to try"
    )
    calibrate.add_argument("--out", type=Path, required=True, help="run folder to make, or to go on with")
    calibrate.add_argument("--json", action="store_true", help="for scripts")
    calibrate.set_defaults(call=_calibrate)

    reproduce = commands.add_parser(
        "reproduce", help="a table or figure of the paper, published beside measured", allow_abbrev=False
    )
    reproduce.add_argument("what", help="table1 to table7, figure3, figure4, or all")
    reproduce.add_argument(
        "--scale",
        choices=get_args(Scale),
        default="smoke",
        help="smoke: minutes, to see that it runs; reduced: hours on 2 cores; full: the paper's depth",
    )
    reproduce.add_argument(
        "--data",
        type=Path,
        default=Path(),
        help="folder with the reduced sets as npz, or torchvision's layout",
    )
    reproduce.add_argument("--seeds", type=int, nargs="+", default=[0], help="one study each")
    reproduce.add_argument(
        "--protocol",
        choices=("separate", "paper"),
        default="separate",
        help="paper: fitness is measured on the test images, as in the paper",
    )
    reproduce.add_argument("--out", type=Path, default=Path("runs/reproduce"), help="folder for all of it")
    reproduce.set_defaults(call=_reproduce)

    audit = commands.add_parser(
        "audit",
        help="how far a network's resistance holds: a report card",
        allow_abbrev=False,
        description="A study's network, or anyone's: an ONNX file, or a factory package.module:function with "
        "--weights. For the latter two, --config and a study's settings name the data and the reference.",
    )
    audit.add_argument(
        "target", metavar="RUN|MODEL", help="a run folder, model.onnx, or package.module:function"
    )
    audit.add_argument(
        "--network", help="which of the run's networks, as its table calls it; its best if left out"
    )
    audit.add_argument("--weights", type=Path, help="safetensors file of a factory's network")
    audit.add_argument("--config", type=Path, help="study file (YAML) of a model; options override it")
    audit.add_argument("--out", type=Path, help="run folder to make for a model, or to go on with")
    audit.add_argument(
        "--budget",
        type=float,
        dest="minutes",
        metavar="MINUTES",
        help="what it may take; no limit if left out",
    )
    audit.add_argument(
        "--epsilon", help="radius of the L_inf attacks, such as 16/255; the study's if left out"
    )
    audit.add_argument("--images", type=int, help="test images to attack")
    audit.add_argument("--steps", type=int, help="gradient steps of the attacks")
    audit.add_argument("--queries", type=int, help="answers an attacker may ask for, for each image")
    audit.add_argument("--surrogates", type=int, help="networks that an attacker who knows the recipe trains")
    audit.add_argument("--tolerated", type=float, help="share an attacker may fool and still be withstood")
    audit.add_argument("--json", action="store_true", help="for scripts")
    audit.set_defaults(call=_audit)

    show = commands.add_parser("show", help="what a study has found so far", allow_abbrev=False)
    show.add_argument("run", type=Path, help="its run folder")
    show.add_argument("--json", action="store_true", help="for scripts")
    show.set_defaults(call=_show)
    return parser


def _demo(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad import config_file

    _create(config_file.shipped("demo"), options.out, overrides)


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
    options.out = options.out or Path("runs") / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    _create(study_files[0], options.out, overrides)


def _create(study_file: Path | None, folder: Path, overrides: list[str]) -> None:
    from contragrad import config_file, run
    from contragrad.progress import Progress

    config = config_file.read(study_file, overrides)
    with Progress(Console(stderr=True)) as progress:
        rows = run.create(config, folder, progress)
    _print_result(rows, folder)


def _resume(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad import run
    from contragrad.progress import Progress

    with Progress(Console(stderr=True)) as progress:
        rows = run.resume(options.run, overrides, progress)
    _print_result(rows, options.run)


def _print_result(rows: Sequence["contragrad.evaluate.Row"], folder: Path) -> None:
    from contragrad.report import accuracy_table

    console = Console()
    console.print(accuracy_table(rows, "transfer resistance from the reference"))
    console.print(f"run folder: {folder}", markup=False, emoji=False, highlight=False, soft_wrap=True)


def _show(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad import evaluate, history, report
    from contragrad.workspace import TABLE

    found = history.load(options.run)
    table = options.run / TABLE
    rows = evaluate.read(table) if table.is_file() else ()
    if options.json:
        print(json.dumps(report.history_json(found, rows)))
        return
    console = Console()
    settings = found.config.search
    total = settings.population * (1 + settings.generations * settings.children)
    console.print(f"{len(found.told)} of {total} evaluations", highlight=False)
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
        console.print(report.accuracy_table(rows, "transfer resistance from the reference"))
    if found.looks > 1:
        console.print(history.LOOKS.format(found.looks), soft_wrap=True)


def _calibrate(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad import calibrate, config_file
    from contragrad.progress import Progress

    config = config_file.read(options.config, overrides)
    with Progress(Console(stderr=True)) as progress:
        tried = calibrate.calibrate(config, options.out, options.weights, progress)
    if options.json:
        print(json.dumps(calibrate.as_json(tried)))
    else:
        Console().print(calibrate.as_table(tried))


def _audit(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad.audit import card, command
    from contragrad.progress import Progress

    given = {
        name: getattr(options, name)
        for name in ("minutes", "epsilon", "images", "steps", "queries", "surrogates", "tolerated")
    }
    with Progress(Console(stderr=True)) as progress:
        found, folder = command.audit(
            options.target,
            network=options.network,
            weights=options.weights,
            study_file=options.config,
            out=options.out,
            overrides=overrides,
            settings={name: value for name, value in given.items() if value is not None},
            progress=progress,
        )
    if options.json:
        print(json.dumps(card.content(found)))
        return
    console = Console() if sys.stdout.isatty() else Console(width=120)
    command.printed(found, console)
    console.print(f"written: {folder}", markup=False, highlight=False, soft_wrap=True)


def _reproduce(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad.progress import Progress
    from contragrad.reproduce.command import reproduce
    from contragrad.reproduce.experiment import Setup

    setup = Setup(
        scale=options.scale,
        seed=options.seeds[0],
        paper_protocol=options.protocol == "paper",
        data=options.data,
        out=options.out,
        overrides=tuple(overrides),
    )
    with Progress(Console(stderr=True)) as progress:
        console = Console() if sys.stdout.isatty() else Console(width=160)
        reproduce(options.what, setup, list(dict.fromkeys(options.seeds)), console, progress)


def _print_settings() -> None:
    from jsonargparse import ArgumentParser

    from contragrad import config_file

    parser = ArgumentParser(
        prog="contragrad evolve", description="A new study: evolve networks against a reference."
    )
    parser.add_argument("--out", type=Path, help="run folder to make; named by the time if left out")
    config_file.add_settings(parser)
    parser.print_help()


if __name__ == "__main__":
    sys.exit(main())
