"""Study files and command-line overrides -> a StudyConfig, and back."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import register_type

from contragrad.config import StudyConfig
from contragrad.errors import UserError
from contragrad.fingerprint import canonical


def _fraction(value: object) -> Fraction:
    try:
        return Fraction(str(value))
    except ZeroDivisionError as error:
        raise ValueError("a fraction over zero") from error


register_type(Fraction, serializer=str, deserializer=_fraction)


def add_settings(parser: ArgumentParser) -> None:
    """Adds `--config` and an option for every setting of a study to the parser."""
    parser.add_argument("--config", action="config", help="study file (YAML); options after it override it")
    parser.add_class_arguments(StudyConfig)


def read(path: Path | None, overrides: Sequence[str] = ()) -> StudyConfig:
    """The settings of a study file, or the defaults, with command-line overrides such as `--seed=1`.

    Raises:
        UserError: if the file cannot be read, or a key or value is unknown or of the wrong type.
    """
    if path is not None:
        _require_known(_keys(_load(path)), str(path))
    _require_known(
        (word[2:].partition("=")[0].rstrip("+") for word in overrides if word.startswith("--")),
        "the command line",
    )
    parser = ArgumentParser(exit_on_error=False)
    add_settings(parser)
    arguments = [*([] if path is None else ["--config", str(path)]), *overrides]
    try:
        found = parser.instantiate(parser.parse_args(arguments))
    except (ArgumentError, ValueError, TypeError) as error:
        raise UserError(
            "a setting has a value of the wrong kind",
            where=" ".join(str(error).replace("Parser key ", "").split()),
            remedy="contragrad evolve --help lists every setting and what it takes",
        ) from error
    return StudyConfig(**{field.name: found[field.name] for field in fields(StudyConfig)})


def shipped(name: str) -> Path:
    """The study file of that name that ships with the package."""
    return Path(str(resources.files("contragrad.studies") / f"{name}.yaml"))


def write(config: StudyConfig, path: Path) -> None:
    """Writes every setting as a study file that `read` gives the same settings for."""
    path.write_text(yaml.safe_dump(_plain(config), sort_keys=False))


def _plain(value: object) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return canonical(value)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(
            f"the study file cannot be read: {error.strerror}",
            where=str(path),
            remedy="the path of a YAML file",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"the study file is no YAML: {error}", where=str(path)) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError("the study file is no mapping of settings", where=str(path), remedy="seed: 0")
    return content


def _keys(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")


def known_keys(record: type = StudyConfig, prefix: str = "") -> tuple[str, ...]:
    """Every setting's dotted key, sections included."""
    hints = get_type_hints(record)
    found: list[str] = []
    for field in fields(record):
        found.append(f"{prefix}{field.name}")
        if is_dataclass(inner := hints[field.name]):
            found += known_keys(inner, f"{prefix}{field.name}.")  # type: ignore[arg-type]
    return tuple(found)


def _require_known(keys: Iterator[str], where: str) -> None:
    known = known_keys()
    for key in keys:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0)
            raise UserError(
                f"there is no setting {key!r}", where=where, remedy=nearest[0] if nearest else known[0]
            )
