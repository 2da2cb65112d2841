"""Where cards lie: none in the place of another network's, none in that of a deeper one."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from contragrad.audit import card
from contragrad.audit.card import CARD
from contragrad.audit.place import place_of, require_as_deep
from contragrad.audit.target import Target
from contragrad.errors import UserError
from found import FACTS, IMAGES, SETTINGS, sound

EPSILON = Fraction(8, 255)


def target(name: str = "NE+GM 1", fingerprint: str = FACTS.fingerprint) -> Target:
    return Target(
        name=name,
        network=nn.Identity(),
        fingerprint=fingerprint,
        architecture=None,
        objective="gm",
        epochs=1,
        keep="last",
        seed=None,
        weights=Path("weights"),
    )


def test_a_runs_networks_lie_by_name_and_radius() -> None:
    assert place_of(Path("run"), target(), EPSILON, of_run=True) == Path("run/audit/NE-GM-1/8-255")
    odd = place_of(Path("run"), target("../.."), Fraction(1, 2), of_run=True)
    assert odd == Path("run/audit/network/1-2")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (target("a+b", "0" * 32), target("a-b", "1" * 32)),
        (target("mine", "0" * 32), target("mine", "1" * 32)),
    ],
)
def test_two_models_have_two_places(one: Target, other: Target) -> None:
    first, second = (place_of(Path("out"), each, EPSILON, of_run=False) for each in (one, other))
    assert first != second
    assert first.parent.name.endswith("-00000000")
    assert first.parent.parent == second.parent.parent == Path("out/audit")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A card's folder."""
    (tmp_path / CARD).write_text(json.dumps(card.content(sound())))
    return tmp_path


def test_a_card_of_a_known_recipe_is_not_replaced_by_one_that_assumes_it(place: Path) -> None:
    with pytest.raises(UserError, match="its recipe was known") as caught:
        require_as_deep(place, replace(target(), recipe_known=False), SETTINGS, IMAGES)
    assert caught.value.remedy.startswith("--recipe-known")
    content = json.loads((place / CARD).read_text())
    content["target"]["recipe_known"] = False
    (place / CARD).write_text(json.dumps(content))
    for known in (False, True):
        require_as_deep(place, replace(target(), recipe_known=known), SETTINGS, IMAGES)


@pytest.mark.parametrize("name", ["steps", "restarts", "queries", "distilled", "surrogates"])
def test_a_shallower_audit_does_not_replace_a_deeper_card(place: Path, name: str) -> None:
    require_as_deep(place, target(), SETTINGS, IMAGES)
    held = getattr(SETTINGS, name)
    changes: dict[str, Any] = {name: held + 1}
    require_as_deep(place, target(), replace(SETTINGS, **changes), IMAGES + 1)
    with pytest.raises(UserError, match="there is a deeper card") as caught:
        require_as_deep(place, target(), replace(SETTINGS, **{name: held - 1}), IMAGES)
    assert caught.value.where == str(place)
    assert f"--{name} {held}" in caught.value.remedy


def test_nor_does_one_of_fewer_images(place: Path) -> None:
    with pytest.raises(UserError, match="images 1,000, and here 100") as caught:
        require_as_deep(place, target(), SETTINGS, 100)
    assert "--images 1000" in caught.value.remedy


def budgeted(place: Path, minutes: float | None) -> None:
    """Puts the card of an audit there that could take so long."""
    found = sound()
    found = replace(found, settings=replace(found.settings, minutes=minutes))
    (place / CARD).write_text(json.dumps(card.content(found)))


@pytest.mark.parametrize(
    ("stored", "asked", "said", "option"),
    [
        (None, 1, "budget none, and here 1", "without --budget"),
        (25, 24.5, "budget 25, and here 24.5", "--budget 25"),
        (0.5, 0.25, "budget 0.5, and here 0.25", "--budget 0.5"),
    ],
)
def test_nor_does_one_of_a_smaller_budget(
    place: Path, stored: float | None, asked: float, said: str, option: str
) -> None:
    budgeted(place, stored)
    with pytest.raises(UserError, match="there is a deeper card of this network") as caught:
        require_as_deep(place, target(), replace(SETTINGS, minutes=asked), IMAGES)
    assert caught.value.what.endswith(f" network: {said}")
    assert caught.value.remedy == f"{option}, or that folder moved elsewhere"


@pytest.mark.parametrize(("stored", "asked"), [(25, 25), (25, 26), (25, None), (None, None), (0.1, 0.1)])
def test_an_audit_goes_on_with_the_same_budget_a_larger_or_none(
    place: Path, stored: float | None, asked: float | None
) -> None:
    budgeted(place, stored)
    require_as_deep(place, target(), replace(SETTINGS, minutes=asked), IMAGES)


@pytest.mark.parametrize(
    ("changes", "said", "option"),
    [
        ({"tolerated": 0.49}, "tolerated 0.2, and here 0.49", "--tolerated 0.2"),
        ({"tolerated": 0.1}, "tolerated 0.2, and here 0.1", "--tolerated 0.2"),
        ({"l2_epsilon": Fraction(1)}, "l2-epsilon 1/2, and here 1", "--l2-epsilon 1/2"),
        ({"l2_epsilon": Fraction(1, 4)}, "l2-epsilon 1/2, and here 1/4", "--l2-epsilon 1/2"),
    ],
)
def test_a_card_that_goes_by_something_else_is_not_replaced_however_deep_the_audit(
    place: Path, changes: dict[str, Any], said: str, option: str
) -> None:
    with pytest.raises(UserError, match="there is another card of this network") as caught:
        require_as_deep(place, target(), replace(SETTINGS, steps=10_000, **changes), IMAGES)
    assert caught.value.what.endswith(f" network: {said}")
    assert caught.value.remedy == f"{option}, or that folder moved elsewhere"


def test_all_that_differs_is_said_at_once(place: Path) -> None:
    budgeted(place, None)
    few = replace(SETTINGS, steps=1, minutes=2, tolerated=0.3)
    with pytest.raises(UserError, match="a deeper card") as caught:
        require_as_deep(place, target(), few, IMAGES)
    options = f"--steps {SETTINGS.steps} --tolerated 0.2 without --budget"
    assert caught.value.remedy == f"{options}, or that folder moved elsewhere"


def test_what_is_no_card_of_this_network_is_replaced(place: Path, tmp_path: Path) -> None:
    few = replace(SETTINGS, steps=1)
    require_as_deep(place, target(fingerprint="another"), few, 1)
    require_as_deep(tmp_path / "nowhere", target(), few, 1)
    for text in ("", "[]", '{"images": 3}', '{"images": 3, "depth": [], "target": {}}'):
        (place / CARD).write_text(text)
        require_as_deep(place, target(), few, 1)


def test_a_card_from_before_there_was_a_depth_has_its_images(place: Path) -> None:
    stored = card.content(sound())
    del stored["depth"], stored["l2_epsilon"]
    (place / CARD).write_text(json.dumps(stored))
    other = replace(SETTINGS, steps=1, minutes=1, tolerated=0.4, l2_epsilon=Fraction(1))
    require_as_deep(place, target(), other, IMAGES)
    with pytest.raises(UserError, match="images"):
        require_as_deep(place, target(), SETTINGS, IMAGES - 1)
