"""`contragrad report`."""

import argparse
from importlib.util import find_spec
from pathlib import Path

from contragrad.commands.command import Command
from contragrad.errors import UserError


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="its run folder, of a study that has ended or is under way")
    parser.add_argument("--out", type=Path, help="file to write; RUN/report.html if left out")


def _call(options: argparse.Namespace, overrides: list[str]) -> None:
    missing = [name for name in ("altair", "jinja2", "vl_convert") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the report needs {', '.join(missing)}",
            where="report",
            remedy="pip install 'contragrad[report]'",
        )
    from contragrad.page.write import write

    print(write(options.run, options.out))


REPORT = Command(
    name="report",
    help="a study as one HTML page with plots, to read and to pass on",
    add=_add,
    call=_call,
)
