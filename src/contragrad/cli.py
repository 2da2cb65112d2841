"""The command: parse, call, print. Data go to standard output, progress to standard error."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import contragrad
from contragrad.commands.audit import AUDIT
from contragrad.commands.calibrate import CALIBRATE
from contragrad.commands.coevolve import COEVOLVE
from contragrad.commands.command import Command
from contragrad.commands.completion import completion
from contragrad.commands.data import DATA
from contragrad.commands.doctor import DOCTOR
from contragrad.commands.export import EXPORT
from contragrad.commands.report import REPORT
from contragrad.commands.reproduce import REPRODUCE
from contragrad.commands.studies import DEMO, EVOLVE, RESUME, SHOW
from contragrad.engine.executors import WorkerLostError
from contragrad.engine.memory import keep_freed_memory
from contragrad.errors import UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE = 141

COMPLETION = completion(lambda: whole_parser())
COMMANDS = (
    DEMO,
    EVOLVE,
    RESUME,
    COEVOLVE,
    CALIBRATE,
    REPRODUCE,
    AUDIT,
    EXPORT,
    DATA,
    SHOW,
    REPORT,
    DOCTOR,
    COMPLETION,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    0; 2 for what the user can mend; 130 for Ctrl-C; 141 for a pipe that nobody reads any more.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = whole_parser()
    options, rest = parser.parse_known_args(words)
    command: Command = options.command
    if rest and not command.takes_settings:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    _require_first(parser, command, options, words, rest)
    keep_freed_memory()
    options.overrides = rest
    try:
        command.call(options, rest)
        sys.stdout.flush()
    except (UserError, WorkerLostError) as error:
        print(f"contragrad: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    except BrokenPipeError:
        _give_up_output()  # whoever read has read enough
        return EXIT_PIPE
    except OSError as error:
        # A file's own error has been named by where it is written.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        _give_up_output()
        print(f"contragrad: standard output cannot be written: {error.strerror}", file=sys.stderr)
        print("  try: free room, or another place for it", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print(f"contragrad: interrupted{command.way_on(options)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _require_first(
    parser: argparse.ArgumentParser,
    command: Command,
    options: argparse.Namespace,
    words: Sequence[str],
    rest: Sequence[str],
) -> None:
    """Refuses a setting before the first word, which would be taken for its value."""
    if command.first is None:
        return
    shown, name = command.first
    taken = Path(getattr(options, name))
    before = words[: next(place for place, word in enumerate(words) if place and Path(word) == taken)]
    if any(word.startswith("--") and "=" not in word and word in rest for word in before):
        parser.error(f"{shown} comes before the settings: contragrad {command.name} {shown} --key value")


def _give_up_output() -> None:
    # Python would write what is left, and complain once more, at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def whole_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="contragrad", description=contragrad.__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"contragrad {contragrad.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        own = commands.add_parser(
            command.name,
            help=command.help,
            description=command.description or command.help,
            epilog=command.settings_help if command.takes_settings else None,
            allow_abbrev=False,
            add_help=not command.own_help,
        )
        command.add(own)
        own.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
