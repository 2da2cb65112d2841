"""Fingerprints are a file format: what they tell apart, what they do not, and values that never change."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum, StrEnum
from fractions import Fraction
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contragrad.fingerprint import (
    EXCLUDED,
    LATER,
    canonical,
    canonical_json,
    fingerprint,
    stream,
    stream_seed,
)
from contragrad.settings.config import StudyConfig

Golden = Callable[[str, object], None]


@dataclass(frozen=True)
class Apple:
    """A record."""

    weight: int = 3
    shop: str = field(default="north", metadata={EXCLUDED: False})


@dataclass(frozen=True)
class Scales:
    """A record of a number that need not be whole."""

    reading: float = 1.0


@dataclass(frozen=True)
class Pear:
    """Another record with the same fields."""

    weight: int = 3
    shop: str = field(default="north", metadata={EXCLUDED: False})


@dataclass(frozen=True)
class Plum:
    """A record that has gained a field."""

    weight: int = 3
    ripe: bool = field(default=True, metadata={LATER: True})


class Colour(StrEnum):
    """Stands for its value."""

    RED = "red"


class Level(Enum):
    """Likewise."""

    HIGH = 2


VALUES: dict[str, object] = {
    "none": None,
    "true": True,
    "one": 1,
    "one as a float": 1.0,
    "one as text": "1",
    "a tenth": 0.1,
    "tiny": 1e-300,
    "large": 2**70,
    "a fraction": Fraction(8, 255),
    "text": 'Größe "λ"\n',
    "nothing": [],
    "no keys": {},
    "nested": {"b": [1, (2, 3)], "a": {"c": None}},
    "a record": Apple(),
    "records in a list": [Apple(1), Pear(2)],
    "an enumeration": [Colour.RED, Level.HIGH],
}

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
    max_leaves=8,
)


def test_golden_fingerprints(golden: Golden) -> None:
    golden("fingerprints", {name: fingerprint("test/1", value) for name, value in VALUES.items()})


def test_golden_streams(golden: Golden) -> None:
    random = stream(0, "mutate", 1, 0, 0)
    golden(
        "streams",
        {
            "seeds": [stream_seed(seed, "initial") for seed in range(5)],
            "integers": [random.randrange(1000) for _ in range(10)],
            "reals": [random.random() for _ in range(10)],
        },
    )


def test_a_field_that_a_record_gains_renames_only_what_uses_it() -> None:
    assert canonical(Plum()) == {"": "Plum", "weight": 3}
    assert canonical(Plum(ripe=False)) == {"": "Plum", "weight": 3, "ripe": False}


def excluded(record: type[Any], prefix: str = "") -> list[str]:
    """The full names of the record's fields that are not part of its identity."""
    names = []
    types = get_type_hints(record)
    for part in fields(record):
        name = f"{prefix}{part.name}"
        if not part.metadata.get(EXCLUDED, True):
            names.append(name)
        elif is_dataclass(types[part.name]):
            names += excluded(types[part.name], f"{name}.")
    return names


def test_golden_fields_outside_a_studys_identity() -> None:
    """A field wrongly left out is wrong science; one wrongly left in only costs time."""
    assert excluded(StudyConfig) == [
        *("data.download", "refine.checkpoint_every"),
        *("device", "workers", "executor", "address", "worker_gpus", "memo"),
    ]


def test_different_values_have_different_fingerprints() -> None:
    assert len({fingerprint("test/1", value) for value in VALUES.values()}) == len(VALUES)


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (True, "true"), (1.0, "1.0"), ("1", '"1"'), (None, "null")]
)
def test_a_value_keeps_its_type(value: object, text: str) -> None:
    """Equal numbers of different types are different values: a setting's type is part of what it means."""
    assert canonical_json(value) == text


