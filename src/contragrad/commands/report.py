"""`contragrad report`."""

import argparse

from contragrad.commands.command import Command, path_of
from contragrad.extras import require


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=path_of, help="its run folder, of a study that has ended or is under way")
    parser.add_argument("--out", type=path_of, help="file to write; RUN/report.html if left out")
    parser.add_argument(
        "--call-factory",
        action="store_true",
        help="call the factory that the study names as its reference, which runs its code, for one picture",
    )


def _call(options: argparse.Namespace, overrides: list[str]) -> None:
    needed = ("altair", "captum", "jinja2", "matplotlib", "vl_convert")
    require(needed, "report", job="the report", where="report")
    from contragrad.page.write import write

    print(write(options.run, options.out, call_factory=options.call_factory))


REPORT = Command(
    name="report",
    help="a study as one HTML page with plots, to read and to pass on",
    add=_add,
    call=_call,
)
