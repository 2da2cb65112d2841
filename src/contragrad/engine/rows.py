"""A row of a memo as it is stored -> its values: a database may come from anybody."""

import math
from typing import cast

from contragrad.fingerprint import Plain
from contragrad.outside import from_json

Values = tuple[dict[str, Plain], float, dict[str, str]]
"""An evaluation's outcome, its seconds and its provenance."""


def values(task: object, outcome: object, seconds: object, provenance: object) -> Values:
    """The values of a row's columns.

    Raises:
        ValueError: saying which column holds what it cannot.
    """
    if not isinstance(task, str):
        raise ValueError("the task is no text")
    if type(seconds) not in (float, int) or not math.isfinite(taken := float(cast("float", seconds))):
        raise ValueError("the seconds are no number")
    came_out, made = _mapping(outcome, "outcome"), _mapping(provenance, "provenance")
    if not all(isinstance(value, str) for value in made.values()):
        raise ValueError("the provenance has values that are no texts")
    return came_out, taken, cast("dict[str, str]", made)


def _mapping(text: object, column: str) -> dict[str, Plain]:
    if not isinstance(text, str):
        raise ValueError(f"the {column} is no text")
    try:
        found = from_json(text)
    except ValueError as error:
        raise ValueError(f"the {column} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"the {column} is no mapping")
    return found
