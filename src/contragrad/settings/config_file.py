"""Study files and command-line overrides -> a StudyConfig, and back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from operator import attrgetter
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import register_type

from contragrad import __version__
from contragrad.errors import UserError
from contragrad.files import write_text
from contragrad.fingerprint import Plain, canonical
from contragrad.outside import LONGEST_YAML, from_yaml, read_text
from contragrad.settings.checks import (
    checked,
    fraction,
    kind_text,
    kinds,
    require_overrides,
    trusting,
    wrong_kind,
)
from contragrad.settings.config import StudyConfig

VERSION = 1
"""Of study files: raised when a setting is renamed or means something else, not when one is added."""

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""A version -> what makes a study file of the next version of one of it."""


register_type(Fraction, serializer=str, deserializer=fraction)


def add_settings(parser: ArgumentParser) -> None:
    """Adds `--config` and an option for every setting of a study to the parser."""
    parser.add_argument("--config", action="config", help="study file (YAML); the options override it")
    parser.add_class_arguments(StudyConfig)


def read(path: Path | None, overrides: Sequence[str] = ()) -> StudyConfig:
    """The settings of a study file, or the defaults, with command-line overrides such as `--seed=1`.

    Raises:
        UserError: if the file cannot be read, or a key or value is unknown or of the wrong type.
    """
    content: dict[str, Any] = {}
    if path is not None:
        content, where = _of_this_version(_load(path), str(path))
        content = checked(content, where)
    require_overrides(overrides)
    return _parsed(content, overrides)


def stated(path: Path | None, overrides: Sequence[str]) -> frozenset[str]:
    """The dotted keys of the settings that a study file or overrides state, whatever their values.

    Raises:
        UserError: if the file cannot be read.
    """
    content = {} if path is None else _of_this_version(_load(path), str(path))[0]
    words = (word.removeprefix("--").partition("=")[0] for word in overrides if word.startswith("--"))
    return frozenset((*dict(_flat(content)), *words))


def _flat(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted key, sections left out."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def of_mapping(content: dict[str, Any], where: str) -> StudyConfig:
    """The settings that a mapping has, as it stands in a study file, and the defaults of all others.

    Args:
        content: the mapping.
        where: where it is from, for errors.

    Raises:
        UserError: if a key or value is unknown or of the wrong type.
    """
    return _parsed(checked(content, where), ())


def normalised(config: StudyConfig) -> StudyConfig:
    """The same settings, of the types that a study file gives: a `StudyConfig` takes what Python hands it.

    Raises:
        UserError: if a value is one that neither a study file nor the command line could have.
    """
    for key, kind in kinds().items():
        value = attrgetter(key)(config)
        if is_dataclass(kind):
            if not isinstance(value, kind):  # type: ignore[arg-type]
                raise _no_setting(key, value)
            continue
        try:
            canonical(value)
        except TypeError as error:
            raise _no_setting(key, value) from error
    trusted = {key: getattr(config, key) for key in trusting()}
    words = [f"--{key}={value}" for key, value in trusted.items() if value is not None]
    found = _parsed(checked(_sayable(config), "the StudyConfig"), words)
    return replace(found, **trusted)


def _no_setting(key: str, value: object) -> UserError:
    what = f"a setting has a value of the wrong kind: {type(value).__name__}"
    return UserError(what, where=key, remedy=kind_text(kinds()[key]))


def _parsed(content: dict[str, Any], overrides: Sequence[str]) -> StudyConfig:
    parser = ArgumentParser(exit_on_error=False)
    add_settings(parser)
    # The file was read and checked above; jsonargparse takes its text as well as its name. All is quoted,
    # its type beside it: to jsonargparse a file called 0E0 would be a number.
    quoted = yaml.safe_dump(content, default_style='"')
    arguments = [f"--config={quoted}", *overrides]
    try:
        found = parser.instantiate(parser.parse_args(arguments))
    except (ArgumentError, ValueError, TypeError) as error:
        raise wrong_kind(str(error)) from error
    return StudyConfig(**{field.name: found[field.name] for field in fields(StudyConfig)})


def write(config: StudyConfig, path: Path) -> None:
    """Writes the settings as a study file that `read` gives the same ones for; whole or not at all.

    Those that a study file cannot say are left out.
    """
    content = {"version": VERSION, "contragrad": __version__, **_sayable(config)}
    write_text(path, yaml.safe_dump(content, sort_keys=False))


def dotted(config: StudyConfig) -> dict[str, Plain]:
    """Every setting's value by its dotted key, sections left out."""
    return dict(_flat(_plain(config)))


def _sayable(config: StudyConfig) -> dict[str, Any]:
    """The settings that a study file may hold."""
    return {key: value for key, value in _plain(config).items() if key not in trusting()}


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
