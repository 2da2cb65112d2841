"""A value -> its stable name; (seed, *path) -> a stream of random numbers of its own.

Fingerprints are a file format: golden tests pin them. Every fingerprint starts from a versioned tag,
so that two kinds of thing never share a name and a change of meaning is a change of tag.
"""

import dataclasses
import hashlib
import json
from enum import Enum
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]

EXCLUDED = "identity"
"""Metadata key: `field(metadata={EXCLUDED: False})` leaves a field out of its record's identity."""

LATER = "later"
"""Metadata key: `field(metadata={LATER: True})` leaves a field out while it has its default, so that a
setting that a record gains leaves the names of what was made without it."""


def canonical(value: object) -> Plain:
    """The plain JSON value that stands for `value` in its fingerprint.

    A record becomes an object of its class name and its identity fields, so that records of different
    classes never look alike; a field is in unless its metadata says otherwise (`EXCLUDED`, `LATER`).

    Raises:
        TypeError: if a part of the value has no canonical form.
    """
    match value:
        case Enum():
            return canonical(value.value)
        case None | bool() | int() | str():
            return value
        case float():
            if value != value or value in (float("inf"), float("-inf")):
                raise TypeError(f"{value} has no canonical form")
            return value
        case Fraction():
            return str(value)
        case tuple() | list():
            return [canonical(part) for part in value]
        case dict() if all(isinstance(key, str) for key in value):
            return {key: canonical(part) for key, part in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {"": type(value).__name__} | {
                field.name: canonical(_typed(field, getattr(value, field.name)))
                for field in dataclasses.fields(value)
                if _is_identity(field, getattr(value, field.name))
            }
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical form")


def _typed(field: dataclasses.Field[Any], value: object) -> object:
    """The value as its field has it: where a float is wanted, 1 is 1.0, as a file that is read gives it."""
    return float(value) if field.type is float and type(value) is int else value


def _is_identity(field: dataclasses.Field[Any], value: object) -> bool:
    if not field.metadata.get(EXCLUDED, True):
        return False
    return not (field.metadata.get(LATER, False) and value == field.default)


def canonical_json(value: object) -> str:
    """One line of JSON, the same for equal values on every machine."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(tag: str, *parts: object) -> str:
    """A name of 32 hexadecimal digits for `parts`, read as a thing of kind `tag`.

    >>> fingerprint("example/1", 1, "a") == fingerprint("example/1", 1, "a")
    True
    >>> fingerprint("example/1", 1, "a") == fingerprint("example/2", 1, "a")
    False
    """
    text = canonical_json([tag, *parts])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_fingerprint(path: Path) -> str:
    """A name for a file's bytes.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return fingerprint("file/1", hashlib.file_digest(file, "sha256").hexdigest())


def stream_seed(seed: int, *path: object) -> int:
    """A seed in [0, 2**63) for the stream of random numbers named by `path` under `seed`.

    Streams are named, never advanced in order: what one consumer draws cannot shift another's numbers.
    """
    return int(fingerprint("stream/1", seed, list(path))[:16], 16) >> 1


def stream(seed: int, *path: object) -> Random:
    """The stream of random numbers named by `path` under `seed`."""
    return Random(stream_seed(seed, *path))
