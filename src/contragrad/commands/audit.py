"""`contragrad audit`."""

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from contragrad.commands.command import Command, same_command

DEPTH = ("minutes", "epsilon", "images", "steps", "queries", "surrogates", "tolerated")
"""The options that are fields of `AuditSettings`."""


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", metavar="RUN|MODEL", help="a run folder, model.onnx, or package.module:function"
    )
    parser.add_argument(
        "--network", help="which of the run's networks, as its table calls it; its best if left out"
    )
    parser.add_argument("--weights", type=Path, help="safetensors file of a factory's network")
    parser.add_argument("--config", type=Path, help="study file (YAML) of a model; options override it")
    parser.add_argument("--out", type=Path, help="run folder to make for a model, or to go on with")
    parser.add_argument(
        "--budget",
        type=float,
        dest="minutes",
        metavar="MINUTES",
        help="what it may take; no limit if left out",
    )
    parser.add_argument(
        "--epsilon", help="radius of the L_inf attacks, such as 16/255; the study's if left out"
    )
    parser.add_argument("--images", type=int, help="test images to attack")
    parser.add_argument("--steps", type=int, help="gradient steps of the attacks")
    parser.add_argument("--queries", type=int, help="answers an attacker may ask for, for each image")
    parser.add_argument(
        "--surrogates", type=int, help="networks that an attacker who knows the recipe trains"
    )
    parser.add_argument("--tolerated", type=float, help="share an attacker may fool and still be withstood")
    parser.add_argument("--json", action="store_true", help="for scripts")


def _call(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad.audit import card, command
    from contragrad.watch.live import display

    given = {name: getattr(options, name) for name in DEPTH}
    with display(Console(stderr=True)) as watch:
        found, folder = command.audit(
            options.target,
            network=options.network,
            weights=options.weights,
            study_file=options.config,
            out=options.out,
            overrides=overrides,
            settings={name: value for name, value in given.items() if value is not None},
            watch=watch,
        )
    if options.json:
        print(json.dumps(card.content(found)))
        return
    console = Console() if sys.stdout.isatty() else Console(width=120)
    command.printed(found, console)
    console.print(f"written: {folder}", markup=False, highlight=False, soft_wrap=True)


AUDIT = Command(
    name="audit",
    help="how far a network's resistance holds: a report card",
    description="A study's network, or anyone's: an ONNX file, or a factory package.module:function with "
    "--weights. For the latter two, --config and a study's settings name the data and the reference.",
    add=_add,
    call=_call,
    takes_settings=True,
    way_on=same_command,
)
