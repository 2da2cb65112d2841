"""What a setting takes, and what is refused of a study file and of the command line before it is parsed."""

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from fractions import Fraction
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from contragrad.errors import UserError
from contragrad.outside import LONGEST_NUMBER, from_yaml, require_plain
from contragrad.settings.config import TRUSTING, StudyConfig

LONGEST_KEY = 60
"""Letters of an unknown key that are shown, and matched against the known ones."""


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


LISTS: dict[type, str] = {int: "[1, 3]", float: "[0.25, 0.5]", str: '["conv(16,3) fc(64)"]'}
"""What a list setting may hold -> an example; any other list is of sources."""


WORDS: dict[type, str] = {
    Fraction: "a number, or a fraction such as 8/255",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
}
"""What a setting of that type takes."""


def kind_text(kind: Any) -> str:
    """What a setting of that type takes, in words."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        part = get_args(kind)[0]
        return f"a list, such as {LISTS.get(part, '[reference, surrogate]')}"
    if parts := get_args(kind):
        return " or ".join("null" if part is NoneType else kind_text(part) for part in parts)
    return WORDS.get(kind, str(kind.__name__))


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


def radius(epsilon: Fraction) -> str:
    """An epsilon as people in the field write it: in grey levels where it is a whole number of them."""
    greys = 255 * epsilon
    return f"{greys}/255" if greys.denominator == 1 else str(epsilon)


def checked(content: dict[str, Any], where: str) -> dict[str, Any]:
    """A study file's settings without its empty sections.

    Args:
        content: the settings.
        where: the file, for errors.

    Raises:
        UserError: for a key that is none or that no file may hold, for a text that cannot be read, and for
            a setting without a value.
    """
    _require_known(_keys(content), where)
    _require_trusting_nothing(content, where)
    for text in _texts(content):
        _require_sound(text, where)
    return _filled(content, where)


def require_overrides(overrides: Sequence[str]) -> None:
    """Checks a command line's settings, `--seed=1` or `--seed` and `1`.

    Raises:
        UserError: for one that is none, or a text that cannot be read.
    """
    where = "the command line"
    _require_known(
        (word[2:].partition("=")[0].rstrip("+") for word in overrides if word.startswith("--")), where
    )
    for word in overrides:
        _require_sound(word.partition("=")[2] or word, where)


def _keys(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")


def trusting() -> set[str]:
    """The settings that no study file holds."""
    return {field.name for field in fields(StudyConfig) if TRUSTING in field.metadata}


def _require_trusting_nothing(content: dict[str, Any], where: str) -> None:
    for key in trusting() & content.keys():
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


def wrong_kind(message: str) -> UserError:
    """An error for what jsonargparse says at length and in terms of Python's classes, said our way."""
    text = " ".join(message.removeprefix("Parser key ").split())
    named = re.match(r'"([a-z_.]+)": ', text)
    kind = kinds().get(named[1]) if named else None
    if named is None or kind is None or is_dataclass(kind):
        remedy = "contragrad evolve --help lists every setting and what it takes"
        if re.search(r": [^-]\S*\.ya?ml$", text):
            remedy = "--config before the name of a study file"
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
            longer = (each for each in known if key and each.startswith(key))  # eps is near to steps
            raise UserError(f"there is no setting {key!r}", where=where, remedy=next(longer, nearest[0]))
