"""`contragrad reproduce`."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

from rich.console import Console

from contragrad.commands.command import Command, path_of, same_command
from contragrad.settings.choices import Scale
from contragrad.studies.shipped import require_known


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        help="table1 to table7, figure3, figure4, or all of these; recipes, which is no table of the paper; "
        "or a definition file (YAML) of your own",
    )
    parser.add_argument(
        "--scale",
        choices=get_args(Scale),
        default="smoke",
        help="smoke (default): minutes, to see it run; reduced: hours on 2 cores; full: the paper's depth",
    )
    parser.add_argument(
        "--data",
        type=path_of,
        default=Path(),
        help="folder with the reduced sets as npz, or torchvision's layout (default: this one)",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="a study for each (default: 0)")
    parser.add_argument(
        "--protocol",
        choices=("separate", "paper", "both"),
        default="separate",
        help="separate (default): fitness is measured on validation images; paper: on the test images, "
        "as in the paper; both: the table by each, and what the paper's adds to its figures",
    )
    parser.add_argument(
        "--out",
        type=path_of,
        default=Path("runs/reproduce"),
        help="folder of run folders and tables (default: %(default)s)",
    )


def _call(options: argparse.Namespace, overrides: list[str]) -> None:
    # Before torch is imported, which takes seconds.
    require_known(options.what)
    from contragrad.reproduce.command import reproduce
    from contragrad.reproduce.setups import Setup
    from contragrad.watch.live import display

    setup = Setup(
        scale=options.scale,
        seed=options.seeds[0],
        paper_protocol=options.protocol == "paper",
        data=options.data,
        out=options.out,
        overrides=tuple(overrides),
    )
    with display(Console(stderr=True)) as watch:
        console = Console() if sys.stdout.isatty() else Console(width=160)
        seeds = sorted(set(options.seeds))
        # By the paper's protocol no training ends by its best epoch, which the test images would choose.
        paper = replace(setup, paper_protocol=True, overrides=(*setup.overrides, "--refine.patience=null"))
        beside = paper if options.protocol == "both" else None
        reproduce(options.what, setup, seeds, console, watch, beside=beside)


REPRODUCE = Command(
    name="reproduce",
    help="a table or figure of the paper, published beside measured",
    add=_add,
    call=_call,
    takes_settings=True,
    first=("TABLE", "what"),
    way_on=same_command,
)
