"""`contragrad data import` and `contragrad data check`."""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from rich.console import Console
from rich.progress import track

from contragrad.commands.command import Command, path_of, path_text
from contragrad.data.wanted import TEST, Kind, Wanted
from contragrad.errors import UserError
from contragrad.legible import legible

if TYPE_CHECKING:
    from contragrad.data.imports import Found

FAULTS = 20
"""Pictures that are named before the rest is only counted."""


def _add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION", dest="action")
    imported = actions.add_parser("import", help="make one npz file of a set", allow_abbrev=False)
    checked = actions.add_parser(
        "check", help="say what a set is, or all that is wrong with it", allow_abbrev=False
    )
    for own in (imported, checked):
        own.add_argument(
            "source", type=path_text, help="file or folder, or with --from huggingface a name on its hub"
        )
        own.add_argument(
            "--from", dest="kind", choices=get_args(Kind), help="what it is; found out if left out"
        )
        own.add_argument("--size", type=int, metavar="PIXELS", help="stretch each picture to a square")
        own.add_argument("--test", default=TEST, metavar="NAME", help="folder or split of the test images")
        own.add_argument(
            "--hold-out", type=float, metavar="SHARE", help="hold so much of each class out as test images"
        )
        own.add_argument("--json", action="store_true", help="for scripts")
    imported.add_argument(
        "--out", type=path_of, required=True, help="npz file to make, or a folder to put it in"
    )
    imported.add_argument("--force", action="store_true", help="replace the file if it is there")


def _call(options: argparse.Namespace, _: list[str]) -> None:
    if options.size is not None and options.size < 1:
        raise UserError(f"{options.size} is no edge", where="--size", remedy="1 or more pixels")
    from contragrad.data import imports, npz, summary

    wanted = Wanted(
        source=options.source,
        kind=options.kind,
        edge=options.size,
        test=options.test,
        share=options.hold_out,
    )
    target = _target(options, wanted) if options.action == "import" else None
    found = imports.read(wanted, _watch) if target is not None else _checked(wanted)
    if target is not None:
        npz.write(target, found.dataset, found.origin)
    if options.json:
        print(json.dumps(summary.as_json(found) | ({} if target is None else {"file": str(target)})))
        return
    print(summary.as_text(found))
    if target is not None:
        print(f"written: {target}\nin a study file: data: {{source: npz, path: {target}}}")


def _target(options: argparse.Namespace, wanted: Wanted) -> Path:
    """The file to write, known to be writable before the reading begins."""
    out: Path = options.out.expanduser()
    target = out / f"{wanted.path.resolve().stem}.npz" if out.is_dir() else out
    if target.suffix != ".npz":
        raise UserError("the file has another ending", where=str(target), remedy=f"{target.stem}.npz")
    if not target.parent.is_dir():
        raise UserError("the folder is missing", where=str(target.parent), remedy="a folder that is there")
    if target.exists() and not options.force:
        raise UserError("the file exists", where=str(target), remedy="another --out, or --force")
    return target


def _checked(wanted: Wanted) -> "Found":
    """The data set, if all of its pictures can be had; an import stops at the first that cannot."""
    from contragrad.data import imports

    faults: list[UserError] = []
    try:
        found = imports.read(wanted, _watch, faults.append)
    except UserError:
        if not faults:
            raise
    if not faults:
        return found
    if len(faults) == 1:
        raise faults[0]
    for fault in faults[:FAULTS]:
        print(legible(f"{fault.where}: {fault.what}"), file=sys.stderr)
    raise UserError(f"{len(faults):,} pictures cannot be had", where=wanted.source, remedy=faults[0].remedy)


def _watch(pictures: Iterable[tuple[Path, int]]) -> Iterable[tuple[Path, int]]:
    console = Console(stderr=True)
    return track(pictures, "reading", console=console, transient=True, disable=not console.is_terminal)


DATA = Command(
    name="data",
    help="make one file of a set of images, or check it",
    add=_add,
    call=_call,
)
