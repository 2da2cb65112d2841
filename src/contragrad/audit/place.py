"""Where an audit's card lies, and which card that lies there must not be replaced."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from contragrad.audit.card import CARD
from contragrad.audit.settings import AuditSettings
from contragrad.audit.target import Target
from contragrad.errors import UserError
from contragrad.legible import LONGEST_TEXT, legible
from contragrad.outside import LONGEST_JSON, from_json, read_text
from contragrad.settings.checks import radius

PREFIX = 8
"""Digits of its fingerprint that tell a model from others of the same name."""

DEEP = ("steps", "restarts", "queries", "distilled", "surrogates")
"""Settings of which more is deeper, beside the number of images and the budget."""


def place_of(folder: Path, target: Target, epsilon: Fraction, *, of_run: bool) -> Path:
    """The card's folder: a run's networks have names of their own, two models may have the same."""
    name = _slug(target.name)
    if not of_run:
        name = f"{name}-{target.fingerprint[:PREFIX]}"
    return folder / "audit" / name / _slug(radius(epsilon))


@dataclass(frozen=True, slots=True)
class _Difference:
    """In what a stored card is not to be replaced, and the option that asks for the same again."""

    said: str
    option: str


def require_as_deep(place: Path, target: Target, settings: AuditSettings, images: int) -> None:
    """Refuses to replace a card of the same network that says more, or that judges by something else.

    Args:
        place: the card's folder.
        target: the network.
        settings: how deep the new one is to be.
        images: that are attacked for it.

    Raises:
        UserError: naming what would be less, or other.
    """
    stored = _stored(place / CARD)
    if stored.get("fingerprint") != target.fingerprint:
        return
    less, time = _less(stored, settings, images), _less_time(stored, settings)
    if stored.get("recipe_known") is True and not target.recipe_known:
        less.append(_Difference("its recipe was known", "--recipe-known"))
    if found := [*less, *_other(stored, settings), *time]:
        kind = "a deeper card" if less or time else "another card"
        raise UserError(
            f"there is {kind} of this network: {', '.join(each.said for each in found)}",
            where=str(place),
            remedy=f"{' '.join(each.option for each in found)}, or that folder moved elsewhere",
        )


def _less(stored: Mapping[str, Any], settings: AuditSettings, images: int) -> list[_Difference]:
    asked = {name: getattr(settings, name) for name in DEEP} | {"images": images}
    return [
        _Difference(f"{name} {stored[name]:,}, and here {number:,}", f"--{name} {stored[name]}")
        for name, number in asked.items()
        if isinstance(stored.get(name), int) and number < stored[name]
    ]


def _less_time(stored: Mapping[str, Any], settings: AuditSettings) -> list[_Difference]:
    """With less of it, more may be left out; without a budget nothing is."""
    there, here = stored.get("minutes", 0), settings.minutes
    if here is None or not (there is None or (isinstance(there, int | float) and here < there)):
        return []
    before, option = ("none", "without --budget") if there is None else (f"{there:g}", f"--budget {there:g}")
    return [_Difference(f"budget {before}, and here {here:g}", option)]


def _other(stored: Mapping[str, Any], settings: AuditSettings) -> list[_Difference]:
    """What a verdict goes by beside the folder's radius, of which neither more nor less is deeper."""
    found = []
    for name, value in (("tolerated", settings.tolerated), ("l2_epsilon", settings.l2_epsilon)):
        there, here = stored.get(name), str(value)
        if isinstance(there, str | float) and str(there) != here:
            held, option = legible(str(there), LONGEST_TEXT), name.replace("_", "-")
            found.append(_Difference(f"{option} {held}, and here {here}", f"--{option} {held}"))
    return found


def _stored(path: Path) -> dict[str, Any]:
    """What the card there is of, and its depth; nothing if there is none that can be read."""
    try:
        found = from_json(read_text(path, LONGEST_JSON, "it cannot be read", "contragrad audit"))
        whole = {"images": found["images"], "l2_epsilon": found.get("l2_epsilon")}
        target = found["target"]
        own = {"fingerprint": target["fingerprint"], "recipe_known": target.get("recipe_known")}
        return {**whole, **found.get("depth", {}), **own}
    except (UserError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-") or "network"
