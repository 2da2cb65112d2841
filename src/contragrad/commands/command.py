"""What a command of the command line is."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def path_text(word: str) -> str:
    """A path of the command line, or what may be one.

    Raises:
        argparse.ArgumentTypeError: if it is empty, as an unset variable is, for Path takes that for here.
    """
    if not word:
        raise argparse.ArgumentTypeError("an empty path; . is the folder you are in")
    return word


def path_of(word: str) -> Path:
    """A path of the command line, see `path_text`."""
    return Path(path_text(word))


def _nothing(options: argparse.Namespace) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command.

    Args:
        name: the word that calls it.
        help: one line about it.
        add: declares its options.
        call: does it; takes the options, and the words that are none of them.
        description: what its own help says first; `help` if left out.
        takes_settings: whether a study's settings may stand among the words, as `--key value`.
        settings_help: what its help says of them.
        own_help: whether it shows its help itself.
        first: what its first word is called, which stands before any settings; and its name among options.
        way_on: what to say of how an interrupted one goes on.
    """

    name: str
    help: str
    add: Callable[[argparse.ArgumentParser], None]
    call: Callable[[argparse.Namespace, list[str]], None]
    description: str | None = None
    takes_settings: bool = False
    settings_help: str = "A study's settings are given as --key value: contragrad evolve --help lists them."
    own_help: bool = False
    first: tuple[str, str] | None = None
    way_on: Callable[[argparse.Namespace], str] = _nothing


def same_command(options: argparse.Namespace) -> str:
    """For what finds again what it has made, in a folder that is not the main job's."""
    return "; the same command goes on from here"
