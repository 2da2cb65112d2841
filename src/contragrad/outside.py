"""Text, JSON and YAML from outside: limited in size, and wrong in one way only, a ValueError."""

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

from contragrad.errors import UserError
from contragrad.files import named

LONGEST_JSON = 2**25
"""Bytes of a JSON file: an audit's card has 100 kB, and json takes about ten times as much memory."""

LONGEST_YAML = 2**18
"""Letters of a study file: its settings take 2,000, a genome some hundreds; yaml reads so many in seconds."""

DEEPEST_YAML = 20
"""Mappings and lists in each other: a study file has three, and yaml fails at some hundreds."""

LONGEST_NUMBER = 100
"""Letters of a number or a fraction: what is longer is none, and may take any time to be read."""

NUMBER = re.compile(rf"[-+]?[0-9][0-9a-fA-FxXob_:.+-]{{{LONGEST_NUMBER},}}")
"""What yaml might take for one that is longer: it reads some in a time that grows with their square."""


def read_text(path: Path, most: int, what: str, remedy: str) -> str:
    """The text of a file in UTF-8.

    Args:
        path: the file.
        most: bytes that it may have.
        what: to say if it cannot be read.
        remedy: what would be right.

    Raises:
        UserError: if it is none, is too long, or cannot be read.
    """
    # A pipe is as good as a file, and of a device, which has no end, no more is read.
    with named(path, what, remedy), path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise UserError(f"{what}: it has more than {most:,} bytes", where=str(path), remedy=remedy)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{what}: it is no text in UTF-8", where=str(path), remedy=remedy) from error


def from_json(text: str) -> Any:
    """The value of a JSON text; of strict JSON, whose numbers are finite and whose keys come once.

    Raises:
        ValueError: if it is none.
    """
    try:
        found = json.loads(text, parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_once)
        if "\\ud" in text.lower():  # half of a letter, which can be neither written nor hashed
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("too many brackets in each other") from error
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError("a number is too large")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def from_yaml(text: str) -> Any:
    """The value of a YAML text of plain values.

    Raises:
        ValueError: if it is none, has aliases or a key twice, or is too long or too deep.
    """
    try:
        require_plain(text)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        raise ValueError(f"{error.problem}{_line(error.problem_mark)}") from error
    except (yaml.YAMLError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def require_plain(text: str) -> None:
    """Refuses a YAML text whose values may be far more than the text: a few aliases can stand for millions.

    Raises:
        ValueError: if it is one, or has a key twice.
        yaml.YAMLError: if it is no YAML.
    """
    if len(text) > LONGEST_YAML:
        raise ValueError(f"it has more than {LONGEST_YAML:,} letters")
    # Of each mapping around: its keys; of each list, None. Keys and values of a mapping take turns.
    around: list[set[str] | None] = []
    is_key: list[bool] = []
    anchors: set[str | None] = set()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) and event.anchor in anchors:
            raise ValueError(f"an alias{_line(event.start_mark)}")
        if isinstance(event, yaml.CollectionEndEvent):
            around.pop()
            is_key.pop()
        elif isinstance(event, yaml.NodeEvent):
            anchors.add(event.anchor)
            if isinstance(event, yaml.ScalarEvent) and NUMBER.fullmatch(event.value):
                raise ValueError(f"a number of so many digits{_line(event.start_mark)}")
            if around and (keys := around[-1]) is not None:
                if is_key[-1] and isinstance(event, yaml.ScalarEvent):
                    if event.value in keys:
                        raise ValueError(f"{event.value} comes twice{_line(event.start_mark)}")
                    keys.add(event.value)
                is_key[-1] = not is_key[-1]
            if isinstance(event, yaml.CollectionStartEvent):
                around.append(set() if isinstance(event, yaml.MappingStartEvent) else None)
                is_key.append(True)
                if len(around) > DEEPEST_YAML:
                    raise ValueError(f"more than {DEEPEST_YAML} lists or mappings in each other")


def _line(mark: Any) -> str:
    return "" if mark is None else f", line {mark.line + 1}"