def test_a_hundred_thousand_values_do_not_collide() -> None:
    values: list[object] = [*range(40_000), *(number / 7 + 0.01 for number in range(20_000))]
    values += [str(number) for number in range(20_000)]
    values += [[number, number + 1] for number in range(10_000)] + [
        [[number], number + 1] for number in range(10_000)
    ]
    assert len(values) == 100_000
    assert len({fingerprint("test/1", value) for value in values}) == len(values)


@given(plain, plain)
def test_equal_fingerprints_mean_equal_json(one: object, other: object) -> None:
    same = canonical_json(one) == canonical_json(other)
    assert (fingerprint("test/1", one) == fingerprint("test/1", other)) == same


@given(plain)
def test_a_fingerprint_is_32_hexadecimal_digits(value: object) -> None:
    name = fingerprint("test/1", value)
    assert len(name) == 32
    assert set(name) <= set("0123456789abcdef")
    assert name == fingerprint("test/1", value)


@given(st.dictionaries(st.text(), plain, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(value: dict[str, object], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert fingerprint("test/1", dict(items)) == fingerprint("test/1", value)


def test_tags_and_the_number_of_parts_tell_apart() -> None:
    names = [
        fingerprint("test/1", 1, 2),
        fingerprint("test/2", 1, 2),
        fingerprint("test/1", 2, 1),
        fingerprint("test/1", [1, 2]),
        fingerprint("test/1", 12),
        fingerprint("test/1", 1, 2, None),
        fingerprint("test/1"),
    ]
    assert len(set(names)) == len(names)


def test_records_of_different_classes_differ() -> None:
    assert fingerprint("test/1", Apple()) != fingerprint("test/1", Pear())
    assert fingerprint("test/1", Apple(3)) != fingerprint("test/1", Apple(4))
    assert fingerprint("test/1", Apple()) != fingerprint("test/1", {"weight": 3})


def test_a_field_left_out_of_the_identity_changes_nothing() -> None:
    assert fingerprint("test/1", Apple(3, "south")) == fingerprint("test/1", Apple(3, "north"))
    assert canonical(Apple()) == {"": "Apple", "weight": 3}


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), [1, float("nan")], {"a": float("nan")}],
    ids=str,
)
def test_numbers_that_are_none_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        fingerprint("test/1", value)


@pytest.mark.parametrize(
    "value",
    [{1, 2}, b"bytes", object(), Apple, np.int64(3), np.zeros(2), 1j],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="no canonical form"):
        fingerprint("test/1", value)


@pytest.mark.parametrize("value", [{1: "a"}, {None: "a"}, {1: "a", "1": "b"}], ids=repr)
def test_keys_that_are_no_text_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        fingerprint("test/1", value)


@given(st.integers(0, 2**63), st.lists(st.text() | st.integers(), max_size=4))
def test_stream_seeds_are_in_range(seed: int, path: list[object]) -> None:
    assert 0 <= stream_seed(seed, *path) < 2**63


def test_streams_are_told_apart_by_seed_and_path() -> None:
    names: list[tuple[Any, ...]] = [
        (0, "a"),
        (1, "a"),
        (0, "b"),
        (0, "a", 0),
        (0, "a", 0, 1),
        (0, "a", 1, 0),
        (0, "a", 10),
        (0, "a", "10"),
        (0, ("a", 0)),
        (0,),
    ]
    assert len({stream(*name).random() for name in names}) == len(names)


def test_what_one_stream_draws_does_not_shift_another() -> None:
    expected = [stream(3, "b").random() for _ in range(2)]
    other = stream(3, "a")
    drawn = []
    for _ in range(2):
        other.random()
        drawn.append(stream(3, "b").random())
    assert drawn == expected


def test_a_whole_number_where_a_float_is_declared_is_the_float() -> None:
    assert fingerprint("test/1", Scales(1)) == fingerprint("test/1", Scales(1.0))
    assert canonical_json(Scales(2)) == canonical_json(Scales(2.0))
    assert fingerprint("test/1", Apple(1)) != fingerprint("test/1", Scales(1))
