"""`contragrad export`."""

import argparse
import sys
from typing import get_args

from contragrad.commands.command import Command, path_of
from contragrad.export.names import FormatName


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=path_of, help="its run folder")
    parser.add_argument(
        "--network",
        help="which of its networks, as its table calls it; the best evolved one if left out",
    )
    parser.add_argument(
        "--format",
        choices=get_args(FormatName),
        default="safetensors",
        help="safetensors: for contragrad.load; python: source that needs only torch, and weights; "
        "text: the architecture, printed too",
    )
    parser.add_argument("--out", type=path_of, help="file to make; in RUN/export if left out")
    parser.add_argument("--force", action="store_true", help="replace files that are there")


def _call(options: argparse.Namespace, overrides: list[str]) -> None:
    from contragrad.export import job

    exported = job.export(
        options.run,
        network=options.network,
        kind=options.format,
        out=options.out,
        force=options.force,
    )
    if exported.agreement is None:
        print(exported.path.read_text(encoding="utf-8"))
    else:
        print(f"compared with the network: {exported.agreement}", file=sys.stderr)
    for path in exported.files:
        print(f"written: {path}")


EXPORT = Command(
    name="export",
    help="a network as a file for others, checked, with a model card",
    description="Writes a network of a run that has ended, compares what was written with it on images of "
    "the study, and writes a model card beside it.",
    add=_add,
    call=_call,
)
