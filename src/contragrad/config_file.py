"""Study files and command-line overrides -> a StudyConfig, and back."""

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import register_type

from contragrad import __version__
from contragrad.config import TRUSTING, StudyConfig
from contragrad.errors import UserError
from contragrad.files import write_text
from contragrad.fingerprint import Plain, canonical
from contragrad.outside import LONGEST_NUMBER, LONGEST_YAML, from_yaml, read_text, require_plain

VERSION = 1
"""Of study files: raised when a setting is renamed or means something else, not when one is added."""

LONGEST_KEY = 60
"""Letters of a key that is none that are shown, and compared with those that are."""

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""A version -> what makes a study file of the next version of one of it."""


def fraction(value: object) -> Fraction:
    """A number, or a fraction of two.

    Raises:
        ValueError: if it is neither, or so large or small that to write it out would take any time.
    """
    text = str(value)
    if len(text) > LONGEST_NUMBER or re.search(r"[eE][-+]?[0-9_]{4}", text):
        raise ValueError("a number of so many digits")
    try:
        return Fraction(text)
    except ZeroDivisionError as error:
        raise ValueError("a fraction over zero") from error


register_type(Fraction, serializer=str, deserializer=fraction)


def add_settings(parser: ArgumentParser) -> None:
    """Adds `--config` and an option for every setting of a study to the parser."""
    parser.add_argument("--config", action="config", help="study file (YAML); options after it override it")
    parser.add_class_arguments(StudyConfig)


def read(path: Path | None, overrides: Sequence[str] = ()) -> StudyConfig:
    """The settings of a study file, or the defaults, with command-line overrides such as `--seed=1`.

    Raises:
        UserError: if the file cannot be read, or a key or value is unknown or of the wrong type.
    """
    content: dict[str, Any] = {}
    if path is not None:
        content, where = _of_this_version(_load(path), str(path))
        _require_known(_keys(content), where)
        _require_trusting_nothing(content, where)
        for text in _texts(content):
            _require_sound(text, where)
        content = _filled(content, where)
    _require_known(
        (word[2:].partition("=")[0].rstrip("+") for word in overrides if word.startswith("--")),
        "the command line",
    )
    for word in overrides:
        _require_sound(word.partition("=")[2] or word, "the command line")
    parser = ArgumentParser(exit_on_error=False)
    add_settings(parser)
    # The file was read and checked above; jsonargparse takes its text as well as its name. All is quoted,
    # its type beside it: to jsonargparse a file called 0E0 would be a number.
    quoted = yaml.safe_dump(content, default_style='"')
    arguments = [f"--config={quoted}", *overrides]
    try:
        found = parser.instantiate(parser.parse_args(arguments))
    except (ArgumentError, ValueError, TypeError) as error:
        raise _wrong_kind(str(error)) from error
    return StudyConfig(**{field.name: found[field.name] for field in fields(StudyConfig)})


def shipped(name: str) -> Path:
    """The study file of that name that ships with the package."""
    return Path(str(resources.files("contragrad.studies") / f"{name}.yaml"))


def write(config: StudyConfig, path: Path) -> None:
    """Writes the settings as a study file that `read` gives the same ones for; whole or not at all.

    Those that a study file cannot say are left out.
    """
    settings = {key: value for key, value in _plain(config).items() if key not in _trusting()}
    content = {"version": VERSION, "contragrad": __version__, **settings}
    write_text(path, yaml.safe_dump(content, sort_keys=False))


def dotted(config: StudyConfig) -> dict[str, Plain]:
    """Every setting's value by its dotted key, sections left out."""

    def walk(content: dict[str, Any], prefix: str) -> Iterator[tuple[str, Plain]]:
        for key, value in content.items():
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    return dict(walk(_plain(config), ""))


def _plain(value: object) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return canonical(value)


