"""`contragrad completion`: a script that completes commands, options and every setting of a study."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Literal, get_args, get_origin

from contragrad.commands.command import Command, path_of, path_text

HOWTO = """\
bash: contragrad completion bash > ~/.local/share/bash-completion/completions/contragrad
zsh:  contragrad completion zsh > ~/.zfunc/_contragrad, with ~/.zfunc in fpath before compinit
fish: contragrad completion fish > ~/.config/fish/completions/contragrad.fish
A new shell then knows them. Write it anew when contragrad is updated."""


def completion(whole: Callable[[], argparse.ArgumentParser]) -> Command:
    """The command.

    Args:
        whole: makes the parser of all commands, this one too.
    """

    def call(options: argparse.Namespace, overrides: list[str]) -> None:
        import shtab

        parser = whole()
        for command in _commands(parser):
            _complete(command)
        print(shtab.complete(parser, shell=options.shell))

    return Command(
        name="completion",
        help="a script that completes commands and settings in your shell",
        description=HOWTO,
        add=_add,
        call=call,
    )


def _add(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="whose script it is")


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of the commands, and of what they are divided into."""
    for action in parser._actions:  # argparse tells nobody what a parser has but here
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command
                yield from _commands(command)


def _complete(parser: argparse.ArgumentParser) -> None:
    """Declares the settings that a command takes, and what is a path."""
    import shtab

    from contragrad.settings import checks

    command: Command | None = parser.get_default("command")
    if command is not None and command.takes_settings:
        for name, kind in checks.kinds().items():
            if not is_dataclass(kind):
                choices = get_args(kind) if get_origin(kind) is Literal else None
                parser.add_argument(f"--{name}", choices=choices)
    for action in parser._actions:
        if action.type in (path_of, path_text):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
