"""`contragrad coevolve`: rounds of evolution, each against a surrogate of the best network before it."""

import argparse

from contragrad.commands.command import Command, path_of, same_command
from contragrad.commands.studies import add_watchers, print_result, watched
from contragrad.errors import UserError


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=path_of, help="study file (YAML) of the first round; options override it"
    )
    parser.add_argument("--rounds", type=int, default=3, help="studies one after another (%(default)s)")
    parser.add_argument(
        "--out", type=path_of, required=True, help="folder that holds the rounds' run folders"
    )
    add_watchers(parser)


def _call(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad.jobs import coevolution
    from contragrad.settings import config_file

    if options.rounds < 1:
        raise UserError(f"{options.rounds} is too small", where="--rounds", remedy="1 or more")
    config = config_file.read(options.config, overrides)
    with watched(options) as watch:
        rows = coevolution.coevolve(config, options.rounds, options.out, watch)
    if not options.json:
        print_result(rows, options.out / f"round-{options.rounds}")


COEVOLVE = Command(
    name="coevolve",
    help="evolve in rounds; after each, a surrogate of the best network joins what is trained against",
    add=_add,
    call=_call,
    takes_settings=True,
    way_on=same_command,
)
