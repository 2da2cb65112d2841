"""Where an audit's card lies, and which card that lies there must not be replaced."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from contragrad.audit.card import CARD
from contragrad.audit.settings import AuditSettings
from contragrad.audit.target import Target
from contragrad.errors import UserError
from contragrad.outside import LONGEST_JSON, from_json, read_text
from contragrad.settings.checks import radius

PREFIX = 8
"""Digits of its fingerprint that tell a model from others of the same name."""

DEEP = ("steps", "restarts", "queries", "distilled", "surrogates")
"""Settings of which more is deeper, beside the number of images."""


def place_of(folder: Path, target: Target, epsilon: Fraction, *, of_run: bool) -> Path:
    """The card's folder: a run's networks have names of their own, two models may have the same."""
    name = _slug(target.name)
    if not of_run:
        name = f"{name}-{target.fingerprint[:PREFIX]}"
    return folder / "audit" / name / _slug(radius(epsilon))


def require_as_deep(place: Path, target: Target, settings: AuditSettings, images: int) -> None:
    """Refuses to replace a card of the same network that says more.

    Args:
        place: the card's folder.
        target: the network.
        settings: how deep the new one is to be.
        images: that are attacked for it.

    Raises:
        UserError: naming what would be less.
    """
    stored = _stored(place / CARD)
    if stored.get("fingerprint") != target.fingerprint:
        return
    asked = {name: getattr(settings, name) for name in DEEP} | {"images": images}
    less = [
        name for name, number in asked.items() if isinstance(stored.get(name), int) and number < stored[name]
    ]
    if less:
        raise UserError(
            "there is a deeper card of this network: "
            + ", ".join(f"{name} {stored[name]:,}, and here {asked[name]:,}" for name in less),
            where=str(place),
            remedy=f"{' '.join(f'--{name} {stored[name]}' for name in less)}, or that folder moved elsewhere",
        )


def _stored(path: Path) -> dict[str, Any]:
    """The fingerprint and depth of the card there; nothing if there is none that can be read."""
    try:
        found = from_json(read_text(path, LONGEST_JSON, "it cannot be read", "contragrad audit"))
        return {"images": found["images"], **found.get("depth", {}), **found["target"]}
    except (UserError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name).strip("-") or "network"
