"""`contragrad calibrate`."""

import argparse
import json

from rich.console import Console

from contragrad.commands.command import Command, path_of, same_command


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=path_of, help="study file (YAML); options override it")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.25, 0.5, 1, 2, 4], help="what to try")
    parser.add_argument("--out", type=path_of, required=True, help="run folder to make, or to go on with")
    parser.add_argument("--json", action="store_true", help="for scripts")


def _call(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad.jobs import calibrate
    from contragrad.settings import config_file
    from contragrad.watch.live import display

    config = config_file.read(options.config, overrides)
    with display(Console(stderr=True)) as watch:
        tried = calibrate.calibrate(config, options.out, options.weights, watch)
    if options.json:
        print(json.dumps(calibrate.as_json(tried)))
    else:
        Console().print(calibrate.as_table(tried))


CALIBRATE = Command(
    name="calibrate",
    help="which weight λ of the GM loss a data set wants",
    add=_add,
    call=_call,
    takes_settings=True,
    way_on=same_command,
)