def _load(path: Path) -> dict[str, Any]:
    text = read_text(path, LONGEST_YAML, "the study file cannot be read", "the path of a YAML file")
    try:
        content = from_yaml(text)
    except ValueError as error:
        raise UserError(
            f"the study file is no YAML: {error}", where=str(path), remedy="plain YAML such as seed: 0"
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError("the study file is no mapping of settings", where=str(path), remedy="seed: 0")
    return content


def _of_this_version(content: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """The settings alone, as this version has them, and what to call the file in errors.

    A file that a person wrote need not say a version.

    Raises:
        UserError: if a newer contragrad wrote the file.
    """
    settings = {key: value for key, value in content.items() if key not in ("version", "contragrad")}
    version, writer = content.get("version", 1), content.get("contragrad", __version__)
    if type(version) is not int or not 1 <= version <= VERSION:
        raise UserError(
            f"the study file has version {version}, and this contragrad {__version__} knows {VERSION}",
            where=path,
            remedy=f"contragrad {writer}, which wrote it"
            if writer != __version__
            else f"version: {VERSION}, or the line left out",
        )
    for older in range(version, VERSION):
        settings = MIGRATIONS[older](settings)
    written = "" if writer == __version__ else f", written by contragrad {writer}; this is {__version__}"
    return settings, path + written


def _keys(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")


def _trusting() -> set[str]:
    return {field.name for field in fields(StudyConfig) if TRUSTING in field.metadata}


def _require_trusting_nothing(content: dict[str, Any], where: str) -> None:
    for key in _trusting() & content.keys():
        raise UserError(
            f"{key} is taken from the command line alone: a file would choose whom you trust",
            where=where,
            remedy=f"the line left out, and --{key} {content[key]} if you trust it",
        )


def _texts(value: object) -> Iterator[str]:
    """Every text in a value of YAML."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _require_sound(text: str, where: str) -> None:
    """Refuses a text that is no file's name, or far more to jsonargparse, which reads it as YAML.

    Raises:
        UserError: if it is one.
    """
    try:
        text.encode()
        if "\0" in text:
            raise ValueError("a null character")
        with suppress(yaml.YAMLError):
            require_plain(text)
    except ValueError as error:
        raise UserError(
            f"a setting cannot be read: {error}", where=where, remedy="a short text in UTF-8"
        ) from error


def _filled(content: dict[str, Any], where: str, prefix: str = "") -> dict[str, Any]:
    """The content without its empty sections, such as one whose settings are all commented out.

    jsonargparse passes in silence over a section that is no mapping, and over a null in a value's place.

    Raises:
        UserError: for these two.
    """
    found = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        kind = kinds()[name]
        if not is_dataclass(kind):
            if value is None and NoneType not in get_args(kind):
                raise UserError(f"{name} has no value", where=where, remedy=kind_text(kind))
            if isinstance(value, str) and _is_null(value):
                raise UserError(
                    f"{name} would be read as no value: {value!r}", where=where, remedy=f"./{value}, or null"
                )
            found[key] = value
        elif isinstance(value, dict):
            found[key] = _filled(value, where, f"{name}.")
        elif value is not None:
            first = fields(kind)[0].name
            raise UserError(
                f"{name} is no mapping of settings", where=where, remedy=f"{name}: {{{first}: ...}}"
            )
    return found


def _is_null(text: str) -> bool:
    """Whether jsonargparse, which reads a text as YAML, reads none in it."""
    try:
        return from_yaml(text) is None
    except ValueError:
        return False


def kinds(record: type = StudyConfig, prefix: str = "") -> dict[str, Any]:
    """Every setting's dotted key, sections included, and the type of its value."""
    hints = get_type_hints(record)
    found: dict[str, Any] = {}
    for field in fields(record):
        name, kind = f"{prefix}{field.name}", hints[field.name]
        found[name] = kind
        if is_dataclass(kind):
            found |= kinds(kind, f"{name}.")  # type: ignore[arg-type]
    return found


def kind_text(kind: Any) -> str:
    """What a setting of that type takes, in words."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        part = get_args(kind)[0]
        return f"a list of {kind_text(part)}, such as {'[0.25, 0.5]' if part is float else '[1, 3]'}"
    if NoneType in (parts := get_args(kind)):
        return " or ".join("null" if part is NoneType else kind_text(part) for part in parts)
    return "a number, or a fraction such as 8/255" if kind is Fraction else str(kind.__name__)


def _wrong_kind(message: str) -> UserError:
    """What jsonargparse says at length and in terms of Python's classes, said our way."""
    text = " ".join(message.removeprefix("Parser key ").split())
    named = re.match(r'"([a-z_.]+)": ', text)
    kind = kinds().get(named[1]) if named else None
    if named is None or kind is None or is_dataclass(kind):
        remedy = "contragrad evolve --help lists every setting and what it takes"
        return UserError("the settings cannot be read", where=text, remedy=remedy)
    value = re.search(r" (?:Got|Given) value: (.*)$", text)
    given = f": {value[1]}" if value else ""
    return UserError(
        f"a setting has a value of the wrong kind{given}", where=named[1], remedy=kind_text(kind)
    )


def _require_known(keys: Iterator[str], where: str) -> None:
    known = tuple(kinds())
    for key in keys:
        if key not in known:
            key = key[:LONGEST_KEY]
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0)
            raise UserError(
                f"there is no setting {key!r}", where=where, remedy=nearest[0] if nearest else known[0]
            )
