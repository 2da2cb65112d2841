"""`contragrad audit`."""

import argparse
import json
import sys
from dataclasses import fields
from fractions import Fraction

from docstring_parser import parse
from rich.console import Console

from contragrad.audit.settings import AuditSettings
from contragrad.commands.command import Command, path_of, path_text, same_command

DEFAULTS = {"epsilon": "the study's", "minutes": "no limit"}
"""What holds where the settings' own default does not say it."""


KINDS: dict[type, tuple[type, str]] = {int: (int, "N"), Fraction: (str, "RADIUS"), float: (float, "SHARE")}
"""A setting's type -> that of the option, and what its value is called. A radius is read as it is typed."""


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        type=path_text,
        metavar="RUN|MODEL",
        help="a run folder, model.onnx, or a factory package.module:function, whose code is run",
    )
    parser.add_argument(
        "--network",
        help="which of the run's networks, as its table calls it; its best evolved one if left out",
    )
    model = parser.add_argument_group("for a model")
    model.add_argument("--weights", type=path_of, help="safetensors file of a factory's network")
    model.add_argument(
        "--data", type=path_text, metavar="FILE|FOLDER", help="its images: an npz file, or an image folder"
    )
    model.add_argument(
        "--reference",
        metavar="NAME|FACTORY",
        help="the public network: an architecture's name, or a factory, whose code is run",
    )
    model.add_argument(
        "--reference-weights", type=path_text, metavar="FILE", help="safetensors file; trained if left out"
    )
    model.add_argument(
        "--config", type=path_of, help="study file (YAML), for these and more; options override"
    )
    model.add_argument(
        "--recipe-known",
        action="store_true",
        help="it was trained by --training.objective for --reference.epochs; else that is assumed, and who "
        "knows the recipe is not shown to be withstood",
    )
    model.add_argument("--out", type=path_of, help="run folder to make, or to go on with")
    _add_depth(parser.add_argument_group("how deep"))
    parser.add_argument("--json", action="store_true", help="for scripts")


def _add_depth(group: "argparse._ArgumentGroup") -> None:
    told = {param.arg_name: param.description for param in parse(AuditSettings.__doc__ or "").params}
    for setting in fields(AuditSettings):
        default = DEFAULTS.get(setting.name, str(setting.default))
        kind, unit = KINDS.get(type(setting.default), (float, "MINUTES"))
        group.add_argument(
            "--budget" if setting.name == "minutes" else f"--{setting.name.replace('_', '-')}",
            dest=setting.name,
            metavar=unit,
            type=kind,
            help=f"{str(told[setting.name]).removesuffix('.')} (default: {default})".replace("%", "%%"),
        )


def _call(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad.audit import asked, card, command, shown
    from contragrad.watch.live import display

    of_model = asked.of_model(options.data, options.reference, options.reference_weights)
    given = {setting.name: getattr(options, setting.name) for setting in fields(AuditSettings)}
    with display(Console(stderr=True)) as watch:
        found, folder = command.audit(
            options.target,
            network=options.network,
            weights=options.weights,
            study_file=options.config,
            out=options.out,
            overrides=[*of_model, *overrides],
            settings={name: value for name, value in given.items() if value is not None},
            watch=watch,
            recipe_known=options.recipe_known,
        )
    if options.json:
        print(json.dumps(card.content(found)))
        return
    console = Console() if sys.stdout.isatty() else Console(width=120)
    shown.printed(found, console)
    console.print(f"written: {folder}", markup=False, highlight=False, soft_wrap=True)


AUDIT = Command(
    name="audit",
    help="how far a network's resistance holds: a report card",
    description="A study's network, or anyone's: an ONNX file, or a factory package.module:function with "
    "--weights. For the latter two, --data and --reference, or a study's settings, say what it is for.",
    add=_add,
    call=_call,
    takes_settings=True,
    first=("RUN|MODEL", "target"),
    settings_help="Settings of a model's study are given as --key value: contragrad evolve --help lists "
    "them. A run has its own.",
    way_on=same_command,
)
